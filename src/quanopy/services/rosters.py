"""Rosters: what providers serve now, asked of all of them side by side.

Whoever asks keeps claims alive and says that a worker lives: it waits for no vendor longer than it
may, and takes what one that is slow to answer said last.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from quanopy.domain.resources import Resource
from quanopy.ports.providers import Provider

log = logging.getLogger(__name__)


class Rosters:
    """Asks the providers of one worker; for one thread at a time."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = providers
        self._threads = ThreadPoolExecutor(max(1, len(providers)), thread_name_prefix="roster")
        self._told: list[Sequence[Resource]] = [()] * len(providers)
        """What each said last."""
        self._asked: dict[int, Future[Sequence[Resource]]] = {}
        """Those that have not answered yet, by their places."""
        self._late: set[int] = set()

    def look(self, *, patience_s: float) -> Iterator[tuple[Provider, Sequence[Resource]]]:
        """What each serves: as it says now, or, where that takes longer than so many seconds, as
        it said last."""
        for place, provider in enumerate(self._providers):
            if place not in self._asked:
                self._asked[place] = self._threads.submit(_resources, provider)
        wait(self._asked.values(), patience_s)
        for place, asked in list(self._asked.items()):
            if asked.done():
                self._told[place] = asked.result()
                self._late.discard(place)
                del self._asked[place]
            elif place not in self._late:
                self._late.add(place)
                name = self._providers[place].name
                log.warning("provider %s is slow to say what it serves", name)
        return zip(self._providers, self._told, strict=True)

    def close(self) -> None:
        """Wait for those that are being asked; every call to a vendor has its time-out."""
        self._threads.shutdown(cancel_futures=True)


def _resources(provider: Provider) -> Sequence[Resource]:
    try:
        return provider.resources()
    except Exception:
        # A broken plugin takes its own resources out of service, and nobody else's.
        log.exception("provider %s cannot say its resources", provider.name)
        return ()
