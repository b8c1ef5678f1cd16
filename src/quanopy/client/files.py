"""Result files: whole or not there at all."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from quanopy.domain.errors import Invalid


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file (whole, or piece by piece) that readers see whole or not at all, and that
    survives a crash.

    It is written beside its place, synced, and renamed over it; an interrupted write leaves
    the old file as it was. Raises :class:`Invalid` where it cannot be written.
    """
    folder = path.absolute().parent
    handle, part = _begin(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
        _sync_folder(folder)
    except OSError as error:
        raise Invalid(f"cannot be written: {error.strerror}", where=str(path)) from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def check_writable(path: Path) -> None:
    """Raise :class:`Invalid` where :func:`write_atomically` could not write; changes nothing."""
    if path.is_dir():
        raise Invalid("cannot be written: it is a folder", where=str(path))
    handle, part = _begin(path)
    os.close(handle)
    part.unlink()


def _begin(path: Path) -> tuple[int, Path]:
    """A new file beside a path, open for writing."""
    folder = path.absolute().parent
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise Invalid(f"cannot be written: {error.strerror}", where=str(path)) from error
    return handle, Path(name)


def _umask() -> int:
    """The mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
