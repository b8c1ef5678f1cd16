"""The resources that jobs name, remembered for a moment so that submissions need not ask."""

import time
from collections.abc import Mapping
from threading import Lock

from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource
from quanopy.ports.store import Store


class Catalogue:
    """Resources by name, at most ``fresh_s`` old; a name not seen before is looked for at once."""

    def __init__(self, store: Store, *, fresh_s: float = 2.0) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: Mapping[str, Resource] = {}
        self._loaded_at = float("-inf")

    def find(self, name: str) -> Resource:
        """The resource of this name; :class:`NotFound` lists the names there are."""
        with self._lock:
            age = time.monotonic() - self._loaded_at
            if age > self._fresh_s or (name not in self._known and age > self._fresh_s / 20):
                self._load()
            found = self._known.get(name)
        if found is None:
            names = ", ".join(sorted(self._known)[:50]) or "none; is a worker running?"
            raise NotFound(
                f"there is no resource {name!r}", where="resource", hint=f"Known: {names}."
            )
        return found

    def _load(self) -> None:
        self._known = {status.resource.name: status.resource for status in self._store.resources()}
        self._loaded_at = time.monotonic()
