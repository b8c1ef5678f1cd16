"""Receipt files opened: a stranger's zip, read member by member within the bounds it states."""

import hashlib
import io
import json
import math
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import IO, Any, NoReturn, Self, cast

from quanopy.codecs.receipts import FORMAT, MANIFEST, Member
from quanopy.domain.errors import Invalid, NotFound, TooLarge, Unsupported
from quanopy.domain.programs import digest_of

MOST_DOCUMENT = 64 * 1024 * 1024
MOST_RESULT = 512 * 1024 * 1024
MOST_PROGRAM = 256 * 1024 * 1024
_MOST_MANIFEST = 256 * 1024 * 1024
_MOST_OF_ENTRY = 512
"""Bytes of the manifest for each member that is in the file."""
_MOST_LISTING = 64 * 1024 * 1024
"""Bytes of the zip's directory: members of 150,000 jobs."""
_LONGEST_NAME = 300
_DEEPEST = 200
"""Levels of JSON, so that whatever reads or writes it can go down them."""
_PIECE = 1024 * 1024
_SMALL = 256 * 1024
_MOST_AT_HAND = 64
"""Members that may be at hand, each of so many bytes: those of a few jobs."""
_RESULTS = ("result.json", "result.npz", "parts.jsonl")
_VERSION = re.compile(r"quanopy\.receipt/[0-9]{1,6}")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a character: no text, unless the other half is beside it."""
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError),
)
"""What zipfile raises at what is none, or at what it cannot unpack."""


def most_of(name: str) -> int:
    """Bytes that a member of this name may unpack to."""
    if name.startswith(("programs/", "circuits/")):
        return MOST_PROGRAM
    return MOST_RESULT if name.endswith(_RESULTS) else MOST_DOCUMENT


def is_receipt(path: Path | str) -> bool:
    """Whether a file begins as zips do. A file that is not there raises ``OSError``."""
    with Path(path).open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


class ReceiptFile:
    """An open receipt. Members are read when they are asked for, and held to their digests; the
    small ones that were read last are at hand still.

    Threads may share it.
    """

    def __init__(self, source: Path | str | IO[bytes]) -> None:
        """Open it and read its manifest; close it, or use it in ``with``.

        Raises:
            NotFound: the file cannot be read.
            Unsupported: it is a receipt of a later version.
            Invalid: it is none, or not whole.
        """
        self.where = str(source) if isinstance(source, Path | str) else "receipt"
        self._stack = ExitStack()
        self._at_hand: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        try:
            self._zip = self._opened(source)
            self._infos = self._listed()
            self.manifest_data = self._manifest_data()
            self.manifest = _manifest(self.manifest_data, self.where)
            self.members = _members(self.manifest, self.where)
            self.unfinished = frozenset(map(str, self.manifest.get("unfinished", ())))
        except BaseException:
            self.close()
            raise

    def _opened(self, source: Path | str | IO[bytes]) -> zipfile.ZipFile:
        file = self._file(source) if isinstance(source, Path | str) else source
        try:
            bounded = cast(IO[bytes], _Bounded(file))
            return self._stack.enter_context(zipfile.ZipFile(bounded))
        except _UNREADABLE as error:
            raise Invalid(f"no whole zip: {error}"[:200], where=self.where) from error

    def _file(self, path: Path | str) -> IO[bytes]:
        try:
            return self._stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotFound(f"cannot be read: {reason}", where=self.where) from error

    def _listed(self) -> Mapping[str, zipfile.ZipInfo]:
        infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename
            if not _is_name(name):
                raise Invalid(f"{name[:80]!r} is no name of a member", where=self.where)
            if name in infos:
                raise Invalid(f"{name} is in it twice", where=self.where)
            if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
                raise Invalid(f"{name} is packed as no receipt's members are", where=self.where)
            infos[name] = info
        return infos

    def _manifest_data(self) -> bytes:
        info = self._infos.get(MANIFEST)
        if info is None:
            raise Invalid(f"it has no {MANIFEST}: it is no receipt, or was cut", where=self.where)
        most = min(_MOST_MANIFEST, _PIECE + _MOST_OF_ENTRY * len(self._infos))
        if info.file_size > most:
            raise TooLarge(
                f"its {MANIFEST} has {info.file_size} bytes, at most {most} are read",
                where=self.where,
            )
        return b"".join(self._pieces(MANIFEST))

    @property
    def digest(self) -> str:
        """The receipt's own: of its manifest, which names all the rest by theirs."""
        return digest_of(self.manifest_data)

    @property
    def names(self) -> list[str]:
        """Every member that is in the file, whatever the manifest says."""
        return list(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        """A member's bytes.

        Raises :class:`NotFound` where there is none, :class:`Invalid` where its bytes are not
        those that the manifest names.
        """
        with self._lock:
            at_hand = self._at_hand.get(name)
        if at_hand is not None:
            return at_hand
        member = self.members.get(name)
        if member is None or name not in self._infos:
            raise NotFound(f"there is no {name[:120]}", where=self.where)
        if member.size > (most := most_of(name)):
            raise TooLarge(
                f"{name} has {member.size} bytes, at most {most} are read", where=self.where
            )
        data = b"".join(self.pieces(name))
        if digest_of(data) != f"sha256:{member.sha256}":
            raise Invalid(f"{name} has another digest than the manifest names", where=self.where)
        if len(data) <= _SMALL:
            self._keep(name, data)
        return data

    def _keep(self, name: str, data: bytes) -> None:
        with self._lock:
            self._at_hand[name] = data
            if len(self._at_hand) > _MOST_AT_HAND:
                self._at_hand.popitem(last=False)

    def document(self, name: str) -> dict[str, Any]:
        """A member that is one JSON object; raises as :meth:`read`."""
        return json_object(self.read(name), f"{self.where}: {name}")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """A member of JSON objects, one a line, as they are asked for; raises as :meth:`read`."""
        for at, line in enumerate(io.BytesIO(self.read(name)), 1):
            yield json_object(line, f"{self.where}: {name}, line {at}")

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member's bytes, piece by piece, unchecked and never more than the manifest names;
        raises :class:`Invalid` where they cannot be unpacked, or are more or fewer."""
        left = self.members[name].size
        for piece in self._pieces(name):
            left -= len(piece)
            if left < 0:
                break
            yield piece
        if left:
            size = self.members[name].size
            raise Invalid(f"{name} has not the {size} bytes of the manifest", where=self.where)

    def sha256(self, name: str) -> str:
        """What the bytes that are there give; raises as :meth:`pieces`."""
        found = hashlib.sha256()
        for piece in self.pieces(name):
            found.update(piece)
        return found.hexdigest()

    def _pieces(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(self._infos[name]) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except _UNREADABLE as error:
            complaint = f"{name} cannot be unpacked: {error}"[:300]
            raise Invalid(complaint, where=self.where) from error

    def close(self) -> None:
        """Close the file; idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Bounded:
    """A file of which nobody holds more at once than a receipt's directory has, whatever a
    stranger's says of its size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """As files do, within that."""
        if size > _MOST_LISTING:
            raise TooLarge(f"its directory has {size} bytes, at most {_MOST_LISTING} are read")
        return self._file.read(_MOST_LISTING if size < 0 else size)


def json_value(data: bytes, where: str) -> Any:
    """What JSON says: UTF-8, texts that are some, finite numbers, of bounded depth; raises
    :class:`Invalid` for anything else."""
    try:
        text = data.decode()
        found = _JSON.decode(text)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}"[:200], where=where) from None
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(found, where)
    return found


def _check_depth(found: Any, where: str) -> None:
    level = [found]
    for _ in range(_DEEPEST):
        level = [
            one
            for each in level
            for one in (each.values() if isinstance(each, dict) else each)
            if isinstance(one, dict | list)
        ]
        if not level:
            return
    raise Invalid("it is nested too deeply", where=where)


def json_object(data: bytes, where: str) -> dict[str, Any]:
    """JSON that is one object; raises :class:`Invalid` for anything else."""
    found = json_value(data, where)
    if not isinstance(found, dict):
        raise Invalid("not a JSON object", where=where)
    return found


def _number(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no number of JSON")


_JSON = json.JSONDecoder(parse_constant=_no_number, parse_float=_number)


def _manifest(data: bytes, where: str) -> dict[str, Any]:
    place = f"{where}: {MANIFEST}"
    found = json_object(data, place)
    version = found.get("format")
    if version != FORMAT:
        if isinstance(version, str) and _VERSION.fullmatch(version):
            raise Unsupported(
                f"it is a {version}, {FORMAT} is read here",
                where=where,
                hint="Read it with a later Quanopy; any zip tool opens it.",
            )
        raise Invalid(f"it is no {FORMAT}", where=place)
    jobs = found.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(one, str) for one in jobs):
        raise Invalid("it names no jobs", where=place)
    if len(set(jobs)) < len(jobs):
        raise Invalid("it names a job twice", where=place)
    unfinished = found.get("unfinished", [])
    if not isinstance(unfinished, list) or not set(jobs).issuperset(map(str, unfinished)):
        raise Invalid("it does not say which jobs were not final", where=place)
    if not isinstance(found.get("made"), dict):
        raise Invalid("it does not say who made it", where=place)
    return found


def _members(manifest: Mapping[str, Any], where: str) -> Mapping[str, Member]:
    place = f"{where}: {MANIFEST}"
    listed = manifest.get("members")
    if not isinstance(listed, list):
        raise Invalid("it names no members", where=place)
    members: dict[str, Member] = {}
    for one in listed:
        member = _member(one)
        if member is None or member.name == MANIFEST:
            raise Invalid(f"{str(one)[:120]} is no member", where=place)
        if member.name in members:
            raise Invalid(f"{member.name} is named twice", where=place)
        members[member.name] = member
    return members


def _member(one: object) -> Member | None:
    if not isinstance(one, dict):
        return None
    name, size, sha256 = one.get("name"), one.get("size"), one.get("sha256")
    if not isinstance(name, str) or not isinstance(size, int) or not isinstance(sha256, str):
        return None
    if not _is_name(name) or size < 0 or not _SHA256.fullmatch(sha256):
        return None
    return Member(name=name, size=size, sha256=sha256)


def _is_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None
