"""Preparing: what a task needs is loaded, read and compiled; a failure stays its own job's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quanopy.codecs.records import TaskRecord
from quanopy.domain.errors import Invalid, NotFound, QuanopyError, ResourceMismatch, Transient
from quanopy.domain.ids import new_id
from quanopy.domain.jobs import (
    Execution,
    Extent,
    JobKind,
    JobSpec,
    Options,
    Pub,
    Reading,
    Slice,
    Task,
)
from quanopy.domain.programs import Footprint, Program
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Compilation, Compiled
from quanopy.ports.providers import Work
from quanopy.services.packing import pack_executions, pack_submissions
from quanopy.services.preparing import Prepared, Preparing, Ready
from quanopy.services.recording import Accepted, Sent
from quanopy.storage.objects import open_objects

RESOURCE = Resource(
    name="aer", provider="aer", capabilities=Capabilities(gates=("h", "cx"), default_level=1)
)
TARGET = Target(data=b"{}")


def footprint(*gates: str) -> Footprint:
    return Footprint(
        circuits=1,
        qubits=2,
        clbits=2,
        gates=gates,
        instructions=4,
        clifford=True,
        measured=True,
    )


@dataclass
class ScriptedReader:
    """Answers what it is told, and remembers what it was asked."""

    answers: list[Reading | QuanopyError | None] = field(default_factory=list)
    asked: list[JobSpec] = field(default_factory=list)

    def read(
        self, specs: Sequence[JobSpec], *, deadline_s: float
    ) -> list[Reading | QuanopyError | None]:
        self.asked += specs
        return [self.answers.pop(0) for _ in specs]

    def warm(self) -> None:
        """Nothing takes long to start."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class ScriptedCompiler:
    """Marks what it compiles; refuses what it is told to."""

    refuse: bytes = b""
    asked: list[Compilation] = field(default_factory=list)

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        self.asked += requests
        return [
            ResourceMismatch("does not fit")
            if request.circuits == self.refuse
            else Compiled(circuits=b"compiled " + request.circuits, changed=True)
            for request in requests
        ]

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(tmp_path.as_uri())


def stored(
    objects: Objects,
    programs: Sequence[tuple[bytes, Sequence[str]]] = ((b"bell", ("h", "cx")),),
    *,
    pubs: Sequence[Pub] | None = None,
    options: Options | None = None,
    read: bool = True,
) -> Extent:
    """A job in the object store, with these circuits (QPY, gates)."""
    given = tuple(pubs or [Pub(program=i, shots=10) for i in range(len(programs))])
    spec = JobSpec(
        kind=JobKind.SAMPLE,
        resource="aer",
        programs=[Program(format="openqasm3", data=b"source of " + qpy) for qpy, _ in programs],
        pubs=given,
        options=options or Options(),
    )
    reading = Reading(
        kind=JobKind.SAMPLE,
        circuits=tuple(qpy for qpy, _ in programs),
        footprints=tuple(footprint(*gates) for _, gates in programs),
        pubs=given,
        evaluations=tuple(1 for _ in given),
    )
    accepted = Accepted(
        id=new_id("job"),
        account="ada",
        created_at=datetime.now(UTC),
        spec=spec,
        tasks=[TaskRecord(id=new_id("task"), slice=Slice(first=0, count=len(given)))],
        reading=reading if read else None,
    )
    packed = pack_submissions([accepted], datetime.now(UTC))
    objects.put({packed.key: packed.data})
    return packed.jobs[0]


def task(spec: Extent, part: Slice | None = None) -> Task:
    return Task(
        id=new_id("task"),
        job_id="job",
        account="ada",
        resource="aer",
        state=TaskState.CLAIMED,
        slice=part or Slice(first=0, count=1),
        priority=0,
        estimate_s=0.1,
        attempt=0,
        solo=False,
        spec=spec,
        ready_at=None,
    )


def prepare(
    objects: Objects,
    tasks: Sequence[Task],
    *,
    reader: ScriptedReader | None = None,
    compiler: ScriptedCompiler | None = None,
    resource: Resource = RESOURCE,
) -> list[Prepared]:
    preparing = Preparing(
        objects=objects, reader=reader or ScriptedReader(), compiler=compiler or ScriptedCompiler()
    )
    return preparing.prepare(tasks, resource, lambda: TARGET)


def works(prepared: Sequence[Prepared]) -> list[Work]:
    found = [one.work for one in prepared if isinstance(one, Ready)]
    assert len(found) == len(prepared), prepared
    return found


def test_what_fits_is_neither_read_again_nor_compiled(objects: Objects) -> None:
    compiler = ScriptedCompiler()
    (work,) = works(prepare(objects, [task(stored(objects))], compiler=compiler))
    assert list(work.circuits) == [b"bell"]
    assert work.pubs == (Pub(shots=10),)
    assert compiler.asked == []


def test_what_does_not_fit_is_compiled_at_the_resources_level(objects: Objects) -> None:
    compiler = ScriptedCompiler()
    spec = stored(objects, [(b"bell", ("h", "cx")), (b"toffoli", ("ccx",))])
    whole = Slice(first=0, count=2)
    (work,) = works(prepare(objects, [task(spec, whole)], compiler=compiler))
    assert list(work.circuits) == [b"bell", b"compiled toffoli"]
    assert [(c.level, c.target) for c in compiler.asked] == [(1, TARGET)]


def test_a_level_that_was_asked_for_compiles_what_fits_too(objects: Objects) -> None:
    compiler = ScriptedCompiler()
    spec = stored(objects, options=Options(optimization_level=3))
    (work,) = works(prepare(objects, [task(spec)], compiler=compiler))
    assert list(work.circuits) == [b"compiled bell"]
    assert [c.level for c in compiler.asked] == [3]


def test_a_slice_carries_only_its_pubs_and_programs(objects: Objects) -> None:
    spec = stored(objects, [(b"one", ("h",)), (b"two", ("h",)), (b"three", ("h",))])
    part = Slice(first=1, count=1, shots_from=40, shots=5)
    (work,) = works(prepare(objects, [task(spec, part)]))
    assert list(work.circuits) == [b"", b"two", b""]
    assert work.pubs == (Pub(program=1, shots=5),)
    assert (work.first_pub, work.shots_from) == (1, 40)


def test_a_program_that_cannot_be_compiled_fails_its_own_task(objects: Objects) -> None:
    compiler = ScriptedCompiler(refuse=b"bad")
    bad, good = stored(objects, [(b"bad", ("ccx",))]), stored(objects, [(b"good", ("ccx",))])
    failed, work = prepare(objects, [task(bad), task(good)], compiler=compiler)
    assert isinstance(failed, ResourceMismatch)
    assert failed.where == "programs[0]"
    assert isinstance(work, Ready)


def test_a_lost_pack_fails_its_own_task(objects: Objects) -> None:
    lost = Extent(key="pending/2030/01/01/lost.tar", offset=0, length=10)
    failed, work = prepare(objects, [task(lost), task(stored(objects))])
    assert isinstance(failed, NotFound)
    assert isinstance(work, Ready)


def test_a_damaged_record_fails_its_own_task(objects: Objects) -> None:
    good = stored(objects)
    failed, work = prepare(objects, [task(replace(good, offset=good.offset + 3)), task(good)])
    assert isinstance(failed, NotFound)
    assert isinstance(work, Ready)


# -- programs that submission left unread ---------------------------------------------------------


def reading(pubs: int = 1, qubits: int = 2) -> Reading:
    return Reading(
        kind=JobKind.SAMPLE,
        circuits=(b"read",),
        footprints=(replace(footprint("h"), qubits=qubits),),
        pubs=tuple(Pub() for _ in range(pubs)),
        evaluations=(1,) * pubs,
    )


def test_what_was_left_unread_is_read_now_and_gets_the_resources_defaults(
    objects: Objects,
) -> None:
    reader = ScriptedReader([reading()])
    spec = stored(objects, read=False)
    (work,) = works(prepare(objects, [task(spec, Slice(first=0, count=0))], reader=reader))
    assert [program.data for program in reader.asked[0].programs] == [b"source of bell"]
    assert list(work.circuits) == [b"read"]
    assert work.pubs == (Pub(shots=1024),)


def test_what_cannot_be_read_fails_with_the_reason(objects: Objects) -> None:
    reader = ScriptedReader([Invalid("line 3"), None, reading()])
    specs = [stored(objects, [(name, ("h",))], read=False) for name in (b"a", b"b", b"c")]
    bad, late, work = prepare(objects, [task(spec) for spec in specs], reader=reader)
    assert isinstance(bad, Invalid)
    assert isinstance(late, Transient)
    assert isinstance(work, Ready)


def test_what_turns_out_not_to_fit_fails_as_submission_would_have_refused_it(
    objects: Objects,
) -> None:
    small = replace(RESOURCE, capabilities=Capabilities(limits=Limits(qubits=5, pubs=1)))
    reader = ScriptedReader([reading(qubits=6), reading(pubs=2)])
    specs = [stored(objects, [(name, ("h",))], read=False) for name in (b"a", b"b")]
    wide, long = prepare(objects, [task(spec) for spec in specs], reader=reader, resource=small)
    assert isinstance(wide, ResourceMismatch)
    assert isinstance(long, ResourceMismatch)


# -- what was sent, back again ---------------------------------------------------------------------


def _sent(objects: Objects, ready: Ready, of: Task) -> Extent:
    by = Execution(
        id="exec_1",
        resource="aer",
        provider="aer",
        account="ada",
        state=ExecutionState.SUBMITTING,
        tasks=(of.id,),
        created_at=datetime.now(UTC),
    )
    sent = Sent(execution=by, tasks=[of], ran=[ready.ran])
    key, data, records = pack_executions([sent], datetime.now(UTC))
    objects.put({key: data})
    return records[by.id]


def test_what_was_sent_is_recalled_and_not_compiled_anew(objects: Objects) -> None:
    of = task(stored(objects, [(b"toffoli", ("ccx",))]))
    compiler = ScriptedCompiler()
    preparing = Preparing(objects=objects, reader=ScriptedReader(), compiler=compiler)
    (ready,) = preparing.prepare([of], RESOURCE, lambda: TARGET)
    assert isinstance(ready, Ready)
    assert ready.target == TARGET.digest
    record = _sent(objects, ready, of)
    asked = len(compiler.asked)
    assert preparing.recall([of], RESOURCE, record) == [ready.work]
    assert len(compiler.asked) == asked


def test_what_was_read_late_is_recalled_as_it_was_read(objects: Objects) -> None:
    of = task(stored(objects, read=False), Slice(first=0, count=0))
    preparing = Preparing(
        objects=objects, reader=ScriptedReader([reading()]), compiler=ScriptedCompiler()
    )
    (ready,) = preparing.prepare([of], RESOURCE, lambda: TARGET)
    assert isinstance(ready, Ready)
    record = _sent(objects, ready, of)
    again = replace(reading(), circuits=(b"read otherwise",))
    preparing = Preparing(
        objects=objects, reader=ScriptedReader([again]), compiler=ScriptedCompiler()
    )
    assert preparing.recall([of], RESOURCE, record) == [ready.work]


def test_a_record_that_is_lost_is_said(objects: Objects) -> None:
    of = task(stored(objects))
    preparing = Preparing(objects=objects, reader=ScriptedReader(), compiler=ScriptedCompiler())
    with pytest.raises(NotFound):
        preparing.recall([of], RESOURCE, Extent(key="pending/none.tar", offset=0, length=10))
