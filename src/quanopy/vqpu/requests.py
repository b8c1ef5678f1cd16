"""What a submission asks for, checked against the machine before anything is queued."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quanopy.codecs.vqpu import MOST_CIRCUITS, decode, shown
from quanopy.domain.errors import Invalid, NotFound, ResourceMismatch, TooLarge, Unsupported
from quanopy.vqpu.machine import GATES, MOST_SHOTS, Machine
from quanopy.vqpu.runs import Run

MOST_TEXT = 4 * 1024 * 1024
MOST_NORMAL_BITS = 20_000_000
_MOST_INDEX = 10_000
"""Of a qubit, on whatever device."""
"""Bits of all shots together where each shot is answered."""
_CIRCUIT, _MANY = "circuit", "circuits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A submission as it was read."""

    runs: Sequence[Run]
    normal: bool
    single: bool


def parse_json(body: bytes) -> dict[str, Any]:
    """A request's body; raises :class:`Invalid` where it is no object."""
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {error}"[:200]) from None
    if not isinstance(found, dict):
        raise Invalid("the body is no object")
    return found


def read_submission(document: Mapping[str, Any], machine: Machine) -> Asked:
    """Circuits of a ``POST /api/v1/circuits``; raises ``NotFound`` for a command that is none,
    :class:`Invalid` or :class:`ResourceMismatch` naming what is wrong."""
    settings = document.get("settings", {})
    if not isinstance(settings, dict):
        raise Invalid("settings is no object", where="settings")
    normal = _results(settings)
    _check_contrast(settings)
    command = document.get("command", _CIRCUIT if "format" in document else None)
    if command == _CIRCUIT:
        runs = [_run(document, "", settings, normal, machine)]
    elif command == _MANY:
        rows = document.get("circuits")
        if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
            raise Invalid("a list of circuits is missing", where="circuits")
        if len(rows) > MOST_CIRCUITS:
            raise TooLarge(f"{len(rows)} circuits, at most {MOST_CIRCUITS}", where="circuits")
        runs = [
            _run(row, f"circuits[{index}].", settings, normal, machine)
            for index, row in enumerate(rows)
        ]
    else:
        raise NotFound(
            f"there is no command {str(command)[:60]!r}", where="command", hint="Send `circuit`."
        )
    _check_size(runs, normal, machine)
    return Asked(runs=runs, normal=normal, single=command == _CIRCUIT)


def _results(settings: Mapping[str, Any]) -> bool:
    wanted = settings.get("results", "normal")
    if wanted not in ("normal", "counts"):
        raise Invalid(
            f"no results {str(wanted)[:40]!r}", where="settings.results", hint="normal or counts."
        )
    return bool(wanted == "normal")


def _check_contrast(settings: Mapping[str, Any]) -> None:
    """Thresholds of a real readout: an emulator has none, so they change nothing."""
    given = settings.get("readout_contrast_threshold")
    if given is not None and not isinstance(given, dict):
        raise Invalid("no object", where="settings.readout_contrast_threshold")


def _run(
    row: Mapping[str, Any], where: str, settings: Mapping[str, Any], normal: bool, machine: Machine
) -> Run:
    shots = _whole(row.get("shots", settings.get("shots")), f"{where}shots", 1, MOST_SHOTS)
    seed = settings.get("seed")
    if seed is not None:
        seed = _whole(seed, "settings.seed", 0, 2**63 - 1)
    if "format" in row:
        text = _program(row, where)
        return Run(shots=shots, program=text, memory=normal, seed=seed)
    lines = row.get("circuit")
    if not isinstance(lines, list):
        raise Invalid("a list of instructions is missing", where=f"{where}circuit")
    instructions = tuple(decode(lines, where=f"{where}circuit"))
    for index, (gate, qubits, angles) in enumerate(instructions):
        _check_gate(gate, qubits, angles, f"{where}circuit[{index}]", machine)
    return Run(
        shots=shots,
        instructions=instructions,
        measure=tuple(_measure(row.get("measure"), f"{where}measure", machine)),
        memory=normal,
        seed=seed,
    )


def _program(row: Mapping[str, Any], where: str) -> str:
    if row["format"] != "openqasm3":
        raise Unsupported(
            f"no reader for {str(row['format'])[:40]!r}",
            where=f"{where}format",
            hint="Send openqasm3, or instructions.",
        )
    text = row.get("program")
    if not isinstance(text, str) or not text.strip():
        raise Invalid("the program's text is missing", where=f"{where}program")
    if len(text) > MOST_TEXT:
        raise TooLarge(f"{len(text)} characters, at most {MOST_TEXT}", where=f"{where}program")
    return text


def _check_gate(
    gate: str, qubits: tuple[int, ...], angles: Sequence[float], where: str, machine: Machine
) -> None:
    if gate not in machine.places:
        names = ", ".join(map(shown, machine.places))
        raise ResourceMismatch(f"{shown(gate)} is no gate of this device", where=where, hint=names)
    if (len(qubits), len(angles)) != GATES[gate]:
        width, count = GATES[gate]
        raise Invalid(f"{shown(gate)} takes {width} qubits and {count} angles", where=where)
    _check_there(max(qubits), where, machine)
    places = machine.places[gate]
    if places is not None and qubits not in places:
        raise ResourceMismatch(f"{shown(gate)} does not act on qubits {qubits}", where=where)


def _check_there(qubit: int, where: str, machine: Machine) -> None:
    if qubit >= machine.qubits:
        raise ResourceMismatch(
            f"q[{qubit}] is no qubit of this device: it has {machine.qubits}", where=where
        )


def _measure(pairs: object, where: str, machine: Machine) -> Iterator[tuple[int, int]]:
    if not isinstance(pairs, list) or not pairs:
        raise Invalid("pairs of a qubit and a bit are missing", where=where)
    bits: set[int] = set()
    for index, pair in enumerate(pairs):
        if not isinstance(pair, list) or len(pair) != 2:
            raise Invalid("no pair of a qubit and a bit", where=f"{where}[{index}]")
        qubit = _whole(pair[0], f"{where}[{index}]", 0, _MOST_INDEX)
        _check_there(qubit, f"{where}[{index}]", machine)
        bit = _whole(pair[1], f"{where}[{index}]", 0, len(pairs) - 1)
        if bit in bits:
            raise Invalid(f"bit {bit} is written twice", where=f"{where}[{index}]")
        bits.add(bit)
        yield qubit, bit


def _whole(value: object, where: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(f"{str(value)[:40]} is no whole number from {least} to {most}", where=where)
    return value


def _check_size(runs: Sequence[Run], normal: bool, machine: Machine) -> None:
    bits = sum(run.shots * (len(run.measure) or machine.qubits) for run in runs)
    if normal and bits > MOST_NORMAL_BITS:
        raise TooLarge(
            f"{bits} bits of single shots, at most {MOST_NORMAL_BITS} are answered",
            where="settings.results",
            hint="Ask for counts, or fewer shots.",
        )
