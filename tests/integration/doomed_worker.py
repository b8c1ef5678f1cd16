"""A worker in a process of its own, that kills itself at the n-th step of its work.

Steps are the calls to the store, objects and provider that do work; each counts before and after.
"""

import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quanopy.testing.fake_local import FakeEmulator
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import PATIENCE_S, QUICK, Workplace

STEPS = {"claim", "read", "put", "begin", "start", "advance", "due", "poll", "result", "finish"}
"""What is counted, from the first call that had something to do on."""
DONE = 7
"""Exit status when all work ended before the step came."""


class Doom:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._steps = itertools.count(1)

    def step(self) -> None:
        """One more; perhaps the last."""
        if next(self._steps) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class Doomed:
    """Something whose methods are steps."""

    def __init__(self, real: Any, doom: Doom) -> None:
        self._real = real
        self._doom = doom

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._stepping(name, found) if name in STEPS else found

    def _stepping(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            if name in ("claim", "due"):
                found = act(*args, **kwargs)
                if found:
                    self._doom.step()
                return found
            self._doom.step()
            found = act(*args, **kwargs)
            self._doom.step()
            return found

        return stepping


def work_until(step: int, database: str, folder: Path, *vendor: str) -> bool:
    """Whether a new worker was killed at this step; else it ended all work before that."""
    context = multiprocessing.get_context("forkserver")  # imports once, not once a worker
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_work, args=(step, database, folder, *vendor))
    process.start()
    process.join(2 * PATIENCE_S)
    assert process.exitcode in (-signal.SIGKILL, DONE)
    return process.exitcode != DONE


def _work(step: int, database: str, folder: Path, *vendor: str) -> None:
    doom = Doom(step)
    real = remote(*vendor) if vendor else FakeEmulator()
    with Workplace(database, folder) as place:
        place.worker(
            Doomed(real, doom),
            store=Doomed(place.store, doom),
            objects=Doomed(place.objects, doom),
        )
        place.wait_for(
            lambda: [(s.queued, s.active) for s in place.store.resources()],
            lambda counts: counts == [(0, 0)],
            timeout_s=PATIENCE_S,
        )
    sys.exit(DONE)


def remote(url: str, mode: str) -> FakeProvider:
    """The fake, in a hurry."""
    return FakeProvider(
        url,
        token=TOKEN,
        mode=mode,
        request_timeout_s=PATIENCE_S,
        poll_interval_s=0.05,
    )


def long_after() -> datetime:
    """The clock of those who come when the claims of who died have run out, and whatever he asked
    a vendor for has been answered."""
    return datetime.now(UTC) + timedelta(seconds=QUICK.ttl_s + PATIENCE_S)
