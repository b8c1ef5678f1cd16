"""Sharing: in which order accounts' tasks go onto a resource."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from quanopy.domain.jobs import Task

_LEAST_CHARGE_S = 1e-3
"""What a task costs at least, so that accounts with tiny tasks take turns too."""
_AGEING = 0.1
"""Seconds of use that each second of waiting makes up for: nobody waits for ever."""
_LEVEL_S = 600.0
"""Seconds of waiting that make up for one level of priority within an account."""


def fair_order(
    queues: Mapping[str, Sequence[Task]], used_s: Mapping[str, float], *, now: datetime
) -> Iterator[Task]:
    """Ready tasks in the order they should run.

    The account that has used the least goes first (start-time fair queueing: Goyal, Vin and
    Cheng, 1997) and is charged each task's estimate as it is given out, so that equal accounts
    share alike whatever the sizes of their tasks and queues. ``used_s`` are the resource-seconds
    each account has used of late, by account; one not in it has used none. Waiting counts for an
    account, and priority only among its own tasks.
    """
    waiting = {account: _own_order(tasks, now) for account, tasks in queues.items() if tasks}
    charged = {account: used_s.get(account, 0.0) for account in waiting}
    heap = [(_score(queue[0], charged[a], now), a, 0) for a, queue in waiting.items()]
    heapq.heapify(heap)
    while heap:
        _, account, index = heapq.heappop(heap)
        queue = waiting[account]
        task = queue[index]
        yield task
        charged[account] += max(task.estimate_s, _LEAST_CHARGE_S)
        if index + 1 < len(queue):
            score = _score(queue[index + 1], charged[account], now)
            heapq.heappush(heap, (score, account, index + 1))


def _own_order(tasks: Sequence[Task], now: datetime) -> list[Task]:
    """An account's own tasks: by priority, raised by waiting, then as they came."""
    return sorted(
        tasks, key=lambda task: (-task.priority - _waited_s(task, now) / _LEVEL_S, task.id)
    )


def _score(task: Task, used_s: float, now: datetime) -> float:
    return used_s - _AGEING * _waited_s(task, now)


def _waited_s(task: Task, now: datetime) -> float:
    """Seconds since it could have run."""
    since = task.ready_at or task.queued_at
    return max(0.0, (now - since).total_seconds()) if since else 0.0
