"""The worker: claims what is ready, runs it here or sends it to a vendor, and follows it.

One thread claims; one keeps claims and registration alive, sweeps and passes cancels on; one has
groups, and jobs that come after others, begin what may begin; crews
(:mod:`quanopy.services.crews`) do the work. All sleep until a hint or a time that is known.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event, Lock, Thread

from quanopy.domain.errors import NotFound, QuanopyError
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import Extent
from quanopy.domain.resources import Resource
from quanopy.ports.claims import Claim, Swept
from quanopy.ports.executions import Ending
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compiler, Reader
from quanopy.ports.providers import LocalProvider, RemoteProvider, is_remote
from quanopy.ports.store import Store
from quanopy.ports.submissions import Ended, Offering
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.alarm import Alarm
from quanopy.services.calibrate import Calibrations, Pace
from quanopy.services.crews import Begun, Crew, Kit, LocalCrew, RemoteCrew
from quanopy.services.ending import Endings
from quanopy.services.groups import Groups
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.services.preparing import Preparing
from quanopy.services.serving import Serving
from quanopy.services.stopping import Calibrated, Limits, Precision, Rule

log = logging.getLogger(__name__)

_SKEW_S = 2.0
"""Clocks further apart are told: claims are held and found expired by workers' own."""
_FIRST_S = 15.0
"""How long a worker that begins waits for providers to say what they serve: loading a vendor's
package takes a while."""
_QUICK_S = 1.0
"""Estimated seconds of work that may come to its end while it is being stored."""
_LATE_S, _LATE_EACH_S = 0.01, 0.00015
"""What it takes to write down the end of a batch by itself, and of each task of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a worker does what nobody asks it to do; all in seconds."""

    ttl_s: float = 15.0
    """A worker not heard of for this long is dead; it says so every third of it."""
    sweep_s: float = 5.0
    """How long a lost hint may cost."""
    retry_s: float = 0.5
    """Pause while the database is away."""
    batch_s: float = 0.25
    """Estimated seconds of a batch on an emulator."""
    calibrate: Pace = field(default_factory=Pace)
    """How often providers are asked for calibrations."""


def rhythm(ttl_s: float, calibrate: Pace | None = None) -> Rhythm:
    """The rhythm of workers that are taken for dead after so many seconds."""
    return Rhythm(ttl_s=ttl_s, sweep_s=min(5.0, ttl_s / 3), calibrate=calibrate or Pace())


class Worker:
    """Works on tasks until it is stopped. It closes nothing that it was given."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        wakeups: Wakeups,
        hints: JobHints,
        reader: Reader,
        compiler: Compiler,
        providers: Sequence[LocalProvider | RemoteProvider],
        rhythm: Rhythm | None = None,
    ) -> None:
        self.id = new_id("worker")
        self._store = store
        self._wakeups = wakeups
        self._providers = providers
        self._rhythm = rhythm or Rhythm()
        self._serving = Serving(store, self.id, providers, ttl_s=self._rhythm.ttl_s)
        self._stopping, self._ended = Event(), Event()
        self._claiming, self._keeping, self._turning = Alarm(), Alarm(), Alarm()
        rules: list[Rule] = [Limits(), Calibrated(store, objects), Precision(store, objects)]
        self._groups = Groups(store=store, objects=objects, wakeups=wakeups, rules=rules)
        self._holding = Holding(store, self.id, ttl_s=self._rhythm.ttl_s, lost=hints.give_up)
        self._kit = Kit(
            worker=self.id,
            ttl_s=self._rhythm.ttl_s,
            slow_s=self._rhythm.sweep_s,
            store=store,
            objects=objects,
            wakeups=wakeups,
            preparing=Preparing(
                objects=objects, reader=reader, compiler=compiler, snapshot=self._numbers
            ),
            endings=Endings(
                store=store, objects=objects, wakeups=wakeups, holding=self._holding, hints=hints
            ),
            holding=self._holding,
            hints=hints,
            calibrations=Calibrations(
                store=store,
                objects=objects,
                wakeups=wakeups,
                pace=self._rhythm.calibrate,
                actor=self.id,
            ),
            dispatch=self._claiming,
        )
        self._crews: list[Crew] = []
        self._skewed = False
        self._taking = Lock()
        """Held from an offer until what was claimed on it has been taken."""
        self._begun: dict[str, Begun] = {}
        """By claim, what was begun ahead of a commit; with ``_taking`` held."""
        self._declined: set[str] = set()
        """Resources of which nothing was given when it was last offered to take some: out of
        service or with no lane free, so that submitting need not ask for it."""
        self._cancels = Event()
        self._hinted = Event()
        self._perhaps_more: set[str] = set()
        """Crews for whom the queue may hold more than the last claim took."""
        self._threads = [
            Thread(target=self._claim_on, name="claim", daemon=True),
            Thread(target=self._keep_on, name="keep", daemon=True),
            Thread(target=self._turn_on, name="turns", daemon=True),
        ]

    def _numbers(self, digest: str) -> Extent:
        """Where the numbers of a snapshot lie."""
        found = self._store.sighting(digest)
        if found is None:
            raise NotFound(f"there is no calibration {digest[:80]!r}", where="options.noise")
        return found.normal

    def start(self) -> None:
        """Register the providers' resources and begin to work."""
        self._try(lambda: self._serving.tell(patience_s=_FIRST_S))
        self._try(self._compare_clocks)
        self._crews = [self._crew(provider) for provider in self._providers]
        self._unsubscribe = [
            self._wakeups.subscribe(Topic.WORK, self._claim_soon),
            self._wakeups.subscribe(Topic.CANCEL, self._cancel_soon),
            self._wakeups.subscribe(Topic.TURNS, self._turning.ring),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, grace_s: float = 10.0) -> None:
        """Claim nothing more, let what runs end for so many seconds, then give up the rest:
        others do it. Idempotent."""
        if self._ended.is_set():
            return
        claim, keep, turn = self._threads
        self._stopping.set()
        self._claiming.ring()
        self._turning.ring()
        claim.join()
        turn.join()
        with self._taking:
            pass  # Whoever was offered something before has taken it.
        until = time.monotonic() + grace_s
        done = [crew.stop(max(0.0, until - time.monotonic())) for crew in self._crews]
        if not all(done):
            self._holding.abandon()
        for crew in self._crews:
            crew.abandon()
        self._ended.set()
        self._keeping.ring()
        keep.join()
        self._serving.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._try(lambda: self._store.retire(self.id))

    def _crew(self, provider: LocalProvider | RemoteProvider) -> Crew:
        if is_remote(provider):
            return RemoteCrew(provider, self._kit)
        return LocalCrew(provider, self._kit, batch_s=self._rhythm.batch_s)

    # -- claiming -----------------------------------------------------------------------------
    def _claim_on(self) -> None:
        rung = False
        while not self._stopping.is_set():
            if self._hinted.is_set() or not rung:
                self._hinted.clear()
                self._perhaps_more = {crew.name for crew in self._crews}
            pause = self._rhythm.sweep_s if self._try(self._claim) else self._rhythm.retry_s
            rung = self._claiming.wait(pause)

    def _claim_soon(self) -> None:
        self._hinted.set()
        self._claiming.ring()

    def _claim(self) -> None:
        """Claim until there is nothing more, or nobody free to do it."""
        while sum(self._claim_for(crew) for crew in self._crews):
            if self._stopping.is_set():
                return

    def _claim_for(self, crew: Crew) -> bool:
        """Whether something was claimed, and there may be more."""
        served = self._serving.names.get(crew.name)
        if crew.name not in self._perhaps_more or not crew.free or not served:
            return False
        ready = self._store.ready(served)
        known = self._serving.resources
        own = [known[name] for name in sorted(ready) if name in known]
        with self._taking:
            free = crew.free
            if not own:
                self._perhaps_more.discard(crew.name)
            if not own or not free or self._stopping.is_set():
                return False
            offers = crew.offers(own)
            if not offers:
                return False
            claims = self._store.claim(self.id, offers, ttl_s=self._rhythm.ttl_s, most=free)
            self.take(claims)
        if len(claims) < free and crew.emptied(offers, claims):
            self._perhaps_more.discard(crew.name)
            return False
        return bool(claims)

    @contextmanager
    def offering(self, resource: str) -> Iterator[Offering | None]:
        """What it would take at once of a resource; ``None`` while it is busy or claiming."""
        known = self._serving.resources.get(resource)
        if known is None or resource in self._declined or not self._taking.acquire(blocking=False):
            yield None
            return
        try:
            crew = self._crew_of(known)
            offers = crew.offers([known]) if crew.free and not self._stopping.is_set() else []
            if offers:
                (offer,) = offers
                offer = replace(offer, claims=min(offer.claims, crew.free))
                self._declined.add(resource)
                yield Offering(
                    worker=self.id,
                    offer=offer,
                    ttl_s=self._rhythm.ttl_s,
                    begin=self._begin,
                    kept=self._kept,
                    ended=self._ended_of,
                )
            else:
                yield None
        finally:
            self._drop_begun()
            self._taking.release()

    def _begin(self, claims: Sequence[Claim]) -> None:
        """Work ahead on what is about to be claimed. It never raises: that is no reason to refuse
        what is submitted."""
        # Told again where the transaction began again: of what it had claimed nothing is left.
        self._drop_begun()
        for claim in claims:
            try:
                resource = self._serving.resources[claim.resource]
                begun = self._crew_of(resource).begin(claim, resource)
                if begun is not None:
                    self._begun[claim.id] = begun
            except Exception:
                log.exception("%s cannot be worked on ahead", claim.id)

    def _kept(self) -> None:
        for begun in self._begun.values():
            begun.kept()

    def _ended_of(self, claims: Sequence[Claim]) -> Ended:
        """What was begun on these and has come to its end. It is waited for no longer than writing
        it down by itself, later, would take."""
        until = time.monotonic() + _LATE_S + _LATE_EACH_S * sum(len(one.tasks) for one in claims)
        found: dict[str, Sequence[Ending]] = {}
        for claim in claims:
            begun = self._begun.get(claim.id)
            quick = sum(task.estimate_s for task in claim.tasks) <= _QUICK_S
            left_s = max(0.0, until - time.monotonic()) if quick else 0.0
            endings = begun.ended(left_s) if begun is not None else None
            if endings is not None:
                found[claim.id] = endings
        return found

    def _drop_begun(self) -> None:
        for begun in self._begun.values():
            begun.drop()
        self._begun.clear()

    def take(self, claims: Sequence[Claim]) -> None:
        """Work on what was claimed. It never raises: the claims are committed."""
        for claim in claims:
            self._holding.add(claim.id)
        for claim in claims:
            self._declined.discard(claim.resource)
            try:
                begun = self._begun.pop(claim.id, None)
                if begun is not None:
                    begun.keep()
                    continue
                resource = self._serving.resources[claim.resource]
                self._crew_of(resource).take(claim, resource)
            except Exception:
                log.exception("%s cannot be worked on, and is given back", claim.id)
                self._holding.give_back(claim.id)

    def _crew_of(self, resource: Resource) -> Crew:
        return next(crew for crew in self._crews if crew.name == resource.provider)

    # -- turns --------------------------------------------------------------------------------
    def _turn_on(self) -> None:
        while not self._stopping.is_set():
            pause = self._rhythm.sweep_s if self._try(self._turn) else self._rhythm.retry_s
            self._turning.wait(pause)

    def _turn(self) -> None:
        next_at = self._groups.step()
        if next_at is not None:
            left = (next_at - datetime.now(UTC)).total_seconds()
            # What comes later is asked for again by then.
            if left < self._rhythm.sweep_s:
                self._turning.ring_in(max(0.0, left))

    # -- keeping ------------------------------------------------------------------------------
    def _keep_on(self) -> None:
        beat_s, sweep_s = self._rhythm.ttl_s / 3, self._rhythm.sweep_s
        next_beat, next_sweep = time.monotonic() + beat_s, time.monotonic()
        while not self._ended.is_set():
            if time.monotonic() >= next_beat:
                good = self._try(self._beat)
                next_beat = time.monotonic() + (beat_s if good else self._rhythm.retry_s)
            if time.monotonic() >= next_sweep:
                self._try(self._sweep)
                next_sweep = time.monotonic() + sweep_s
            if self._cancels.is_set():
                self._cancels.clear()
                self._try(self._cancel)
            self._keeping.wait(max(0.0, min(next_beat, next_sweep) - time.monotonic()))

    def _beat(self) -> None:
        self._holding.renew()
        if not self._stopping.is_set():
            # No vendor holds it up for longer than half of its length.
            self._serving.tell(patience_s=self._rhythm.ttl_s / 6)
            self._compare_clocks()

    def _compare_clocks(self) -> None:
        """Tell it once where this machine's clock is far from the database's."""
        ahead_s = self._store.skew_s()
        skewed = abs(ahead_s) > _SKEW_S
        if skewed and not self._skewed:
            log.warning(
                "this machine's clock is %.1f s %s the database's: have both keep time by NTP",
                *(abs(ahead_s), "ahead of" if ahead_s > 0 else "behind"),
            )
        self._skewed = skewed

    def _sweep(self) -> None:
        swept: Swept = self._store.sweep()
        if swept.tasks_requeued:
            self._wakeups.notify(Topic.WORK, Topic.EVENTS)
        if swept.claims_expired:
            for crew in self._crews:
                crew.look()
        if swept.next_ready_at is not None:
            left = (swept.next_ready_at - datetime.now(UTC)).total_seconds()
            self._claiming.ring_in(max(0.0, left))
        if len(self._holding):
            self._cancel()

    def _cancel_soon(self) -> None:
        self._cancels.set()
        self._keeping.ring()

    def _cancel(self) -> None:
        """Pass on what was asked of tasks that this worker has claimed, or sent."""
        wanted = self._store.cancel_requests(self.id)
        for crew in self._crews:
            crew.cancel(wanted)

    def _try(self, act: Callable[[], None]) -> bool:
        """Whether it worked; a worker outlives what its database or a provider does to it."""
        try:
            act()
        except QuanopyError as error:
            log.warning("worker %s: %s", self.id, error)
            return False
        except Exception:
            log.exception("worker %s", self.id)
            return False
        return True
