"""States of many jobs from few requests.

The service lists jobs by the page, the newest first, and by when they were created. Those that
are asked for together were mostly created together, so a list of that time has them all; the few
that it leaves out are asked for one by one. What a list tells of other jobs answers the next
question for these, if it comes soon.
"""

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from quanopy.domain.errors import NotFound
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Report
from quanopy.providers.ibm.documents import time_of
from quanopy.providers.ibm.service import PAGE, Service

TAG = "quanopy"
"""What every job of ours is tagged with."""
_STATES = {
    "queued": ExecutionState.SUBMITTED,
    "running": ExecutionState.RUNNING,
    "completed": ExecutionState.COMPLETED,
    "failed": ExecutionState.FAILED,
    "cancelled": ExecutionState.CANCELLED,
    "cancelled - ran too long": ExecutionState.FAILED,
}
_RAN_TOO_LONG = 1305
_FEW = 2
"""So many are asked for one by one at once."""
_REMEMBERED = 200_000
_KEPT = 20_000
_EXACT, _NEAR = timedelta(milliseconds=10), timedelta(seconds=1)
_WORTH = 4
"""A page of a list is worth so many requests for single jobs, for it tells of others, too."""


class Watch:
    """Looks up jobs, and remembers when each was created by the vendor's clock."""

    def __init__(self, *, fresh_s: float) -> None:
        """``fresh_s``: how old an answer may be that came with that to another question."""
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._beside: dict[str, tuple[float, Report]] = {}
        self._created: OrderedDict[str, datetime] = OrderedDict()

    def look(self, service: Service, ids: Sequence[str]) -> dict[str, Report]:
        """The states of these jobs; one that the service does not know is left out."""
        found = self._told_already(ids)
        missing = [one for one in dict.fromkeys(ids) if one not in found]
        for _ in range(2):
            if len(missing) > _FEW:
                self._list(service, ids, found)
                missing = [one for one in missing if one not in found]
            if len(missing) > _FEW and not self._window(ids):
                # Nothing tells when these were created: the first and last do, for a second list.
                self._ask(service, [missing[0], missing[-1]], found)
                missing = [one for one in missing if one not in found]
        self._ask(service, missing, found)
        return found

    def _list(self, service: Service, wanted: Sequence[str], found: dict[str, Report]) -> None:
        left = set(wanted) - found.keys()
        window = self._window(left) or self._window(wanted)
        since, until = window or (None, None)
        page = 0
        while page <= len(left) // _WORTH if window else page <= len(wanted) // PAGE:
            began = time.monotonic()
            listed = service.jobs(tags=[TAG], skip=page * PAGE, since=since, until=until)
            for job in listed:
                one = self._learn(job)
                if one in left:
                    found[one] = report_of(job)
                    left.discard(one)
                else:
                    self._keep(one, report_of(job), began)
            if not left or len(listed) < PAGE:
                return
            page += 1

    def _told_already(self, ids: Sequence[str]) -> dict[str, Report]:
        """What lists told of these lately; once only, so that a state is never told again."""
        oldest = time.monotonic() - self._fresh_s
        with self._lock:
            told = {one: self._beside.pop(one) for one in set(ids) if one in self._beside}
        return {one: report for one, (at, report) in told.items() if at >= oldest}

    def _keep(self, one: str, report: Report, at: float) -> None:
        with self._lock:
            if len(self._beside) >= _KEPT:
                self._beside.clear()
            self._beside[one] = (at, report)

    def _ask(self, service: Service, ids: Sequence[str], found: dict[str, Report]) -> None:
        for one in ids:
            try:
                job = service.job(one)
            except NotFound:
                continue
            self._learn(job)
            found[one] = report_of(job)

    def _window(self, ids: Collection[str]) -> tuple[datetime, datetime] | None:
        """When they were created; a guess where that is known of some of them only."""
        with self._lock:
            times = [self._created[one] for one in ids if one in self._created]
        if not times:
            return None
        margin = _EXACT if len(times) == len(ids) else _NEAR
        return min(times) - margin, max(times) + margin

    def _learn(self, job: Mapping[str, Any]) -> str:
        known, created = str(job.get("id")), time_of(job.get("created"))
        if created is not None:
            with self._lock:
                self._created[known] = created
                while len(self._created) > _REMEMBERED:
                    self._created.popitem(last=False)
        return known


def report_of(job: Mapping[str, Any]) -> Report:
    """A job's state; one never seen before is told as it is."""
    state = job.get("state") if isinstance(job.get("state"), dict) else {}
    told: Mapping[str, Any] = state or {}
    said = str(told.get("status") or job.get("status") or "")
    known = _STATES.get(said.lower())
    reason = told.get("reason")
    if known is ExecutionState.CANCELLED and told.get("reason_code") == _RAN_TOO_LONG:
        known = ExecutionState.FAILED
    return Report(state=known, detail=f"{said}: {reason}"[:500] if reason else said[:500] or "?")
