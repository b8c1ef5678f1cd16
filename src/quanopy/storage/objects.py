"""The object store: a local folder, or a bucket of an S3 service."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore

from quanopy.domain.errors import Invalid, NotFound, Unavailable
from quanopy.domain.jobs import Extent
from quanopy.ports.objects import ObjectInfo, Objects
from quanopy.storage.bucket import Bucket, S3Access
from quanopy.storage.folder import Folder
from quanopy.storage.pack_cache import PackCache

__all__ = ["S3Access", "open_objects"]

_THREADS = 16
CACHE_BYTES = 64 * 1024 * 1024
_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")

T = TypeVar("T")
R = TypeVar("R")


def open_objects(
    url: str, *, s3: S3Access | None = None, cache_bytes: int = CACHE_BYTES
) -> Objects:
    """The object store at ``file:///path`` (made if need be) or ``s3://bucket/prefix``.

    ``cache_bytes`` bounds the memory of packs that this process has just put, which
    :meth:`Objects.read` answers from.

    Raises:
        Invalid: neither kind of URL.
        Unavailable: the folder cannot be made. A bucket is not asked for here.
    """
    parts = urlsplit(url)
    place: _Place
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path != "":
        place = Folder(Path(unquote(parts.path)))
    elif parts.scheme == "s3" and parts.netloc:
        place = Bucket(parts.netloc, parts.path.strip("/"), s3 or S3Access())
    else:
        raise Invalid(
            f"{parts.scheme or 'this'} is no URL of an object store",
            hint="Take file:///an/absolute/path or s3://bucket/prefix.",
        )
    return _Objects(place, PackCache(cache_bytes))


class _Place(Protocol):
    """Where objects lie: what differs between a folder and a bucket."""

    name: str
    near: bool
    """Whether objects are read and written about as quickly as rows, with no network between."""

    @property
    def store(self) -> ObjectStore:
        """What reads, lists and deletes there."""

    def put(self, objects: Mapping[str, bytes]) -> set[str]:
        """Keep these durably; the keys that were not there before. Raises Unavailable."""

    def delete(self, key: str) -> None:
        """Remove one; may raise FileNotFoundError, OSError or obstore's errors."""

    def unavailable(self, error: Exception) -> Unavailable:
        """What an error of obstore or the operating system means here."""

    def confirm(self) -> None:
        """Raise Unavailable unless the place itself is there."""

    def check(self) -> None:
        """Raise Unavailable unless it can be written."""


class _Objects:
    """Objects of one place, read through obstore."""

    def __init__(self, place: _Place, cache: PackCache) -> None:
        self._place = place
        self._cache = cache
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    def __repr__(self) -> str:
        return f"<Objects in {self._place.name}>"

    @property
    def near(self) -> bool:
        return self._place.near

    def put(self, objects: Mapping[str, bytes]) -> None:
        for key in objects:
            _check_key(key)
        for key in self._place.put(objects):
            self._cache.put(key, objects[key])

    def remember(self, objects: Mapping[str, bytes]) -> None:
        for key, data in objects.items():
            self._cache.put(key, data)

    def get(self, keys: Sequence[str]) -> list[bytes]:
        """Always from the store, never from memory: it also serves to verify what is kept."""
        return self._each(self._get, keys)

    def read(self, extents: Sequence[Extent]) -> list[bytes]:
        by_key: dict[str, list[Extent]] = {}
        for extent in dict.fromkeys(extents):
            by_key.setdefault(extent.key, []).append(extent)
        found: dict[Extent, bytes] = {}
        for part in self._each(self._read, list(by_key.values())):
            found.update(part)
        return [found[extent] for extent in extents]

    def at_hand(self, extents: Sequence[Extent]) -> list[bytes] | None:
        packs = {extent.key: self._cache.get(extent.key) for extent in extents}
        if None in packs.values():
            return None
        return self.read(extents)

    def delete(self, keys: Sequence[str]) -> None:
        self._each(self._delete, keys)

    def check(self) -> None:
        self._place.check()

    def _each(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Do it for each, several at a time where that is quicker."""
        if self._place.near or len(items) < 2:
            return [work(item) for item in items]
        return [*self._threads.map(work, items)]

    def _get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._place.store, _check_key(key)).bytes())
        except (BaseError, OSError) as error:
            raise self._classified(key, error) from error

    def _read(self, extents: list[Extent]) -> dict[Extent, bytes]:
        key = extents[0].key
        whole = self._cache.get(key)
        if whole is not None:
            parts = [whole[e.offset : e.offset + e.length] for e in extents]
        else:
            parts = self._ranges(key, extents)
        for extent, part in zip(extents, parts, strict=True):
            if len(part) != extent.length:
                raise _damaged(extent)
        return dict(zip(extents, parts, strict=True))

    def _ranges(self, key: str, extents: list[Extent]) -> list[bytes]:
        wanted = [extent for extent in extents if extent.length]
        try:
            found = obstore.get_ranges(
                self._place.store,
                _check_key(key),
                starts=[extent.offset for extent in wanted],
                lengths=[extent.length for extent in wanted],
            )
        except (BaseError, OSError) as error:
            self._refuse_beyond_end(wanted)
            raise self._classified(key, error) from error
        parts = dict(zip(wanted, map(bytes, found), strict=True))
        return [parts.get(extent, b"") for extent in extents]

    def _refuse_beyond_end(self, extents: list[Extent]) -> None:
        """Raise NotFound if a range failed because its object is too short."""
        last = max(extents, key=lambda extent: extent.offset + extent.length)
        try:
            size = obstore.head(self._place.store, last.key)["size"]
        except (BaseError, OSError) as error:
            raise self._classified(last.key, error) from error
        if size < last.offset + last.length:
            raise _damaged(last)

    def _delete(self, key: str) -> None:
        try:
            self._place.delete(_check_key(key))
        except (NotFoundError, FileNotFoundError):
            self._place.confirm()
        except (BaseError, OSError) as error:
            raise self._place.unavailable(error) from error
        self._cache.forget(key)

    def _classified(self, key: str, error: Exception) -> NotFound | Unavailable:
        """Only where the place itself is there is a missing object missing."""
        if isinstance(error, NotFoundError | FileNotFoundError):
            self._place.confirm()
            return NotFound(
                f"there is no object {key} in {self._place.name}",
                hint="Run `quanopy store verify`.",
            )
        return self._place.unavailable(error)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = False
        try:
            for page in obstore.list(self._place.store, prefix=prefix.rstrip("/") or None):
                for item in page:
                    if not _KEY.fullmatch(item["path"]):
                        continue  # none of ours, such as a file that is being written
                    found = True
                    yield ObjectInfo(
                        key=item["path"], size=item["size"], modified_at=item["last_modified"]
                    )
            if not found:
                self._place.confirm()
        except (BaseError, OSError) as error:
            raise self._place.unavailable(error) from error


def _check_key(key: str) -> str:
    """Keys come from packs and rows of our own; anything else must not reach the file system."""
    if not _KEY.fullmatch(key) or len(key) > 500:
        raise Invalid(f"{key[:100]!r} is no key of an object")
    return key


def _damaged(extent: Extent) -> NotFound:
    return NotFound(
        f"object {extent.key} ends before byte {extent.offset + extent.length}: it is damaged",
        hint="Run `quanopy store verify`, and restore the object from a copy.",
    )
