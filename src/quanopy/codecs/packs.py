"""Packs: immutable objects that hold many members, in POSIX tar, which any ordinary tool opens.

A member's bytes lie uncompressed at a known offset, so one member is one ranged read.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import Extent
from quanopy.domain.programs import digest_of

BLOCK = 512
PENDING = "pending"
COMPLETED = "completed"
CALIBRATIONS = "calibrations"
COMPILED = "compiled"
"""Where compiled programs lie, an object each: compiled once, and named by what ran them."""

_OWNERS = b"0000644\0" + b"0000000\0" * 2
_REGULAR_FILE = b"0".ljust(101, b"\0") + b"ustar\x0000".ljust(255, b"\0")
_CONSTANT_SUM = sum(_OWNERS) + sum(_REGULAR_FILE) + 8 * ord(" ")
"""What is the same in every header; the checksum counts itself as eight spaces."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where bytes lie inside their pack."""

    offset: int
    length: int

    def within(self, key: str) -> Extent:
        """The same, with the pack's key."""
        return Extent(key=key, offset=self.offset, length=self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member read back from a pack."""

    name: str
    span: Span
    data: bytes


class PackBuilder:
    """Collects members in memory and says at once where each will lie."""

    def __init__(self, made_at: datetime) -> None:
        self._made_at = made_at
        self._mtime = int(made_at.timestamp())
        self._parts: list[bytes] = []
        self._size = 0
        self._spans: dict[str, Span] = {}

    def add(self, name: str, data: bytes) -> Span:
        """Add a member (a name's second time gives the first's place: names name content)."""
        if name in self._spans:
            return self._spans[name]
        header = _header(name, len(data), self._mtime)
        span = Span(self._size + len(header), len(data))
        padding = -len(data) % BLOCK
        self._parts += (header, data, b"\0" * padding)
        self._size = span.offset + span.length + padding
        self._spans[name] = span
        return span

    def close(self, stage: str) -> tuple[str, bytes]:
        """The pack's key (``stage``, day, digest of the content) and its bytes."""
        data = b"".join([*self._parts, b"\0" * (2 * BLOCK)])
        day = self._made_at.strftime("%Y/%m/%d")
        return f"{stage}/{day}/{digest_of(data).removeprefix('sha256:')}.tar", data


def _header(name: str, size: int, mtime: int) -> bytes:
    """A ustar header (POSIX.1-1988) of a regular file."""
    encoded = name.encode("ascii")
    if len(encoded) > 100:
        raise ValueError(f"member name of {len(encoded)} bytes: {name}")
    numbers = b"%011o\0%011o\0" % (size, mtime)
    checksum = sum(encoded) + sum(numbers) + _CONSTANT_SUM
    return b"".join(
        (encoded.ljust(100, b"\0"), _OWNERS, numbers, b"%06o\0 " % checksum, _REGULAR_FILE)
    )


def members(data: bytes) -> Iterator[Member]:
    """Every member of a pack, in order; raises :class:`Invalid` for bytes that are no pack."""
    try:
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            for info in archive:
                span = Span(info.offset_data, info.size)
                yield Member(
                    name=info.name,
                    span=span,
                    data=data[span.offset : span.offset + span.length],
                )
    except tarfile.TarError as error:
        raise Invalid(f"not a pack: {error}") from error


def digest_in(key: str) -> str:
    """The digest that a pack's key promises."""
    return "sha256:" + key.rpartition("/")[2].removesuffix(".tar")
