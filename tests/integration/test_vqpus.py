"""A broker and virtual QPUs that register themselves, each a process of its own."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from quanopy import Client
from quanopy.client import drafts
from quanopy.domain.errors import Conflict, Denied, NotFound, TaskFailed
from quanopy.domain.resources import Target
from quanopy.testing.vendors.vqpu import VqpuVendor
from quanopy.wire.service import TokenIn
from tests.integration.processes import QUANOPY, START_S, outside
from tests.servers.hostile import Hostile, Misdeed
from tests.servers.process import ServerProcess

BELL = """OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c;
h q[0]; cx q[0], q[1]; c = measure q;"""
pytestmark = pytest.mark.timeout(400)
TTL_S = 4.5
"""Heartbeats are three in this time: one that comes two seconds late has not missed it."""


WAIT_S = 60.0
HELD_S = 18.0
"""A request to a vQPU is given up after 20 s: who has to wait for one waits longer than this."""


@dataclass(frozen=True, kw_only=True)
class Vqpu:
    """One that runs."""

    process: ServerProcess
    url: str
    pid: int

    def health(self) -> Any:
        """What it says of itself."""
        return urllib3.request("GET", f"{self.url}/health").json()


class Broker:
    """A broker, and tokens of two accounts."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        data = folder / "data"
        data.mkdir(mode=0o700)
        self.data = data
        process = ServerProcess(
            [QUANOPY, "serve", "--port", "0"],
            log=folder / "broker.log",
            environment=outside()
            | {
                "QUANOPY_DATA": str(data),
                "QUANOPY_EMULATOR_PROCESSES": "1",
                "QUANOPY_REGISTRATION_TTL_S": str(TTL_S),
                "QUANOPY_WORKER_TTL_S": str(TTL_S),
            },
        )
        stack.callback(process.stop)
        process.wait_until((data / "server.json").exists, timeout_s=START_S)
        self.url = json.loads((data / "server.json").read_text())["url"]
        self.operator = self.client((data / "token").read_text().strip())
        self._tokens = {
            name: self.operator.create_token(TokenIn(account=name)).secret or ""
            for name in ("alice", "mallory")
        }
        self.alice = self.client(self._tokens["alice"])
        self.mallory = self.client(self._tokens["mallory"])

    def client(self, token: str) -> Client:
        return self._stack.enter_context(Client(self.url, token))

    def vqpu(self, name: str, *options: str) -> Vqpu:
        """Alice starts one."""
        ready = self._folder / f"{name}.{time.monotonic_ns()}.json"
        log = self._folder / f"{name}.log"
        command: list[str | Path] = [QUANOPY, "vqpu", "serve", "--register", "--name", name]
        process = ServerProcess(
            [*command, "--ready-file", ready, *options],
            log=log,
            environment=outside()
            | {"QUANOPY_URL": self.url, "QUANOPY_TOKEN": self._tokens["alice"]},
        )
        self._stack.callback(process.stop)
        process.wait_until(ready.exists, timeout_s=START_S)
        told = json.loads(ready.read_text())
        return Vqpu(process=process, url=told["url"], pid=told["pid"])

    def events(self) -> list[tuple[str, str]]:
        """Subjects and kinds of the events that alice sees."""
        headers = {"Authorization": f"Bearer {self._tokens['alice']}"}
        found: list[tuple[str, str]] = []
        after = "0.0"
        while True:
            asked = f"{self.url}/v1/events?limit=1000&after={after}"
            page = urllib3.request("GET", asked, headers=headers).json()
            if not page["events"]:
                return found
            found += [(one["subject"], one["kind"]) for one in page["events"]]
            after = page["position"]

    def events_of(self, subject: str) -> list[str]:
        """Kinds of the events that alice sees of a subject."""
        return [kind for about, kind in self.events() if about == subject]

    def state(self, name: str) -> tuple[str, str]:
        """A resource's state, and the reason of it."""
        found = self.alice.resource(name)
        return found.state.value, found.reason or ""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with ExitStack() as stack:
        yield Broker(tmp_path_factory.mktemp("vqpus"), stack)


def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_vqpu_lives_in_the_catalogue_while_it_runs(broker: Broker) -> None:
    vqpu = broker.vqpu("graceful", "--depolarising", "0.001")
    found = broker.alice.resource("graceful")
    assert (found.owner, found.accounts, found.state) == ("alice", ["alice"], "online")
    job = broker.alice.submit(BELL, resource="graceful", shots=100)
    assert sum(job.result(90)[0].counts.values()) == 100
    vqpu.process.stop(timeout_s=30)
    with pytest.raises(NotFound):
        broker.alice.resource("graceful")
    kinds = broker.events_of("graceful")
    assert kinds[0] == "resource.registered"
    assert kinds[-1] == "resource.left"


def test_it_takes_the_brokers_token_alone_and_nothing_secret_is_kept(broker: Broker) -> None:
    vqpu = broker.vqpu("guarded")
    target = f"{vqpu.url}/api/v1/native-gates"
    assert urllib3.request("GET", target).status == 403
    for guess in ("qnv_" + "0" * 64, (broker.data / "token").read_text().strip()):
        headers = {"Authorization": f"Bearer {guess}"}
        assert urllib3.request("GET", target, headers=headers).status == 401
    key = broker.data / "registration.key"
    assert key.stat().st_mode & 0o077 == 0
    secret = key.read_text().strip()
    for file in broker.data.rglob("*"):
        if file.is_file() and file != key:
            with suppress(FileNotFoundError):  # what was there for a moment
                data = file.read_bytes()
                assert secret.encode() not in data
                assert b"qnv_" not in data
    assert "qnv_" not in vqpu.process.log()
    vqpu.process.stop(timeout_s=30)


def test_others_neither_see_nor_use_it_until_an_operator_opens_it(broker: Broker) -> None:
    vqpu = broker.vqpu("mine")
    assert "mine" not in {one.name for one in broker.mallory.resources()}
    for ask in (
        lambda: broker.mallory.resource("mine"),
        lambda: broker.mallory.target("mine"),
        lambda: broker.mallory.submit(BELL, resource="mine", shots=1),
        lambda: broker.mallory.remove_resource("mine"),
        lambda: broker.mallory.heartbeat("mine", "registration_0"),
    ):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(Denied):
        broker.mallory.open_resource("mine", None)
    target = broker.alice.target("mine")
    assert isinstance(target, Target)
    with pytest.raises(Conflict):
        broker.mallory.register_resource("mine", vqpu.url, target)
    with pytest.raises(Conflict):
        broker.mallory.register_resource("aer", vqpu.url, target)
    with pytest.raises(Denied, match="registered"):
        broker.mallory.register_resource("elsewhere", "http://192.0.2.1:80", target)
    broker.operator.open_resource("mine", ["grace", "mallory"])
    until(lambda: _submits(broker.mallory, "mine"))
    everybody = ["alice", "grace", "mallory"]
    assert broker.alice.resource("mine").accounts == everybody
    assert broker.operator.resource("mine").accounts == everybody
    assert broker.mallory.resource("mine").accounts == ["mallory"]
    (listed,) = (one for one in broker.mallory.resources() if one.name == "mine")
    assert listed.accounts == ["mallory"]
    job = broker.mallory.submit(BELL, resource="mine", shots=10)
    assert sum(job.result(90)[0].counts.values()) == 10
    vqpu.process.stop(timeout_s=30)


def _submits(client: Client, resource: str) -> bool:
    """The server remembers whom resources serve for two seconds."""
    try:
        client.submit(BELL, resource=resource, shots=1)
    except NotFound:
        return False
    return True


def test_one_that_was_killed_is_offline_and_back_under_its_name(broker: Broker) -> None:
    first = broker.vqpu("mortal", "--shot-s", "0.5")
    running = broker.alice.submit(BELL, resource="mortal", shots=1_000)
    until(lambda: first.health()["running"])
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: broker.state("mortal")[0] == "offline")
    assert "no heartbeat" in broker.state("mortal")[1]
    waiting = broker.alice.submit(BELL, resource="mortal", shots=10)
    with pytest.raises(TaskFailed, match="mortal"):
        running.result(90)
    assert waiting.status() == "queued"
    second = broker.vqpu("mortal")
    assert broker.state("mortal") == ("online", "")
    assert sum(waiting.result(90)[0].counts.values()) == 10
    second.process.stop(timeout_s=30)


def test_one_that_was_forgotten_while_it_had_lost_touch_registers_anew(broker: Broker) -> None:
    vqpu = broker.vqpu("returning")
    os.kill(vqpu.pid, signal.SIGSTOP)
    until(lambda: broker.state("returning")[0] == "offline")
    broker.operator.remove_resource("returning")
    os.kill(vqpu.pid, signal.SIGCONT)
    until(lambda: "returning" in {one.name for one in broker.alice.resources()})
    job = broker.alice.submit(BELL, resource="returning", shots=10)
    assert sum(job.result(90)[0].counts.values()) == 10
    vqpu.process.stop(timeout_s=30)
    assert broker.events_of("returning")[-1] == "resource.left"


def test_one_whose_place_was_taken_while_it_had_lost_touch_ends(broker: Broker) -> None:
    first = broker.vqpu("replaced")
    os.kill(first.pid, signal.SIGSTOP)
    until(lambda: broker.state("replaced")[0] == "offline")
    second = broker.vqpu("replaced")
    os.kill(first.pid, signal.SIGCONT)
    until(lambda: _has_ended(first.pid))
    assert broker.state("replaced") == ("online", "")
    second.process.stop(timeout_s=30)


def test_one_that_an_operator_removes_ends(broker: Broker) -> None:
    vqpu = broker.vqpu("removed")
    broker.operator.remove_resource("removed")
    until(lambda: _has_ended(vqpu.pid))
    assert "removed its registration" in vqpu.process.log()


@pytest.mark.parametrize("misdeed", [Misdeed.DRIPS, Misdeed.HANGS])
def test_a_strangers_that_misbehaves_keeps_nobody_elses_jobs_waiting(
    broker: Broker, misdeed: Misdeed
) -> None:
    vqpu = broker.vqpu("healthy")
    with VqpuVendor() as model:
        headers = {"Authorization": f"Bearer {model.secret}"}
        device = urllib3.request("GET", f"{model.url}/api/v1/device", headers=headers).json()
    name = f"hostile-{misdeed}"
    with Hostile(misdeed, device) as hostile:
        made = broker.mallory.register_resource(name, hostile.url, broker.alice.target("healthy"))
        jobs = [broker.mallory.submit(BELL, resource=name, shots=10) for _ in range(6)]
        until(lambda: broker.mallory.heartbeat(name, made.id).name == name and hostile.asked)
        for _ in range(3):
            began = time.monotonic()
            job = broker.alice.submit(BELL, resource="healthy", shots=10)
            assert sum(job.result(90)[0].counts.values()) == 10
            assert time.monotonic() - began < HELD_S
            broker.mallory.heartbeat(name, made.id)
        assert {job.status() for job in jobs} <= {"queued", "running"}
        broker.mallory.remove_resource(name)
    vqpu.process.stop(timeout_s=30)


def _has_ended(pid: int) -> bool:
    """Whether it has ended, and only its parent has not noticed."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


TOLD_TO_END = ("resource.maintenance", "job.completed", "resource.left")


def test_told_to_end_it_ends_what_it_has_first(broker: Broker) -> None:
    vqpu = broker.vqpu("patient", "--shot-s", "0.02")
    job = broker.alice.submit(BELL, resource="patient", shots=200)
    until(lambda: vqpu.health()["running"])
    os.kill(vqpu.pid, signal.SIGTERM)
    assert sum(job.result(90)[0].counts.values()) == 200
    until(lambda: "patient" not in {one.name for one in broker.alice.resources()})
    story = [
        kind
        for subject, kind in broker.events()
        if subject in ("patient", job.id) and kind in TOLD_TO_END
    ]
    assert story == list(TOLD_TO_END)


def test_a_group_goes_on_where_its_resource_is_another_machine_and_comes_back(
    broker: Broker,
) -> None:
    three = BELL.replace("qubit[2] q; bit[2] c;", "qubit[3] q; bit[3] c;")
    vqpu = broker.vqpu("rebuilt", "--qubits", "3")
    group = broker.alice.group("moved", order="sequential", stop={"failures": 1})
    group.extend([drafts.programs(three, resource="rebuilt", shots=10) for _ in range(3)])
    group.jobs()[0].cancel()
    vqpu.process.stop(timeout_s=30)
    vqpu = broker.vqpu("rebuilt", "--qubits", "2")
    group.run()
    paused = group.wait(90, states=["paused"])
    assert paused.reason == "1 of its jobs failed"
    assert (paused.progress.failed, paused.progress.blocked) == (1, 1)
    problem = group.jobs()[1].detail().problem
    assert problem is not None
    assert "qubit" in problem.message
    vqpu.process.stop(timeout_s=30)
    broker.vqpu("rebuilt", "--qubits", "3")
    group.rerun_failed()
    done = group.resume().wait(90)
    assert (done.progress.completed, done.progress.failed) == (3, 0)
