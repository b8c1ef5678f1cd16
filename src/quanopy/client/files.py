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
    the old file as it was. What a link leads to is written, and the link stays; a device or pipe
    is written to as it is. Raises :class:`Invalid` where it cannot be written.
    """
    pieces = [data] if isinstance(data, bytes) else data
    _refuse_folder(path)
    try:
        if _is_stream(path):
            with path.open("wb") as stream:
                stream.writelines(pieces)
        else:
            _replace(path.resolve(), pieces)
    except OSError as error:
        raise Invalid(f"cannot be written: {error.strerror}", where=str(path)) from error


def check_writable(path: Path) -> None:
    """Raise :class:`Invalid` where :func:`write_atomically` could not write; changes nothing."""
    _refuse_folder(path)
    try:
        if _is_stream(path):
            return
        handle, part = _begin(path.resolve())
        os.close(handle)
        part.unlink()
    except OSError as error:
        raise Invalid(f"cannot be written: {error.strerror}", where=str(path)) from error


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise Invalid("cannot be written: it is a folder", where=str(path))


def _is_stream(path: Path) -> bool:
    """Whether it is a device, pipe or socket, which no file may take the place of."""
    return path.exists() and not path.is_file()


def _replace(path: Path, pieces: Iterable[bytes]) -> None:
    """Put a new file in the place of one, or of none."""
    handle, part = _begin(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _begin(path: Path) -> tuple[int, Path]:
    """A new file beside a path, open for writing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
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
