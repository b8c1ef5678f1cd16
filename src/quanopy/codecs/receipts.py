"""Receipts: jobs with all that belongs to them, as one zip that any ordinary tool opens.

Members are ``manifest.json``, which names all others with size and SHA-256; ``jobs/ID/…``, the
record, result and history of each job; and what jobs share, once each: ``programs/``, ``circuits/``
and ``calibrations/`` under their digests. ``docs/reference/receipts.md`` describes every field.
The same jobs give the same bytes, save for what the manifest says of the export itself.
"""

import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from quanopy.domain.programs import digest_of

FORMAT = "quanopy.receipt/1"
GROUP_FORMAT = "quanopy.receipt-group/1"
JOB_FORMAT = "quanopy.receipt-job/1"
CALIBRATION_FORMAT = "quanopy.receipt-calibration/1"
RESULT_FORMAT = "quanopy.result/1"
MEDIA_TYPE = "application/vnd.quanopy.receipt+zip"

MANIFEST = "manifest.json"
README = "README.txt"
GROUP = "group.json"
GROUP_EVENTS = "group-events.jsonl"
_ABOUT = b"""\
This is a receipt of Quanopy: quantum jobs with their programs, results, the calibrations they ran
under, and their history. It needs no server and no credential to be read.

manifest.json                      who made this, and the size and SHA-256 of every other file
group.json, group-events.jsonl     of a group: its policy and history
jobs/ID/job.json                   a job: what was asked, where and when it ran, under what
jobs/ID/result.json, result.npz    what it gave, as JSON and as NumPy arrays (without pickle)
jobs/ID/events.jsonl               its history, one event a line
programs/SHA256                    programs, byte for byte as they were submitted
circuits/SHA256.qpy                circuits as they were read, and as they were compiled (QPY)
calibrations/SHA256/               raw.json: the vendor's own document; metrics.json: its numbers

In Python: quanopy.load("FILE"); to check every digest: quanopy verify FILE
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: zip knows no earlier."""
_UNIX = 3
_PLAIN_FILE = 0o644 << 16


def job_member(job_id: str, name: str) -> str:
    """Where a part of a job lies: ``job.json``, ``result.json``, ``events.jsonl`` …"""
    return f"jobs/{job_id}/{name}"


def calibration_member(digest: str, name: str) -> str:
    """Where a part of a snapshot lies: ``calibration.json``, ``raw.json``, ``metrics.json``."""
    return f"calibrations/{digest.removeprefix('sha256:')}/{name}"


def encode(document: object) -> bytes:
    """A document for people too: JSON with a line a field."""
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def encode_line(document: object) -> bytes:
    """A document on one line of JSON, with its line break."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as the manifest names it."""

    name: str
    size: int
    """Bytes, unpacked."""
    sha256: str
    """64 hexadecimal digits."""


def content_digest(members: Sequence[Member]) -> str:
    """What two receipts of the same content have in common, whoever made them and when: the
    digest of ``SHA256  NAME`` lines, sorted by name, as ``sha256sum`` writes them."""
    lines = sorted((member.name, member.sha256) for member in members)
    return digest_of("".join(f"{sha256}  {name}\n" for name, sha256 in lines).encode())


class ReceiptWriter:
    """Writes a receipt piece by piece; what has been taken is held no longer."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._sink), "w", zipfile.ZIP_DEFLATED)
        self._members: dict[str, Member] = {}
        self.add(README, _ABOUT)

    @property
    def members(self) -> Collection[Member]:
        """All that were added."""
        return self._members.values()

    def add(self, name: str, data: bytes, *, packed: bool = False) -> None:
        """Add a member, unless there is one of that name: names of what is shared name content.
        ``packed``: it is compressed in itself."""
        if name in self._members:
            return
        self._write(name, data, packed)
        sha256 = digest_of(data).removeprefix("sha256:")
        self._members[name] = Member(name=name, size=len(data), sha256=sha256)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def take(self) -> bytes:
        """What has been written since this was called last."""
        return self._sink.take()

    def close(self, about: Mapping[str, Any]) -> bytes:
        """Write the manifest, which says ``about`` and names every member; the last bytes."""
        members = list(self._members.values())
        manifest = {
            "format": FORMAT,
            **about,
            "content": content_digest(members),
            "members": [
                {"name": one.name, "size": one.size, "sha256": one.sha256} for one in members
            ],
        }
        self._write(MANIFEST, encode(manifest), packed=False)
        self._zip.close()
        return self._sink.take()

    def _write(self, name: str, data: bytes, packed: bool) -> None:
        info = zipfile.ZipInfo(name, _EPOCH)
        info.create_system = _UNIX
        info.external_attr = _PLAIN_FILE
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        self._zip.writestr(info, data)


class _Sink:
    """The end of a file whose beginning has been taken away. A zip's writer goes back into the
    member it has written last, to its header, and no further."""

    def __init__(self) -> None:
        self._taken = 0
        self._data = bytearray()
        self._place = 0

    def write(self, data: bytes) -> int:
        self._data[self._place : self._place + len(data)] = data
        self._place += len(data)
        return len(data)

    def tell(self) -> int:
        return self._taken + self._place

    def seek(self, offset: int) -> int:
        self._place = offset - self._taken
        return offset

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data = bytes(self._data)
        self._taken += len(data)
        self._data.clear()
        self._place = 0
        return data
