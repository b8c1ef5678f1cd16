"""What outcomes mean for tasks: who is tried again, when, and who fails for good."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from quanopy.domain.errors import Invalid, Rejected, TaskFailed, Transient, Unavailable
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.providers import Outcome
from quanopy.services.ending import ATTEMPTS, again, by_account, judge, problem_of, retry_delay_s
from tests.unit.services.test_sharing import task


def test_a_result_completes_its_task() -> None:
    verdict = judge(task("a", 0), Outcome(result=b"[]"))
    assert (verdict.state, verdict.result) == (TaskState.COMPLETED, b"[]")


def test_a_cancelled_task_ends_cancelled_whatever_came_back() -> None:
    verdict = judge(task("a", 0), Outcome(result=b"[]"), cancelled=True)
    assert (verdict.state, verdict.result) == (TaskState.CANCELLED, None)


@pytest.mark.parametrize("error", [Transient("busy"), Unavailable("away")])
def test_what_passes_is_tried_again_but_not_for_ever(error: Exception) -> None:
    assert isinstance(error, Transient | Unavailable)
    first = task("a", 0)
    last = replace(first, attempt=ATTEMPTS - 1)
    before = datetime.now(UTC)
    verdict = judge(first, Outcome(error=error))
    assert verdict.state is TaskState.QUEUED
    assert verdict.ready_at is not None
    assert verdict.ready_at >= before + timedelta(seconds=1)
    assert judge(last, Outcome(error=error)).state is TaskState.FAILED


@pytest.mark.parametrize("error", [TaskFailed("no"), Rejected("no"), Invalid("no")])
def test_what_does_not_pass_fails_at_once(error: TaskFailed | Rejected | Invalid) -> None:
    verdict = judge(task("a", 0), Outcome(error=error))
    assert verdict.state is TaskState.FAILED
    assert verdict.problem == problem_of(error)


def test_a_problem_keeps_class_place_message_and_hint() -> None:
    problem = problem_of(Invalid("too wide", where="pubs[3]", hint="Use fewer."))
    assert (problem.type, problem.message, problem.hint) == (
        "Invalid",
        "pubs[3]: too wide",
        "Use fewer.",
    )


def test_retries_are_spread_out_bounded_and_as_late_as_the_provider_asks() -> None:
    delays = [retry_delay_s(replace(task("a", 0), attempt=n), Transient("")) for n in range(40)]
    assert delays == sorted(delays)
    assert delays[0] >= 0.5
    assert delays[-1] <= 600
    asked = Transient("", retry_after_s=1000.0)
    assert retry_delay_s(task("a", 0), asked) == 1000.0
    before = datetime.now(UTC)
    ready = again(task("a", 0), asked).ready_at
    assert ready is not None
    assert ready >= before + timedelta(seconds=1000)


@pytest.mark.parametrize("asked", [math.inf, 1e30, 3e9, math.nan, -math.inf])
def test_nobody_is_put_off_for_more_than_a_day_whatever_a_provider_asks(asked: float) -> None:
    before = datetime.now(UTC)
    verdict = judge(task("a", 0), Outcome(error=Transient("", retry_after_s=asked)))
    assert verdict.ready_at is not None
    assert before < verdict.ready_at <= datetime.now(UTC) + timedelta(days=1)


def test_a_batch_is_one_execution_an_account_with_its_own_usage() -> None:
    tasks = [task("a", 0), task("b", 0), task("a", 1)]
    outcomes = [
        Outcome(result=b"[]", usage={"seconds": 1.0, "shots": 10}),
        Outcome(error=TaskFailed("no")),
        Outcome(result=b"[]", usage={"seconds": 2.0, "shots": 20}),
    ]
    verdicts = [judge(t, o) for t, o in zip(tasks, outcomes, strict=True)]
    ends = by_account(
        verdicts,
        outcomes,
        resource="aer",
        provider="aer",
        claim_id="claim_1",
        began_at=datetime.now(UTC),
        target="sha256:t",
    )
    (a, a_verdicts), (b, _) = ends
    assert (a.account, a.state, a.usage) == (
        "a",
        ExecutionState.COMPLETED,
        {"seconds": 3.0, "shots": 30},
    )
    assert [v.task.id for v in a_verdicts] == ["task_a_0000", "task_a_0001"]
    assert (b.account, b.state) == ("b", ExecutionState.FAILED)
