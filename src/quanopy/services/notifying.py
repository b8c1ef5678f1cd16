"""Webhooks are told what happens: each event to each that wants it, in order, at least once.

One thread follows history as it is written and sees which webhooks an event may be for; a few
others deliver, each for one webhook at a time, under a claim (:mod:`.delivering`). What is known
here is only where to look: how far a webhook has come, and when it is tried again, is in the
catalogue. Where there is no webhook nothing is read.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event as Signal
from threading import Lock, Thread

from quanopy.domain.errors import Unavailable
from quanopy.domain.events import Event, Position
from quanopy.domain.webhooks import FURTHEST, Webhook
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.alarm import Alarm
from quanopy.services.delivering import Delivering, Later

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Webhooks that are delivered for at the same time."""
OF_ONE_ACCOUNT = 4
"""Of these, those of one account: its servers may all hang."""
LOOK_S = 60.0
"""How soon it is seen what a lost hint was about, or what a worker left that died."""
CATCH_UP_S = 600.0
"""How often webhooks that nothing was sent to are brought up to what there is, so that whoever
begins anew need not read far."""
PAGE = 1_000
_RETRY_S = 1.0
_SOON_S = 0.001
_LATEST_S = 0.1


class Notifying:
    """Delivers webhooks until it is stopped."""

    def __init__(
        self,
        *,
        store: Store,
        wakeups: Wakeups,
        delivering: Delivering,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._wakeups = wakeups
        self._delivering = delivering
        self._clock = clock
        self._alarm = Alarm()
        self._stopping = Signal()
        self._changed = Signal()
        self._lock = Lock()
        self._known: Mapping[str, Webhook] = {}
        """Webhooks that are not paused."""
        self._of: Mapping[str, Sequence[Webhook]] = {}
        """The same, by account."""
        self._wanted: dict[str, Position | None] = {}
        """Those to deliver for, up to where at least; ``None``: as far as there is."""
        self._times: dict[str, datetime] = {}
        """When to look at one again, whatever happens meanwhile."""
        self._resting: set[str] = set()
        """Those of which nothing is to be sent before that time."""
        self._busy: dict[str, str] = {}
        """Those that are delivered for, with their accounts."""
        self._position: Position | None = None
        """How far history was followed; ``None``: nobody wants it."""
        self._looked_at = self._caught_up_at = datetime.min.replace(tzinfo=UTC)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._thread = Thread(target=self._go, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin, with what was left."""
        self._unsubscribe = [
            self._wakeups.subscribe(Topic.HOOKS, self._look_anew),
            self._wakeups.subscribe(Topic.EVENTS, self._follow),
        ]
        self._thread.start()

    def stop(self) -> None:
        """Deliver nothing more; what is under way is cut off, and delivered again by others."""
        self._stopping.set()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._alarm.ring()
        self._thread.join()
        self._delivering.close()
        self._pool.shutdown()

    def look(self) -> None:
        """See what is due by the clock now."""
        self._alarm.ring()

    def _look_anew(self) -> None:
        self._changed.set()
        self._alarm.ring()

    def _follow(self) -> None:
        if self._known:
            self._alarm.ring()

    # -- the thread ---------------------------------------------------------------------------
    def _go(self) -> None:
        self._changed.set()
        held = _SOON_S
        while not self._stopping.is_set():
            pause = LOOK_S
            try:
                if self._step():
                    pause = held = min(held * 2, _LATEST_S)
                else:
                    held = _SOON_S
                    pause = self._until_due()
            except Unavailable as error:
                log.warning("webhooks: %s", error)
                pause = _RETRY_S
            except Exception:
                log.exception("webhooks")
                pause = _RETRY_S
            self._alarm.wait(pause)

    def _step(self) -> bool:
        """See what there is to deliver, and begin; whether there is more behind a transaction that
        is still open."""
        now = self._clock()
        if self._changed.is_set() or abs(now - self._looked_at) >= timedelta(seconds=LOOK_S):
            self._changed.clear()
            self._look_up(now)
        held_back = self._read_history() if self._known else False
        with self._lock:
            for due in [one for one, at in self._times.items() if _has_come(at, now)]:
                del self._times[due]
                self._resting.discard(due)
                self._wanted.setdefault(due, None)
        self._begin()
        return held_back

    def _look_up(self, now: datetime) -> None:
        """Which webhooks there are. Those that are new here are behind, who knows how far."""
        if self._position is None:
            # Before they are read: what comes later is seen by following.
            position = self._store.horizon()
        found = {webhook.id: webhook for webhook in self._store.webhooks(unpaused=True)}
        anew = abs(now - self._caught_up_at) >= timedelta(seconds=CATCH_UP_S)
        if not found:
            self._position = None
        elif self._position is None:
            self._position = position
        with self._lock:
            for webhook in found.values():
                # Whatever is being found out of one that is busy may be older than the change.
                if webhook.id not in self._known or webhook.id in self._busy or anew:
                    self._wanted[webhook.id] = None
                elif webhook.attempts or webhook.id in self._resting:
                    self._times[webhook.id] = webhook.next_at or now
            for gone in {*self._wanted, *self._times} - found.keys():
                self._wanted.pop(gone, None)
                self._times.pop(gone, None)
                self._resting.discard(gone)
            self._known, self._of = found, _by_account(found.values())
        self._looked_at = now
        if anew:
            self._caught_up_at = now

    def _read_history(self) -> bool:
        """Mark the webhooks that new events may be for; whether some are held back."""
        while self._position is not None and not self._stopping.is_set():
            page = self._store.events(EventQuery(after=self._position, limit=PAGE))
            with self._lock:
                for event in page.events:
                    self._mark(event)
            self._position = page.position
            if len(page.events) < PAGE:
                return page.held_back
        return False

    def _mark(self, event: Event) -> None:
        """Those that rest are told it too, when their time has come."""
        for webhook in self._of.get(event.account or "", ()):
            if webhook.id not in self._resting and webhook.wants(event):
                self._wanted[webhook.id] = event.position

    def _until_due(self) -> float:
        now = self._clock()
        with self._lock:
            first = min(self._times.values(), default=None)
        look = LOOK_S - abs(now - self._looked_at).total_seconds()
        due = look if first is None else (first - now).total_seconds()
        return max(0.0, min(look, due))

    # -- delivering ---------------------------------------------------------------------------
    def _begin(self) -> None:
        """Deliver for as many as there is room for."""
        with self._lock:
            of = Counter(self._busy.values())
            for one in list(self._wanted):
                account = self._known[one].account
                if len(self._busy) >= AT_ONCE:
                    return
                if one in self._busy or of[account] >= OF_ONE_ACCOUNT:
                    continue
                of[account] += 1
                self._busy[one] = account
                self._pool.submit(self._deliver, one, self._wanted.pop(one))

    def _deliver(self, id: str, wanted: Position | None) -> None:
        try:
            later = self._delivering.deliver(id, wanted)
        except Unavailable as error:
            log.warning("%s: %s", id, error)
            later = Later(at=self._clock() + timedelta(seconds=_RETRY_S))
        except Exception:
            log.exception("%s cannot be delivered for", id)
            later = Later(at=self._clock() + timedelta(seconds=LOOK_S), rests=True)
        with self._lock:
            del self._busy[id]
            if later.at is not None and id in self._known:
                self._times[id] = later.at
                if later.rests:
                    self._resting.add(id)
        self._wakeups.notify(Topic.TRIED)
        self._alarm.ring()


def _has_come(at: datetime, now: datetime) -> bool:
    """Whether a time has come; one that is further away than any is has, too: the clock was set
    back."""
    return not now < at <= now + FURTHEST


def _by_account(webhooks: Iterable[Webhook]) -> Mapping[str, Sequence[Webhook]]:
    found = defaultdict(list)
    for webhook in webhooks:
        found[webhook.account].append(webhook)
    return found
