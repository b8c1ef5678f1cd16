"""Groups: what ended of them is taken note of, what may begin begins, and stop rules are kept.

Any worker does this, in a thread of its own; which of several does is settled by the store.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from quanopy.codecs.records import Asked
from quanopy.domain.errors import Unavailable
from quanopy.domain.groups import Group, GroupState, Ruling, StopRules
from quanopy.ports.objects import Objects
from quanopy.ports.store import GroupWork, Stepped, Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.packing import pack_requests
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
            if not work.turns and not work.groups:
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
