"""Which virtual QPUs there are, while many ask at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from quanopy.codecs.targets import encode_target
from quanopy.domain.resources import Registration
from quanopy.providers.vqpu.deadline import connections
from quanopy.providers.vqpu.dialects import Extended
from quanopy.providers.vqpu.fleet import Fleet, resource_of
from quanopy.services.registrations import resource_of as registered_as

NOW = datetime.now(UTC)
ONE = Registration(
    id="registration_1",
    name="vq1",
    owner="alice",
    url="http://127.0.0.1:9",
    target=encode_target(
        qubits=2,
        instructions={name: {"parameters": 0, "qubits": None} for name in ("x", "measure")},
    ),
    accounts=("alice",),
    registered_at=NOW,
    seen_at=NOW,
    ttl_s=15.0,
)


class Slow:
    """The first answer is on its way for long; what is asked for after it is newer."""

    def __init__(self) -> None:
        self.began, self.overtaken = Event(), Event()

    def known(self, *, anew: bool = False) -> Sequence[Registration]:
        if self.began.is_set():
            return [ONE]
        self.began.set()
        self.overtaken.wait(0.1)
        return []

    def token(self, registration_id: str) -> str:
        return "none"


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def fleet(slow: Slow) -> Fleet:
    pool = connections()
    return Fleet(Extended(), configured=[], registrations=slow, timeout_s=1.0, pool=pool)


def test_an_older_list_does_not_replace_a_newer_one(fleet: Fleet, slow: Slow) -> None:
    late = Thread(target=fleet.all)
    late.start()
    assert slow.began.wait(60)
    newer = fleet.all(anew=True)["vq1"]
    slow.overtaken.set()
    late.join()
    assert fleet.all()["vq1"] is newer


def test_one_that_has_not_said_so_takes_as_many_shots_as_it_was_registered_with(
    fleet: Fleet, slow: Slow
) -> None:
    slow.began.set()
    served = resource_of(fleet.get("vq1"), "vqpu").capabilities.limits
    assert replace(registered_as(ONE).capabilities.limits, qubits=None) == replace(
        served, qubits=None
    )
