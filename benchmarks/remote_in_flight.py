"""10,000 tasks in flight at one vendor: its own client and protocol, on a loopback service that
holds every job, of as few tasks as its provider lets it have. What following them costs the one
worker there is.

``python -m benchmarks.remote_in_flight [NAME …]`` takes these providers, without a name ibm.
``TASKS=1000`` in the environment is for a look.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import Measure, report
from benchmarks.serving import BELL, Served, broker
from quanopy.domain.programs import BRAKET_AHS, OPENQASM3, PERCEVAL, PULSER
from quanopy.testing.vendors.pasqal import DEVICE

TASKS = int(os.environ.get("TASKS", "10000"))
TOGETHER = 500
WATCHED_S = 64.0
"""At least the longest pause between looks at a job."""
INTERVAL_S = 2.0
START_S = 600.0
LOOK_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A vendor's machine, and a small program for it."""

    resource: str
    program: Callable[[], Mapping[str, str]]
    job: Mapping[str, Any] = field(default_factory=dict)
    """What else a job says."""
    options: str = ""
    """More settings of the provider."""
    vendor: str = ""
    """Whose loopback it is before, where that has another name."""
    settings: Callable[[Mapping[str, Any]], str] = lambda told: str(told["toml"])
    """The provider's table, of what the vendor tells of itself."""
    listed: bool = True
    """Whether states come by a list: else by a request each."""

    @property
    def slowest_s(self) -> float:
        """The longest pause between looks at a job."""
        return 32.0 if self.listed else 60.0


def bell() -> Mapping[str, str]:
    """A Bell pair."""
    return {"format": OPENQASM3, "text": BELL}


def atoms() -> Mapping[str, str]:
    """Two atoms and a pulse, as Pulser writes them."""
    from pulser import AnalogDevice, Pulse, Register
    from pulser import Sequence as Pulses

    sequence = Pulses(Register.rectangle(1, 2, spacing=6.0, prefix="q"), AnalogDevice)
    sequence.declare_channel("all", "rydberg_global")
    sequence.add(Pulse.ConstantPulse(500, 4.44, 0, 0), "all")
    sequence.measure("ground-rydberg")
    return {"format": PULSER, "text": sequence.to_abstract_repr()}


def one_atom() -> Mapping[str, str]:
    """One atom that nothing is done to, as Braket has it."""
    still = {"time_series": {"times": ["0", "1e-6"], "values": ["0", "0"]}, "pattern": "uniform"}
    program = {
        "braketSchemaHeader": {"name": "braket.ir.ahs.program", "version": "1"},
        "setup": {"ahs_register": {"sites": [["0", "0"]], "filling": [1]}},
        "hamiltonian": {
            "drivingFields": [{"amplitude": still, "phase": still, "detuning": still}],
            "shiftingFields": [],
        },
    }
    return {"format": BRAKET_AHS, "text": json.dumps(program)}


def photons() -> Mapping[str, str]:
    """Two photons on a beam splitter, as Perceval writes them."""
    from perceval import BS, BasicState, Experiment
    from perceval.serialization import serialize

    experiment = Experiment(BS(), name="hom")
    experiment.with_input(BasicState([1, 1]))
    experiment.min_detected_photons_filter(2)
    return {"format": PERCEVAL, "text": str(serialize(experiment))}


def of_quera(told: Mapping[str, Any]) -> str:
    """Braket's table under QuEra's name."""
    return str(told["toml"]).replace("[providers.braket", "[providers.quera")


def of_qrmi(told: Mapping[str, Any]) -> str:
    """One machine of IBM's, by the variables that QRMI reads."""
    prefix = "ibm_nairobi_"
    variables = [name for name in told["environment"] if name.startswith(f"{prefix}QRMI_")]
    rows = [
        f'{name.removeprefix(prefix)} = "env:{name}"'
        if name.endswith("APIKEY")
        else f'{name.removeprefix(prefix)} = "{told["environment"][name]}"'
        for name in variables
    ]
    head = ["[providers.qrmi.machines.ibm_nairobi]", 'type = "ibm-quantum-compute-service"']
    return "\n".join([*head, *rows, 'QRMI_JOB_TIMEOUT_SECONDS = "3600"'])


FOLLOWED: Mapping[str, Followed] = {
    "ibm": Followed(resource="ibm-nairobi", program=bell, options="tasks_per_execution = 1"),
    "braket": Followed(resource="lark", program=bell),
    "iqm": Followed(resource="adonis", program=bell, listed=False),
    "pasqal": Followed(resource=DEVICE.lower(), program=atoms, job={"kind": "run"}),
    "perceval": Followed(
        resource="sim-loopback", program=photons, job={"kind": "run"}, listed=False
    ),
    "qrmi": Followed(
        resource="ibm-nairobi", program=bell, vendor="ibm", settings=of_qrmi, listed=False
    ),
    "quera": Followed(
        resource="aquila", program=one_atom, job={"kind": "run"}, vendor="braket", settings=of_quera
    ),
    "vqpu": Followed(resource="vqpu", program=bell),
}


@contextlib.contextmanager
def vendor(name: str) -> Iterator[Mapping[str, Any]]:
    """``quanopy dev vendors NAME`` in a process of its own; what it says of itself."""
    command = [sys.executable, "-m", "quanopy", "dev", "vendors", name, "--json"]
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


def submit(served: Served, to: Followed) -> None:
    """All jobs, in batches."""
    job = {"resource": to.resource, "programs": [to.program()], **to.job}
    with httpx.Client(base_url=served.url, headers=served.headers, timeout=120) as client:
        for _ in range(TASKS // TOGETHER):
            client.post("/v1/jobs/batch", json={"jobs": [job] * TOGETHER}).raise_for_status()


def requests(url: str) -> Mapping[str, int]:
    """How many of each have come to the vendor."""
    found: Mapping[str, int] = httpx.get(f"{url}/quanopy/requests", timeout=30).json()
    return found


def await_started(served: Served, to: Followed, url: str) -> None:
    """Until nothing waits and the vendor gets no more jobs."""
    until = time.monotonic() + START_S
    place = f"{served.url}/v1/resources/{to.resource}"
    before = 0
    while True:
        waiting = httpx.get(place, headers=served.headers, timeout=30).json()["queued"]
        started = requests(url).get("start", 0)
        if not waiting and started == before > 0:
            return
        if time.monotonic() > until:
            raise TimeoutError("the jobs were not started")
        before = started
        time.sleep(LOOK_S)


def cpu_s(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """Its resident memory."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def watch(worker: int, url: str, slowest_s: float) -> tuple[float, float, float]:
    """Requests to learn states for each 100 tasks and the provider's interval (nothing changes, so
    it looks at each in up to sixteen of them), share of a core, megabytes."""
    time.sleep(slowest_s)
    before, used, began = requests(url).get("poll", 0), cpu_s(worker), time.monotonic()
    time.sleep(WATCHED_S)
    took = time.monotonic() - began
    asked = requests(url).get("poll", 0) - before
    return (
        asked / (TASKS / 100) / (took / INTERVAL_S),
        (cpu_s(worker) - used) / took,
        megabytes(worker),
    )


def measured(name: str, to: Followed) -> Iterator[Measure]:
    """Submit to a vendor, hold, and watch."""
    with vendor(to.vendor or name) as told, tempfile.TemporaryDirectory() as folder:
        os.environ.update(told["environment"])
        (one,) = told["vendors"]
        settings = Path(folder, "quanopy.toml")
        settings.write_text(f"{to.settings(told)}\n{to.options}\n")
        httpx.post(f"{one['url']}/quanopy/hold", json={}).raise_for_status()
        given = {"data": folder, "config": str(settings), "worker": "false"}
        with working(folder, settings) as worker, broker(**given) as served:
            submit(served, to)
            began = time.monotonic()
            await_started(served, to, one["url"])
            sys.stderr.write(f"{name}: all started after {time.monotonic() - began:.0f} s\n")
            asked, share, memory = watch(worker, one["url"], to.slowest_s)
    about = f"{name}: {TASKS} tasks in flight"
    if to.listed:
        yield measure(f"{about}, requests for each 100 and interval", asked, "", 1)
    yield measure(f"{about}, a worker that follows them", share, "cores", 0.25)
    yield measure(f"{about}, memory of that worker", memory, "MB", 300)


def main(names: Sequence[str]) -> None:
    """Measure the named vendors, one after another."""
    report([one for name in names or ["ibm"] for one in measured(name, FOLLOWED[name])])


def measure(name: str, value: float, unit: str, most: float) -> Measure:
    """A measure with an absolute limit."""
    goal = f"at most {most:g} {unit}".rstrip()
    return Measure(measure=name, value=value, unit=unit, peer=None, goal=goal, holds=value <= most)


if __name__ == "__main__":
    main(sys.argv[1:])
