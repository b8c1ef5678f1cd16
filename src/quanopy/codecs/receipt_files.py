"""Receipt files opened: a stranger's zip, read member by member within the bounds it states."""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

from quanopy.codecs.receipts import FORMAT, MANIFEST, Member
from quanopy.domain.errors import Invalid, NotFound, TooLarge, Unsupported
from quanopy.domain.programs import digest_of

MOST_MANIFEST = 256 * 1024 * 1024
"""Bytes: a million jobs."""
MOST_MEMBER = 2 * 1024 * 1024 * 1024
"""Bytes of one member that are read at once."""
_PIECE = 1024 * 1024
_VERSION = re.compile(r"quanopy\.receipt/[0-9]{1,6}")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def is_receipt(path: Path | str) -> bool:
    """Whether a file begins as zips do. A file that is not there raises ``OSError``."""
    with Path(path).open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


class ReceiptFile:
    """An open receipt. Members are read when they are asked for, and held to their digests.

    Threads may share it: each read opens the member anew.
    """

    def __init__(self, source: Path | str | IO[bytes]) -> None:
        """Open it and read its manifest; close it, or use it in ``with``.

        Raises:
            NotFound: the file cannot be read.
            Unsupported: it is a receipt of a later version.
            Invalid: it is none, or not whole.
        """
        self.where = str(source) if isinstance(source, Path | str) else "receipt"
        self._zip = self._opened(source)
        try:
            self._infos = self._listed()
            self.manifest_data = self._manifest_data()
            self.manifest = _manifest(self.manifest_data, self.where)
            self.members = _members(self.manifest, self.where)
        except BaseException:
            self._zip.close()
            raise

    def _opened(self, source: Path | str | IO[bytes]) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(source)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NotFound(f"cannot be read: {reason}", where=self.where) from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Invalid(f"no whole zip: {error}", where=self.where) from error

    def _listed(self) -> Mapping[str, zipfile.ZipInfo]:
        infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename
            if not _NAME.fullmatch(name):
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
        if info.file_size > MOST_MANIFEST:
            raise TooLarge(f"its {MANIFEST} has {info.file_size} bytes", where=self.where)
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
        member = self.members.get(name)
        if member is None or name not in self._infos:
            raise NotFound(f"there is no {name[:120]}", where=self.where)
        if member.size > MOST_MEMBER:
            raise TooLarge(f"{name} has {member.size} bytes", where=self.where)
        data = b"".join(self.pieces(name))
        if digest_of(data) != f"sha256:{member.sha256}":
            raise Invalid(f"{name} has another digest than the manifest names", where=self.where)
        return data

    def document(self, name: str) -> dict[str, Any]:
        """A member that is one JSON object; raises as :meth:`read`."""
        return json_object(self.read(name), f"{self.where}: {name}")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """A member of JSON objects, one a line; raises as :meth:`read`."""
        data = self.read(name).splitlines()
        where = f"{self.where}: {name}"
        return [json_object(line, f"{where}, line {at}") for at, line in enumerate(data, 1)]

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
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise Invalid(f"{name} cannot be unpacked: {error}", where=self.where) from error

    def close(self) -> None:
        """Close the file; idempotent."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def json_value(data: bytes, where: str) -> Any:
    """What JSON says; raises :class:`Invalid` for anything else."""
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}"[:200], where=where) from None


def json_object(data: bytes, where: str) -> dict[str, Any]:
    """JSON that is one object; raises :class:`Invalid` for anything else."""
    found = json_value(data, where)
    if not isinstance(found, dict):
        raise Invalid("not a JSON object", where=where)
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number of JSON")


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
    if not _NAME.fullmatch(name) or size < 0 or not _SHA256.fullmatch(sha256):
        return None
    return Member(name=name, size=size, sha256=sha256)
