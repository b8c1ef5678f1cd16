"""What a child process may use, and how it is held to that from within."""

import ctypes
import gc
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What a child may use."""

    threads: int = 1
    """OpenMP, BLAS and Rayon threads."""
    memory_bytes: int | None = None
    """Address space beyond what the child has after its imports."""
    answer_bytes: int = 2**30
    """The longest answer that is listened to."""
    warm_up: Callable[[], None] | None = None
    """Imports, done before the limits are set."""


def confine(confinement: Confinement, parent: int) -> None:
    """In the child: tie it to its parent's life and hold it to its limits."""
    _die_with(parent)
    # What is sent to the whole group (Ctrl-C, a service manager's stop) is for its parent, which
    # ends it: else the program it runs would be taken for what killed it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(confinement.threads)
    os.environ["RAYON_NUM_THREADS"] = str(confinement.threads)
    os.environ["QISKIT_PARALLEL"] = "FALSE"
    if confinement.warm_up is not None:
        confinement.warm_up()
    # What was imported stays: the collector need not walk it again and again.
    gc.freeze()
    gc.set_threshold(50_000)
    if confinement.memory_bytes is not None:
        most = _address_space() + confinement.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _die_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


def _address_space() -> int:
    """Bytes of virtual memory now, see proc(5)."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - no Path wanted here
        return int(statm.read().split()[0]) * resource.getpagesize()
