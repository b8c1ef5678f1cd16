"""What a vQPU takes for the end of its registration, and what for having lost touch."""

from threading import Event
from typing import Any, cast

import pytest

from quanopy.client import Client
from quanopy.domain.errors import NotFound
from quanopy.vqpu.machine import build
from quanopy.vqpu.registering import Registered
from quanopy.vqpu.stopping import Stop
from quanopy.wire.service import RegistrationOut

TTL_S = 0.03
WAIT_S = 30.0


class Resource:
    """One that is served."""

    workers = 1


class Broker:
    """Knows the first registration for one heartbeat, whose answer is read so much later, and no
    longer; the second one for good."""

    def __init__(self, late_s: float) -> None:
        self.now = 0.0
        self.made: list[str] = []
        self.again = Event()
        self._late_s = late_s
        self._heard = 0

    def register_resource(self, name: str, *_: object, **how: Any) -> RegistrationOut:
        self.made.append(f"registration_{len(self.made)}")
        return RegistrationOut(id=self.made[-1], name=name, token="t", ttl_s=TTL_S)

    def heartbeat(self, name: str, id: str, *, leaving: bool) -> None:
        if id != "registration_0":
            self.again.set()
            return
        self._heard += 1
        if self._heard > 1:
            raise NotFound("there is no such registration")
        self.now += self._late_s

    def resource(self, name: str) -> Resource:
        if len(self.made) == 1:
            raise NotFound("there is no such resource")
        return Resource()

    def remove_resource(self, name: str, id: str) -> None:
        """It leaves."""

    def close(self) -> None:
        """Nothing is open."""


def registered(broker: Broker, stop: Stop) -> Registered:
    machine = build(name="mine", qubits=2)
    client = cast("Client", broker)
    return Registered(machine, "http://mine", stop, client=client, clock=lambda: broker.now)


@pytest.mark.parametrize("late_s", [1.1 * TTL_S, 100.0])
def test_one_that_was_stopped_before_it_read_an_answer_had_lost_touch(late_s: float) -> None:
    broker, stop = Broker(late_s), Stop()
    with registered(broker, stop) as mine:
        mine.beat()
        assert broker.again.wait(WAIT_S)
        assert mine.secret() == "t"
    assert broker.made == ["registration_0", "registration_1"]
    assert stop.why is None


def test_one_that_was_heard_and_is_not_known_was_removed() -> None:
    broker, stop = Broker(0.5 * TTL_S), Stop()
    with registered(broker, stop) as mine:
        mine.beat()
        assert stop.wait(WAIT_S)
    assert broker.made == ["registration_0"]
    assert "removed" in (stop.why or "")
