"""Crews: the threads that work for one provider, and what they would take now."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Event, Lock, Thread
from typing import Protocol

from quanopy.domain.errors import Unavailable
from quanopy.domain.resources import Resource
from quanopy.domain.states import ResourceState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.executions import Ending
from quanopy.ports.objects import Objects
from quanopy.ports.providers import LocalProvider, RemoteProvider
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Wakeups
from quanopy.services.adopting import Adopting
from quanopy.services.alarm import Alarm
from quanopy.services.calibrate import Calibrations
from quanopy.services.dispatch import Commit, LocalDispatch
from quanopy.services.ending import Endings
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.services.looks import Looks
from quanopy.services.preparing import Preparing
from quanopy.services.recover import Recovery
from quanopy.services.remote import RemoteDispatch, Sending
from quanopy.services.rounds import Rounds
from quanopy.services.track import Tracking

log = logging.getLogger(__name__)

_SENDERS = 4
"""Calls to one vendor under way at once."""
_SENDERS_APART = 16
"""The same where its resources are servers of their own."""
_UNBOUNDED_S = 1e9
_WORTH_S = 0.02
"""Estimated seconds of work that outweigh what a call of an emulator costs by itself."""
_LONG_S = 30.0
"""Emulations that are estimated to take longer leave one process to the others."""
_RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What all crews of a worker share."""

    worker: str
    ttl_s: float
    slow_s: float
    """How long a lost hint may cost."""
    store: Store
    objects: Objects
    wakeups: Wakeups
    preparing: Preparing
    endings: Endings
    holding: Holding
    hints: JobHints
    calibrations: Calibrations
    dispatch: Alarm
    """Wakes who claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Work that was begun ahead of its claim's commit."""

    keep: Callable[[], None]
    """The claim is committed, and held."""
    drop: Callable[[], None]
    """It is not: end the work, which comes to nothing."""
    kept: Callable[[], None]
    """The archive has what was submitted, and may have its end."""
    ended: Callable[[float], Sequence[Ending] | None]
    """The end that the work has come to within so many seconds, to be committed with its claim;
    ``None`` where it has not. Whoever is told it, and commits it not, drops the work."""


class Crew(Protocol):
    """Works for one provider."""

    name: str

    def offers(self, resources: Sequence[Resource]) -> list[Offer]:
        """What it would take of each of its provider's resources, at most ``free`` claims."""

    @property
    def free(self) -> int:
        """How many claims it would take now."""

    def emptied(self, offers: Sequence[Offer], claims: Sequence[Claim]) -> bool:
        """Whether what was claimed on these offers shows that nothing more waits: then there is
        nothing to ask for before the next hint."""

    def take(self, claim: Claim, resource: Resource) -> None:
        """Work on a claim, on a thread of its own."""

    def begin(self, claim: Claim, resource: Resource) -> "Begun | None":
        """Work ahead on a claim that is not committed yet, where that harms nobody."""

    def cancel(self, task_ids: Collection[str]) -> None:
        """A cancel was asked of some tasks under this worker's claims."""

    def look(self) -> None:
        """Something outside may have changed: look at once."""

    def stop(self, timeout_s: float) -> bool:
        """Take nothing more; whether all that was begun has ended in time."""

    def abandon(self) -> None:
        """Let go of what has not ended: its claims are given up. After ``stop``."""


class _Hands:
    """A bounded number of threads, and how many of them are free."""

    def __init__(self, name: str, count: int, *, freed: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._freed = freed
        self._idle = Condition()
        self._count = count
        self._busy = 0

    @property
    def free(self) -> int:
        with self._idle:
            return self._count - self._busy

    def give(self, work: Callable[[], None]) -> None:
        with self._idle:
            self._busy += 1
        self._pool.submit(self._do, work)

    def wait_idle(self, timeout_s: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: not self._busy, timeout_s)

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("a batch broke")
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()
            self._freed()


class LocalCrew:
    """Runs batches on emulators, one a process: while they run, the next ones grow, and a batch
    of many small tasks costs little more than a batch of one.

    Of several processes one is kept from works estimated to be long (over half a minute), so that
    short ones of others are not kept waiting for hours. A single process cannot promise that, and
    a work that is wrongly estimated to be short (one not read yet, say) counts as short.
    """

    def __init__(self, provider: LocalProvider, kit: Kit, *, batch_s: float) -> None:
        self.name = provider.name
        self._batch_s = batch_s
        self._hands = _Hands(f"run-{provider.name}", provider.processes, freed=kit.dispatch.ring)
        self._dispatch = LocalDispatch(
            provider,
            preparing=kit.preparing,
            endings=kit.endings,
            holding=kit.holding,
            hints=kit.hints,
            calibrations=kit.calibrations,
        )
        self._hints = kit.hints
        self._most_long = provider.processes - 1 or self._hands.free
        self._lock = Lock()
        self._long = 0

    @property
    def free(self) -> int:
        """Batches it would take now."""
        return self._hands.free

    def offers(self, resources: Sequence[Resource]) -> list[Offer]:
        """Batches bounded by estimated seconds, so that a long one delays nobody's for long."""
        free = self.free
        with self._lock:
            longs = self._most_long - self._long
        return [
            Offer(
                resource=resource.name,
                seconds=self._batch_s,
                claims=free,
                worth_s=_WORTH_S,
                long_s=_LONG_S,
                longs=longs,
            )
            for resource in resources
        ]

    def emptied(self, offers: Sequence[Offer], claims: Sequence[Claim]) -> bool:
        """Every offer would have taken more than it was given, long tasks too."""
        with self._lock:
            if self._long >= self._most_long:
                return False
        return all(_has_room(offer, claims) for offer in offers)

    def take(self, claim: Claim, resource: Resource) -> None:
        """Run a batch."""
        self._hints.hold(claim)
        self._give(claim, resource, None)

    def begin(self, claim: Claim, resource: Resource) -> "Begun | None":
        """Run a batch ahead: nobody is billed for an emulation that comes to nothing."""
        commit = Commit()
        self._give(claim, resource, commit)

        def keep() -> None:
            if not commit.taken:
                self._hints.hold(claim)
            commit.tell(True)

        def drop() -> None:
            commit.tell(False)
            self._dispatch.cancel([task.id for task in claim.tasks])

        return Begun(keep=keep, drop=drop, kept=commit.store, ended=commit.take)

    def _give(self, claim: Claim, resource: Resource, commit: Commit | None) -> None:
        long = sum(task.estimate_s > _LONG_S for task in claim.tasks)
        with self._lock:
            self._long += long
        self._hands.give(lambda: self._run(claim, resource, long, commit))

    def _run(self, claim: Claim, resource: Resource, long: int, commit: Commit | None) -> None:
        try:
            self._dispatch.run(claim, resource, commit)
        finally:
            with self._lock:
                self._long -= long

    def cancel(self, task_ids: Collection[str]) -> None:
        """End these tasks, if they run here."""
        self._dispatch.cancel(task_ids)

    def look(self) -> None:
        """Nothing happens outside."""

    def stop(self, timeout_s: float) -> bool:
        """Wait for the batches that run."""
        return self._hands.wait_idle(timeout_s)

    def abandon(self) -> None:
        """End the batches that still run; their tasks queue again once the worker retires."""
        self._dispatch.cancel_all()
        self._hands.close()


class RemoteCrew:
    """Sends to one vendor, and follows what was sent on a thread of its own."""

    def __init__(self, provider: RemoteProvider, kit: Kit) -> None:
        self.name = provider.name
        self._provider = provider
        self._kit = kit
        self._alarm = Alarm()
        self._stopping = Event()
        self._each = provider.capabilities.senders_each
        self._hands = _Hands(
            f"send-{provider.name}",
            _SENDERS if self._each is None else _SENDERS_APART,
            freed=kit.dispatch.ring,
        )
        self._lock = Lock()
        self._sending: Counter[str] = Counter()
        """Claims under way, by resource."""
        sending = Sending(
            provider,
            store=kit.store,
            endings=kit.endings,
            holding=kit.holding,
            alarm=self._alarm,
        )
        self._dispatch = RemoteDispatch(
            provider,
            worker=kit.worker,
            store=kit.store,
            objects=kit.objects,
            preparing=kit.preparing,
            endings=kit.endings,
            holding=kit.holding,
            sending=sending,
            calibrations=kit.calibrations,
            ttl_s=kit.ttl_s,
        )
        looks = Looks(provider)
        self._tracking = Tracking(
            provider,
            worker=kit.worker,
            store=kit.store,
            endings=kit.endings,
            holding=kit.holding,
            sending=sending,
            recovery=Recovery(
                provider,
                endings=kit.endings,
                sending=sending,
                looks=looks,
                sent=self._dispatch.sent,
            ),
            calibrations=kit.calibrations,
            looks=looks,
            sent=self._dispatch.sent,
            ttl_s=kit.ttl_s,
        )
        self._adopting = Adopting(
            provider, store=kit.store, objects=kit.objects, wakeups=kit.wakeups
        )
        self._rounds = Rounds(provider, store=kit.store, calibrations=kit.calibrations)
        self._thread = Thread(target=self._track, name=f"track-{provider.name}", daemon=True)
        self._thread.start()

    @property
    def free(self) -> int:
        """Claims it could send now."""
        return self._hands.free

    def offers(self, resources: Sequence[Resource]) -> list[Offer]:
        """No more than can be sent now; where lanes count, each claim is one execution. Nothing of
        what would keep more senders than it may, nor of what is online by its own word while the
        provider finds that it is not."""
        able = self._provider.capabilities
        return [
            Offer(
                resource=resource.name,
                tasks=able.tasks_per_execution * (able.batch if resource.lanes is None else 1),
                seconds=_UNBOUNDED_S,
                single=resource.lanes is not None,
            )
            for resource in resources
            if self._may_send(resource)
        ]

    def _may_send(self, resource: Resource) -> bool:
        if resource.owner is not None and resource.state is ResourceState.OFFLINE:
            return False
        with self._lock:
            return self._each is None or self._sending[resource.name] < self._each

    def emptied(self, offers: Sequence[Offer], claims: Sequence[Claim]) -> bool:
        """Lanes that others take and free again cannot be told from an empty queue."""
        return False

    def take(self, claim: Claim, resource: Resource) -> None:
        """Send a batch."""
        with self._lock:
            self._sending[claim.resource] += 1
        self._hands.give(lambda: self._send(claim, resource))

    def _send(self, claim: Claim, resource: Resource) -> None:
        try:
            self._dispatch.run(claim, resource)
        finally:
            with self._lock:
                self._sending[claim.resource] -= 1

    def begin(self, claim: Claim, resource: Resource) -> "Begun | None":
        """What is sent may be billed: nothing is sent ahead."""
        return None

    def cancel(self, task_ids: Collection[str]) -> None:
        """What was sent is stopped where it is followed."""
        self._alarm.ring()

    def look(self) -> None:
        """Follow now what is due."""
        self._alarm.ring()

    def stop(self, timeout_s: float) -> bool:
        """Wait for what is being sent or looked at; what was sent is followed by others."""
        self._stopping.set()
        self._alarm.ring()
        self._rounds.halt()
        self._thread.join(timeout_s)
        return self._hands.wait_idle(timeout_s) and not self._thread.is_alive()

    def abandon(self) -> None:
        """Let go; every call to the vendor has its time-out."""
        self._hands.close()
        self._thread.join()
        self._rounds.join()

    def _track(self) -> None:
        while not self._stopping.is_set():
            # Each for itself: what breaks the one must not keep the other from what is due.
            pauses = [self._pause_after(self._adopting.look), self._pause_after(self._follow)]
            self._alarm.wait(min(pauses))

    def _follow(self) -> None:
        while not self._stopping.is_set() and self._tracking.look():
            pass

    def _pause_after(self, act: Callable[[], None]) -> float:
        """Do this; how long to wait then."""
        try:
            act()
        except Unavailable as error:
            log.warning("following %s: %s", self.name, error)
            return _RETRY_S
        except Exception:
            log.exception("following %s", self.name)
            return _RETRY_S
        return self._kit.slow_s


def _has_room(offer: Offer, claims: Sequence[Claim]) -> bool:
    tasks = [task for claim in claims if claim.resource == offer.resource for task in claim.tasks]
    return len(tasks) < offer.tasks and sum(task.estimate_s for task in tasks) < offer.seconds
