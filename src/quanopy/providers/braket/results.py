"""Braket's result documents, which are a stranger's, as results of pubs."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Rejected, Transient
from quanopy.domain.jobs import Pub
from quanopy.domain.programs import BRAKET_AHS, BRAKET_IR
from quanopy.ports.providers import Work
from quanopy.providers.braket.devices import Device
from quanopy.providers.braket.documents import mapping
from quanopy.providers.braket.programs import Executable, exact_labels, is_exact, set_of

GATE_RESULT = "braket.task_result.gate_model_task_result"
SET_RESULT = "braket.task_result.program_set_task_result"
AHS_RESULT = "braket.task_result.analog_hamiltonian_simulation_task_result"
_MOST_SHOTS = 10_000_000
_FORMATS = {GATE_RESULT: BRAKET_IR, SET_RESULT: BRAKET_IR, AHS_RESULT: BRAKET_AHS}
_STATES = {(1, 1): "g", (1, 0): "r"}
"""An atom that was there before: seen after (ground state), or not (Rydberg, or lost)."""

Fetch = Callable[[str], Any]
"""Reads another document of the same result, by its path."""


def document_of(data: bytes) -> dict[str, Any]:
    """A result's document; :class:`Transient` for what is no JSON: it may have been cut."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Transient(f"the result is no JSON: {type(error).__name__}") from None
    if not isinstance(found, dict) or name_of(found) not in _FORMATS:
        raise Rejected("the result is none of Braket's: its header says nothing known")
    return found


def name_of(document: Mapping[str, Any]) -> str:
    """The schema's name in a header."""
    header = document.get("braketSchemaHeader")
    return str(header.get("name")) if isinstance(header, dict) else ""


def pubs_of(
    document: dict[str, Any], work: Work | None, device: Device, fetch: Fetch
) -> list[PubResult]:
    """The result of each pub; of a job that was not made here, as a native program's."""
    if work is None or work.native is not None:
        return [native_result(document, fetch)]
    from quanopy.providers.circuits import Counted, parameter_sets
    from quanopy.providers.runs import results_of

    if is_exact(work, device):
        (pub,) = work.pubs
        _, shape = parameter_sets(pub, work.first_pub)
        return [exact_result(pub, shape, [document])]
    together = set_of(work, device)
    answers = executables_in(document, fetch)
    if len(answers) != sum(together.repeats):
        raise Rejected(f"{len(answers)} circuits were answered for, not {sum(together.repeats)}")
    counted, remaining = [], iter(answers)
    for one, times in zip(together.executables, together.repeats, strict=True):
        memory = [
            value for _ in range(times) for value in _values(next(remaining), one, together.shots)
        ]
        counted.append(Counted(counts=Counter(memory), memory=memory))
    results = results_of(work, counted)
    if not all(isinstance(answer.get("measurements"), list) for answer in answers):
        for result in results:
            result.pop("memory", None)
    return results


def executables_in(document: Mapping[str, Any], fetch: Fetch) -> list[Mapping[str, Any]]:
    """What was measured of each circuit, in order; :class:`Rejected` if one failed."""
    if name_of(document) != SET_RESULT:
        return [document]
    found: list[Mapping[str, Any]] = []
    for program in _list(document.get("programResults")):
        of = fetch(program) if isinstance(program, str) else program
        for one in _list(mapping(of).get("executableResults")):
            answer = mapping(fetch(one) if isinstance(one, str) else one)
            if "measuredQubits" not in answer:
                reason = str(answer.get("failureMetadata", {}))[:300]
                raise Rejected(f"a circuit of the set failed: {reason}")
            found.append(answer)
    return found


def _values(answer: Mapping[str, Any], one: Executable, shots: int) -> list[int]:
    """Each shot's outcome as a whole number, classical bit 0 the lowest."""
    labels = [label for label in _list(answer.get("measuredQubits")) if type(label) is int]
    column = {label: at for at, label in enumerate(labels)}
    missing = [label for label in one.measured.values() if label not in column]
    if missing:
        raise Rejected(f"the result does not have qubit {missing[0]}, which was measured")
    places = [(column[label], clbit) for clbit, label in one.measured.items()]
    rows = _rows(answer, len(labels), shots)
    numbers: dict[tuple[int, ...], int] = {}
    values = []
    for row in rows:
        if row not in numbers:
            numbers[row] = sum(row[at] << clbit for at, clbit in places)
        values.append(numbers[row])
    return values


def _rows(answer: Mapping[str, Any], width: int, shots: int) -> list[tuple[int, ...]]:
    """What was measured, shot by shot; of probabilities alone, as many of each as they say."""
    measured = answer.get("measurements")
    if isinstance(measured, list):
        rows = [_row(row, width) for row in measured]
    else:
        chances = mapping(answer.get("measurementProbabilities"))
        rows = [_row(list(key), width) for key, n in shared_out(chances, shots) for _ in range(n)]
    if len(rows) != shots:
        raise Rejected(f"the result has {len(rows)} shots, not {shots}")
    return rows


def _row(row: Any, width: int) -> tuple[int, ...]:
    bits = tuple(int(bit) if bit in (0, 1, "0", "1") else -1 for bit in _list(row))
    if len(bits) != width or -1 in bits:
        raise Rejected("the result has a measurement that is no row of bits")
    return bits


def shared_out(chances: Mapping[str, Any], shots: int) -> list[tuple[str, int]]:
    """So many shots by their probabilities: largest remainders get what rounding leaves."""
    if not all(isinstance(chance, int | float) and 0 <= chance <= 1 for chance in chances.values()):
        raise Rejected("the result has probabilities that are none")
    exact = {key: chance * shots for key, chance in chances.items()}
    counts = {key: int(value) for key, value in exact.items()}
    left = shots - sum(counts.values())
    for key in sorted(exact, key=lambda key: counts[key] - exact[key])[: max(0, left)]:
        counts[key] += 1
    return [(key, number) for key, number in counts.items() if number]


def exact_result(
    pub: Pub, shape: tuple[int, ...], documents: Sequence[Mapping[str, Any]]
) -> PubResult:
    """A pub's expectation values from those of its Paulis, a document a parameter set."""
    import numpy as np

    from quanopy.providers.observables import combined, labels_in

    labels = exact_labels(pub)
    rows = [[mapping(one).get("value") for one in _list(d.get("resultTypes"))] for d in documents]
    for row in rows:
        if len(row) != len(labels) or not all(isinstance(value, int | float) for value in row):
            raise Rejected(f"{len(row)} expectation values were answered, not {len(labels)}")
    values = {label: np.ones(len(rows)) for label in labels_in(pub.observables)}
    values |= {label: np.array([row[i] for row in rows]) for i, label in enumerate(labels)}
    evs = combined(pub.observables, len(rows), shape, values)
    return {
        "shape": list(evs.shape),
        "evs": evs.ravel().tolist(),
        "stds": [0.0] * evs.size,
        "precision": pub.precision or 0.0,
    }


def native_result(document: dict[str, Any], fetch: Fetch) -> PubResult:
    """The result of a program that runs as it stands: outcomes counted, the document itself kept.

    Outcomes of circuits are bits in the order of ``measuredQubits``, of a set those of all its
    circuits; of atoms a letter each: ``g`` ground state, ``r`` Rydberg state, ``e`` empty.
    """
    name = name_of(document)
    if name == AHS_RESULT:
        outcomes = atom_outcomes(document)
    else:
        outcomes = Counter()
        for answer in executables_in(document, fetch):
            outcomes.update(_bit_outcomes(answer, document))
    return {
        "shape": [],
        "shots": sum(outcomes.values()),
        "native": _FORMATS[name],
        "outcomes": dict(outcomes),
        "documents": [document],
    }


def _bit_outcomes(answer: Mapping[str, Any], document: Mapping[str, Any]) -> Counter[str]:
    labels = _list(answer.get("measuredQubits") or [])
    measured, chances = answer.get("measurements"), answer.get("measurementProbabilities")
    if measured is None and chances is None:
        return Counter()
    shots = _shots(document) if measured is None else len(_list(measured))
    return Counter("".join(map(str, row)) for row in _rows(answer, len(labels), shots))


def _shots(document: Mapping[str, Any]) -> int:
    shots = mapping(document.get("taskMetadata")).get("shots")
    return shots if type(shots) is int and 0 <= shots <= _MOST_SHOTS else 0


def atom_outcomes(document: Mapping[str, Any]) -> Counter[str]:
    """Atoms' states by shot; shots that the machine says failed are left out."""
    outcomes: Counter[str] = Counter()
    for shot in _list(document.get("measurements")):
        status = mapping(mapping(shot).get("shotMetadata")).get("shotStatus")
        if str(status).lower() != "success":
            continue
        said = mapping(mapping(shot).get("shotResult"))
        before, after = _list(said.get("preSequence")), _list(said.get("postSequence"))
        if len(before) != len(after):
            raise Rejected("the result has a shot whose sequences differ in length")
        outcomes["".join(_STATES.get((a, b), "e") for a, b in zip(before, after, strict=True))] += 1
    return outcomes


def usage_of(document: Mapping[str, Any], shots: int) -> dict[str, float]:
    """What is billed: the task, its shots, and seconds where the vendor says them."""
    more = mapping(document.get("additionalMetadata"))
    millis = mapping(more.get("simulatorMetadata")).get("executionDuration")
    seconds = millis / 1000 if isinstance(millis, int | float) and 0 <= millis < 1e10 else 0.0
    return {"seconds": seconds, "shots": float(shots), "tasks": 1.0}


def aware(at: Any) -> datetime | None:
    """A time of the vendor's."""
    if not isinstance(at, datetime):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Rejected("the result lacks a list that Braket's schema has")
    return value
