"""A broker: a server and workers, each a process of its own, as an operator starts them; or all
of it in this process."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quanopy import Client
from tests.servers.process import ServerProcess

QUANOPY = Path(sys.executable).with_name("quanopy")
START_S = 60.0


def outside() -> dict[str, str]:
    """The environment without settings of ours."""
    kept = {name: value for name, value in os.environ.items() if "QUANOPY" not in name}
    return kept | {"OMP_NUM_THREADS": "1"}


@contextmanager
def running(data: Path, environ: dict[str, str], *, workers: Sequence[str]) -> Iterator[str]:
    """The URL of a server that these workers have joined, each with a folder of its own."""
    processes = [_started(["serve", "--no-worker", "--port", "0"], data, environ)]
    try:
        processes[0].wait_until((data / "server.json").exists, timeout_s=START_S)
        processes += [
            _started(["worker", "--providers", "aer"], data.with_name(name), environ)
            for name in workers
        ]
        url = json.loads((data / "server.json").read_text())["url"]
        owner = (data / "token").read_text().strip()
        processes[0].wait_until(lambda: _workers(url, owner) == len(workers), timeout_s=START_S)
        yield url
    finally:
        for process in reversed(processes):
            process.stop()


@contextmanager
def embedded(
    data: Path, providers: Mapping[str, Mapping[str, object]], **settings: Any
) -> Iterator[Client]:
    """A client of a broker in this process, all of whose providers have said what they serve: one
    that begins does without what a vendor's package is too slow to say."""
    with Client.embedded(data, providers=providers, **settings) as client:
        until = time.monotonic() + START_S
        while not providers.keys() <= {one.provider for one in client.resources()}:
            assert time.monotonic() < until
            time.sleep(0.02)
        yield client


def _started(arguments: list[str], data: Path, environ: dict[str, str]) -> ServerProcess:
    data.mkdir(mode=0o700, exist_ok=True)
    return ServerProcess(
        [QUANOPY, *arguments],
        log=data / "log",
        environment=environ | {"QUANOPY_DATA": str(data), "QUANOPY_EMULATOR_PROCESSES": "1"},
    )


def _workers(url: str, token: str) -> int:
    with Client(url, token) as client:
        return max((resource.workers for resource in client.resources()), default=0)
