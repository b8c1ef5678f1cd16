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


class Folder:
    """Objects as files of the same layout that obstore reads and lists.

    obstore's own writes are not synced, and link a file in before its bytes are on disk: after
    a power cut an empty file could stand under a key, and create-once would keep it for ever.
    So files are written here: staged, synced, linked in, and then their folders synced. Files
    put together are staged before the first is synced, so that the disk takes them in one go.
    """

    concurrency = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"the object folder {path}"
        self._staging = path / _STAGING
        self._synced: set[Path] = set()
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            self.store = LocalStore(str(path))
        except OSError as error:
            raise self.unavailable(error) from error

    def put(self, objects: Mapping[str, bytes]) -> set[str]:
        """Write, sync and link in, and say which were new; an existing file stays as it is."""
        try:
            new = self._put({self.path / key: data for key, data in objects.items()})
            return {key for key in objects if self.path / key in new}
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
            _write(path, b"ready")
            path.unlink()
        except OSError as error:
            raise self.unavailable(error) from error

    def _put(self, files: Mapping[Path, bytes]) -> set[Path]:
        staged = {target: self._staging / uuid4().hex for target in files}
        try:
            for target, data in files.items():
                _write(staged[target], data)
            for path in staged.values():
                _sync(path)
            new = {target for target, path in staged.items() if self._link(path, target)}
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)
        # Also where a file was there already: whoever linked it may not have come this far.
        for parent in {target.parent for target in files}:
            _sync(parent)
        return new

    def _link(self, staged: Path, target: Path) -> bool:
        self._prepare(target.parent)
        try:
            os.link(staged, target)
        except FileExistsError:
            return False
        return True

    def _prepare(self, parent: Path) -> None:
        """Make a folder, and sync every entry on the way to it, once a process."""
        if parent in self._synced and parent.is_dir():
            return
        parent.mkdir(parents=True, exist_ok=True)
        for above in parent.parents:
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


def _write(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
