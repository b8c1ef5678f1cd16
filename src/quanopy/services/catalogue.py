"""The resources that jobs name, remembered for a moment so that submissions need not ask."""

import time
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from threading import Lock

from quanopy.domain.errors import NotFound
from quanopy.domain.resources import Resource
from quanopy.ports.resources import ResourceStore

_FEW = 10
"""So many names are all told; of more, those that look most alike."""
_ALIKE = 5


def no_resource(name: str, known: Collection[str], *, where: str) -> NotFound:
    """The error of a name that no resource has, with the names that may have been meant."""
    return NotFound(f"there is no resource {name[:100]!r}", where=where, hint=_hint(name, known))


def _hint(name: str, known: Collection[str]) -> str:
    if not known:
        return "Known: none; is a worker running?"
    if len(known) <= _FEW:
        return f"Known: {', '.join(sorted(known))}."
    alike = get_close_matches(name[:100], known, n=_ALIKE, cutoff=0.5)
    more = (
        f"{len(known) - len(alike)} {'more' if alike else 'are there'}: `quanopy resources --all`"
    )
    return f"Did you mean {', '.join(alike)}? {more}." if alike else f"{more}."


class Catalogue:
    """Resources by name, at most ``fresh_s`` old; a name not seen before is looked for at once."""

    def __init__(self, store: ResourceStore, *, fresh_s: float = 2.0) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._lock = Lock()
        self._known: Mapping[str, Resource] = {}
        self._loaded_at = float("-inf")
        self._missed: set[str] = set()
        """Names that were looked for a moment ago, and were not there."""

    def find(self, name: str, account: str | None = None) -> Resource:
        """The resource of this name that serves an account (``None``: whichever);
        :class:`NotFound` lists the names there are for it, and tells of no other."""
        with self._lock:
            if self._is_late(name):
                self._load()
                if name not in self._known:
                    self._missed.add(name)
            found = self._known.get(name)
            known = self._known
        if found is None or not (account is None or found.serves(account)):
            seen = [n for n, one in known.items() if account is None or one.serves(account)]
            raise no_resource(name, seen, where="resource")
        return found

    def taking(self, format: str, account: str) -> list[str]:
        """The names of resources that serve an account and take programs of a format, as far as
        they are known."""
        with self._lock:
            known = self._known
        able = [one for one in known.values() if format in one.capabilities.formats]
        return sorted(one.name for one in able if one.serves(account))

    def _is_late(self, name: str) -> bool:
        """Whether to look anew: who asks for strange names again and again is told from memory."""
        age = time.monotonic() - self._loaded_at
        if age > self._fresh_s / 20:
            self._missed.clear()
        new = name not in self._missed and len(self._missed) < _FEW
        return age > self._fresh_s or (name not in self._known and new)

    def _load(self) -> None:
        self._known = {status.resource.name: status.resource for status in self._store.resources()}
        self._loaded_at = time.monotonic()
