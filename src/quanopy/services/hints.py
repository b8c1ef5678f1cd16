"""Hints within one process: jobs that its worker has just changed, for those who wait for them.

Wake-ups say to all processes that something happened, and history says what. Who waits in the
process where it happened need not read history to know which job to look at.
"""

import logging
from collections.abc import Callable, Collection

log = logging.getLogger(__name__)

Listener = Callable[[Collection[str]], None]


class JobHints:
    """Tells listeners of jobs whose states may have changed; the catalogue says whether."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> None:
        """Call this (quick, on any thread) with the ids of jobs, from now on."""
        self._listeners += (listener,)

    def tell(self, job_ids: Collection[str]) -> None:
        """Call everybody; one that fails is logged and stops nobody else."""
        for listener in self._listeners:
            try:
                listener(job_ids)
            except Exception:
                log.exception("a listener to hints about jobs failed")
