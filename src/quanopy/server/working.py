"""Running a worker, in a process of its own or beside a server: nothing here serves HTTP."""

import contextlib
import ctypes
import gc
import logging
import os
import signal
from collections.abc import Iterator
from threading import Event

from quanopy.server.logs import set_up_logging
from quanopy.server.owner import open_folder
from quanopy.server.settings import Settings
from quanopy.server.wiring import Broker, build

PRIVATE = 0o077
"""Catalogue, objects and sockets are the owner's alone, wherever they lie. Set in processes of our
own: an embedded server leaves the program's mask as it is and relies on the closed folder."""
_M_ARENA_MAX = -8
_ARENAS = 2
_COLLECTED = 50_000
"""New objects after which the collector looks through them: batches make many, but few cycles."""
_GIVE_BACK_S = 30.0
"""How often what is free again is given back."""
logger = logging.getLogger(__name__)


def work(settings: Settings) -> None:
    """Work on tasks until SIGTERM or SIGINT; raises ``QuanopyError`` when it cannot start."""
    set_up_logging(settings.log_level, settings.log_format)
    os.umask(PRIVATE)
    _share_memory()
    open_folder(settings.data)
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with contextlib.closing(build(settings)) as broker, working(broker):
        logger.info("working")
        settle_down()
        while not stopping.wait(_GIVE_BACK_S):
            _give_back()
    logger.info("stopped")


@contextlib.contextmanager
def working(broker: Broker) -> Iterator[None]:
    """A broker's worker, while it is at work."""
    worker = broker.worker()
    notifying = broker.notifying() if broker.parts.settings.webhooks else None
    with contextlib.ExitStack() as started:
        worker.start()
        started.callback(broker.parts.submit.work_at, None)
        started.callback(worker.stop)
        if notifying is not None:
            notifying.start()
            started.callback(notifying.stop)
        broker.parts.submit.work_at(worker)
        yield


def settle_down() -> None:
    """What was loaded stays: the collector need not walk it (60 ms) again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED)


def _share_memory() -> None:
    """Have threads share what is free: glibc else keeps some for each, which with vendors' clients
    comes to a tenth of the process."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _give_back() -> None:
    """Memory that many tasks at once took, and that is free again, is the machine's: glibc alone
    would keep it."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
