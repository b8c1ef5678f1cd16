"""In a child process: what simulators of Braket's programs share, whoever's they are."""

from collections.abc import Callable
from typing import Any

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import TaskFailed
from quanopy.ports.providers import Work
from quanopy.providers.braket.results import native_result
from quanopy.providers.emulated import seed_of

Native = Callable[[bytes, int, int | None], dict[str, Any]]
"""Runs a stranger's program, so many shots under a seed; gives the vendor's document."""


def native_pubs(work: Work, run: Native) -> list[PubResult]:
    """The result of each program that runs as it stands."""
    found = []
    for place, pub in enumerate(work.pubs):
        seed = seed_of(work, work.first_pub + place, 0)
        document = run(work.circuits[pub.program], pub.shots or 1, seed)
        found.append(native_result(document, _no_more))
    return found


def _no_more(path: str) -> Any:
    raise TaskFailed(f"the simulator's result names a document elsewhere: {path[:100]}")
