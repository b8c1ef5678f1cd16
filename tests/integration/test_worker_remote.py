"""Workers and a vendor that misbehaves: never twice what may have been billed, nothing lost."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
    Transient,
)
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import ExecutionState, JobState, TaskState
from quanopy.ports.events import EventQuery
from quanopy.ports.programs import Compilation, Compiled
from quanopy.ports.providers import Order, Outcome, Report, Work
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import PATIENCE_S, Workplace, hurried, task_ids
from tests.servers.vendor import FakeVendorServer

pytestmark = pytest.mark.usefixtures("impatient")


def provider(
    vendor: FakeVendorServer,
    mode: str = "idempotent",
    *,
    lanes: int | None = None,
    tasks_per_execution: int = 1,
    token: str = TOKEN,
) -> FakeProvider:
    """The fake, in a hurry."""
    return hurried(
        FakeProvider(
            vendor.url,
            token=token,
            mode=mode,
            lanes=lanes,
            tasks_per_execution=tasks_per_execution,
            request_timeout_s=PATIENCE_S,
        )
    )


def accepted(vendor: FakeVendorServer, place: Workplace, ids: list[str]) -> list[int]:
    """How often the vendor accepted each task of these jobs."""
    counts = vendor.counts()["accepted"]
    return [counts.get(task, 0) for task in task_ids(place, ids)]


@pytest.mark.parametrize("mode", ["idempotent", "searchable", "neither"])
def test_jobs_go_to_the_vendor_and_come_back(
    place: Workplace, vendor: FakeVendorServer, mode: str
) -> None:
    place.worker(provider(vendor, mode))
    ids = place.submit(30, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1] * 30
    (execution,) = place.store.executions(ids[0])
    assert execution.state is ExecutionState.COMPLETED
    assert execution.usage["shots"] == 10
    kinds = place.history(ids[0])
    assert kinds.index("execution.submitting") < kinds.index("execution.submitted")


class Rejecting(FakeProvider):
    """Refuses for good what it is sent again under a key."""

    def __init__(self, vendor: FakeVendorServer, *, searchable: bool = False) -> None:
        super().__init__(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S)
        hurried(self)
        self.capabilities = replace(self.capabilities, searchable=searchable)
        self._keys: set[str] = set()

    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        keys = {order.key for order in orders}
        if keys & self._keys:
            return [Rejected("that key was used before")] * len(orders)
        self._keys |= keys
        return super().start(orders)


def test_a_refused_repetition_says_nothing_of_what_was_sent_first(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"start": ["lost"]})
    place.worker(Rejecting(vendor))
    ids = place.submit(2, "fake")
    found = place.wait_for(
        lambda: [e for job_id in ids for e in place.store.executions(job_id)],
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED] * 2,
    )
    assert place.states(ids) == {JobState.RUNNING}
    assert all(
        "that key was used before" in (e.problem.message if e.problem else "") for e in found
    )
    assert accepted(vendor, place, ids) == [1, 1]


@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_a_refused_repetition_is_searched_for_where_that_can_be(
    place: Workplace, vendor: FakeVendorServer, fault: str
) -> None:
    vendor.script(next={"start": [fault]})
    place.worker(Rejecting(vendor, searchable=True))
    ids = place.submit(2, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1, 1]


class Broken(FakeProvider):
    """Breaks at some question: over one of a vendor's ids or keys, or whatever it is asked."""

    def __init__(self, vendor: FakeVendorServer, question: str, mode: str = "idempotent") -> None:
        super().__init__(vendor.url, token=TOKEN, mode=mode, request_timeout_s=PATIENCE_S)
        hurried(self)
        self.question = question
        self.over = ""
        self.asked: list[int] = []

    def _break(self, question: str, names: Sequence[str]) -> None:
        if question != self.question:
            return
        self.over = self.over or names[0]
        if self.over in names:
            self.asked.append(len(names))
            raise KeyError(question)

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        self._break("poll", ids)
        return super().poll(ids)

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        self._break("find", keys)
        return super().find(keys)

    def fingerprint(self) -> str:
        self._break("fingerprint", ["any"])
        return super().fingerprint()

    def target(self, resource: str) -> Target:
        self._break("target", [resource])
        return super().target(resource)

    def calibration(self, resource: str) -> Snapshot | None:
        self._break("calibration", [resource])
        return super().calibration(resource)


@pytest.mark.parametrize("question", ["poll", "find"])
def test_an_execution_that_breaks_its_provider_keeps_no_neighbour(
    place: Workplace, vendor: FakeVendorServer, question: str, caplog: pytest.LogCaptureFixture
) -> None:
    if question == "find":
        vendor.script(idempotent=False, next={"start": ["lost"]})
    broken = Broken(vendor, question, "idempotent" if question == "poll" else "searchable")
    ids = place.submit(5, "fake")
    place.worker(broken)
    place.wait_for(
        lambda: [job.state for job in place.store.jobs(ids)],
        lambda states: states.count(JobState.COMPLETED) == 4,
    )
    (stuck,) = [job.id for job in place.store.jobs(ids) if job.state is not JobState.COMPLETED]
    place.wait_for(lambda: broken.asked, lambda asked: asked.count(1) >= 3)
    assert place.history(stuck).count("execution.reported") == 1
    assert any(r.exc_info for r in caplog.records if r.name == "quanopy.services.looks")
    _seldom(place, stuck, broken)
    broken.question = ""
    assert {job.state for job in place.wait([stuck])} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1] * 5


def _seldom(place: Workplace, job: str, broken: Broken) -> None:
    """What goes on to break it is asked about ever more seldom: its sixth question comes no sooner
    than the fifteenth would at the pace at which vendors are polled."""
    place.wait_for(lambda: broken.asked, lambda asked: asked.count(1) >= 6)
    (execution,) = place.store.executions(job)
    age_s = (datetime.now(UTC) - execution.created_at).total_seconds()
    assert age_s >= 15 * broken.capabilities.poll_interval_s


@pytest.mark.parametrize("question", ["fingerprint", "calibration"])
def test_what_breaks_before_anything_is_sent_is_told_and_tried_again(
    place: Workplace, vendor: FakeVendorServer, question: str
) -> None:
    broken = Broken(vendor, question)
    place.worker(broken)
    ids = place.submit(2, "fake")
    if question == "fingerprint":
        said = place.wait_for(lambda: _reasons(place, ids), bool)
        assert set(said) == {"the provider broke: KeyError"}
        broken.question = ""
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1, 1]


def _reasons(place: Workplace, ids: Sequence[str]) -> list[object]:
    """Why these jobs' tasks have been queued again."""
    events = place.store.events(EventQuery(job_ids=list(ids))).events
    return [event.data["because"] for event in events if "because" in event.data]


class Targetless(Broken):
    """Only its target can tell what fits, and that breaks it."""

    def resources(self) -> Sequence[Resource]:
        (found,) = super().resources()
        return [replace(found, capabilities=replace(found.capabilities, gates=None))]


class AsItIs:
    """Compiles nothing, but asks for what."""

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        return [Compiled(circuits=one.circuits, changed=False) for one in requests]

    def close(self) -> None:
        """Nothing is open."""


def test_a_target_that_breaks_its_provider_is_asked_for_again_later(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    broken = Targetless(vendor, "target")
    place.worker(broken, compiler=AsItIs())
    ids = place.submit(2, "fake")
    said = place.wait_for(lambda: _reasons(place, ids), lambda said: len(said) >= 6)
    assert set(said) == {"the provider broke: KeyError"}
    asked = len(broken.asked)
    attempts = [task.attempt for task in place.store.tasks(ids)]
    assert asked <= 3 * (1 + sum(attempts))  # As often as they were tried, not time and again.
    broken.question = ""
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}


class Garbling(FakeProvider):
    """Answers what is none."""

    garbled = True

    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        found = super().start(orders)
        if not self.garbled:
            return found
        self.garbled = False
        return ["\x00", *found[2:]]


def test_answers_that_are_none_leave_what_was_sent_to_be_sent_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    ids = place.submit(3, "fake")
    place.worker(hurried(Garbling(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S)))
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1] * 3


class Queueing(FakeProvider):
    """Says of everything that it waits, with nothing ahead of it."""

    looks = 0

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        self.looks += 1
        waiting = Report(state=ExecutionState.SUBMITTED, queue_position=0)
        return dict.fromkeys(ids, waiting)


def test_what_is_next_at_its_vendor_is_looked_at_in_every_interval(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    queueing = Queueing(vendor.url, token=TOKEN, poll_interval_s=0.25)
    place.submit(1, "fake")
    place.worker(queueing)
    # As far apart as it has waited, the eighth look is after 16 s.
    place.wait_for(lambda: queueing.looks, lambda looks: looks >= 8, timeout_s=12)


class Choosy(FakeProvider):
    """Refuses one task, and takes all others."""

    refused = ""

    def check(self, work: Work) -> None:
        if work.task_id == self.refused:
            raise ResourceMismatch("too many atoms")


def test_what_a_provider_refuses_is_never_sent(place: Workplace, vendor: FakeVendorServer) -> None:
    choosy = hurried(Choosy(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S))
    ids = place.submit(3, "fake")
    (choosy.refused,) = task_ids(place, ids[1:2])
    place.worker(choosy)
    states = [job.state for job in place.wait(ids)]
    assert states == [JobState.COMPLETED, JobState.FAILED, JobState.COMPLETED]
    assert accepted(vendor, place, ids) == [1, 0, 1]


class Brittle(Choosy):
    """Breaks over one task, in its own way."""

    def check(self, work: Work) -> None:
        if work.task_id == self.refused:
            raise ZeroDivisionError


def test_what_breaks_the_check_of_one_task_fails_that_alone(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    brittle = hurried(Brittle(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S))
    ids = place.submit(3, "fake")
    (brittle.refused,) = task_ids(place, ids[1:2])
    place.worker(brittle)
    jobs = place.wait(ids)
    assert [job.state for job in jobs] == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.COMPLETED,
    ]
    assert "the provider broke" in (jobs[1].problem.message if jobs[1].problem else "")


class Unstoppable(FakeProvider):
    """Cannot stop one execution."""

    endless = ""
    stopped: set[str]

    def stop(self, ids: Sequence[str]) -> None:
        if self.endless in ids:
            raise Transient("it answers what is none")
        self.stopped |= set(ids)
        super().stop(ids)


def test_what_cannot_be_stopped_keeps_no_other_from_its_end(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(run_s=3600.0)
    own = hurried(Unstoppable(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S))
    own.stopped = set()
    place.worker(own)
    ids = place.submit(3, "fake")
    sent = place.wait_for(
        lambda: [e for job_id in ids for e in place.store.executions(job_id) if e.provider_job_id],
        lambda found: len(found) == 3,
    )
    own.endless = sent[0].provider_job_id or ""
    place.cancel(ids[:2])
    assert place.wait(ids[1:2])[0].state is JobState.CANCELLED
    vendor.script()
    place.wait(ids)
    assert own.stopped == {sent[1].provider_job_id}
    assert place.store.jobs(ids)[2].state is JobState.COMPLETED


class Stumbling(FakeProvider):
    """Cannot read the first result that it is asked for, until it is mended."""

    unread = ""
    mended = False

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        self.unread = self.unread or id
        if id == self.unread and not self.mended:
            raise KeyError("measurements")
        return super().result(id, works)


def test_a_result_that_breaks_its_provider_keeps_no_other_waiting(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    stumbling = hurried(Stumbling(vendor.url, token=TOKEN, request_timeout_s=PATIENCE_S))
    place.worker(stumbling)
    ids = place.submit(5, "fake")
    place.wait_for(
        lambda: [job.state for job in place.store.jobs(ids)],
        lambda states: states.count(JobState.COMPLETED) == 4,
    )
    (stuck,) = [job.id for job in place.store.jobs(ids) if job.state is not JobState.COMPLETED]
    assert place.history(stuck).count("execution.reported") == 1
    stumbling.mended = True
    assert {job.state for job in place.wait([stuck])} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1] * 5


@pytest.mark.parametrize(
    ("mode", "fault"),
    [("idempotent", "lost"), ("idempotent", "cut"), ("searchable", "lost"), ("searchable", "cut")],
)
def test_a_lost_reply_costs_time_and_nothing_else(
    place: Workplace, vendor: FakeVendorServer, mode: str, fault: str
) -> None:
    vendor.script(idempotent=mode == "idempotent", next={"start": [fault]})
    place.worker(provider(vendor, mode))
    ids = place.submit(3, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1, 1, 1]


def test_where_nobody_can_know_it_is_stranded_and_never_sent_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(idempotent=False, next={"start": ["lost"]})
    place.worker(provider(vendor, "neither"))
    ids = place.submit(1, "fake")
    place.wait_for(
        lambda: place.store.executions(ids[0]),
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED],
    )
    # Whatever a worker does of its own accord it does while it works on others, and when it begins.
    for _ in range(2):
        place.wait(place.submit(1, "fake"))
        place.worker(provider(vendor, "neither"))
    place.wait(place.submit(1, "fake"))
    assert accepted(vendor, place, ids) == [1]
    assert place.states(ids) == {JobState.RUNNING}
    (execution,) = place.store.executions(ids[0])
    assert execution.problem is not None


def test_a_resend_that_meets_a_busy_vendor_is_still_the_same_execution(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    """Busy says nothing about the first request, which was accepted."""
    vendor.script(next={"start": ["lost", "busy", "many", "denied"]})
    place.worker(provider(vendor))
    ids = place.submit(2, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1, 1]


@pytest.mark.parametrize("fault", ["busy", "many"])
def test_a_busy_vendor_gets_it_later(
    place: Workplace, vendor: FakeVendorServer, fault: str
) -> None:
    vendor.script(next={"start": [fault]})
    place.worker(provider(vendor))
    ids = place.submit(2, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert accepted(vendor, place, ids) == [1, 1]
    assert place.store.tasks(ids[:1])[0].attempt == 2


def test_a_vendor_that_is_away_for_a_while_fails_nothing(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.kill()
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    place.wait_for(lambda: place.history(ids[0]), lambda kinds: "execution.failed" in kinds)
    vendor.start()
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}


def test_a_key_that_is_refused_loses_no_job(place: Workplace, vendor: FakeVendorServer) -> None:
    vendor.script(next={"start": ["denied", "denied"]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    (job,) = place.wait(ids)
    assert job.state is JobState.COMPLETED
    assert place.history(ids[0]).count("execution.failed") == 2
    assert accepted(vendor, place, ids) == [1]


def test_a_refusal_fails_the_job_with_the_reason(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"start": ["reject"]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    (job,) = place.wait(ids)
    assert job.state is JobState.FAILED
    assert job.problem is not None
    assert job.problem.type == "Rejected"


def test_what_fails_at_the_vendor_fails_for_good(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(fail=True)
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    (job,) = place.wait(ids)
    assert job.state is JobState.FAILED
    assert accepted(vendor, place, ids) == [1]


def test_a_status_never_seen_is_noted_and_waited_out(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"poll": ["unseen", "unseen"]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    (job,) = place.wait(ids)
    assert job.state is JobState.COMPLETED
    assert place.history(ids[0]).count("execution.reported") == 1


@pytest.mark.parametrize("route", ["poll", "result"])
@pytest.mark.parametrize("fault", ["busy", "many", "cut", "lost"])
def test_questions_are_asked_again(
    place: Workplace, vendor: FakeVendorServer, route: str, fault: str
) -> None:
    vendor.script(next={route: [fault, fault]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}


def test_a_result_that_is_not_ready_is_asked_for_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"result": ["early", "early"]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}


def test_a_forgotten_execution_is_stranded(place: Workplace, vendor: FakeVendorServer) -> None:
    vendor.script(run_s=60.0, next={"poll": ["vanished"]})
    place.worker(provider(vendor))
    ids = place.submit(1, "fake")
    place.wait_for(
        lambda: place.store.executions(ids[0]),
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED],
    )
    assert accepted(vendor, place, ids) == [1]


def test_a_cancel_stops_it_at_the_vendor(place: Workplace, vendor: FakeVendorServer) -> None:
    vendor.script(run_s=60.0)
    place.worker(provider(vendor))
    ids = place.submit(2, "fake")
    place.wait_for(
        lambda: {e.state for i in ids for e in place.store.executions(i)},
        lambda states: states == {ExecutionState.RUNNING},
    )
    place.cancel(ids)
    assert {job.state for job in place.wait(ids)} == {JobState.CANCELLED}


def test_a_cancelled_task_drops_out_of_a_shared_execution(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(run_s=3600.0)
    place.worker(provider(vendor, tasks_per_execution=10))
    ids = place.submit(3, "fake")
    place.wait_for(lambda: place.store.executions(ids[0]), bool)
    place.cancel(ids[1:2])
    vendor.script()
    place.wait(ids)
    states = {job.id: job.state for job in place.store.jobs(ids)}
    assert [states[i] for i in ids] == [
        JobState.COMPLETED,
        JobState.CANCELLED,
        JobState.COMPLETED,
    ]


def test_executions_are_shared_within_an_account_and_never_by_the_solo(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    ada = place.submit(4, "fake")
    bob = place.submit(3, "fake", account="bob")
    alone = place.submit(2, "fake", solo=True)
    place.worker(provider(vendor, tasks_per_execution=10))
    place.wait([*ada, *bob, *alone])
    of = {job: place.store.executions(job)[0] for job in [*ada, *bob, *alone]}
    assert len({of[job].id for job in ada}) == 1
    assert len({of[job].id for job in bob}) == 1
    assert {of[ada[0]].account, of[bob[0]].account} == {"ada", "bob"}
    assert len({e.id for e in of.values()}) == 4
    assert [len(of[job].tasks) for job in alone] == [1, 1]


def test_lanes_hold_over_workers(place: Workplace, vendor: FakeVendorServer) -> None:
    vendor.script(run_s=0.15)
    for _ in range(3):
        place.worker(provider(vendor, lanes=2))
    ids = place.submit(8, "fake")
    most = 0

    def ended() -> bool:
        nonlocal most
        states = [task.state for task in place.store.tasks(ids)]
        most = max(most, states.count(TaskState.EXECUTING) + states.count(TaskState.CLAIMED))
        return all(state is TaskState.COMPLETED for state in states)

    place.wait_for(ended, bool)
    assert 1 <= most <= 2
    assert accepted(vendor, place, ids) == [1] * 8
