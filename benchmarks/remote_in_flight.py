"""10,000 tasks in flight at one vendor: IBM's client and protocol, on a loopback service that holds
every job, one task a job. What following them costs the one worker there is."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import Measure, report
from benchmarks.serving import BELL, Served, broker

TASKS = 10_000
TOGETHER = 500
WATCHED_S = 64.0
"""Two of the longest pauses between looks at a job."""
INTERVAL_S = 2.0
SLOWEST_S = 32.0
START_S = 600.0


@contextlib.contextmanager
def vendor() -> Iterator[Mapping[str, Any]]:
    """``quanopy dev vendors ibm`` in a process of its own; what it says of itself."""
    command = [sys.executable, "-m", "quanopy", "dev", "vendors", "ibm", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@contextlib.contextmanager
def working(data: str, settings: Path) -> Iterator[int]:
    """``quanopy worker``; the id of its process."""
    environment = os.environ | {"QUANOPY_DATA": data, "QUANOPY_CONFIG": str(settings)}
    environment["QUANOPY_LOG_LEVEL"] = "warning"
    with subprocess.Popen([sys.executable, "-m", "quanopy", "worker"], env=environment) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def submit(served: Served) -> None:
    """All jobs, in batches."""
    job = {"resource": "ibm-nairobi", "programs": [{"format": "openqasm3", "text": BELL}]}
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=120) as client:
        for _ in range(TASKS // TOGETHER):
            client.post("/v1/jobs/batch", json={"jobs": [job] * TOGETHER}).raise_for_status()


def requests(url: str) -> Mapping[str, int]:
    """How many of each have come to the vendor."""
    found: Mapping[str, int] = httpx.get(f"{url}/quanopy/requests", timeout=30).json()
    return found


def await_started(url: str) -> None:
    """Until the vendor has every job."""
    until = time.monotonic() + START_S
    while requests(url).get("start", 0) < TASKS:
        if time.monotonic() > until:
            raise TimeoutError("the jobs were not started")
        time.sleep(1)


def cpu_s(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """Its resident memory."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def watch(worker: int, url: str) -> tuple[float, float, float]:
    """Requests to learn states for each 100 tasks and the provider's interval (nothing changes, so
    it looks at each in up to sixteen of them), share of a core, megabytes."""
    time.sleep(SLOWEST_S)
    before, used, began = requests(url).get("poll", 0), cpu_s(worker), time.monotonic()
    time.sleep(WATCHED_S)
    took = time.monotonic() - began
    asked = requests(url).get("poll", 0) - before
    return (
        asked / (TASKS / 100) / (took / INTERVAL_S),
        (cpu_s(worker) - used) / took,
        megabytes(worker),
    )


def main() -> None:
    """Submit, hold, and watch."""
    with vendor() as told, tempfile.TemporaryDirectory() as folder:
        os.environ.update(told["environment"])
        (one,) = told["vendors"]
        settings = Path(folder, "quanopy.toml")
        settings.write_text(f"{told['toml']}\ntasks_per_execution = 1\n")
        httpx.post(f"{one['url']}/quanopy/hold", json={}).raise_for_status()
        given = {"data": folder, "config": str(settings), "worker": "false"}
        with working(folder, settings) as worker, broker(**given) as served:
            submit(served)
            began = time.monotonic()
            await_started(one["url"])
            sys.stderr.write(f"all started after {time.monotonic() - began:.0f} s\n")
            asked, share, memory = watch(worker, one["url"])
    report(
        [
            measure(f"requests for each 100 of {TASKS} tasks in flight and interval", asked, "", 1),
            measure(f"a worker that follows {TASKS} remote tasks", share, "cores", 0.25),
            measure(f"memory of a worker that follows {TASKS} remote tasks", memory, "MB", 300),
        ]
    )


def measure(name: str, value: float, unit: str, most: float) -> Measure:
    """A measure with an absolute limit."""
    goal = f"at most {most:g} {unit}".rstrip()
    return Measure(measure=name, value=value, unit=unit, peer=None, goal=goal, holds=value <= most)


if __name__ == "__main__":
    main()
