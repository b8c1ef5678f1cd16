"""Hints within one process: what its worker does with jobs, for those who wait for them here.

Wake-ups say to all processes that something happened, and history says what. Who waits in the
process where it happens need not read history to know which job to look at, nor read a job that
has just been written: its worker shows it as it was committed.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from threading import Lock
from typing import Protocol

from quanopy.domain.jobs import Task
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
        self._held: dict[tuple[str, str], set[str]] = {}
        """Tasks claimed here, by their job and account."""

    def listen(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        self._listeners += (listener,)

    def hold(self, tasks: Iterable[Task]) -> None:
        """These tasks are claimed here: until they are let go, nobody else ends their jobs."""
        with self._lock:
            for task in tasks:
                self._held.setdefault((task.job_id, task.account), set()).add(task.id)

    def let_go(self, tasks: Iterable[Task]) -> bool:
        """The claim on these tasks has ended, or is lost: :meth:`tell` what is known of their
        jobs then. Whether any of them was still held."""
        found = False
        with self._lock:
            for task in tasks:
                held = self._held.get((task.job_id, task.account), set())
                found |= task.id in held
                held.discard(task.id)
                if not held:
                    self._held.pop((task.job_id, task.account), None)
        return found

    def holds(self, job_id: str, account: str) -> bool:
        """Whether a job of this account cannot be final yet, for a task of it is claimed here.
        Who listens and then finds it so is told once it may be."""
        return (job_id, account) in self._held

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
