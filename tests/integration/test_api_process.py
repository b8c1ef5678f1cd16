"""The server as a process of its own: started, found, stopped."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

BELL = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)
LIMIT_S = 90.0
JOB = {"resource": "aer", "programs": [{"format": "openqasm3", "text": BELL}]}


@contextlib.contextmanager
def serving(data: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server process with its data in a folder."""
    environment = {f"QUANOPY_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "quanopy", "serve"],
        env=clean(os.environ) | {"QUANOPY_DATA": str(data), "QUANOPY_PORT": "0"} | environment,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("QUANOPY_")}


def client_of(data: Path, process: subprocess.Popen[bytes]) -> httpx.Client:
    """A client of the server, found as clients find it."""

    def found() -> bool:
        assert process.poll() is None, process.communicate()
        return (data / "server.json").exists()

    await_true(found)
    place = json.loads((data / "server.json").read_text())
    assert place["pid"] == process.pid
    secret = (data / "token").read_text().strip()
    return httpx.Client(
        base_url=place["url"], headers={"Authorization": f"Bearer {secret}"}, timeout=LIMIT_S
    )


def await_true(seen: Callable[[], object]) -> None:
    """Return once it is seen."""
    until = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < until
        time.sleep(0.02)


def await_resources(client: httpx.Client) -> None:
    """Until a worker serves some."""
    await_true(lambda: client.get("/v1/resources").json()["resources"])


def test_a_circuit_runs_and_its_result_is_there_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as process, client_of(tmp_path, process) as client:
        await_resources(client)
        job = client.post("/v1/jobs", json=JOB).json()
        first = client.get(f"/v1/jobs/{job['id']}/result?wait=60").json()
        assert sum(first["pubs"][0]["counts"][0].values()) == 1024
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert not (tmp_path / "server.json").exists()
    with serving(tmp_path, worker="no") as process, client_of(tmp_path, process) as client:
        assert client.get(f"/v1/jobs/{job['id']}/result").json() == first


def test_on_sigterm_waiting_callers_are_answered_and_not_cut_off(tmp_path: Path) -> None:
    with (
        serving(tmp_path, worker="no") as process,
        client_of(tmp_path, process) as client,
        client.stream("GET", "/v1/events/stream") as events,
    ):
        lines = events.iter_lines()
        assert next(lines)  # It waits from now on.
        process.send_signal(signal.SIGTERM)
        assert events.status_code == 200
        assert len(list(lines)) < 10
        assert process.wait(LIMIT_S) == 0


def test_only_the_owner_can_read_the_token_and_it_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, worker="no") as process, client_of(data, process):
        secret = (data / "token").read_text()
        assert stat.S_IMODE((data / "token").stat().st_mode) == 0o600
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    with serving(data, worker="no") as process, client_of(data, process) as client:
        assert (data / "token").read_text() == secret
        assert client.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"host": "0.0.0.0"}, b"unencrypted"),
        ({"database": "oracle://x"}, b""),
        ({"objects": "ftp://x"}, b"object store"),
        ({"port": "many"}, b"port: 'many' is no int"),
        ({"tls_cert": __file__, "tls_key": "/none.key"}, b"tls_key: /none.key cannot be read"),
        ({"tls_cert": __file__, "tls_key": __file__}, b"are no certificate and its key"),
    ],
)
def test_what_cannot_start_says_why_and_ends(
    tmp_path: Path, settings: dict[str, str], complaint: bytes
) -> None:
    with serving(tmp_path, worker="no", **settings) as process:
        _, said = process.communicate(timeout=LIMIT_S)
        assert process.returncode not in (0, 1)
        assert complaint in said
        assert b"Traceback" not in said


def test_a_second_broker_on_a_folder_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, worker="no") as first, client_of(tmp_path, first):
        with serving(tmp_path, worker="no") as second:
            _, said = second.communicate(timeout=LIMIT_S)
        assert second.returncode == 69
        assert b"already runs" in said
        assert b"Traceback" not in said
        first.kill()
        first.wait(LIMIT_S)
    (tmp_path / "server.json").unlink()
    with serving(tmp_path, worker="no") as third, client_of(tmp_path, third) as client:
        assert client.get("/v1/jobs").status_code == 200


def test_a_worker_works_beside_the_broker_of_its_folder(tmp_path: Path) -> None:
    with serving(tmp_path, worker="no") as process, client_of(tmp_path, process) as client:
        worker = subprocess.Popen(
            [sys.executable, "-m", "quanopy", "worker"],
            env=clean(os.environ) | {"QUANOPY_DATA": str(tmp_path)},
        )
        try:
            await_resources(client)
            job = client.post("/v1/jobs", json=JOB).json()
            assert client.get(f"/v1/jobs/{job['id']}/result?wait=60").status_code == 200
        finally:
            worker.terminate()
            assert worker.wait(LIMIT_S) == 0
