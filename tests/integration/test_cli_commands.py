"""Commands and executables as processes, with a broker in this one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qpy
from typer.testing import CliRunner

import quanopy
from quanopy import Client
from quanopy.cli.main import app
from quanopy.domain.states import JobState

BIN = Path(sys.executable).parent
LIMIT_S = 100
BELL = """\
OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A broker; its commands find it by ``QUANOPY_DATA``."""
    data = tmp_path_factory.mktemp("b") / "data"
    with pytest.MonkeyPatch.context() as patch, Client.embedded(data) as client:
        patch.setenv("QUANOPY_DATA", str(data))
        yield client


@pytest.fixture
def bell(tmp_path: Path) -> Path:
    """A program in a file."""
    path = tmp_path / "bell.qasm"
    path.write_text(BELL)
    return path


def run(name: str, *arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [BIN / name, *map(str, arguments)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def here(*arguments: object, code: int = 0) -> str:
    """What ``quanopy`` prints in this process: to start one takes longer than most commands."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout


def test_from_submission_to_result(client: Client, bell: Path) -> None:
    submitted = json.loads(run("quanopy", "submit", bell, "-s", 100, "--wait", "--json"))
    job_id = submitted[0]["id"]
    assert submitted[0]["state"] == "completed"
    document = json.loads(run("quanopy", "result", job_id, "--json"))
    assert sum(document["pubs"][0]["counts"][0].values()) == 100
    assert "█" in here("result", job_id)
    assert json.loads(here("status", job_id, "--json"))[0]["name"] == "bell"
    assert job_id in here("jobs", "--name", "bell")
    lines = here("watch", job_id, "--json").splitlines()
    assert json.loads(lines[-1])["after"] == "completed"


def test_a_result_is_saved_as_arrays(client: Client, bell: Path, tmp_path: Path) -> None:
    job = client.sample(bell, shots=10)
    here("result", job.id, "--npz", "-o", tmp_path / "r.npz")
    assert (tmp_path / "r.npz").read_bytes()[:2] == b"PK"


def test_resources_are_shown_and_taken_out_of_service(client: Client, bell: Path) -> None:
    assert "aer" in here("resources")
    here("resources", "maintenance", "aer-mps", "--reason", "fridge")
    shown = json.loads(here("resources", "--json"))
    assert {r["name"]: r["reason"] for r in shown}["aer-mps"] == "fridge"
    job = client.sample(bell, resource="aer-mps")
    here("cancel", job.id)
    assert job.status() is JobState.CANCELLED
    here("result", job.id, code=1)
    here("resources", "online", "aer-mps")
    here("retry", job.id)
    job.wait(timeout=LIMIT_S)


def test_tokens_are_made_and_revoked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(here("token", "create", "ada", "--json"))
    with Client(client.settings.url, made["secret"]) as ada:
        assert list(ada.jobs()) == []
    here("token", "revoke", made["id"])
    assert made["secret"] not in here("token", "list")
    monkeypatch.setenv("QUANOPY_URL", client.settings.url)
    monkeypatch.setenv("QUANOPY_TOKEN", made["secret"])
    run("quanopy", "jobs", code=77)


def test_qrun_takes_every_kind_of_payload(client: Client, bell: Path, tmp_path: Path) -> None:
    blob = tmp_path / "two.qpy"
    circuit = QuantumCircuit(2)
    circuit.x(0)
    with blob.open("wb") as file:
        qpy.dump([circuit, circuit], file)
    payload = tmp_path / "payload.json"
    pub = [BELL.replace("c = measure q;\n", ""), {"ZZ": 1.0, "XX": 1.0}, None, 0.0]
    parameters = {"pubs": [pub], "version": 2}
    payload.write_text(json.dumps({"program_id": "estimator", "parameters": parameters}))
    output = tmp_path / "out.json"

    run("qrun", bell, output, "--shots", 50, "--seed", 3)
    assert set(quanopy.load(output)[0].counts) <= {"00", "11"}
    run("estimate", blob, output, "--observable", "IZ", "--precision", "0")
    assert [round(pub.evs, 9) for pub in quanopy.load(output)] == [-1.0, -1.0]
    run("qrun", payload, output)
    assert round(quanopy.load(output)[0].evs, 9) == 2.0
    run("sample", payload, output, code=65)


def test_qrun_cancels_its_job_when_it_is_ended(client: Client, bell: Path) -> None:
    client.set_resource_state("aer-mps", "maintenance")
    named = bell.rename(bell.with_name("ended.qasm"))
    with subprocess.Popen([BIN / "qrun", named, "-", "-r", "aer-mps"], env=os.environ) as process:
        for event in client.events(after="0.0"):
            found = list(client.jobs(name="ended")) if event.kind == "job.queued" else []
            if found:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 128 + signal.SIGTERM
    assert found[0].status() is JobState.CANCELLED
    client.set_resource_state("aer-mps", "online")


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [BIN / "quanopy", *map(str, arguments)],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: "subprocess.Popen[str]", what: str) -> None:
    """Read what a process says up to a line."""
    assert process.stdout is not None
    for line in process.stdout:
        if what in line:
            return
    pytest.fail(f"ended without {what!r}")


def end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


@pytest.mark.timeout(300)
def test_server_and_worker_are_processes_and_the_archive_outlives_them(
    tmp_path: Path, bell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("QUANOPY_DATA", str(data))
    with start("serve", "--port", 0, "--no-worker") as server:
        said(server, "quanopy listens on")
        with start("worker") as worker:
            said(worker, "working")
            job_id = json.loads(run("quanopy", "submit", bell, "--wait", "--json"))[0]["id"]
            end(worker)
        end(server)
    run("quanopy", "jobs", code=69)

    for file in data.glob("quanopy.db*"):
        if file.is_file():
            file.unlink()
    assert json.loads(here("store", "rebuild", "--json"))["new"] == 1
    verified = json.loads(here("store", "verify", "--json"))
    assert verified["packs"] >= 2
    assert verified["damaged"] == []
    found = json.loads(here("store", "gc", "--older-than", 0, "--json"))
    assert found == {"orphans": [], "deleted": False}
    with start("serve", "--port", 0, "--no-worker") as server:
        said(server, "quanopy listens on")
        assert job_id in here("jobs")
        assert "█" in run("quanopy", "result", job_id)
        end(server)

    pack = next(data.glob("objects/completed/**/*.tar"))
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes() + b"more")
    (damaged,) = json.loads(here("store", "verify", "--json", code=1))["damaged"]
    assert damaged["key"] == str(pack.relative_to(data / "objects"))
    assert damaged["jobs"] == [job_id]
    pack.write_bytes(pack.read_bytes()[: -len(b"more")])
    for submitted in data.glob("objects/pending/**/*.tar"):
        submitted.unlink()
    assert json.loads(here("store", "rebuild", "--json", code=1))["lost"] == [job_id]
