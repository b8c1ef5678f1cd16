"""A local folder of objects, written so that they outlive a power cut."""

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from obstore.store import LocalStore

from quanopy.domain.errors import Unavailable

_STAGING = ".staging"
_ABANDONED_S = 3600.0
_HINTS = {
    errno.ENOSPC: "The disk is full: free some space, then try again.",
    errno.EDQUOT: "The disk quota is used up: free some space, then try again.",
    errno.EROFS: "The file system is read-only: mount it writable.",
    errno.EACCES: "Give the user that runs Quanopy the right to read and write there.",
    errno.EPERM: "Give the user that runs Quanopy the right to read and write there.",
    errno.ENOENT: "The folder is gone: is its file system mounted?",
    errno.ENOTDIR: "Something on the way is no folder.",
    errno.EIO: "The disk or the way to it failed: see the system's log.",
}


class _Staged:
    """A file that is written and not yet in its place."""

    def __init__(self, key: str, path: str, target: str) -> None:
        self.key, self.path, self.target = key, path, target
        self._descriptor: int | None = None

    def write(self, data: bytes) -> None:
        """Make it; it stays open for :meth:`sync`."""
        self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Have it on disk, and close it."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            self.close()

    def discard(self) -> None:
        """Close and remove it, however far it came."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def close(self) -> None:
        """Close it; idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Folder:
    """Objects as files of the same layout that obstore reads and lists.

    obstore's own writes are not synced, and link a file in before its bytes are on disk: after
    a power cut an empty file could stand under a key, and create-once would keep it for ever.
    So files are written here: staged, synced, renamed, and then their folders synced. Files
    put together are staged before the first is synced, so that the disk takes them in one go.
    """

    near = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"the object folder {path}"
        self._staging = path / _STAGING
        self._synced: set[str] = set()
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            self.store = LocalStore(str(path))
        except OSError as error:
            raise self.unavailable(error) from error

    def put(self, objects: Mapping[str, bytes]) -> set[str]:
        """Write, sync and rename, and say which were new; an existing file stays as it is."""
        try:
            return self._put(objects)
        except OSError as error:
            raise self.unavailable(error) from error

    def delete(self, key: str) -> None:
        """Remove a file; raises FileNotFoundError."""
        (self.path / key).unlink()

    def unavailable(self, error: Exception) -> Unavailable:
        """What this error means for whoever needs the folder."""
        number = error.errno if isinstance(error, OSError) else None
        return Unavailable(
            f"{self.name} cannot be used: {os.strerror(number) if number else 'reading failed'}",
            hint=_HINTS.get(number or 0, "Check the disk and who may read there; then try again."),
        )

    def confirm(self) -> None:
        """Raise unless this is the folder that was opened (not, say, an empty mount point)."""
        try:
            self._staging.stat()
        except OSError as error:
            raise self.unavailable(error) from error

    def check(self) -> None:
        """Raise unless a file can be written now."""
        path = self._staging / uuid4().hex
        try:
            with path.open("xb") as file:
                file.write(b"ready")
            path.unlink()
        except OSError as error:
            raise self.unavailable(error) from error

    def _put(self, objects: Mapping[str, bytes]) -> set[str]:
        # Names as text and the system's own calls: pathlib's take as long as the file system does.
        targets = {key: f"{self.path}/{key}" for key in objects}
        staged = [
            _Staged(key, f"{self._staging}/{uuid4().hex}", target)
            for key, target in targets.items()
            if not os.path.exists(target)
        ]
        try:
            for file in staged:
                file.write(objects[file.key])
            for file in staged:
                file.sync()
            for file in staged:
                self._prepare(os.path.dirname(file.target))
                # Over what somebody else has put meanwhile: under one name lies one content.
                os.rename(file.path, file.target)
        except BaseException:
            for file in staged:
                file.discard()
            raise
        # Also where a file was there already: whoever put it may not have come this far.
        for folder in {os.path.dirname(target) for target in targets.values()}:
            _sync(folder)
        return {file.key for file in staged}

    def _prepare(self, parent: str) -> None:
        """Make a folder, and sync every entry on the way to it, once a process."""
        if parent in self._synced and os.path.isdir(parent):
            return
        folder = Path(parent)
        folder.mkdir(parents=True, exist_ok=True)
        for above in folder.parents:
            _sync(above)
            if above == self.path:
                break
        self._synced.add(parent)

    def _remove_abandoned(self) -> None:
        """Remove what a process that was killed left half written."""
        for staged in self._staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - staged.stat().st_mtime > _ABANDONED_S:
                    staged.unlink()


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
