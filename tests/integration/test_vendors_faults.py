"""A whole broker before each vendor while that misbehaves: nothing is lost, nothing is sent twice,
and no secret is left anywhere."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from quanopy import Client
from quanopy.client import Job
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PERCEVAL, PULSER, QIR, Program
from quanopy.domain.states import JobState, ResourceState
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.registry import SERVICES, build

VENDORS = sorted(SERVICES.keys() - {"iqm"})
"""IQM's client has an environment of its own; its worker is a process in test_iqm_worker."""
BELL = """OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
LATER = (
    *(Fault.TIMEOUT, Fault.LOCKED, Fault.MANY, Fault.BUSY),
    *(Fault.DENIED, Fault.FORBIDDEN),
)
"""The vendor did nothing, or does not take the key: the job is sent again, and completes."""
REFUSED = (Fault.REJECT,)
"""It failed, and says why."""
DOUBTFUL = (Fault.LOST, Fault.CUT, Fault.TRUNCATED, Fault.MALFORMED, Fault.BROKEN)
"""It completes where the vendor can tell what became of it, and is stranded elsewhere."""
SETTLED_S = 100.0
HASTE: Mapping[str, Mapping[str, float]] = {
    "braket": {"timeout_s": 5.0, "poll_interval_s": 0.2},
    "ibm": {"timeout_s": 5.0, "visibility_delay_s": 0.0, "poll_interval_s": 0.2},
    "pasqal": {"request_timeout_s": 5.0},
    "perceval": {"request_timeout_s": 5.0},
    "vqpu": {"request_timeout_s": 5.0},
    "felis": {"timeout_s": 15.0},
    "ibm-system": {"timeout_s": 15.0},
}
"""What is searched for is so only once its own request has ended."""

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    with build(request.param) as vendor:
        for key, text in vendor.environment().items():
            monkeypatch.setenv(key, text)
        yield vendor


@pytest.fixture
def client(vendor: Vendor, tmp_path: Path) -> Iterator[Client]:
    tables = {vendor.provider: {**vendor.options(), **HASTE.get(vendor.name, {})}}
    with Client.embedded(tmp_path / "data", providers=tables, log_level="debug") as client:
        yield client


def test_jobs_survive_what_a_vendor_does_wrong(
    vendor: Vendor,
    client: Client,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    machine = resource(client, vendor.provider)
    for route, fault in (("poll", Fault.BUSY), ("poll", Fault.CUT), ("result", Fault.MALFORMED)):
        vendor.faults.plan(route, fault)
    jobs: dict[Fault, Job] = {}
    ended: dict[Fault, str] = {}
    for fault in (*LATER, *DOUBTFUL):
        vendor.faults.plan("start", fault)
        jobs[fault] = submit(client, vendor.name, machine)
        wait_for(lambda: vendor.faults.met("start"))
        if fault in LATER:  # Sent again, it must not meet the next one's.
            ended[fault] = settled(jobs[fault])
    ended |= {fault: settled(jobs[fault]) for fault in DOUBTFUL}
    for fault in REFUSED:
        vendor.faults.plan("start", fault)
        jobs[fault] = submit(client, vendor.name, machine)
        ended[fault] = settled(jobs[fault])
    assert {fault: ended[fault] for fault in LATER} == dict.fromkeys(LATER, "completed")
    assert {fault: ended[fault] for fault in REFUSED} == dict.fromkeys(REFUSED, "failed")
    assert {ended[fault] for fault in DOUBTFUL} <= {"completed", "stranded"}
    assert len(vendor.jobs) <= len(jobs)
    texts = [json.dumps(answers(client, job)) for job in jobs.values()]
    captured = capfd.readouterr()
    texts += [caplog.text, captured.out, captured.err]
    for secret in vendor.secrets():
        assert all(secret not in text for text in texts)
        assert [name for name, data in files(tmp_path) if secret.encode() in data] == []


def resource(client: Client, provider: str) -> str:
    """The smallest machine of a provider, once it is in service."""
    found: list[Any] = []

    def look() -> bool:
        served = [one for one in client.resources() if one.provider == provider]
        found[:] = [one for one in served if one.state is ResourceState.ONLINE]
        return bool(found)

    wait_for(look)
    return str(min(found, key=lambda one: one.limits.qubits or 10_000).name)


def submit(client: Client, vendor: str, machine: str) -> Job:
    native = {"perceval": photons, "pasqal": atoms, "felis": cats}.get(vendor)
    if native is None:
        return client.submit(BELL, kind=JobKind.SAMPLE, resource=machine, shots=20)
    return client.submit(native(), kind=JobKind.RUN, resource=machine, shots=20)


@cache
def photons() -> Program:
    from tests.contract.vendors.test_perceval import hong_ou_mandel

    return Program(format=PERCEVAL, data=hong_ou_mandel())


@cache
def atoms() -> Program:
    from tests.contract.vendors.test_pasqal import blockade

    return Program(format=PULSER, data=blockade())


@cache
def cats() -> Program:
    from tests.contract.vendors.test_qrmi_types import BELL

    return Program(format=QIR, data=BELL)


def settled(job: Job) -> str:
    """What became of a job: its state, or that it is stranded."""
    state = ""

    def look() -> bool:
        nonlocal state
        state = str(job.status())
        if state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED):
            return True
        executions = [one.state for one in job.detail().executions]
        state = "stranded" if "stranded" in executions else state
        return state == "stranded"

    wait_for(look)
    return state


def answers(client: Client, job: Job) -> list[Any]:
    """All that the broker says of a job."""
    detail = job.detail().model_dump(mode="json")
    events = [repr(event) for event in job.events()]
    resources = [one.model_dump(mode="json") for one in client.resources()]
    return [detail, events, resources]


def files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents, without what was only there for a moment."""
    for path in root.rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError):
                yield path.name, path.read_bytes()


def wait_for(holds: Any) -> None:
    ends_at = time.monotonic() + SETTLED_S
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.1)
