"""Webhooks of a whole broker: real servers, workers that are killed, and the guide as it stands."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

import quanopy.webhooks
from quanopy import Client
from quanopy.domain.errors import Unavailable
from quanopy.domain.webhooks import WebhookState
from tests.integration.processes import QUANOPY, START_S, outside, running
from tests.servers.process import KeptPort, ServerProcess, is_listening
from tests.servers.receiver import Call, Receiver, cut, says
from tests.unit.docs.blocks import DOCS, files

BELL = (
    'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; '
    "h q[0]; cx q[0], q[1]; c = measure q;"
)
ALLOWED = {"QUANOPY_WEBHOOK_NETWORKS": "127.0.0.0/8", "QUANOPY_PROVIDERS": "aer"}
WAIT_S = 90.0
pytestmark = pytest.mark.timeout(400)


class Broker:
    """`quanopy serve` on a folder, killed and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        data.mkdir(mode=0o700)
        self._process: ServerProcess | None = None

    def start(self) -> Client:
        """A client of it, once it answers."""
        (self.data / "server.json").unlink(missing_ok=True)
        self._process = ServerProcess(
            [QUANOPY, "serve", "--port", "0"],
            log=self.data / "log",
            environment=outside() | ALLOWED | {"QUANOPY_DATA": str(self.data)},
        )
        self._process.wait_until((self.data / "server.json").exists, timeout_s=START_S)
        return Client(self.url, self.token)

    @property
    def url(self) -> str:
        """Where it is now."""
        url: str = json.loads((self.data / "server.json").read_text())["url"]
        return url

    @property
    def token(self) -> str:
        """Its owner's."""
        return (self.data / "token").read_text().strip()

    def kill(self) -> None:
        """As a crash does."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> None:
        """Gently."""
        if self._process is not None:
            self._process.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "data")
    yield broker
    broker.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def about(receiver: Receiver, secret: str) -> list[tuple[str, str]]:
    """Kinds and names of jobs of what was received, each event once, all of it verified."""
    first = {request.id: request for request in reversed(receiver.requests)}
    seen = [
        quanopy.webhooks.verify(secret, request.headers, request.body, tolerance_s=600)
        for request in sorted(first.values(), key=receiver.requests.index)
    ]
    return [(event["type"], event["data"]["job"]["name"]) for event in seen]


def test_a_broker_that_is_killed_between_request_and_answer_loses_nothing(
    broker: Broker, receiver: Receiver
) -> None:
    released = Event()

    def stall(call: Call) -> None:
        released.wait(WAIT_S)

    receiver.behaviours.extend([says(204), stall])
    with broker.start() as client:
        hook = client.webhooks.add(receiver.url)
        for number in range(3):
            client.sample(BELL, shots=10, name=f"n{number}").result(WAIT_S)
        receiver.await_requests(2, WAIT_S)
        broker.kill()
        released.set()
    with broker.start() as client:
        client.sample(BELL, shots=10, name="n3").result(WAIT_S)
        receiver.await_events(4, WAIT_S)
        assert receiver.ids.count(receiver.ids[1]) > 1
        assert about(receiver, hook.secret or "") == [
            ("job.completed", f"n{number}") for number in range(4)
        ]


def test_what_a_bad_target_does_delays_events_and_loses_none(
    broker: Broker, receiver: Receiver
) -> None:
    with Receiver() as inside, broker.start() as client:
        late = says(500, "Retry-After: 3000")
        receiver.behaviours.extend([cut, says(302, f"Location: {inside.url}"), late, late])
        hook = client.webhooks.add(receiver.url, kinds="job.completed")
        for name in ("first", "second"):
            client.sample(BELL, shots=10, name=name).result(WAIT_S)
        receiver.await_requests(3, WAIT_S)
        until = time.monotonic() + WAIT_S
        while client.webhooks.get(hook.id).attempts < 3:  # the third is being noted
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(Unavailable, match="it answered 500"):
            client.webhooks.test(hook.id, WAIT_S)
        assert client.webhooks.get(hook.id).state is WebhookState.FAILING
        client.webhooks.resume(hook.id)
        requests = receiver.await_requests(7, WAIT_S)
        assert len({request.id for request in requests[:5]}) == 1
        kinds = [json.loads(request.body)["type"] for request in requests[4:]]
        assert kinds == ["job.completed", "job.completed", "webhook.ping"]
        assert client.webhooks.test(hook.id, WAIT_S).state is WebhookState.ACTIVE
        assert inside.connections == 0


def test_a_group_is_told_of(broker: Broker, receiver: Receiver) -> None:
    with broker.start() as client:
        group = client.group("long", order="sequential")
        client.webhooks.add(receiver.url, group=group)
        client.sample(BELL, shots=10, name="outside").result(WAIT_S)
        group.add(BELL, shots=10, name="inside")
        group.run()
        requests = receiver.await_requests(3, WAIT_S)
        events = [json.loads(request.body) for request in requests]
        assert {event["data"]["group"]["name"] for event in events} == {"long"}
        kinds = [event["type"] for event in events]
        assert kinds[0] == "group.running"
        assert {"job.completed", "group.done"} <= set(kinds)
        names = {event["data"]["job"]["name"] for event in events if event["data"]["job"]}
        assert names == {"inside"}


@contextmanager
def received(folder: Path, secret: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    """The receiver of the guide."""
    for name, text in files(DOCS / "notifications.md").items():
        (folder / name).write_text(text)
    environ = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    command = [sys.executable, "receiver.py"]
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until = time.monotonic() + WAIT_S
            while not is_listening(port):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def test_the_receiver_of_the_guide_receives_what_commands_ask_for(
    broker: Broker, tmp_path: Path
) -> None:
    def quanopy_(*arguments: str) -> str:
        environ = outside() | {"QUANOPY_URL": broker.url, "QUANOPY_TOKEN": broker.token}
        done = subprocess.run(
            [QUANOPY, *arguments],
            env=environ | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with broker.start() as client, KeptPort() as port:
        url = f"http://127.0.0.1:{port.number}/"
        made = json.loads(quanopy_("webhook", "add", url, "-k", "job.completed", "--json"))
        secret = quanopy_("webhook", "secret", made["id"]).strip()
        assert secret == made["secret"]
        with received(tmp_path, secret, port.number) as process:
            assert process.stdout is not None
            client.sample(BELL, shots=10, name="bell").result(WAIT_S)
            assert process.stdout.readline() == "job.completed bell\n"
            quanopy_("webhook", "resume", made["id"])
            quanopy_("webhook", "test", made["id"])
            assert process.stdout.readline() == "webhook.ping None\n"
        (listed,) = json.loads(quanopy_("webhook", "list", "--json"))
        assert (listed["state"], listed["secret"]) == ("active", None)
        assert "active" in quanopy_("webhook", "show", made["id"])
        assert "paused" in quanopy_("webhook", "pause", made["id"])
        assert quanopy_("webhook", "secret", made["id"], "--rotate").strip() != secret
        quanopy_("webhook", "remove", made["id"])
        assert json.loads(quanopy_("webhook", "list", "--json")) == []


@pytest.mark.postgres
def test_workers_apart_send_each_event_once_and_in_order(
    tmp_path: Path, postgres_dsn: str, receiver: Receiver
) -> None:
    environ = outside() | ALLOWED
    environ |= {
        "QUANOPY_DATABASE": postgres_dsn,
        "QUANOPY_OBJECTS": (tmp_path / "objects").as_uri(),
        "QUANOPY_REGISTRATION_KEY": "env:BROKERS_KEY",
        "BROKERS_KEY": "a key that servers and workers have",
    }
    data = tmp_path / "server"
    with running(data, environ, workers=["one", "two"]) as url:
        token = (data / "token").read_text().strip()
        with Client(url, token) as client:
            hook = client.webhooks.add(receiver.url)
            for number in range(10):
                client.sample(BELL, shots=10, name=f"n{number}").result(WAIT_S)
            receiver.await_requests(10, WAIT_S)
            client.webhooks.test(hook.id, WAIT_S)
    assert len(receiver.requests) == len(set(receiver.ids)) == 11
    assert about_jobs(receiver, hook.secret or "") == [f"n{number}" for number in range(10)]


def about_jobs(receiver: Receiver, secret: str) -> list[str]:
    """Names of the jobs that were told of, in order, all of it verified."""
    verified = [quanopy.webhooks.verify(secret, one.headers, one.body) for one in receiver.requests]
    return [one["data"]["job"]["name"] for one in verified if one["data"]["job"]]
