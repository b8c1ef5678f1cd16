"""Groups: what ended of them is taken note of, what may begin begins, and stop rules are kept.

Any worker does this, in a thread of its own; which of several does is settled by the store.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from quanopy.codecs.records import Asked
from quanopy.domain.errors import Unavailable
from quanopy.domain.groups import Group, GroupState, Ruling, StopRules
from quanopy.domain.jobs import Task
from quanopy.domain.states import TaskState
from quanopy.ports.groups import GroupWork, Stepped
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.packing import pack_endings, pack_requests
from quanopy.services.recording import Ended, EndedTask
from quanopy.services.stopping import Rule

log = logging.getLogger(__name__)


class Groups:
    """Steps groups, and jobs that come after others."""

    def __init__(
        self, *, store: Store, objects: Objects, wakeups: Wakeups, rules: Sequence[Rule]
    ) -> None:
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self._rules = rules

    def step(self) -> datetime | None:
        """Do all that there is to do; when the next group is to be looked at.

        Raises ``Unavailable``: nothing is lost, and the next step does it.
        """
        ended: dict[str, set[str]] = {}
        while True:
            work = self._store.group_work()
            if work.unarchived:
                self._keep(work.unarchived)
            elif not work.turns and not work.groups:
                return work.next_at
            for turn in work.turns:
                if turn.group_id is not None:
                    ended.setdefault(turn.group_id, set()).add(turn.job_id)
            rulings = self._rulings(work, ended)
            ids = [group.id for group in work.groups]
            self._tell(self._store.step_groups(work.turns, ids, rulings))

    def _rulings(self, work: GroupWork, ended: dict[str, set[str]]) -> Mapping[str, Ruling]:
        """What the rules come to for groups of which all turns have been worked off: only then is
        what ended counted."""
        turning = {turn.group_id for turn in work.turns}
        ready = [
            group
            for group in work.groups
            if group.state is GroupState.RUNNING
            and group.id not in turning
            and group.policy.stop != StopRules()
        ]
        found = {group.id: self._ruling(group, ended.pop(group.id, set())) for group in ready}
        return {group_id: ruling for group_id, ruling in found.items() if ruling is not None}

    def _ruling(self, group: Group, ended: Collection[str]) -> Ruling | None:
        for rule in self._rules:
            try:
                ruling = rule.rule(group, ended)
            except Unavailable:
                raise
            except Exception:
                # A group that cannot be judged must not hold up the others: somebody has to look.
                log.exception("the stop rules of %s cannot be held against it", group.id)
                return Ruling(reason="its stop rules could not be judged", pauses=True)
            if ruling is not None:
                return ruling
        return None

    def _tell(self, stepped: Stepped) -> None:
        topics = [Topic.EVENTS]
        if stepped.ready:
            topics.append(Topic.WORK)
        if stepped.cancelled:
            topics.append(Topic.CANCEL)
        self._wakeups.notify(*topics)

    def _keep(self, unarchived: Mapping[int, str]) -> None:
        """Have the archive know what was cancelled, and what failed without an execution: by
        whichever worker, for the one that did it may have died since."""
        tasks = self._store.tasks(set(unarchived.values()))
        asked = [task for task in tasks if task.cancel_requested]
        failed = [
            task for task in tasks if task.state is TaskState.FAILED and task.execution_id is None
        ]
        packs = dict([pack_requests(Asked.CANCEL, asked)] if asked else [])
        if failed:
            key, data, _ = pack_endings(*_ended(failed))
            packs[key] = data
        self._objects.put(packs)
        self._store.archived(unarchived.keys())


def _ended(tasks: Sequence[Task]) -> tuple[list[Ended], datetime]:
    """Tasks that failed and never had an execution, by when that was, and the last of that."""
    by_time: dict[datetime, list[EndedTask]] = {}
    for task in tasks:
        if task.ended_at is not None:
            one = EndedTask(task=task, state=task.state, problem=task.problem)
            by_time.setdefault(task.ended_at, []).append(one)
    ended = [Ended(tasks=found, ended_at=at) for at, found in by_time.items()]
    return ended, max(by_time)
