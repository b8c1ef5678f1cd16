"""Calibrate: take snapshots of resources' calibrations as they change, and keep each for good."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock

from quanopy.codecs.calibrations import check
from quanopy.domain.calibration import UNBOUND, Binding, Snapshot
from quanopy.domain.errors import Invalid, QuanopyError, Rejected, TaskFailed
from quanopy.domain.jobs import Execution, Problem
from quanopy.domain.sightings import Sighting, Standing
from quanopy.ports.objects import Objects
from quanopy.ports.providers import Outcome, Provider
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.binding import Run, concluded, constant
from quanopy.services.calibration_packs import pack_snapshot
from quanopy.services.demands import Demands
from quanopy.services.ending import problem_of

log = logging.getLogger(__name__)

_MOST_SEEN = 1_000
"""Snapshots of one execution's time that are looked at: the latest."""
_MOMENT_S = 1.0
"""What was seen so shortly before an end is taken for seen at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often providers are asked, in seconds."""

    every_s: float = 300.0
    """A resource's calibration is asked for so often, whether anything runs or not."""
    fresh_s: float = 60.0
    """When something starts or ends, what was seen so long ago is still taken for current."""


class Calibrations:
    """The calibrations of resources, for all threads of a process."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        wakeups: Wakeups,
        pace: Pace | None = None,
        actor: str = "",
    ) -> None:
        """``actor``: who is said to have seen a snapshot."""
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self.pace = pace or Pace()
        self._actor = actor
        self.demands = Demands(store)
        self._lock = Lock()
        self._asking: defaultdict[str, Lock] = defaultdict(Lock)
        self._known: dict[str, Standing] = {}
        self._constant: dict[str, Binding] = {}

    def ask(self, provider: Provider, resource: str) -> Standing:
        """Ask the provider now, and keep what is new. A provider that fails is noted, no error.

        Raises:
            Unavailable: database or object store are away.
        """
        (before,) = self._store.standings([resource])
        snapshot, problem = _asked(provider, resource)
        found = None if snapshot is None else self._kept(before, snapshot)
        pause_s = self.pace.every_s if problem is None else min(60.0, self.pace.every_s)
        standing, released = self._store.note_calibration(
            resource,
            found,
            problem,
            pause_s=pause_s,
            registration=before.registration,
            actor=self._actor,
        )
        if standing.seen is not None and standing.seen.seen_from == standing.seen.seen_until:
            self._wakeups.notify(Topic.EVENTS)
        if released:
            self._wakeups.notify(Topic.WORK)
        with self._lock:
            self._known[resource] = standing
        return standing

    def current(
        self,
        provider: Provider,
        resource: str,
        *,
        fresh_s: float | None = None,
        noted: bool = False,
    ) -> Standing:
        """How things stand, seen no longer than ``fresh_s`` ago (by default the pace's), by
        whoever asked; of a provider that failed to answer, what is known since it was asked on its
        rounds. ``noted``: not as this process remembers it, but with what others have noted since.
        Raises as :meth:`ask`."""
        oldest = timedelta(seconds=self.pace.fresh_s if fresh_s is None else fresh_s)
        return self._told_since(provider, resource, datetime.now(UTC) - oldest, noted=noted)

    def _told_since(
        self, provider: Provider, resource: str, since: datetime, *, noted: bool = False
    ) -> Standing:
        """The same, seen at this time or later."""
        with self._lock:
            asking = self._asking[resource]
        with asking:
            known = self._known.get(resource)
            # The name of what somebody registered may be another's by now.
            passes = known is not None and known.owner is not None
            if known is None or noted or passes or not _is_told_since(known, since):
                (known,) = self._store.standings([resource])
            if known.problem is not None:
                # Who did not answer may be slow to, and is asked again where nothing waits for it.
                since = datetime.now(UTC) - timedelta(seconds=self.pace.every_s)
            if _is_told_since(known, since):
                with self._lock:
                    self._known[resource] = known
                return known
            return self.ask(provider, resource)

    def of_emulator(self, provider: Provider, resource: str) -> Binding:
        """What all executions on an emulator of this process run under: asked for once. Raises
        as :meth:`ask`."""
        known = self._constant.get(resource)
        if known is not None:
            return known
        with self._lock:
            asking = self._asking[resource]
        with asking:
            if resource not in self._constant:
                self._constant[resource] = self._first(provider, resource)
        return self._constant[resource]

    def begun(self, resource: str, submitted_at: datetime, standing: Standing) -> Binding:
        """What is known as an execution is about to be sent whose first job was submitted then.
        Raises as :meth:`ask`."""
        seen = standing.seen
        before = standing.sighting
        if before is not None and before.seen_from > submitted_at:
            earlier = self._store.sightings(
                resource, since=submitted_at, until=submitted_at, limit=1
            )
            before = next(iter(earlier), None)
        if seen is None and before is None:
            return UNBOUND
        return Binding(
            submitted=None if before is None else before.digest,
            started=None if seen is None else seen.digest,
        )

    def concluded(
        self, provider: Provider, execution: Execution, outcomes: Sequence[Outcome]
    ) -> Binding:
        """What an execution ran under that has ended now. Raises as :meth:`ask`.

        What was seen before its end does not tell what came after it: it is asked again, once for
        all that have ended meanwhile.
        """
        resource, begun = execution.resource, execution.calibration
        run = _times(execution, outcomes)
        now = datetime.now(UTC)
        over_s = (now - run.ended_at).total_seconds()
        fresh_s = min(max(over_s, _MOMENT_S), self.pace.fresh_s)
        standing = self._told_since(provider, resource, now - timedelta(seconds=fresh_s))
        named, since = _named(outcomes), min(execution.created_at, run.began_at)
        if named is None and standing.seen is None and begun == UNBOUND:
            return UNBOUND
        seen = self._seen(standing, since)
        if named is not None and all(one.vendor_id != named for one in seen):
            # Calibrated anew, and not seen yet. Of many that ended so, one asks.
            standing = self.current(provider, resource, fresh_s=_MOMENT_S)
            seen = self._seen(standing, since)
        return concluded(begun, run, standing.seen, named, seen)

    def _seen(self, standing: Standing, since: datetime) -> Sequence[Sighting]:
        latest = standing.sighting
        if latest is not None and latest.seen_from <= since:
            return [latest]
        return self._store.sightings(
            standing.resource, since=since, until=datetime.now(UTC), limit=_MOST_SEEN
        )

    def _first(self, provider: Provider, resource: str) -> Binding:
        snapshot, problem = _asked(provider, resource)
        if problem is not None:
            log.warning("%s: its calibration is not known: %s", resource, problem.message)
        if snapshot is None:
            return UNBOUND
        (before,) = self._store.standings([resource])
        found = self._kept(before, snapshot)
        self._store.note_calibration(resource, found, pause_s=self.pace.every_s, actor=self._actor)
        return constant(found.digest)

    def _kept(self, before: Standing, snapshot: Snapshot) -> Sighting:
        """The sighting that goes on with this snapshot, or begins; then it is put away first."""
        if before.sighting is not None and before.sighting.digest == snapshot.digest:
            return before.sighting
        key, data, found = pack_snapshot(snapshot, before=before.sighting, owner=before.owner)
        self._objects.put({key: data})
        return found


def _asked(provider: Provider, resource: str) -> tuple[Snapshot | None, Problem | None]:
    """What the provider says, or why that is nothing."""
    try:
        snapshot = provider.calibration(resource)
        if snapshot is not None:
            check(snapshot)
            if snapshot.resource != resource:
                snapshot = replace(snapshot, resource=resource)
        return snapshot, None
    except Invalid as error:
        refused = Rejected(f"the calibration that {provider.name} gives is none: {error}")
        log.warning("%s: %s", resource, refused)
        return None, problem_of(refused)
    except QuanopyError as error:
        log.warning("the calibration of %s: %s", resource, error)
        return None, problem_of(error)
    except Exception as error:
        # A provider is a plugin: what it breaks is this answer.
        log.exception("provider %s broke", provider.name)
        return None, problem_of(TaskFailed(f"the provider broke: {type(error).__name__}"))


def _is_told_since(standing: Standing, since: datetime) -> bool:
    if standing.asked_at is None:
        return False
    now = datetime.now(UTC)
    # A clock that went backwards makes nothing young.
    return abs(now - standing.asked_at) <= now - since


def _named(outcomes: Sequence[Outcome]) -> str | None:
    """What the vendor names with all of these results, if it is one."""
    names = {outcome.calibration for outcome in outcomes}
    return names.pop() if len(names) == 1 else None


def _times(execution: Execution, outcomes: Sequence[Outcome]) -> Run:
    began = [outcome.started_at for outcome in outcomes if outcome.started_at is not None]
    ended = [outcome.ended_at for outcome in outcomes if outcome.ended_at is not None]
    if ended:
        last = max(ended)
        return Run(
            sent_at=execution.created_at,
            began_at=min(began, default=last),
            ended_at=last,
            by_vendor=True,
        )
    return Run(
        sent_at=execution.created_at,
        began_at=execution.started_at or execution.created_at,
        ended_at=execution.ended_at or datetime.now(UTC),
    )
