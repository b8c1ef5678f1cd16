"""Receipts out of a broker, and into another."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from quanopy.client.files import check_writable, write_atomically
from quanopy.client.groups import Group
from quanopy.client.handles import Job, checked_id
from quanopy.client.http import Http
from quanopy.client.receipts import Receipt
from quanopy.client.streams import IDLE_S, outcome
from quanopy.codecs.receipts import MEDIA_TYPE
from quanopy.domain.errors import NotFound
from quanopy.domain.ids import is_id
from quanopy.wire.jobs import ImportingOut, ReceiptOut


def exported(
    http: Http, what: Job | Group | str, path: Path, on_progress: Callable[[int], object] | None
) -> Receipt:
    """A job's or group's receipt, written there whole or not at all."""
    check_writable(path)
    write_atomically(path, _told(http.pieces(_place(what)), on_progress))
    return Receipt(path)


def _place(what: Job | Group | str) -> str:
    id_ = what if isinstance(what, str) else what.id
    if is_id(id_, "group"):
        return f"/groups/{id_}/receipt"
    return f"/jobs/{checked_id(id_)}/receipt"


def imported(
    http: Http,
    path: Path,
    on_progress: Callable[[int, int], object] | None,
    told: Callable[[ImportingOut], object] | None,
) -> ReceiptOut:
    """What became of a receipt's jobs at the broker."""

    def read(lines: Iterator[str]) -> ReceiptOut:
        return outcome(lines, ReceiptOut, ImportingOut, told or (lambda far: None))

    try:
        with path.open("rb") as file:
            body = file if on_progress is None else cast(IO[bytes], _Sent(file, on_progress))
            return http.upload("/receipts", body, MEDIA_TYPE, read, idle_s=IDLE_S)
    except OSError as error:
        raise NotFound(f"cannot be read: {error.strerror or error}", where=str(path)) from error


class _Sent:
    """A file that tells how far it has been read: (bytes, of so many)."""

    def __init__(self, file: IO[bytes], on_progress: Callable[[int, int], object]) -> None:
        self._file, self._on_progress = file, on_progress
        self._size = os.fstat(file.fileno()).st_size
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As files do."""
        data = self._file.read(size)
        self._on_progress(self._file.tell(), self._size)
        return data


def _told(pieces: Iterator[bytes], on_progress: Callable[[int], object] | None) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if on_progress is not None:
            on_progress(size)
