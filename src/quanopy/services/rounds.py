"""Rounds: a vendor's resources are asked for their calibrations time and again, by one worker."""

import logging
from threading import Event, Thread

from quanopy.domain.errors import Unavailable
from quanopy.ports.calibrations import CalibrationStore
from quanopy.ports.providers import RemoteProvider
from quanopy.services.alarm import Alarm
from quanopy.services.calibrate import Calibrations

log = logging.getLogger(__name__)

_LOOK_S = 15.0
"""How soon it is seen that a worker died that was about to ask."""
_HOLD_S = 120.0
"""How long it may take one to ask."""
_RETRY_S = 1.0


class Rounds:
    """Asks one vendor on a thread of its own, so that a slow one delays nothing else."""

    def __init__(
        self, provider: RemoteProvider, *, store: CalibrationStore, calibrations: Calibrations
    ) -> None:
        self._provider = provider
        self._store = store
        self._calibrations = calibrations
        self._alarm = Alarm()
        self._stopping = Event()
        self._thread = Thread(target=self._go, name=f"calibrate-{provider.name}", daemon=True)
        self._thread.start()

    def halt(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._alarm.ring()

    def join(self) -> None:
        """Wait for the question under way, which has its time-out. After ``halt``."""
        self._thread.join()

    def _go(self) -> None:
        while not self._stopping.is_set():
            pause = min(_LOOK_S, self._calibrations.pace.every_s)
            try:
                self._ask()
            except Unavailable as error:
                log.warning("calibrations of %s: %s", self._provider.name, error)
                pause = _RETRY_S
            except Exception:
                log.exception("calibrations of %s", self._provider.name)
            self._alarm.wait(pause)

    def _ask(self) -> None:
        names = [resource.name for resource in self._provider.resources()]
        for name in sorted(self._store.calibrations_due(names, hold_s=_HOLD_S)):
            if self._stopping.is_set():
                return
            self._calibrations.ask(self._provider, name)
