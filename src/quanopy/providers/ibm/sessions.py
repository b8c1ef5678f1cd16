"""Batches and sessions of the service: opened when work comes, closed when none came for long."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Timer

from quanopy.domain.errors import NotFound, QuanopyError, Rejected
from quanopy.providers.ibm.service import Service

log = logging.getLogger(__name__)

VENDOR_MODES = {"batch": "batch", "session": "dedicated"}


@dataclass(slots=True)
class _Open:
    id: str
    timer: Timer


class Sessions:
    """One batch or session a machine."""

    def __init__(self, mode: str, *, most_s: int, idle_s: float) -> None:
        """``mode`` is ``job`` (none at all), ``batch`` or ``session``."""
        self._mode = VENDOR_MODES.get(mode)
        self._most_s = most_s
        self._idle_s = idle_s
        self._lock = Lock()
        self._open: dict[str, _Open] = {}

    def within(self, service: Service, backend: str, send: Callable[[str | None], str]) -> str:
        """Send a job within the machine's session; in a new one, if the vendor closed the old."""
        if self._mode is None:
            return send(None)
        session = self._of(service, backend)
        try:
            return send(session)
        except (Rejected, NotFound):
            if service.takes_jobs(session):
                raise
            self._forget(backend, session)
            return send(self._of(service, backend))

    def close(self, service: Service) -> None:
        """Close all."""
        with self._lock:
            ending = list(self._open.items())
        for backend, known in ending:
            self._end(service, backend, known.id)

    def _of(self, service: Service, backend: str) -> str:
        with self._lock:
            known = self._open.get(backend)
            if known is None:
                session = service.open_session(backend, self._mode or "", self._most_s)
            else:
                known.timer.cancel()
                session = known.id
            timer = Timer(self._idle_s, self._end, (service, backend, session))
            timer.daemon = True
            timer.start()
            self._open[backend] = _Open(session, timer)
            return session

    def _forget(self, backend: str, session: str) -> bool:
        with self._lock:
            known = self._open.get(backend)
            if known is None or known.id != session:
                return False
            known.timer.cancel()
            del self._open[backend]
            return True

    def _end(self, service: Service, backend: str, session: str) -> None:
        if not self._forget(backend, session):
            return
        try:
            service.close_session(session)
        except QuanopyError as error:
            log.warning(
                "session %s on %s stays open until its time is up: %s", session, backend, error
            )
