"""The client with a whole broker: SQLite, local objects, Aer."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from quanopy import Client
from quanopy.client import drafts
from quanopy.client.streams import parse
from quanopy.domain.errors import Invalid, NotFound, NotReady, TaskFailed
from quanopy.domain.ids import new_id
from quanopy.domain.states import JobState
from tests.unit.docs.blocks import DOCS

LIMIT_S = 60.0
QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nx q[0];\nmeasure q -> c;\n'
QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nx q[1];\nc = measure q;\n'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The broker's folder."""
    return tmp_path_factory.mktemp("broker") / "data"


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[Client]:
    """A client with its own broker, which has time to read what is submitted: circuits that were
    not read then are not given back."""
    with Client.embedded(data, emulator_processes=1, read_deadline_s=LIMIT_S) as client:
        yield client


@pytest.fixture
def closed(client: Client) -> Iterator[str]:
    """A resource on which nothing starts."""
    client.set_resource_state("aer-mps", "maintenance", "tests")
    yield "aer-mps"
    client.set_resource_state("aer-mps", "online")


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_what_lies_in_the_data_folder_is_in_the_operators_guide(client: Client, data: Path) -> None:
    section = (DOCS / "operating.md").read_text("utf-8").partition("## The data folder")[2]
    table = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    named = {name.rstrip("/") for cell in table for name in re.findall(r"`([^`]+)`", cell)}
    found = {path.name for path in data.iterdir()}
    assert {"quanopy.db", "objects", "quanopy.db.wake"} <= found
    assert {name.replace("quanopy.db-", "-") for name in found} <= named


def test_a_circuit_is_sampled(client: Client) -> None:
    result = client.sample(bell(), shots=1000, seed=7).result(LIMIT_S)
    assert set(result[0].counts) == {"00", "11"}
    assert sum(result[0].counts.values()) == 1000
    assert result[0].counts == client.sample(bell(), shots=1000, seed=7).result(LIMIT_S)[0].counts


def test_text_of_both_versions_is_sampled(client: Client) -> None:
    jobs = client.submit_many([drafts.sample(QASM2, shots=5), drafts.sample(QASM3, shots=5)])
    first, second = client.results(jobs, LIMIT_S)
    assert first[0].counts == {"01": 5}
    assert second[0].counts == {"10": 5}


def test_expectation_values_are_qiskits_own(client: Client) -> None:
    theta = ParameterVector("t", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(theta[0], 0)
    circuit.cx(0, 1)
    circuit.rz(theta[1], 1)
    values = np.linspace(0, 1, 6).reshape(3, 1, 2)
    observables = [SparsePauliOp(["ZZ", "XX"], [0.5, -1.0]), SparsePauliOp("ZI")]
    pub = (circuit, observables, values)
    found = client.estimate([pub], precision=0.0).result(LIMIT_S)
    wanted = StatevectorEstimator().run([pub], precision=0.0).result()[0].data.evs
    assert found[0].shape == wanted.shape == (3, 2)
    assert np.allclose(found[0].evs, wanted)


def test_what_was_submitted_comes_back_as_it_was(client: Client) -> None:
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, name="turned", metadata={"run": 3})
    circuit.rx(angle, 0)
    circuit.measure_all()
    job = client.sample([(circuit, [0.5]), (bell(), None, 9)])
    again = client.job(job.id)
    assert again.circuits() == [circuit, bell()]
    assert again.circuits()[0].metadata == {"run": 3}
    assert [pub.shots for pub in again.submitted().pubs or ()][1] == 9
    assert client.submit(QASM3).programs()[0].data == QASM3.encode()


def test_jobs_are_found_by_what_they_were_called(client: Client) -> None:
    tag = new_id("job")
    drafted = [drafts.sample(QASM3, name=f"n{index}", tags=[tag]) for index in range(3)]
    jobs = client.submit_many(drafted)
    assert list(client.jobs(tag=tag)) == jobs[::-1]
    assert list(client.jobs(tag=tag, name="n1")) == [jobs[1]]
    assert list(client.jobs(tag=tag, limit=2)) == jobs[:0:-1]
    with pytest.raises(Invalid, match="filter"):
        list(client.jobs(colour="red"))


def test_what_waits_is_cancelled_at_once(client: Client, closed: str) -> None:
    job = client.sample(QASM3, resource=closed)
    with pytest.raises(NotReady):
        job.result(timeout=0.2)
    assert job.result(partial=True).missing == [0]
    assert job.cancel() is JobState.CANCELLED
    assert job.wait(timeout=LIMIT_S) is JobState.CANCELLED
    with pytest.raises(TaskFailed, match="cancelled"):
        job.result(LIMIT_S)
    with pytest.raises(TaskFailed) as caught:
        client.results([job], LIMIT_S)
    assert caught.value.where == job.id


def test_a_cancelled_job_runs_after_a_retry(client: Client, closed: str) -> None:
    job = client.sample(QASM3, resource=closed, shots=3)
    job.cancel()
    client.set_resource_state(closed, "online")
    job.retry()
    assert job.result(LIMIT_S)[0].counts == {"10": 3}


def test_a_wait_is_over_when_the_state_comes(client: Client, closed: str) -> None:
    job = client.sample(QASM3, resource=closed)
    assert job.wait(LIMIT_S, states=["queued"]) is JobState.QUEUED
    timer = threading.Timer(0.2, job.cancel)
    timer.start()
    assert job.wait(timeout=LIMIT_S) is JobState.CANCELLED
    timer.join()


def test_a_jobs_history_is_there_afterwards(client: Client) -> None:
    job = client.sample(QASM3)
    job.wait(timeout=LIMIT_S)
    events = [event for event in job.events() if event.subject == job.id]
    assert (events[0].after, events[-1].after) == ("queued", "completed")


def test_events_are_followed_as_they_happen(client: Client, closed: str) -> None:
    job = client.sample(QASM3, resource=closed)
    seen = []
    timer = threading.Timer(0.2, job.cancel)
    timer.start()
    for event in client.events([job], after="0.0"):
        if event.subject == job.id:
            seen.append(event.after)
        if event.after == "cancelled" and event.subject == job.id:
            break
    timer.join()
    assert seen == ["queued", "cancelled"]


def test_bad_programs_and_unknown_things_are_said_so(client: Client) -> None:
    with pytest.raises(NotFound):
        client.sample(QASM3, resource="no-such-qpu")
    with pytest.raises(Invalid):
        client.sample("OPENQASM 3.0; nonsense here;").result(LIMIT_S)
    with pytest.raises(NotFound):
        client.job(new_id("job")).status()


def test_a_result_outlives_the_broker_and_the_process(tmp_path: Path) -> None:
    settings = {"emulator_processes": 1, "read_deadline_s": LIMIT_S}
    with Client.embedded(tmp_path / "d", **settings) as client:
        job = client.sample(bell(), shots=100)
        counts = job.result(LIMIT_S)[0].counts
    script = (
        "import sys, json, quanopy\n"
        "client = quanopy.Client()\n"
        "job = client.job(sys.argv[1])\n"
        "print(json.dumps([job.result(60)[0].counts, job.circuits()[0].name]))\n"
    )
    with Client.embedded(tmp_path / "d", emulator_processes=1):
        found = subprocess.run(
            [sys.executable, "-c", script, job.id],
            env=os.environ | {"QUANOPY_DATA": str(tmp_path / "d")},
            capture_output=True,
            timeout=LIMIT_S,
            check=True,
        )
    assert json.loads(found.stdout) == [counts, "bell"]


def test_a_script_without_a_main_guard_may_embed_a_broker(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from quanopy import Client\n"
        "print('main')\n"
        f"with Client.embedded({str(tmp_path / 'd')!r}, emulator_processes=1) as client:\n"
        f"    print(client.sample({QASM3!r}, shots=5).result(60)[0].counts)\n"
    )
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    assert found.stdout.splitlines() == ["main", "{'10': 5}"]


def test_a_stream_begins_where_it_was_opened(client: Client) -> None:
    before = client.sample(QASM3)
    before.wait(timeout=LIMIT_S)
    with client._http.lines("/events/stream", {}, idle_s=LIMIT_S) as lines:
        position, event = next(parse(lines))
    assert event is None
    job = client.sample(QASM3)
    told = []
    for one in client.events(after=position):  # Others of these tests may still run.
        told.append(one)
        if one.job_id == job.id:
            break
    assert told[-1].after == "queued"
    assert before.id not in {one.job_id for one in told}
