"""Hints within one process: what its worker does with jobs, for those who wait for them here.

Wake-ups say to all processes that something happened, and history says what. Who waits in the
process where it happens need not read history to know which job to look at, nor read a job that
has just been written: its worker shows it as it was committed.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from threading import Lock
from typing import Protocol

from quanopy.ports.claims import Claim
from quanopy.services.results import Wanted

log = logging.getLogger(__name__)

Told = Mapping[str, Wanted | None]
"""Jobs that may have changed, by id; those that were shown, as they are now."""


class Listener(Protocol):
    """Someone who waits for jobs. Its methods are called on any thread, and must be quick."""

    def waits_for(self, job_ids: Collection[str]) -> set[str]:
        """Which of these jobs it wants to be shown."""

    def tell(self, told: Told) -> None:
        """Some jobs may have changed; the catalogue says whether."""


class JobHints:
    """What one worker tells listeners of the jobs that it works on."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._lock = Lock()
        self._held: dict[str, frozenset[tuple[str, str]]] = {}
        """Jobs, with their accounts, of which tasks are claimed here, by claim."""
        self._claims: Counter[tuple[str, str]] = Counter()
        """How many of these claims a job is in."""

    def listen(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        self._listeners += (listener,)

    def hold(self, claim: Claim) -> None:
        """A claim was taken: until it is let go, nobody else ends the jobs of its tasks."""
        jobs = frozenset((task.job_id, task.account) for task in claim.tasks)
        with self._lock:
            self._held[claim.id] = jobs
            self._claims.update(jobs)

    def let_go(self, claim_id: str) -> set[str]:
        """A claim has ended, or may be lost: :meth:`tell` what is known of these jobs then. None,
        where it was not held."""
        with self._lock:
            jobs = self._held.pop(claim_id, frozenset())
            for job in jobs:
                self._claims[job] -= 1
                if not self._claims[job]:
                    del self._claims[job]
        return {job_id for job_id, _ in jobs}

    def give_up(self, claim_id: str) -> None:
        """A claim is lost, or its work broke: who waits for its jobs looks for himself."""
        jobs = self.let_go(claim_id)
        if jobs:
            self.tell(dict.fromkeys(jobs))

    def holds(self, job_id: str, account: str) -> bool:
        """Whether a task of this account's job is claimed here, as far as is known: then the job
        is not final, and who listens and finds it so is told once it may be. (A claim that was
        lost is known to be with the next renewal.)"""
        return (job_id, account) in self._claims

    def wanted(self, job_ids: Collection[str]) -> set[str]:
        """Which of these jobs somebody wants to be shown."""
        return {job_id for each in self._listeners for job_id in each.waits_for(job_ids)}

    def tell(self, told: Told) -> None:
        """Tell everybody; one that fails is logged and stops nobody else."""
        for listener in self._listeners:
            try:
                listener.tell(told)
            except Exception:
                log.exception("a listener to hints about jobs failed")
