"""Receipts that strangers changed: read, checked and imported, or refused in so many words, within
bounds of memory and time; never half."""

import copy
import io
import itertools
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias, cast

import pytest

from quanopy.client.receipts import Receipt, ReceiptJob
from quanopy.codecs.receipt_checks import faults
from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipt_records import EventEntry, GroupEntry
from quanopy.codecs.receipts import GROUP, GROUP_EVENTS, MANIFEST, ReceiptWriter
from quanopy.domain.errors import Invalid, QuanopyError, TooLarge, Unavailable
from quanopy.domain.groups import GroupPolicy, GroupState
from quanopy.domain.ids import Kind, new_id
from quanopy.domain.imports import ImportStep
from quanopy.ports.archive import ToldGroup
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.importing import Importing
from quanopy.services.receipts import Made, receipt_of
from tests.unit.server.service import PUB, Service
from tests.unit.server.test_receipts import receipt_of as exported
from tests.unit.server.test_receipts import submitted

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
ESTIMATE = b'{"shape":[],"evs":[0.5],"stds":[0.1],"precision":0.1}'
NATIVE = (
    b'{"shape":[],"shots":100,"native":"perceval","outcomes":{"|1,0>":49,"|0,1>":51},'
    b'"documents":[{"own":[1]}]}'
)
Members: TypeAlias = dict[str, bytes]


@pytest.fixture(scope="module")
def bases(service: Service) -> list[Members]:
    """Receipts as a broker makes them: members, the manifest among them."""
    client, found = service.client(), []
    for kind, pub, shots in (
        ("sample", None, 1500),
        ("estimate", ESTIMATE, None),
        ("run", NATIVE, 100),
    ):
        options = {"shots": shots} if shots else {}
        job_id = submitted(client, kind=kind, options=options)
        service.complete(pub or PUB)
        found.append(members(exported(client, job_id)))
    return [*found, grouped(found[0])]


def grouped(of: Members) -> Members:
    """The same, as the one job of a group."""
    entry = group_of(1)
    event = EventEntry(at=AT, subject=entry.id, kind="group.done", actor="ada")
    manifest = json.loads(of[MANIFEST]) | {"group": {"id": entry.id, "name": entry.name}}
    own = {GROUP: entry.encoded(), GROUP_EVENTS: event.line()}
    return of | own | {MANIFEST: json.dumps(manifest).encode()}


def group_of(jobs: int) -> GroupEntry:
    """A group of so many jobs that has ended."""
    id_ = new_id("group")
    return GroupEntry(
        id=id_,
        name=id_,
        state=GroupState.DONE,
        policy=GroupPolicy(),
        created_at=AT,
        ended_at=AT,
        size=jobs,
        positions=tuple(range(jobs)),
    )


def members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def renamed(given: Members) -> Members:
    """The same of another job and group, whose ids nobody knows."""
    ids: dict[bytes, bytes] = {}

    def other(match: re.Match[bytes]) -> bytes:
        if match[0] not in ids:
            ids[match[0]] = new_id(cast(Kind, match[1].decode())).encode()
        return ids[match[0]]

    pattern = rb"(job|task|exec|group)_[0-9a-f]{32}"
    return {
        re.sub(pattern, other, name.encode()).decode(): data
        if name.endswith(".npz")
        else re.sub(pattern, other, data)
        for name, data in given.items()
    }


def signed(given: Members, **about: Any) -> bytes:
    """A receipt of these members, with digests that fit them."""
    manifest = json.loads(given[MANIFEST])
    named = {name: manifest[name] for name in ("group", "made", "jobs", "unfinished")}
    writer = ReceiptWriter()
    for name, data in given.items():
        if name != MANIFEST:
            writer.add(name, data)
    first = writer.take()
    return first + writer.close(named | about)


# -- changes -----------------------------------------------------------------------------------
class Raw(str):
    """What stands in a document as it is."""

    __slots__ = ()


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, -(2**70), 10**400, 1e308, 0.5, -0.0),
    *("", "x", "\0", "é", "\u202e", "\x1b[31m", "a" * 100_000, "0x0", "sha256:" + "0" * 64),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-31", "completed"),
    *([], {}, [1], ["a"], {"a": 1}, [None], [[]], [{}], {"": {}}, {"value": 1}),
    *(deep(70), deep(300), list(range(500)), {str(one): one for one in range(500)}),
    *(Raw("1e999"), Raw("NaN"), Raw("-Infinity"), Raw("9" * 10_000), Raw('"\\ud800"')),
    Raw("[" * 10_000 + "]" * 10_000),
)

PLAIN = [one for one in STRANGE if not isinstance(one, Raw)]


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(document, dict):
        for name, one in document.items():
            yield from places(one, (*at, name))
    elif isinstance(document, list):
        for index, one in enumerate(document[:20]):
            yield from places(one, (*at, index))


def changed(document: Any, chance: random.Random) -> bytes:
    """A document with something else in one of its places."""
    *way, last = chance.choice(list(places(document)))
    inside = document
    for step in way:
        inside = inside[step]
    turn = chance.random()
    if turn < 0.2:
        del inside[last]
    elif turn < 0.3 and isinstance(inside, list):
        inside.append(copy.deepcopy(inside[last]))
    elif turn < 0.4 and isinstance(inside, dict):
        inside["later"] = chance.choice(STRANGE)
    else:
        inside[last] = chance.choice(STRANGE)
    return written(document)


def written(document: Any) -> bytes:
    marks: dict[str, str] = {}

    def marked(one: Any) -> Any:
        if isinstance(one, Raw):
            marks[f"@{len(marks)}@"] = str(one)
            return f"@{len(marks) - 1}@"
        if isinstance(one, dict):
            return {name: marked(each) for name, each in one.items()}
        return [marked(each) for each in one] if isinstance(one, list) else one

    text = json.dumps(marked(document))
    for mark, raw in marks.items():
        text = text.replace(json.dumps(mark), raw)
    return text.encode()


def other_document(given: Members, chance: random.Random) -> bytes:
    """One document changed, and all digests made to fit."""
    name = chance.choice([one for one in given if one.endswith((".json", ".jsonl"))])
    if name == MANIFEST:
        key = chance.choice(["made", "jobs", "unfinished", "group"])
        return signed(given, **{key: chance.choice(PLAIN)})
    lines = given[name].splitlines() if name.endswith("l") else [given[name]]
    at = chance.randrange(len(lines))
    lines[at] = changed(json.loads(lines[at]), chance)
    return signed(given | {name: b"\n".join(lines)})


def other_bytes(given: Members, chance: random.Random) -> bytes:
    """Some bytes of the file changed."""
    data = bytearray(signed(given))
    for _ in range(chance.choice([1, 3, 10])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


def other_zip(given: Members, chance: random.Random) -> bytes:
    """The zip built otherwise: names, links, twice, packed otherwise, more in it than is said."""
    made = io.BytesIO()
    odd = chance.choice(list(given))
    kind = chance.randrange(5)
    with zipfile.ZipFile(made, "w") as file:
        for name, data in members(signed(given)).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == odd and kind == 0:
                info.filename = chance.choice(
                    [f"/{name}", f"../{name}", name.upper(), "x" * 60_000]
                )
            if name == odd and kind == 1:
                info.external_attr = 0o120777 << 16
            if name == odd and kind == 2:
                info.compress_type = zipfile.ZIP_BZIP2
            more = b"\0" * 10_000_000 if name == odd and kind == 3 else b""
            file.writestr(info, data + more)
            if name == odd and kind == 4:
                with warnings.catch_warnings(action="ignore"):
                    file.writestr(name, data)
    return made.getvalue()


# -- uses --------------------------------------------------------------------------------------
def read_all(data: bytes) -> None:
    """All that can be asked of it; what is not right is said as an error of ours."""
    with Receipt(io.BytesIO(data)) as receipt:
        whole: list[Callable[[], object]] = [
            receipt.verify,
            lambda: (receipt.digest, receipt.content, receipt.made, receipt.unfinished),
            lambda: receipt.group,
            receipt.group_events,
            receipt.results,
            lambda: str(receipt.segments().table()),
            lambda: receipt.segments().merged(),
        ]
        each = [lambda job=job: read_job(job) for job in receipt.jobs]
        for ask in (*whole, *each):
            with suppress(QuanopyError):
                ask()


def read_job(job: ReceiptJob) -> None:
    _ = (repr(job), job.record, job.events(), job.programs(), job.compiled(), job.npz())
    result = job.result(partial=True)
    result.to_dict()
    for pub in result:
        assert repr(pub)
        _ = getattr(pub, "counts", None), getattr(pub, "evs", None)
    if (snapshot := job.calibration.snapshot) is not None:
        _ = (snapshot.metrics, snapshot.raw(), snapshot.seen_from)


def take_in(service: Service, data: bytes) -> bool:
    """Whether it was imported: then all of it can be had again; else nothing of it is there."""
    importing = Importing(
        store=service.store, objects=service.objects, reader=service.reader, most_bytes=2**28
    )
    with ReceiptFile(io.BytesIO(data)) as file:
        ids = list(file.manifest["jobs"])
        try:
            importing.take_in(file, "bob")
        except QuanopyError:
            assert service.store.jobs(ids) == []
            raise
        made = Made(at=AT, broker="", account="bob", versions={})
        again = b"".join(receipt_of(service.store, service.objects, ids, made))
        with ReceiptFile(io.BytesIO(again)) as found:
            assert list(faults(found)) == []
        assert importing.take_in(file, "bob").new == []
    return True


CHANGES = (other_document, other_document, other_document, other_bytes, other_zip)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_was_changed_is_read_or_refused(
    service: Service, bases: list[Members], seed: int
) -> None:
    chance = random.Random(seed)
    taken = refused = 0
    for base, change in itertools.product(bases, CHANGES):
        data = change(renamed(base), chance)
        for use in (read_all, lambda data: take_in(service, data)):
            try:
                use(data)
                taken += 1
            except QuanopyError:
                refused += 1
    assert taken
    assert refused


def test_a_receipt_cut_anywhere_is_refused(service: Service, bases: list[Members]) -> None:
    data = signed(bases[0])
    for length in range(0, len(data), 200):
        with pytest.raises(Invalid):
            read_all(data[:length])


def test_what_is_as_it_was_is_taken(service: Service, bases: list[Members]) -> None:
    for base in bases:
        data = signed(renamed(base))
        read_all(data)
        assert take_in(service, data)


def test_what_a_later_version_adds_is_left_out_here_and_no_conflict(
    service: Service, bases: list[Members]
) -> None:
    given = renamed(bases[0])
    for name in [name for name in given if name.endswith(("job.json", "result.json"))]:
        given[name] = json.dumps(json.loads(given[name]) | {"later": {"a": 1}}).encode()
    assert take_in(service, signed(given))


def test_what_says_something_else_is_still_a_conflict(
    service: Service, bases: list[Members]
) -> None:
    given = renamed(bases[0])
    take_in(service, signed(given))
    (name,) = [name for name in given if name.endswith("job.json")]
    other = given | {name: json.dumps(json.loads(given[name]) | {"name": "another"}).encode()}
    with pytest.raises(QuanopyError, match="not what the receipt says"):
        take_in_again(service, signed(other))


def take_in_again(service: Service, data: bytes) -> None:
    importing = Importing(
        store=service.store, objects=service.objects, reader=service.reader, most_bytes=2**28
    )
    with ReceiptFile(io.BytesIO(data)) as file:
        importing.take_in(file, "bob")


def test_of_many_jobs_none_is_taken_where_the_last_is_wrong(
    service: Service, bases: list[Members], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quanopy.services.importing._AT_ONCE", 2)
    many = [renamed(bases[1]) for _ in range(5)]
    (last,) = [name for name in many[-1] if name.endswith("events.jsonl")]
    many[-1][last] += EventEntry(at=AT, subject="job_1", kind="job.told").line()
    manifests = [json.loads(one[MANIFEST]) for one in many]
    together = {name: data for one in many for name, data in one.items()}
    ids = [job_id for one in manifests for job_id in one["jobs"]]
    data = signed(together, jobs=ids)
    with pytest.raises(Invalid, match="something else"):
        take_in(service, data)


class Noting:
    """A store that notes of how many jobs of a group it is told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.told: list[tuple[int, int]] = []

    def tell(self, told: Any, snapshots: Any, group: ToldGroup | None = None) -> set[str]:
        self.told.append((len(told), 0 if group is None else len(group.positions)))
        return self._store.tell(told, snapshots, group)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_it_is_told_how_far_an_import_is_and_of_each_job_s_place_once_and_at_the_end(
    service: Service, bases: list[Members], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quanopy.services.importing._AT_ONCE", 2)
    store, steps = Noting(service.store), []
    importing = Importing(
        store=cast(Store, store),
        objects=service.objects,
        reader=service.reader,
        most_bytes=2**28,
    )
    with ReceiptFile(io.BytesIO(group_of_many(bases[1], 5))) as file:
        importing.take_in(file, "bob", lambda *told: steps.append(told))
    assert store.told == [(2, 2), (2, 2), (1, 1), (0, 5)]
    assert [told for told in steps if told[0] is not ImportStep.READ] == [
        *((ImportStep.CHECK, done, 5) for done in range(1, 6)),
        *((ImportStep.KEEP, done, 5) for done in (2, 4, 5)),
    ]


def group_of_many(base: Members, count: int) -> bytes:
    """A receipt of a group of so many jobs."""
    many = [renamed(base) for _ in range(count)]
    ids = [job_id for one in many for job_id in json.loads(one[MANIFEST])["jobs"]]
    entry = group_of(count)
    manifest = {"group": {"id": entry.id, "name": entry.name}, "jobs": ids}
    event = EventEntry(at=AT, subject=entry.id, kind="group.done", actor="ada")
    together = {name: data for one in many for name, data in one.items()}
    together |= {GROUP: entry.encoded(), GROUP_EVENTS: event.line()}
    return signed(together, **manifest)


class Counting(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


def test_a_small_member_that_was_read_is_at_hand(bases: list[Members]) -> None:
    source = Counting(signed(bases[0]))
    with ReceiptFile(source) as file:
        name = next(name for name in file.names if name.endswith("job.json"))
        once, reads = file.read(name), source.reads
        assert file.read(name) == once
        assert source.reads == reads


class Failing:
    """An object store that goes away after some packs were put."""

    def __init__(self, objects: Objects, after: int) -> None:
        self._objects, self._left = objects, after

    def put(self, objects: Mapping[str, bytes]) -> None:
        if not self._left:
            raise Unavailable("the object store is away")
        self._left -= 1
        self._objects.put(objects)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)


@pytest.mark.parametrize("packs", range(4))
def test_an_import_that_was_interrupted_goes_on_when_it_is_repeated(
    service: Service, bases: list[Members], packs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quanopy.services.importing._AT_ONCE", 1)
    data = group_of_many(bases[1], 3)
    with ReceiptFile(io.BytesIO(data)) as file:
        ids, group_id = file.manifest["jobs"], file.manifest["group"]["id"]
    objects = cast(Objects, Failing(service.objects, packs))
    broken = Importing(
        store=service.store, objects=objects, reader=service.reader, most_bytes=2**28
    )
    with ReceiptFile(io.BytesIO(data)) as file:
        with pytest.raises(Unavailable):
            broken.take_in(file, "bob")
        assert len(service.store.jobs(ids)) == max(0, packs - 1)
    take_in_again(service, data)
    assert [job.id for job in service.store.group_jobs(group_id, limit=10)] == ids


# -- results that are none ---------------------------------------------------------------------
@pytest.mark.parametrize(
    "pub",
    [
        {},
        {"shape": [], "outcomes": {}},
        {"shape": [], "counts": [], "shots": 1},
        {"shape": [0, 10**8], "evs": [], "stds": []},
        {"shape": [1] * 2000, "evs": [0.5], "stds": [0.1]},
        {"shape": [], "evs": [0.5], "stds": [0.1]},
        {
            "shape": [],
            "shots": 1,
            "native": "perceval",
            "outcomes": {"a" * 10**6: 1, **{str(one): 1 for one in range(200)}},
        },
        {
            "shape": [],
            "shots": 1,
            "registers": [{"name": "c", "bits": 1_000_000}],
            "counts": [{hex(one): 1 for one in range(5000)}],
        },
    ],
)
def test_a_result_that_can_be_none_is_not_given(bases: list[Members], pub: Any) -> None:
    given = dict(bases[0])
    (name,) = [name for name in given if name.endswith("result.json")]
    given[name] = json.dumps(json.loads(given[name]) | {"pubs": [pub]}).encode()
    with Receipt(io.BytesIO(signed(given))) as receipt:
        assert receipt.verify()
        with pytest.raises(Invalid):
            receipt.jobs[0].result()


def test_parts_that_do_not_give_the_result_are_named(
    service: Service, bases: list[Members]
) -> None:
    given = renamed(bases[0])
    (name,) = [name for name in given if name.endswith("parts.jsonl")]
    lines = [json.loads(line) for line in given[name].splitlines()]
    one, other = lines
    for changed_lines in (
        [one],
        [one, one],
        [one, other | {"pubs": other["pubs"] * 2}],
        [one, other | {"pubs": [other["pubs"][0] | {"shots": 7}]}],
        [one, other | {"pubs": [other["pubs"][0] | {"shape": [2], "counts": [{}, {}]}]}],
    ):
        text = b"\n".join(json.dumps(line).encode() for line in changed_lines)
        data = signed(given | {name: text})
        with Receipt(io.BytesIO(data)) as receipt:
            assert [fault.member.rpartition("/")[2] for fault in receipt.verify()] == [
                "result.json"
            ]
        with pytest.raises(Invalid, match="part"):
            take_in(service, data)


def test_what_is_wrong_can_be_shown_in_a_terminal(bases: list[Members]) -> None:
    given = dict(bases[1])
    (name,) = [name for name in given if name.endswith("job.json")]
    job = json.loads(given[name])
    job["id"] = "\x1b]0;title\x07\u202e" + "x" * 100_000
    job["programs"][0]["digest"] = "\x1b[2J\n" * 1000
    given[name] = json.dumps(job).encode()
    with Receipt(io.BytesIO(signed(given))) as receipt:
        found = receipt.verify()
    assert any("\\x1b]0;title\\x07\\u202e" in fault.problem for fault in found)
    assert all(fault.problem.isprintable() and len(fault.problem) < 2000 for fault in found)


# -- bounds ------------------------------------------------------------------------------------
def test_a_manifest_larger_than_its_members_need_is_not_unpacked(bases: list[Members]) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(MANIFEST, b"[" + b"[]," * 1_000_000 + b"[]]")
    with pytest.raises(TooLarge, match=MANIFEST):
        read_all(made.getvalue())


def test_a_zip_that_tells_of_a_huge_directory_is_not_read(bases: list[Members]) -> None:
    data = bytearray(signed(bases[0]))
    at = data.rindex(b"PK\5\6")
    data += bytes(100_000_000)
    data[at + 12 : at + 16] = (90_000_000).to_bytes(4, "little")
    moved = data[at : at + 22]
    with pytest.raises(TooLarge, match="directory"):
        read_all(bytes(data + moved))


def test_a_document_larger_than_any_is_not_read(bases: list[Members]) -> None:
    given = dict(bases[0])
    (name,) = [name for name in given if name.endswith("job.json")]
    given[name] = b" " * (65 * 1024 * 1024)
    with Receipt(io.BytesIO(signed(given))) as receipt, pytest.raises(TooLarge):
        _ = receipt.jobs[0].record
