"""Which claims a worker still has, and how long it is worth trying to act under one."""

import logging
import random
from collections.abc import Callable, Collection
from threading import Event, Lock
from typing import Protocol, TypeVar

from quanopy.domain.errors import Conflict, Transient, Unavailable

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Renewals(Protocol):
    """What it needs of :class:`~quanopy.ports.claims.ClaimStore`."""

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        """Prolong all of a worker's claims; the ids of those it still has."""

    def release(self, claim_ids: Collection[str]) -> None:
        """Give claims up as if their worker had died."""


class Holding:
    """The claims of one worker, renewed together."""

    def __init__(
        self,
        store: Renewals,
        worker: str,
        *,
        ttl_s: float,
        lost: Callable[[str], object] = lambda claim_id: None,
    ) -> None:
        """``lost`` is told each claim that is given up or found to be gone."""
        self._store = store
        self._worker = worker
        self._ttl_s = ttl_s
        self._lost = lost
        self._lock = Lock()
        self._claims: set[str] = set()
        self._given_back: set[str] = set()
        self._strange: frozenset[str] = frozenset()
        """Claims in this worker's name that nobody here had at the last renewal."""
        self._abandoned = Event()

    def add(self, claim_id: str) -> None:
        """Remember a claim just taken."""
        with self._lock:
            self._claims.add(claim_id)

    def drop(self, claim_id: str) -> None:
        """Forget a claim that nothing is left under, or that is lost."""
        with self._lock:
            self._claims.discard(claim_id)

    def give_back(self, claim_id: str) -> None:
        """Forget a claim whose work broke; with the next renewal others may do it."""
        with self._lock:
            self._claims.discard(claim_id)
            self._given_back.add(claim_id)
        self._lost(claim_id)

    def __contains__(self, claim_id: str) -> bool:
        with self._lock:
            return claim_id in self._claims

    def __len__(self) -> int:
        with self._lock:
            return len(self._claims)

    def renew(self) -> None:
        """Prolong all claims save those given back, which are ended; forget those that are
        gone. Raises ``Unavailable``."""
        with self._lock:
            given_back = frozenset(self._given_back)
        if given_back:
            self._store.release(given_back)
        with self._lock:
            self._given_back -= given_back
            # A claim taken while the store answers is not in its answer, and is not lost.
            before = frozenset(self._claims)
        if not before:
            return
        held = self._store.renew(self._worker, ttl_s=self._ttl_s)
        with self._lock:
            gone = (before - held) & self._claims
            self._claims -= gone
            strange = held - self._claims
        # A claim whose commit was not answered: one that is only just being taken is known soon.
        if strange & self._strange:
            self._store.release(strange & self._strange)
        self._strange = frozenset(strange)
        for claim_id in gone:
            self._lost(claim_id)

    def abandon(self) -> None:
        """Give up all claims, and what is being tried under them: the worker has to end now."""
        with self._lock:
            gone = frozenset(self._claims)
            self._claims.clear()
        # After that: who hears of it finds no claim any more.
        self._abandoned.set()
        for claim_id in gone:
            self._lost(claim_id)

    def persist(self, claim_id: str, act: Callable[[], T]) -> T:
        """Do this, again and again while the database or object store is away.

        Raises:
            Conflict: the claim was lost meanwhile, so somebody else does the work.
        """
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return act()
            except (Unavailable, Transient) as error:
                log.warning("holding on to %s and trying again: %s", claim_id, error)
                self._wait(claim_id, pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _wait(self, claim_id: str, pause: float) -> None:
        self._abandoned.wait(pause * random.uniform(0.5, 1.0))
        if self._abandoned.is_set() or claim_id not in self:
            raise Conflict(f"{claim_id} is lost", hint="Somebody else does its work again.")
