"""Stopping: the stop rules of groups, held against what has come of them."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Protocol

from quanopy.codecs.calibrations import decode_metrics
from quanopy.codecs.count_text import parsed
from quanopy.codecs.merging import Merge
from quanopy.domain.calibration import medians
from quanopy.domain.errors import Invalid, NotFound, NotReady
from quanopy.domain.groups import Group, Ruling
from quanopy.domain.jobs import Job
from quanopy.domain.requirements import outside
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.catalogue import Catalogue
from quanopy.services.results import in_batches, load, with_tasks

_PAGE = 1_000
_MOST_KEPT = 32
"""Groups of which the merged results are kept at hand."""
_AT_ONCE = 64 * 1024 * 1024
"""Bytes of results that are read together, unless one alone has more."""


class Rule(Protocol):
    """One kind of stop rules."""

    def rule(self, group: Group, ended: Collection[str]) -> Ruling | None:
        """What it comes to for a running group of which these jobs have just ended; ``None``: it
        goes on. Raises as store and objects do."""


class Limits:
    """Rules that what is known of a group itself can be held against."""

    def rule(self, group: Group, ended: Collection[str]) -> Ruling | None:
        """See :meth:`Rule.rule`."""
        stop, used = group.policy.stop, group.usage
        if stop.deadline is not None and datetime.now(UTC) >= stop.deadline:
            return Ruling(reason=f"its deadline was {stop.deadline.isoformat()}")
        for name, most in (("seconds", stop.seconds), ("cost", stop.cost)):
            if most is not None and used.get(name, 0.0) >= most:
                return Ruling(reason=f"{used[name]:g} {name} were used, {most:g} are allowed")
        if stop.failures is not None and group.failures >= stop.failures:
            return Ruling(reason=f"{group.failures} of its jobs failed", pauses=True)
        return None


class Calibrated:
    """The rule on how well its resource is calibrated."""

    def __init__(self, store: Store, objects: Objects) -> None:
        self._catalogue = Catalogue(store)
        self._store = store
        self._objects = objects

    def rule(self, group: Group, ended: Collection[str]) -> Ruling | None:
        """See :meth:`Rule.rule`."""
        bounds = group.policy.stop.calibration
        if not bounds or group.resource is None:
            return None
        try:
            # Nobody is told of a resource that does not serve them.
            self._catalogue.find(group.resource, group.account)
        except NotFound as error:
            return Ruling(reason=error.message, pauses=True)
        (standing,) = self._store.standings([group.resource])
        seen = standing.sighting
        if seen is None and standing.asked_at is None:
            return None  # It is asked for when the first of its jobs runs there.
        if seen is None:
            return Ruling(reason=f"the calibration of {group.resource} is not known", pauses=True)
        (data,) = self._objects.read([seen.normal])
        wrong = "; ".join(outside(bounds, medians(decode_metrics(data))))
        return Ruling(reason=f"{group.resource}: {wrong}", pauses=True) if wrong else None


class _Sum:
    """What is merged of a group, and of which jobs."""

    def __init__(self) -> None:
        self.merge = Merge()
        self.jobs: set[str] = set()
        self.passed = -1
        """The last position up to which all jobs had ended when they were read."""


class Precision:
    """The rule on how precisely the merged result is known. Results are added as jobs end; where
    another worker has added some, they are read when it shows that they are missing: of those
    that had not ended at the last look, and of those that have begun since."""

    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects
        self._sums: OrderedDict[str, _Sum] = OrderedDict()

    def rule(self, group: Group, ended: Collection[str]) -> Ruling | None:
        """See :meth:`Rule.rule`."""
        wanted = group.policy.stop.precision
        if wanted is None:
            return None
        known = self._sums.setdefault(group.id, _Sum())
        self._sums.move_to_end(group.id)
        while len(self._sums) > _MOST_KEPT:
            self._sums.popitem(last=False)
        try:
            self._add(known, self._store.jobs(ended))
            self._complete(known, group)
            reached = known.merge.precision() if known.jobs else None
        except (Invalid, NotReady) as error:
            return Ruling(reason=f"its results cannot be merged: {error}", pauses=True)
        if reached is None or reached > wanted:
            return None
        return Ruling(reason=f"its result is known to {reached:.3g}, {wanted:g} was wanted")

    def _complete(self, known: _Sum, group: Group) -> None:
        """Add what is missing."""
        if len(known.jobs) < group.completed:
            self._read(known, group.id)
        if len(known.jobs) < group.completed:
            # One that had ended was given another turn, or went past many that wait for others.
            known.passed = -1
            self._read(known, group.id, whole=True)

    def _read(self, known: _Sum, group_id: str, *, whole: bool = False) -> None:
        """Add what completed past those that had all ended, as far as they have begun."""
        after, passing = known.passed, True
        while page := self._store.group_jobs(group_id, after=after, limit=_PAGE):
            self._add(known, page)
            for job in page:
                passing = passing and job.state in FINAL_JOB_STATES
                after = job.position if job.position is not None else after
                known.passed = after if passing else known.passed
            if not whole and all(job.blocked for job in page):
                break

    def _add(self, known: _Sum, jobs: Sequence[Job]) -> None:
        new = {
            job.id for job in jobs if job.state is JobState.COMPLETED and job.id not in known.jobs
        }
        if not new:
            return
        wanted = with_tasks(*self._store.jobs_with_tasks(new, new))
        for some in in_batches(wanted, most=_AT_ONCE):
            for one, text in zip(some, load(self._objects, some), strict=True):
                self._merge(known, one.job.id, text)

    def _merge(self, known: _Sum, job_id: str, text: bytes) -> None:
        try:
            known.merge.add(parsed(text)["pubs"])
        except (Invalid, NotReady) as error:
            raise type(error)(f"{job_id}: {error.message}", where=error.where) from None
        known.jobs.add(job_id)
