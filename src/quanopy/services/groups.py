"""Groups: what ended of them is taken note of, what may begin begins, and stop rules are kept.

Any worker does this, in a thread of its own; which of several does is settled by the store.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from quanopy.codecs.records import Asked
from quanopy.domain.groups import Group, GroupState, Ruling
from quanopy.ports.objects import Objects
from quanopy.ports.store import Stepped, Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.packing import pack_requests

log = logging.getLogger(__name__)


class Rules(Protocol):
    """Stop rules, held against what has come of a group."""

    def rule(self, group: Group) -> Ruling | None:
        """What they come to; ``None``: it goes on."""


class Groups:
    """Steps groups, and jobs that come after others."""

    def __init__(
        self, *, store: Store, objects: Objects, wakeups: Wakeups, rules: Sequence[Rules]
    ) -> None:
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self._rules = rules

    def step(self) -> datetime | None:
        """Do all that there is to do; when the next group is to be looked at.

        Raises ``Unavailable``: nothing is lost, and the next step does it.
        """
        while True:
            work = self._store.group_work()
            if not work.turns and not work.groups:
                return work.next_at
            ids = [group.id for group in work.groups]
            self._tell(self._store.step_groups(work.turns, ids, self._rulings(work.groups)))

    def _rulings(self, groups: Sequence[Group]) -> Mapping[str, Ruling]:
        running = [group for group in groups if group.state is GroupState.RUNNING]
        found = {group.id: self._ruling(group) for group in running}
        return {group_id: ruling for group_id, ruling in found.items() if ruling is not None}

    def _ruling(self, group: Group) -> Ruling | None:
        for rules in self._rules:
            try:
                ruling = rules.rule(group)
            except Exception:
                # A group that cannot be judged must not hold up the others: somebody has to look.
                log.exception("the stop rules of %s cannot be held against it", group.id)
                return Ruling(reason="its stop rules could not be judged", pauses=True)
            if ruling is not None:
                return ruling
        return None

    def _tell(self, stepped: Stepped) -> None:
        if stepped.cancelled:
            tasks = self._store.tasks(stepped.cancelled)
            asked = [task for task in tasks if task.cancel_requested]
            if asked:
                key, data = pack_requests(Asked.CANCEL, asked)
                self._objects.put({key: data})
        topics = [Topic.EVENTS]
        if stepped.ready:
            topics.append(Topic.WORK)
        if stepped.cancelled:
            topics.append(Topic.CANCEL)
        self._wakeups.notify(*topics)


class Limits:
    """The rules that what is known of a group itself can be held against."""

    def rule(self, group: Group) -> Ruling | None:
        """See :meth:`Rules.rule`."""
        stop, used = group.policy.stop, group.usage
        if stop.deadline is not None and datetime.now(UTC) >= stop.deadline:
            return Ruling(reason=f"its deadline was {stop.deadline:%Y-%m-%d %H:%M:%S %Z}")
        for name, most in (("seconds", stop.seconds), ("cost", stop.cost)):
            if most is not None and used.get(name, 0.0) >= most:
                return Ruling(reason=f"{used[name]:g} {name} were used, {most:g} are allowed")
        if stop.failures is not None and group.failures >= stop.failures:
            return Ruling(reason=f"{group.failures} of its jobs failed", pauses=True)
        return None
