"""A server process for benchmarks, and one whose only route just answers."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

START_S = 60.0
BELL = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)
JOB = {"resource": "aer", "programs": [{"format": "openqasm3", "text": BELL}]}
_ANSWERING = """
import sys, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/v1/jobs")
async def only() -> dict[str, str]:
    return {"status": "ok"}
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", ws="none",
            lifespan="off", access_log=False, log_level="error")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where a server is, and how to be let in."""

    url: str
    token: str
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"}


@contextlib.contextmanager
def broker(**settings: str) -> Iterator[Served]:
    """``quanopy serve`` in a process of its own, with fresh data unless ``settings`` say so."""
    with tempfile.TemporaryDirectory(prefix="quanopy-bench-") as folder:
        given = {"data": folder, "port": "0", "log_level": "warning"} | settings
        data = Path(given["data"])
        environment = {f"QUANOPY_{name.upper()}": value for name, value in given.items()}
        with _process([sys.executable, "-m", "quanopy", "serve"], environment) as process:
            _await(lambda: (data / "server.json").exists())
            url = json.loads((data / "server.json").read_text())["url"]
            token = (data / "token").read_text().strip()
            served = Served(url=url, token=token, pid=process.pid)
            _await(lambda: _has_resources(served))
            yield served


@contextlib.contextmanager
def answering(port: int) -> Iterator[Served]:
    """A server of the same make whose ``POST /v1/jobs`` only answers."""
    with _process([sys.executable, "-c", _ANSWERING, str(port)], {}) as process:
        served = Served(url=f"http://127.0.0.1:{port}", token="none", pid=process.pid)
        _await(lambda: _answers(served))
        yield served


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def put_offline(served: Served) -> None:
    """Let nothing run, so that only what is measured works."""
    url = f"{served.url}/v1/resources/aer/state"
    httpx.put(url, json={"state": "offline"}, headers=served.headers).raise_for_status()


def _has_resources(served: Served) -> bool:
    answer = httpx.get(f"{served.url}/v1/resources", headers=served.headers)
    return bool(answer.json()["resources"])


def _answers(served: Served) -> bool:
    try:
        return httpx.post(f"{served.url}/v1/jobs").is_success
    except httpx.ConnectError:
        return False


def _await(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError("the server did not start")
        time.sleep(0.02)
