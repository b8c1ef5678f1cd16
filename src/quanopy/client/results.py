"""Results as light objects: JSON inside, Qiskit's types on demand."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from quanopy.client.files import write_atomically
from quanopy.codecs.places import place_of
from quanopy.codecs.receipt_files import is_receipt
from quanopy.codecs.receipts import RESULT_FORMAT as FORMAT
from quanopy.domain.errors import Invalid, NotFound, NotReady
from quanopy.domain.jobs import JobKind, Problem
from quanopy.domain.states import JobState

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult

    from quanopy.wire.jobs import ProblemOut


class Answer(Protocol):
    """What there is of a job's result: :class:`~quanopy.wire.jobs.ResultOut`, or the same as a
    receipt has it."""

    @property
    def job_id(self) -> str: ...
    @property
    def kind(self) -> JobKind: ...
    @property
    def resource(self) -> str: ...
    @property
    def state(self) -> JobState: ...
    @property
    def pubs(self) -> Sequence[dict[str, Any] | None]: ...
    @property
    def missing(self) -> Sequence[int]: ...
    @property
    def problem(self) -> "ProblemOut | Problem | None": ...


@dataclass(frozen=True, slots=True)
class Register:
    """A classical register: its name and width in bits."""

    name: str
    bits: int


class SamplePub:
    """Counts of one pub."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter sets; ``()`` for a single one."""
        return tuple(self._raw.get("shape", ()))

    @property
    def shots(self) -> int:
        """Shots of each parameter set."""
        return int(self._raw["shots"])

    @property
    def registers(self) -> tuple[Register, ...]:
        """Classical registers; the first holds the lowest (rightmost) bits."""
        return tuple(Register(r["name"], int(r["bits"])) for r in self._raw["registers"])

    @property
    def num_bits(self) -> int:
        """Bits of all registers together."""
        return sum(register.bits for register in self.registers)

    @property
    def raw_counts(self) -> list[dict[str, int]]:
        """Per parameter set, in C order: hexadecimal outcome of all registers to its count."""
        counts: list[dict[str, int]] = self._raw["counts"]
        return counts

    @property
    def memory(self) -> list[list[str]] | None:
        """Per parameter set, each shot's hexadecimal outcome in order, where it was asked for."""
        return self._raw.get("memory")

    @property
    def counts(self) -> dict[str, int]:
        """Bitstring of all registers to its count, over all parameter sets together."""
        total: Counter[str] = Counter()
        for counts in self.raw_counts:
            total.update(counts)
        return self._bitstrings(total)

    def at(self, *index: int) -> dict[str, int]:
        """Counts of one parameter set, by its index in :attr:`shape`."""
        return self._bitstrings(self.raw_counts[place_of(index, self.shape)])

    def of_register(self, name: str) -> dict[str, int]:
        """Counts of one register alone, over all parameter sets together."""
        offset = 0
        for register in self.registers:
            if register.name == name:
                return self._marginal(offset, register.bits)
            offset += register.bits
        known = ", ".join(register.name for register in self.registers)
        raise Invalid(f"there is no register {name!r}", hint=f"It has: {known}.")

    def _marginal(self, offset: int, bits: int) -> dict[str, int]:
        total: Counter[str] = Counter()
        mask = (1 << bits) - 1
        for counts in self.raw_counts:
            for outcome, count in counts.items():
                total[_bitstring(int(outcome, 16) >> offset & mask, bits)] += count
        return dict(total)

    def _bitstrings(self, counts: dict[str, int]) -> dict[str, int]:
        bits = self.num_bits
        return {_bitstring(int(outcome, 16), bits): count for outcome, count in counts.items()}

    def __repr__(self) -> str:
        return f"SamplePub(shape={self.shape}, shots={self.shots}, registers={self.registers})"


class EstimatePub:
    """Expectation values of one pub."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @property
    def shape(self) -> tuple[int, ...]:
        """Broadcast shape of parameter sets and observables; ``()`` for a single value."""
        return tuple(self._raw.get("shape", ()))

    @property
    def evs(self) -> Any:
        """Expectation values: a float, or lists nested as :attr:`shape` says."""
        return _nested(self.flat_evs, self.shape)

    @property
    def stds(self) -> Any:
        """Their standard errors, shaped alike."""
        return _nested(self.flat_stds, self.shape)

    @property
    def flat_evs(self) -> list[float]:
        """Expectation values in C order."""
        return _numbers(self._raw["evs"])

    @property
    def flat_stds(self) -> list[float]:
        """Standard errors in C order."""
        return _numbers(self._raw["stds"])

    @property
    def precision(self) -> float | None:
        """The standard error that was aimed at; 0 for exact values."""
        return self._raw.get("precision")

    def __repr__(self) -> str:
        return f"EstimatePub(evs={self.evs}, stds={self.stds})"


class NativePub:
    """What came of a program that is not made of circuits."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @property
    def format(self) -> str:
        """The program's format: ``braket-ahs``, ``pulser``, ``perceval`` …"""
        return str(self._raw["native"])

    @property
    def shots(self) -> int:
        """How often it was run."""
        return int(self._raw["shots"])

    @property
    def counts(self) -> dict[str, int]:
        """Outcomes in the vendor's own words (``rgrg``, ``|1,0,1>``) to how often each came."""
        return dict(self._raw["outcomes"])

    @property
    def documents(self) -> list[Any]:
        """The vendor's own result documents, where it has any."""
        return list(self._raw.get("documents", ()))

    def __repr__(self) -> str:
        return f"NativePub({self.format!r}, shots={self.shots}, {len(self.counts)} outcomes)"


P = TypeVar("P", SamplePub, EstimatePub, NativePub)


class Result(Sequence[P], Generic[P]):
    """A job's result: one entry a pub, in order. Nothing here needs Qiskit or NumPy."""

    def __init__(self, answer: Answer, pub: type[P]) -> None:
        self._answer = answer
        self._pub: type[P] = pub

    @property
    def job_id(self) -> str:
        """Whose result it is."""
        return self._answer.job_id

    @property
    def kind(self) -> JobKind:
        """What was asked for."""
        return self._answer.kind

    @property
    def resource(self) -> str:
        """What it ran on."""
        return self._answer.resource

    @property
    def state(self) -> JobState:
        """The job's state when this was fetched; not final for some partial results."""
        return self._answer.state

    @property
    def missing(self) -> list[int]:
        """Indices of pubs that are not (all) there: only in partial results."""
        return list(self._answer.missing)

    @property
    def problem(self) -> "ProblemOut | Problem | None":
        """Why parts are missing for good, where they are."""
        return self._answer.problem

    def __len__(self) -> int:
        return len(self._answer.pubs)

    @overload
    def __getitem__(self, index: int) -> P: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[P]: ...
    def __getitem__(self, index: int | slice) -> P | Sequence[P]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        found = self._answer.pubs[index]
        if found is None:
            raise NotReady(f"pub {index} has no result yet", hint="`missing` lists such pubs.")
        pub: P = self._pub(found)
        return pub

    def __iter__(self) -> Iterator[P]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        gaps = f", {len(self.missing)} missing" if self.missing else ""
        return f"<{self.kind} result of {self.job_id}: {len(self)} pubs{gaps}>"

    def to_dict(self) -> dict[str, Any]:
        """The ``quanopy.result/1`` document."""
        answer, problem = self._answer, self._answer.problem
        document: dict[str, Any] = {
            "format": FORMAT,
            "job_id": answer.job_id,
            "kind": answer.kind.value,
            "resource": answer.resource,
            "state": answer.state.value,
            "pubs": list(answer.pubs),
            "missing": list(answer.missing),
        }
        if problem is not None:
            said = {"type": problem.type, "message": problem.message, "hint": problem.hint}
            document["problem"] = {name: text for name, text in said.items() if text is not None}
        return document

    def save(self, path: Path | str) -> None:
        """Write the document as JSON, whole or not at all; :func:`quanopy.load` reads it."""
        write_atomically(Path(path), to_json(self))

    def to_primitive_result(self) -> "PrimitiveResult[Any]":
        """Qiskit's ``PrimitiveResult``: a ``BitArray`` for each register, or arrays of
        expectation values and standard errors."""
        from quanopy.client.primitives import primitive_result

        return primitive_result(self)


SampleResult = Result[SamplePub]
EstimateResult = Result[EstimatePub]


def result_of(answer: Answer) -> Result[Any]:
    """The answer of the broker as a result of its kind."""
    if answer.kind is JobKind.ESTIMATE:
        return Result(answer, EstimatePub)
    first = next((pub for pub in answer.pubs if pub is not None), None)
    if first is not None and "outcomes" in first:
        return Result(answer, NativePub)
    return Result(answer, SamplePub)


def load(path: Path | str) -> Any:
    """Read back a result file that ``save``, ``quanopy result`` or ``qrun`` wrote, as a
    :class:`Result`; or a receipt that ``export`` wrote, its jobs with all that belongs to them, as
    a :class:`~quanopy.client.receipts.Receipt`: that needs the standard library alone, and NumPy
    for arrays.

    Raises :class:`NotFound` for a file that cannot be read, :class:`Invalid` for one that is
    neither.
    """
    try:
        if is_receipt(path):
            from quanopy.client.receipts import Receipt

            return Receipt(path)
        return _result(path)
    except OSError as error:
        raise NotFound(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def _result(path: Path | str) -> Result[Any]:
    from pydantic import ValidationError

    from quanopy.wire.jobs import ResultOut

    try:
        document = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Invalid(f"not a {FORMAT} document", where=str(path))
    try:
        return result_of(ResultOut.model_validate(document))
    except ValidationError as error:
        raise Invalid(f"not a whole {FORMAT} document", where=str(path)) from error


def to_json(result: Result[Any]) -> bytes:
    """A result's document as JSON, with a line break at its end."""
    return json.dumps(result.to_dict(), ensure_ascii=False).encode() + b"\n"


def _bitstring(value: int, bits: int) -> str:
    return format(value, f"0{bits}b") if bits else ""


def _numbers(values: Sequence[float | None]) -> list[float]:
    """JSON has no NaN; ``null`` stands for it."""
    return [math.nan if value is None else float(value) for value in values]


def _nested(flat: list[float], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    step = math.prod(shape[1:])
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]
