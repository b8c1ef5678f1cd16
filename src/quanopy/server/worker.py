"""The worker: claims what is ready, runs it here or sends it to a vendor, and follows it.

Threads: one dispatches, one follows each remote provider, one keeps claims and registration
alive and sweeps, and a few run batches. All of them sleep until a hint or a known time.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from quanopy.domain.errors import QuanopyError, Transient, Unavailable
from quanopy.domain.ids import new_id
from quanopy.domain.resources import Resource
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compiler, Reader
from quanopy.ports.providers import LocalProvider, RemoteProvider
from quanopy.ports.store import Claim, Offer, Store
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.server.lanes import LocalLane, RemoteLane
from quanopy.services.alarm import Alarm
from quanopy.services.ending import Endings
from quanopy.services.holding import Holding
from quanopy.services.preparing import Preparing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a worker does what nobody asks it to do; in seconds."""

    ttl_s: float = 15.0
    """A worker not heard of for this long is dead; it says so every third of it."""
    sweep_s: float = 5.0
    """How long a lost hint may cost."""
    retry_s: float = 0.5
    """Pause after the database was away."""
    batch_s: float = 0.25
    """Estimated seconds of a claim."""
