"""Qiskit Aer in processes of our own: its methods, and IBM's fake devices with their noise."""

import os

from quanopy.providers.aer.provider import AerProvider


def create(
    *,
    name: str = "aer",
    processes: int | None = None,
    threads: int = 1,
    memory_bytes: int | None = None,
    time_limit_s: float = 24 * 3600.0,
) -> AerProvider:
    """The provider, with nothing started yet.

    ``processes`` emulate at once (default: one a core), each with ``threads`` OpenMP threads and
    at most ``memory_bytes`` (default: its share of three quarters of the machine's memory). A
    batch that takes longer than ``time_limit_s`` is ended.
    """
    count = processes or len(os.sched_getaffinity(0))
    return AerProvider(
        name=name,
        processes=count,
        threads=threads,
        memory_bytes=memory_bytes or _machine_memory() * 3 // 4 // count,
        time_limit_s=time_limit_s,
    )


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
