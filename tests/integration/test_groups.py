"""Groups on a whole broker: what users begin and find again, with real programs and results."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from quanopy.client import Client, drafts
from quanopy.client.drafts import Draft
from quanopy.client.groups import Group
from quanopy.domain.errors import Conflict, NotReady, ResourceMismatch
from quanopy.domain.groups import GroupState
from quanopy.domain.jobs import OnFailure
from quanopy.domain.states import JobState

BELL = """OPENQASM 3.0; include "stdgates.inc";
qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;"""
BROKEN = BELL.replace("cx q[0]", "cx q[7]")
PATIENCE_S = 100.0
HALF_AN_HOUR = timedelta(minutes=30)


def bell(shots: int = 100, **how: object) -> Draft:
    """A job that is done in no time."""
    return drafts.programs(BELL, shots=shots, **how)  # type: ignore[arg-type]


def failing(**how: object) -> Draft:
    """A job that is taken, and fails: its device has not so many qubits."""
    missing = "sha256:" + "0" * 64
    return drafts.programs(BELL, resource="aer", shots=10, noise=missing, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client.embedded(tmp_path_factory.mktemp("broker")) as client:
        yield client


def test_a_group_goes_on_by_itself_and_is_found_by_name(client: Client) -> None:
    group = client.group("found", order="sequential")
    group.extend([bell(shots=10 + index) for index in range(5)])
    assert group.detail().progress.blocked == 5
    group.run()
    again = client.group("found")
    assert again == group
    done = again.wait(PATIENCE_S)
    assert (done.state, done.progress.completed, done.progress.shots) == (GroupState.DONE, 5, 60)
    results = again.results()
    assert [found[0].shots for found in results if found is not None] == [10, 11, 12, 13, 14]
    assert [one.state for one in again.listing()] == [JobState.COMPLETED] * 5


def test_another_policy_or_resource_is_not_taken_for_the_same(client: Client) -> None:
    client.group("policy", max_in_flight=2, resource="aer")
    with pytest.raises(Conflict):
        client.group("policy", max_in_flight=3)
    with pytest.raises(ResourceMismatch, match="of aer, not of aer-fake-fez"):
        client.group("policy", resource="aer-fake-fez")
    knowingly = client.group("policy", resource="aer-fake-fez", override=True)
    assert knowingly == client.group("policy")


def test_segments_are_cut_once(client: Client) -> None:
    def segments() -> object:
        return client.segment(BELL, name="cut", total_shots=250, shots=100, seed=7)

    group = client.segment(BELL, name="cut", total_shots=250, shots=100, seed=7)
    assert segments() == group
    group.wait(PATIENCE_S)
    results = [found for found in group.results() if found is not None]
    assert [found[0].shots for found in results] == [100, 100, 50]
    assert results[0][0].counts != results[1][0].counts


def test_it_stops_when_its_result_is_precise_enough(client: Client) -> None:
    group = client.segment(
        BELL, total_shots=100_000, shots=1000, max_in_flight=1, stop_when={"precision": 0.01}
    )
    done = group.wait(PATIENCE_S)
    assert done.state is GroupState.DONE
    assert "0.01 was wanted" in (done.reason or "")
    # 0.01 is the error of 2500 shots of a fair coin.
    assert 2 <= done.progress.completed <= 5
    assert done.progress.completed + done.progress.cancelled == 100
    gaps = [found is None for found in group.results()]
    assert gaps == sorted(gaps)


def test_it_ends_at_its_deadline_and_when_its_seconds_are_used(client: Client) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    late = client.segment(BELL, total_shots=1000, shots=10, gap="1h", stop_when={"deadline": soon})
    used = client.segment(
        BELL, total_shots=1000, shots=10, max_in_flight=1, stop_when={"seconds": 1e-9}
    )
    for group, reason in ((late, "deadline"), (used, "seconds were used")):
        done = group.wait(PATIENCE_S)
        assert done.state is GroupState.DONE
        assert reason in (done.reason or "")
        assert done.progress.cancelled > 0


def test_it_pauses_when_jobs_fail_and_goes_on_when_it_is_told_to(client: Client) -> None:
    group = client.group("failing", order="sequential", stop={"failures": 1})
    group.extend([failing(), bell()])
    group.run()
    paused = group.wait(PATIENCE_S, states=["paused"])
    assert paused.state is GroupState.PAUSED
    assert (paused.progress.failed, paused.progress.blocked) == (1, 1)
    done = group.resume().wait(PATIENCE_S)
    assert (done.progress.failed, done.progress.completed) == (1, 1)
    assert [found is None for found in group.results()] == [True, False]
    assert len(group.rerun_failed(replace=False)) == 1
    done = group.wait(PATIENCE_S, states=["paused"])
    assert (done.size, done.progress.failed) == (3, 2)


def test_what_failed_is_run_as_new_jobs_that_come_after_each_other_again(client: Client) -> None:
    group = client.group("chained")
    (first,) = group.extend([failing()])
    (second,) = group.extend([failing(after=first, on_failure="fail")])
    (third,) = group.extend([bell(after=[first, second], on_failure="run")])
    (fourth,) = group.extend([bell(after=second)])
    group.run().wait(PATIENCE_S)
    again = group.rerun_failed(replace=False)
    given = [one.submitted() for one in again]
    ids = [one.id for one in again]
    assert [(one.after, one.on_failure) for one in given] == [
        ([], OnFailure.SKIP),
        ([ids[0]], OnFailure.FAIL),
        ([ids[1]], OnFailure.SKIP),
    ]
    assert third.status() is JobState.COMPLETED
    assert fourth.status() is JobState.CANCELLED


def test_it_pauses_where_its_resource_is_calibrated_too_badly(client: Client) -> None:
    noisy = "aer-fake-nairobi"
    group = client.group(
        "bad", resource=noisy, order="sequential", stop={"calibration": {"cx.error": 1e-6}}
    )
    group.extend([bell(), bell()])
    paused = group.run().wait(PATIENCE_S, states=["paused"])
    assert paused.state is GroupState.PAUSED
    assert f"{noisy}: cx.error" in (paused.reason or "")


def test_a_gap_outlives_the_broker(tmp_path: Path) -> None:
    with Client.embedded(tmp_path) as client:
        group = client.group("gap", order="sequential", gap="1h")
        group.extend([bell(), bell()])
        group.run()
        first, second = group.jobs()
        over = gap_end(group)
    with Client.embedded(tmp_path) as client:
        (found,) = [one for one in client.groups() if one.id == group.id]
        assert client.job(first.id).status() is JobState.COMPLETED
        assert client.job(second.id).status() is JobState.QUEUED
        assert gap_end(found) == over
        found.change(order="sequential", gap=0.2)
        done = found.wait(PATIENCE_S)
        assert done.progress.completed == 2
        ended = client.job(first.id).detail().ended_at
        began = client.job(second.id).detail().started_at
        assert ended is not None
        assert began is not None
        assert began - ended >= timedelta(seconds=0.2)


def gap_end(group: Group) -> datetime:
    """When the gap of an hour in which a group is ends, once it is in one: before that, the group
    is to be looked at now, or when something happens."""
    until = time.monotonic() + PATIENCE_S
    while (found := group.detail().next_at) is None or found < datetime.now(UTC) + HALF_AN_HOUR:
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def test_one_comes_after_another(client: Client) -> None:
    first = client.submit(BELL, shots=10)
    second = client.submit(BELL, shots=10, after=first)
    third = client.submit(BELL, shots=10, after=[first, second])
    assert third.wait(timeout=PATIENCE_S) is JobState.COMPLETED
    times = [job.detail() for job in (first, second, third)]
    for before, after in pairwise(times):
        assert before.ended_at is not None
        assert after.started_at is not None
        assert before.ended_at <= after.started_at


def test_the_end_of_a_group_is_waited_for_so_long(client: Client) -> None:
    group = client.group("never run")
    group.add(BELL, shots=10)
    with pytest.raises(NotReady):
        group.wait(0.1)
    assert group.cancel().wait(PATIENCE_S).progress.cancelled == 1


def test_its_events_end_with_it(client: Client) -> None:
    group = client.group("events")
    group.extend([bell(), bell()])
    group.run()
    told = list(group.events())  # followed until it is done
    assert [told[0].kind, told[-1].kind] == ["group.open", "group.done"]
    assert sum(one.kind == "job.completed" for one in told) == 2
    assert [one.id for one in group.events()] == [one.id for one in told]
    assert list(group.events(after=told[-1].id)) == []
    group.add(bell())
    later = list(group.events(after=told[-1].id))
    assert [one.kind for one in later if one.subject == group.id][-1] == "group.done"
    assert [one.id for one in group.events()] == [one.id for one in (*told, *later)]


def test_the_events_of_a_cancelled_group_end_too(client: Client) -> None:
    group = client.group("cancelled events")
    group.add(bell())
    group.cancel()
    assert [one.kind for one in group.events() if one.subject == group.id][-1] == "group.cancelled"
