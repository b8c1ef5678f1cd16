"""Packs read back one after another: whole, checked against their keys, never many at once."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quanopy.codecs.packs import CALIBRATIONS, COMPLETED, PENDING, Member, digest_in, members
from quanopy.domain.errors import Invalid, NotFound
from quanopy.domain.programs import digest_of
from quanopy.ports.objects import ObjectInfo, Objects

_BATCH_BYTES = 16 * 1024 * 1024
_BATCH = 64
_KEY = re.compile(
    rf"(?:{PENDING}|{COMPLETED}|{CALIBRATIONS})/[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/[0-9a-f]{{64}}\.tar"
)
_JOB = re.compile(rb'"(?:id|job_id)":"(job_[0-9a-f]{32})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """An object that is not what it should be."""

    key: str
    problem: str
    jobs: tuple[str, ...] = ()
    """Jobs that what is left of it names: what is lost is theirs, and may be of others too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A pack whose bytes are those its key promises."""

    info: ObjectInfo
    members: tuple[Member, ...]

    @property
    def key(self) -> str:
        """Where it lies."""
        return self.info.key


def packs(objects: Objects, *prefixes: str) -> Iterator[Pack | Damage]:
    """Every pack under these prefixes, or what is wrong with it; a few are held at a time."""
    for prefix in prefixes:
        for info, data in contents(objects, objects.list(prefix)):
            yield _opened(info, data)


def opened(objects: Objects, infos: Sequence[ObjectInfo]) -> Iterator[Pack | Damage]:
    """These packs, or what is wrong with them."""
    for info, data in contents(objects, iter(infos)):
        yield _opened(info, data)


def contents(
    objects: Objects, infos: Iterator[ObjectInfo]
) -> Iterator[tuple[ObjectInfo, bytes | None]]:
    """Objects with their bytes, a few at a time; ``None``: it went away since it was listed."""
    for batch in _batches(infos):
        yield from zip(batch, _get(objects, batch), strict=True)


def _batches(infos: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    """As many at a time as are worth fetching together."""
    batch: list[ObjectInfo] = []
    size = 0
    for info in infos:
        if batch and (len(batch) >= _BATCH or size + info.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(info)
        size += info.size
    if batch:
        yield batch


def _get(objects: Objects, batch: Sequence[ObjectInfo]) -> list[bytes | None]:
    """Their bytes; ``None`` for one that went away since it was listed."""
    keys = [info.key for info in batch]
    try:
        return [*objects.get(keys)]
    except NotFound:
        return [_get_one(objects, key) for key in keys]


def _get_one(objects: Objects, key: str) -> bytes | None:
    try:
        return objects.get([key])[0]
    except NotFound:
        return None


def _named(data: bytes) -> tuple[str, ...]:
    """The jobs that records name somewhere in these bytes, which no tar need be any more."""
    return tuple(dict.fromkeys(match.decode() for match in _JOB.findall(data)))


def _opened(info: ObjectInfo, data: bytes | None) -> Pack | Damage:
    if data is None:
        return Damage(key=info.key, problem="is listed, but cannot be found")
    if not _KEY.fullmatch(info.key):
        return Damage(key=info.key, problem="has a name that no pack has")
    if digest_of(data) != digest_in(info.key):
        problem = f"its {len(data)} bytes have another digest"
        return Damage(key=info.key, problem=problem, jobs=_named(data))
    try:
        return Pack(info=info, members=tuple(members(data)))
    except Invalid as error:
        return Damage(key=info.key, problem=str(error))
