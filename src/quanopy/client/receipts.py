"""Receipts read back: jobs from a file, with the standard library alone (NumPy for arrays)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, overload

from quanopy.client.receipt_calibrations import ReceiptCalibration, Snapshot
from quanopy.client.results import Answer, Result, result_of
from quanopy.codecs.members import circuits_member, program_member
from quanopy.codecs.plain import from_plain
from quanopy.codecs.receipt_checks import Fault, faults
from quanopy.codecs.receipt_files import ReceiptFile
from quanopy.codecs.receipt_records import (
    EventEntry,
    ExecutionEntry,
    GroupEntry,
    JobEntry,
    RanEntry,
)
from quanopy.codecs.receipts import (
    GROUP,
    GROUP_EVENTS,
    calibration_member,
    job_member,
)
from quanopy.codecs.result_checks import check_pubs
from quanopy.domain.errors import NotFound, NotReady, TaskFailed, Unsupported
from quanopy.domain.jobs import JobKind, Options, Problem, Pub
from quanopy.domain.programs import CIRCUITS, Program
from quanopy.domain.states import FINAL_JOB_STATES, JobState

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from quanopy.client.segments import Segments


class Receipt:
    """A receipt file. Nothing but its manifest is read before it is asked for; close it, or use
    it in ``with``."""

    def __init__(self, source: Path | str | IO[bytes]) -> None:
        """Open it.

        Raises:
            NotFound: the file cannot be read.
            Invalid: it is no receipt, or not whole; ``Unsupported``: one of a later version.
        """
        self._file = ReceiptFile(source)

    @property
    def digest(self) -> str:
        """The receipt's own: note it elsewhere, and nobody can change the file unseen."""
        return self._file.digest

    @property
    def content(self) -> str:
        """Digest of the jobs with all that belongs to them: two receipts of the same jobs, made
        by whomever and whenever, have the same."""
        return str(self._file.manifest.get("content"))

    @property
    def made(self) -> Mapping[str, Any]:
        """Who made it: ``at``, ``broker``, ``account``, ``versions`` of packages."""
        return dict(self._file.manifest["made"])

    @property
    def unfinished(self) -> list[str]:
        """Ids of jobs that were not final then: of these it has what was known."""
        return list(self._file.manifest.get("unfinished", ()))

    @cached_property
    def jobs(self) -> "Jobs":
        """Its jobs, in order."""
        return Jobs(self._file)

    def job(self, id: str) -> "ReceiptJob":
        """One of its jobs; raises :class:`NotFound`."""
        if id not in self._file.manifest["jobs"]:
            raise NotFound(f"there is no job {id[:60]!r} in it", where=self._file.where)
        return ReceiptJob(self._file, id)

    @cached_property
    def group(self) -> GroupEntry | None:
        """What its jobs are a group of: name, policy, state, usage; ``None``: of none."""
        if self._file.manifest.get("group") is None:
            return None
        return GroupEntry.decoded(self._file.document(GROUP), f"{self._file.where}: {GROUP}")

    def group_events(self) -> list[EventEntry]:
        """The history of the group itself up to then, in order."""
        if self.group is None:
            return []
        place = f"{self._file.where}: {GROUP_EVENTS}"
        lines = self._file.lines(GROUP_EVENTS)
        return [from_plain(EventEntry, line, place) for line in lines]

    def results(self) -> list[Result[Any] | None]:
        """Results of its jobs in order, ``None`` where there is none: the job failed, was
        cancelled or had not ended."""
        return [job.result() if job.state is JobState.COMPLETED else None for job in self.jobs]

    def segments(self, named: str | None = None) -> "Segments":
        """Its jobs as segments of one experiment: merged results, by calibration, as a table and a
        picture; see :class:`~quanopy.client.segments.Segments`. ``named`` is the resource that the
        experiment is taken to be of."""
        from quanopy.client.segmenting import merged, segment
        from quanopy.client.segments import Segments

        def known(digest: str) -> Snapshot | None:
            return self.snapshot(digest) if self._has(digest) else None

        found = [
            segment(index, job.record, merged(job.answer()) if job.has_result else None)
            for index, job in enumerate(self.jobs)
        ]
        return Segments(found, calibration=known, named=named)

    def _has(self, digest: str) -> bool:
        return calibration_member(digest, "calibration.json") in self._file

    def snapshot(self, digest: str) -> "Snapshot":
        """A calibration by its digest; raises :class:`NotFound`."""
        return Snapshot(self._file, digest)

    def verify(self, on_progress: Callable[[int, int], object] | None = None) -> list[Fault]:
        """All that is wrong with it: digests, sizes, what is missing, extra, or names what is not
        there. Empty: nothing. ``on_progress`` is told (members read, of so many). Where NumPy is
        not installed, NumPy's form of results is held to its digest alone (:func:`reads_arrays`).
        """
        return list(faults(self._file, on_progress, arrays=reads_arrays()))

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Receipt {self._file.where}: {len(self.jobs)} jobs>"


def reads_arrays() -> bool:
    """Whether NumPy is installed, which alone reads its form of results."""
    try:
        import_module("numpy")
    except ImportError:
        return False
    return True


class Jobs(Sequence["ReceiptJob"]):
    """The jobs of a receipt, in order, each read when it is asked for."""

    def __init__(self, file: ReceiptFile) -> None:
        self._file = file
        self._ids: list[str] = file.manifest["jobs"]

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> "ReceiptJob": ...
    @overload
    def __getitem__(self, index: slice) -> "Sequence[ReceiptJob]": ...
    def __getitem__(self, index: int | slice) -> "ReceiptJob | Sequence[ReceiptJob]":
        if isinstance(index, slice):
            return [ReceiptJob(self._file, one) for one in self._ids[index]]
        return ReceiptJob(self._file, self._ids[index])

    def __repr__(self) -> str:
        return f"<{len(self)} jobs of {self._file.where}>"


class ReceiptJob:
    """A job as its receipt has it; what the broker's :class:`~quanopy.client.Job` answers, this
    answers from the file."""

    def __init__(self, file: ReceiptFile, id: str) -> None:
        self._file = file
        self.id = id

    @cached_property
    def record(self) -> JobEntry:
        """All that is recorded of it: what was asked, its parts, their executions."""
        name = job_member(self.id, "job.json")
        return JobEntry.decoded(self._file.document(name), f"{self._file.where}: {name}")

    @property
    def kind(self) -> JobKind:
        """What was asked for."""
        return self.record.kind

    @property
    def state(self) -> JobState:
        """Its state when the receipt was made."""
        return self.record.state

    def status(self) -> JobState:
        """Its state when the receipt was made."""
        return self.record.state

    @property
    def resource(self) -> str:
        """What it ran on."""
        return self.record.resource

    @property
    def name(self) -> str | None:
        """What it was called."""
        return self.record.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self.record.tags

    @property
    def account(self) -> str:
        """Whose it was."""
        return self.record.account

    @property
    def options(self) -> Options:
        """How it was to be compiled and run; ``None``: the resource's default."""
        return self.record.options

    @property
    def pubs(self) -> tuple[Pub, ...] | None:
        """Its pubs as they were understood; ``None``: one for each circuit, not read yet."""
        return self.record.pubs

    @property
    def executions(self) -> tuple[ExecutionEntry, ...]:
        """Requests to the provider: its id of the job, times, usage, target, calibration."""
        return self.record.executions

    def result(self, partial: bool = False) -> Result[Any]:
        """Its result; with ``partial``, what there is of one.

        Raises:
            TaskFailed: the job failed or was cancelled.
            NotReady: it was not done when the receipt was made.
        """
        name = job_member(self.id, "result.json")
        if name not in self._file or (self.state is not JobState.COMPLETED and not partial):
            raise self._why_none()
        return result_of(self.answer())

    @property
    def has_result(self) -> bool:
        """Whether there is one, or some of one."""
        return job_member(self.id, "result.json") in self._file

    def answer(self) -> Answer:
        """What there is of a result, as it is kept."""
        name = job_member(self.id, "result.json")
        place = f"{self._file.where}: {name}"
        answer = from_plain(_Answer, self._file.document(name), place)
        check_pubs(list(answer.pubs), answer.kind, f"{place}.pubs")
        return answer

    def npz(self) -> bytes:
        """Its result as the bytes of a NumPy ``.npz`` file; raises as :meth:`result`."""
        name = job_member(self.id, "result.npz")
        if name not in self._file or self.state is not JobState.COMPLETED:
            raise self._why_none()
        return self._file.read(name)

    def events(self) -> list[EventEntry]:
        """Its history up to then, in order."""
        name = job_member(self.id, "events.jsonl")
        place = f"{self._file.where}: {name}"
        return [from_plain(EventEntry, line, place) for line in self._file.lines(name)]

    def programs(self) -> list[Program]:
        """The programs as they were submitted, byte for byte."""
        return [
            Program(format=one.format, data=self._file.read(program_member(one.digest)))
            for one in self.record.programs
        ]

    def circuits(self) -> "list[QuantumCircuit]":
        """The circuits of all its programs, in order, as Qiskit's, which this needs.

        Raises :class:`NotReady` where they had not been read yet, and :class:`Unsupported` for a
        program that is no circuits.
        """
        from quanopy.client.circuits import unpack_circuits

        late = self._read_late()
        found: list[QuantumCircuit] = []
        for index, one in enumerate(self.record.programs):
            if one.format.partition("/")[0] not in CIRCUITS:
                raise Unsupported(f"a {one.format} program has no circuits", hint="Take its data.")
            digest = one.circuits or late.get(index)
            if digest is None:
                raise NotReady(f"the programs of {self.id} had not been read yet")
            found += unpack_circuits(self._file.read(circuits_member(digest)))
        return found

    def _read_late(self) -> dict[int, str]:
        """By program, digests of circuits that were read only when the job was dispatched."""
        return {
            ran.program: ran.read or ran.circuits
            for part in self.record.parts
            for ran in part.ran or ()
            if ran.read is not None or ran.level is None
        }

    def compiled(self) -> "list[ReceiptRan]":
        """What ran, where that is not what was read: by part and program."""
        return [
            ReceiptRan(self._file, part, ran)
            for part, entry in enumerate(self.record.parts)
            for ran in entry.ran or ()
        ]

    @property
    def calibration(self) -> ReceiptCalibration:
        """What each of its executions ran under, and how surely that is known."""
        return ReceiptCalibration(self._file, self.executions)

    def _why_none(self) -> NotReady | TaskFailed:
        if self.state in FINAL_JOB_STATES:
            problem = self.record.problem
            said = problem.message if problem else f"the job was {self.state}"
            return TaskFailed(said, where=self.id, hint="partial=True gives what there is.")
        return NotReady(f"{self.id} was {self.state} when the receipt was made")

    def __repr__(self) -> str:
        return f"ReceiptJob({self.id!r})"


class ReceiptRan:
    """A program as a part of its job ran it."""

    def __init__(self, file: ReceiptFile, part: int, ran: RanEntry) -> None:
        self._file = file
        self.part = part
        """Index of the part of the job."""
        self.program = ran.program
        """Its index in the job."""
        self.digest = ran.circuits
        self.level = ran.level
        """Optimisation level, 0 to 3; ``None`` where nothing was compiled."""
        self.seed = ran.seed
        """The ``seed_transpiler`` that it was compiled with."""
        self.compiler = ran.compiler
        """Name and version; ``None`` where nothing was compiled."""

    @property
    def data(self) -> bytes:
        """QPY."""
        return self._file.read(circuits_member(self.digest))

    @property
    def circuits(self) -> "list[QuantumCircuit]":
        """Its circuits as Qiskit's, which this needs, with ``layout`` where they were laid out."""
        from quanopy.client.circuits import unpack_circuits

        return unpack_circuits(self.data)

    def __repr__(self) -> str:
        return f"ReceiptRan(program={self.program}, part={self.part}, {self.compiler})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A ``result.json``."""

    job_id: str
    kind: JobKind
    resource: str
    state: JobState
    pubs: tuple[dict[str, Any] | None, ...]
    missing: tuple[int, ...] = ()
    problem: Problem | None = None
