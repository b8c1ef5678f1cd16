"""Stop rules, held against what a catalogue and an archive say."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from quanopy.domain.groups import Group, GroupAction, GroupOrder, GroupPolicy, GroupState, StopRules
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Extent, Job
from quanopy.domain.requirements import Bound
from quanopy.domain.resources import Resource
from quanopy.ports.claims import Offer
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.stopping import Calibrated, Precision
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.testing.catalogue import ending, execution
from quanopy.testing.groups import fill, group, step
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


HALVES = (
    b'[{"shape":[],"shots":2,"registers":[{"name":"c","bits":1}],"counts":[{"0x0":1,"0x1":1}]}]'
)
NO_NUMBER = HALVES.replace(b'"0x0":1', b'"0x0":-1')
NO_RESULT = b"[17]"
WANTED = GroupPolicy(order=GroupOrder.SEQUENTIAL, stop=StopRules(precision=1e-3))
COUNT = 40


class Reading:
    """A catalogue, and how many jobs of groups were read from it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read = 0

    def group_jobs(self, group_id: str, *, after: int = -1, limit: int) -> Sequence[Job]:
        found = self.store.group_jobs(group_id, after=after, limit=limit)
        self.read += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def running(store: Store, count: int = COUNT) -> tuple[Group, list[Job]]:
    """A group of jobs, one of which may run."""
    store.register("worker_1", [Resource(name="aer", provider="aer", lanes=None)], ttl_s=1e6)
    made, _ = store.create_group(group(policy=WANTED))
    jobs = fill(store, made.id, count)
    store.act_on_group(made.id, GroupAction.RUN, actor="alice")
    step(store)
    return made, jobs


def complete(store: Store, objects: Objects, result: bytes = HALVES) -> list[str]:
    """Have what may run complete with this result; which jobs that were."""
    key = f"completed/{len(result)}.pack"
    objects.put({key: result})
    offer = Offer(resource="aer", seconds=1e9, claims=1)
    (claim,) = store.claim("worker_1", [offer], ttl_s=1e6)
    extent = Extent(key=key, offset=0, length=len(result))
    store.finish(claim.id, [ending(execution(claim), result=extent)])
    step(store)
    return [task.job_id for task in claim.tasks]


def test_workers_that_take_turns_read_what_has_begun_since_and_no_more(
    store: Store, objects: Objects
) -> None:
    made, _ = running(store)
    reading = [Reading(store) for _ in range(2)]
    rules = [Precision(cast(Store, one), objects) for one in reading]
    for turn in range(COUNT):
        ended = complete(store, objects)
        (standing,) = store.groups([made.id])
        assert standing.completed == turn + 1
        assert rules[turn % 2].rule(standing, ended) is None
    (standing,) = store.groups([made.id])
    for rule, one in zip(rules, reading, strict=True):
        tight = replace(standing, policy=GroupPolicy(stop=StopRules(precision=1.0)))
        ruling = rule.rule(tight, ())
        assert ruling is not None
        assert f"{(2 * COUNT) ** -0.5 / 2:.3g}" in ruling.reason
        assert one.read <= COUNT * COUNT // 2 + COUNT


def test_what_completed_out_of_order_is_not_missed(store: Store, objects: Objects) -> None:
    made, (first, *_) = running(store, 3)
    rule = Precision(store, objects)
    store.cancel([first.id], actor="alice")
    step(store)
    complete(store, objects)
    complete(store, objects)
    assert rule.rule(store.groups([made.id])[0], ()) is None
    store.rerun_group(made.id, actor="alice")
    step(store)
    complete(store, objects)
    (standing,) = store.groups([made.id])
    tight = replace(standing, policy=GroupPolicy(stop=StopRules(precision=0.21)))
    ruling = rule.rule(tight, ())
    assert ruling is not None
    assert not ruling.pauses


@pytest.mark.parametrize("result", [NO_NUMBER, NO_RESULT])
def test_what_cannot_be_merged_pauses_its_group_and_says_what_it_is(
    store: Store, objects: Objects, result: bytes
) -> None:
    made, (first, *_) = running(store, 2)
    rule = Precision(store, objects)
    ended = complete(store, objects, result)
    ruling = rule.rule(store.groups([made.id])[0], ended)
    assert ruling is not None
    assert ruling.pauses
    assert first.id in ruling.reason


def test_results_without_counts_stop_nothing(store: Store, objects: Objects) -> None:
    made, _ = running(store, 2)
    ended = complete(store, objects, HALVES.replace(b'{"0x0":1,"0x1":1}', b"{}"))
    (standing,) = store.groups([made.id])
    loose = replace(standing, policy=GroupPolicy(stop=StopRules(precision=1e9)))
    assert Precision(store, objects).rule(loose, ended) is None
