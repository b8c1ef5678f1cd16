"""Fair order: accounts share alike, nobody starves, priority stays within an account."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from quanopy.domain.jobs import Extent, Slice, Task
from quanopy.domain.states import TaskState
from quanopy.services.sharing import fair_order

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def task(
    account: str, number: int, *, estimate_s: float = 1.0, priority: int = 0, waited_s: float = 0.0
) -> Task:
    return Task(
        id=f"task_{account}_{number:04}",
        job_id=f"job_{account}",
        account=account,
        resource="aer",
        state=TaskState.QUEUED,
        slice=Slice(first=0, count=1),
        priority=priority,
        estimate_s=estimate_s,
        attempt=0,
        solo=False,
        spec=Extent(key="pending/x.tar", offset=0, length=1),
        ready_at=NOW - timedelta(seconds=waited_s),
    )


tasks = st.tuples(st.floats(0, 100), st.integers(-5, 5), st.floats(0, 10_000))
queues = st.dictionaries(st.sampled_from("abcd"), st.lists(tasks, max_size=20), max_size=4)
uses = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1000))


def built(drawn: Mapping[str, Sequence[tuple[float, int, float]]]) -> dict[str, list[Task]]:
    return {
        account: [
            task(account, number, estimate_s=estimate, priority=priority, waited_s=waited)
            for number, (estimate, priority, waited) in enumerate(rows)
        ]
        for account, rows in drawn.items()
    }


@given(queues, uses)
def test_every_task_comes_exactly_once(
    drawn: dict[str, list[tuple[float, int, float]]], used: dict[str, float]
) -> None:
    given_tasks = built(drawn)
    order = list(fair_order(given_tasks, used, now=NOW))
    assert Counter(t.id for t in order) == Counter(t.id for q in given_tasks.values() for t in q)


@given(
    st.lists(st.floats(0.01, 5), min_size=30, max_size=30),
    st.lists(st.floats(0.01, 5), min_size=30, max_size=30),
)
def test_busy_accounts_get_alike_whatever_the_size_of_their_tasks(
    some: list[float], others: list[float]
) -> None:
    both = {
        "a": [task("a", i, estimate_s=s) for i, s in enumerate(some)],
        "b": [task("b", i, estimate_s=s) for i, s in enumerate(others)],
    }
    got = {"a": 0.0, "b": 0.0}
    left = {"a": 30, "b": 30}
    for one in fair_order(both, {}, now=NOW):
        got[one.account] += one.estimate_s
        left[one.account] -= 1
        if not all(left.values()):
            break
        assert abs(got["a"] - got["b"]) <= max(*some, *others) + 1e-6


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(0, 100)), min_size=1, max_size=20))
def test_priority_orders_an_accounts_own_tasks(rows: list[tuple[int, float]]) -> None:
    own = {"a": [task("a", i, priority=p, waited_s=w) for i, (p, w) in enumerate(rows)]}
    priorities = [t.priority for t in fair_order(own, {}, now=NOW)]
    assert priorities == sorted(priorities, reverse=True)


def test_priority_takes_nothing_from_other_accounts() -> None:
    both = {
        "modest": [task("modest", i) for i in range(10)],
        "pushy": [task("pushy", i, priority=100) for i in range(10)],
    }
    first = Counter(t.account for t in islice(fair_order(both, {}, now=NOW), 10))
    assert first == {"modest": 5, "pushy": 5}


def test_who_has_used_less_goes_first() -> None:
    both = {"heavy": [task("heavy", 0)], "light": [task("light", i) for i in range(5)]}
    order = [t.account for t in fair_order(both, {"heavy": 4.5}, now=NOW)]
    assert order == ["light"] * 5 + ["heavy"]


def test_long_waiting_outweighs_past_use() -> None:
    both = {
        "heavy": [task("heavy", 0, waited_s=20_000)],
        "light": [task("light", i) for i in range(5)],
    }
    assert next(fair_order(both, {"heavy": 1000.0}, now=NOW)).account == "heavy"


def test_tasks_that_cost_nothing_still_take_turns() -> None:
    both = {a: [task(a, i, estimate_s=0.0) for i in range(4)] for a in ("a", "b")}
    assert Counter(t.account for t in islice(fair_order(both, {}, now=NOW), 4)) == {"a": 2, "b": 2}
