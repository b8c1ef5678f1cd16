"""A bounded memory of packs that this process has just written."""

import threading
from collections import OrderedDict


class PackCache:
    """The most recently used objects, up to a number of bytes; safe to share between threads."""

    def __init__(self, limit: int) -> None:
        """``limit`` in bytes; an object of more than a quarter of it is not kept."""
        self._limit = limit
        self._size = 0
        self._objects: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The whole object, if it is remembered."""
        with self._lock:
            data = self._objects.get(key)
            if data is not None:
                self._objects.move_to_end(key)
            return data

    def put(self, key: str, data: bytes) -> None:
        """Remember an object, and forget the least recently used ones beyond the limit."""
        if len(data) > self._limit // 4:
            return
        with self._lock:
            self._forget(key)
            self._objects[key] = data
            self._size += len(data)
            while self._size > self._limit:
                self._forget(next(iter(self._objects)))

    def forget(self, key: str) -> None:
        """Forget an object; one that is not remembered is no error."""
        with self._lock:
            self._forget(key)

    def _forget(self, key: str) -> None:
        data = self._objects.pop(key, None)
        self._size -= len(data) if data is not None else 0
