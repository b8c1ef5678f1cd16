"""Stop rules, held against what a catalogue and an archive say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quanopy.domain.groups import Group, GroupPolicy, GroupState, StopRules
from quanopy.domain.ids import new_id
from quanopy.domain.requirements import Bound
from quanopy.domain.resources import Resource
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.stopping import Calibrated
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from tests.catalogues import new_catalogue

OPEN = Resource(name="open", provider="aer")
CLOSED = Resource(name="closed", provider="aer", accounts=("bob",))
GROUP = Group(
    id=new_id("group"),
    account="ada",
    name="long",
    state=GroupState.RUNNING,
    policy=GroupPolicy(stop=StopRules(calibration={"T1": Bound(least=1.0)})),
    created_at=datetime.now(UTC),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(new_catalogue(tmp_path / "catalogue.db"))
    store.register("worker_1", [OPEN, CLOSED], ttl_s=600)
    yield store
    store.close()


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(f"file://{tmp_path / 'objects'}")


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ("closed", "there is no resource 'closed'"),
        ("gone", "there is no resource 'gone'"),
    ],
)
def test_nobody_is_told_of_a_resource_that_does_not_serve_them(
    store: Store, objects: Objects, resource: str, reason: str
) -> None:
    rule = Calibrated(store, objects)
    ruling = rule.rule(replace(GROUP, resource=resource), ())
    assert ruling is not None
    assert (ruling.reason, ruling.pauses) == (reason, True)


def test_what_was_never_asked_for_is_no_reason_to_pause(store: Store, objects: Objects) -> None:
    rule = Calibrated(store, objects)
    assert rule.rule(replace(GROUP, resource="open"), ()) is None
