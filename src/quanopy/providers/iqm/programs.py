"""Works as IQM's JSON, and what was measured as results."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid, ResourceMismatch, Transient
from quanopy.domain.programs import IQM
from quanopy.ports.providers import Work
from quanopy.providers.iqm.machines import Architecture

GATES = ("r", "cz")
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "dt": 1e-9}
_KEY = re.compile(r"m(\d{1,9})_b(\d{1,9})")
"""Measurement keys of ours: the place of the measurement, and the classical bit it goes into."""

Readings = Mapping[str, Sequence[Sequence[int]]]
"""Of a circuit: by measurement key, for each shot, a bit for each qubit measured."""


def batch_of(work: Work, key: str, machine: Architecture) -> dict[str, Any]:
    """What is posted for a work: all its circuits, each so many times as the one that wants most.

    A circuit's name begins with our key, so that a person can tell at IQM what it is of.
    """
    shots = max((pub.shots or 1 for pub in work.pubs), default=1)
    if work.native is not None:
        definition = definition_of(work)
        return {**definition, "shots": shots}
    from quanopy.providers.runs import runs_of

    runs = runs_of(work, gates=GATES)
    circuits = [
        {
            "name": f"{key}/{place}",
            "instructions": instructions_of(run.circuit, machine),
            "metadata": None,
        }
        for place, run in enumerate(runs)
    ]
    if machine.moves and any(_meets(circuit) for circuit in circuits):
        from quanopy.providers.iqm.moves import with_moves

        circuits = with_moves(circuits, machine)
    return {"circuits": circuits, "shots": max((run.shots for run in runs), default=shots)}


def _meets(circuit: Mapping[str, Any]) -> bool:
    return any(one["name"] == "cz" for one in circuit["instructions"])


def definition_of(work: Work) -> dict[str, Any]:
    """The batch that native programs are; raises :class:`Invalid` for what is none.

    A program is a circuit, a list of circuits, or a whole job definition with its options; the
    last goes alone, for a job has one set of options.
    """
    documents = [_document(program) for program in _programs(work)]
    whole = [one for one in documents if isinstance(one, dict) and "circuits" in one]
    if whole and len(documents) > 1:
        raise Invalid(
            "a whole IQM job definition cannot share a job with other programs",
            hint="Submit it as a job of its own.",
        )
    circuits = [circuit for one in documents for circuit in _circuits(one)]
    return {**whole[0], "circuits": circuits} if whole else {"circuits": circuits}


def _programs(work: Work) -> list[bytes]:
    return [work.circuits[pub.program] for pub in work.pubs]


def _document(program: bytes) -> Any:
    try:
        return json.loads(program)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}"[:200]) from None


def _circuits(document: Any) -> list[Any]:
    if isinstance(document, dict):
        document = document.get("circuits", [document])
    if not isinstance(document, list) or not document:
        raise Invalid("there are no circuits in it")
    for place, circuit in enumerate(document):
        if not isinstance(circuit, dict) or not isinstance(circuit.get("instructions"), list):
            raise Invalid("not a circuit of IQM's", where=f"circuits[{place}]")
        if not isinstance(circuit.get("name"), str) or not circuit["name"]:
            raise Invalid("a circuit needs a name", where=f"circuits[{place}].name")
    return document


def instructions_of(circuit: Any, machine: Architecture) -> list[dict[str, Any]]:
    """A circuit that was compiled for the machine, in IQM's words."""
    place, names = circuit.find_bit, machine.qubits
    made: list[dict[str, Any]] = []
    for at, one in enumerate(circuit.data):
        indices = [place(qubit).index for qubit in one.qubits]
        if max(indices, default=0) >= len(names):
            raise ResourceMismatch(f"there is no qubit {max(indices)}: it has {len(names)}")
        locus = [names[index] for index in indices]
        match one.name:
            case "r":
                angle, phase = (float(value) for value in one.params)
                made.append(_operation("prx", locus, angle=angle, phase=phase))
            case "cz":
                made.append(_operation("cz", machine.directed(*locus)))
            case "measure":
                key = f"m{at}_b{place(one.clbits[0]).index}"
                made.append(_operation("measure", locus, key=key))
            case "barrier" | "reset":
                made.append(_operation(one.name, locus))
            case "delay":
                seconds = float(one.params[0]) * _UNITS[one.operation.unit]
                made.append(_operation("delay", locus, duration=seconds))
            case "id":
                continue
            case other:
                raise ResourceMismatch(
                    f"IQM's machines have no {other}", hint="Let it be compiled for the resource."
                )
    return made


def _operation(name: str, locus: Sequence[str], **args: object) -> dict[str, Any]:
    return {"name": name, "locus": list(locus), "args": args, "implementation": None}


def results_from(work: Work, measured: Any, who: str) -> list[PubResult]:
    """The result of each pub; raises :class:`Transient` for an answer that is none."""
    if not isinstance(measured, list) or not all(isinstance(one, dict) for one in measured):
        raise Transient(f"{who} gave measurements that are none")
    try:
        return _native(work, measured) if work.native is not None else _counted(work, measured)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Transient(
            f"{who} gave measurements that do not belong to the job: {type(error).__name__}"
        ) from None


def _counted(work: Work, measured: Sequence[Readings]) -> list[PubResult]:
    from quanopy.providers.circuits import Counted
    from quanopy.providers.runs import results_of, runs_of

    runs = runs_of(work, gates=GATES)
    answers = []
    for run, readings in zip(runs, measured, strict=True):
        values = _values(readings, run.shots)
        answers.append(
            Counted(counts=Counter(values), memory=values if work.options.memory else None)
        )
    return results_of(work, answers)


def _values(readings: Readings, shots: int) -> list[int]:
    """Each shot's outcome, classical bit 0 the lowest; of more shots than were asked for the
    first. A bit measured again holds what it was last."""
    bits: dict[int, tuple[int, Sequence[Sequence[int]]]] = {}
    for key, rows in readings.items():
        found = _KEY.fullmatch(key)
        if found is None or len(rows) < shots:
            raise ValueError("a measurement that nobody asked for, or too few shots of it")
        at, bit = int(found[1]), int(found[2])
        if bit not in bits or bits[bit][0] < at:
            bits[bit] = (at, rows)
    return [
        sum(_bit(rows[shot][0]) << bit for bit, (_, rows) in bits.items()) for shot in range(shots)
    ]


def _bit(value: Any) -> int:
    if value not in (0, 1):
        raise ValueError("a bit is 0 or 1")
    return int(value)


def _native(work: Work, measured: Sequence[Readings]) -> list[PubResult]:
    """Outcomes as IQM's bitstrings, the measurements in the order of their keys; where a program
    is of several circuits, after the place of the circuit and a slash."""
    remaining = iter(measured)
    results = []
    for pub, program in zip(work.pubs, _programs(work), strict=True):
        several = _circuits(_document(program))
        own = [next(remaining) for _ in several]
        outcomes: dict[str, int] = {}
        for place, readings in enumerate(own):
            for label in _labels(readings)[: pub.shots or 1]:
                name = f"{place}/{label}" if len(several) > 1 else label
                outcomes[name] = outcomes.get(name, 0) + 1
        result: PubResult = {
            "shape": [],
            "shots": sum(outcomes.values()),
            "native": IQM,
            "outcomes": outcomes,
        }
        if work.options.memory:
            result["documents"] = own
        results.append(result)
    if next(remaining, None) is not None:
        raise ValueError("more measurements than circuits")
    return results


def native_results(measured: Any, who: str) -> list[PubResult]:
    """The results of a job that was not made here: one a circuit."""
    if not isinstance(measured, list):
        raise Transient(f"{who} gave measurements that are none")
    try:
        found = [_labels(readings) for readings in measured]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Transient(f"{who} gave measurements that are none: {type(error).__name__}") from None
    return [
        {"shape": [], "shots": len(labels), "native": IQM, "outcomes": dict(Counter(labels))}
        for labels in found
    ]


def _labels(readings: Readings) -> list[str]:
    rows = zip(*readings.values(), strict=True)
    return ["".join(str(_bit(bit)) for part in row for bit in part) for row in rows]
