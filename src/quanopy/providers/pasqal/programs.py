"""Pulser sequences as the JSON they are: looked at, never built here."""

import json
from typing import Any

from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.programs import PULSER
from quanopy.ports.providers import Work

_MOST = 16 * 1024 * 1024


def sequence_in(work: Work, program: int) -> str:
    """A program of a work as text; raises :class:`Invalid` where it is none."""
    try:
        return work.circuits[program].decode()
    except UnicodeDecodeError:
        raise Invalid("not JSON", where=f"programs[{program}]") from None


def check_work(work: Work, *, atoms: int | None, runs: int | None) -> None:
    """Refuse what can be seen not to run on a device of so many atoms and runs a job."""
    if work.native != PULSER:
        raise ResourceMismatch(
            f"{work.resource} runs Pulser sequences alone",
            hint="Send what sequence.to_abstract_repr() gives.",
        )
    for program in sorted({pub.program for pub in work.pubs}):
        _check_sequence(work, program, atoms)
    for index, pub in enumerate(work.pubs):
        if runs is not None and (pub.shots or 1) > runs:
            raise ResourceMismatch(
                f"{work.resource} runs a sequence {runs} times at most",
                where=f"pubs[{work.first_pub + index}].shots",
            )


def _check_sequence(work: Work, program: int, atoms: int | None) -> None:
    where = f"programs[{program}]"
    if len(work.circuits[program]) > _MOST:
        raise ResourceMismatch(f"more than {_MOST} bytes", where=where)
    document = _document(sequence_in(work, program), where)
    register = document.get("register")
    if not isinstance(register, list) or not all(isinstance(atom, dict) for atom in register):
        raise Invalid("it has no list of atoms", where=f"{where}.register")
    if document.get("variables") or any("x" not in atom for atom in register):
        raise Invalid(
            "it has variables, or a register without places",
            where=where,
            hint="Build it first: sequence.build(…).to_abstract_repr().",
        )
    if atoms is not None and len(register) > atoms:
        raise ResourceMismatch(
            f"{len(register)} atoms; {work.resource} has {atoms}", where=f"{where}.register"
        )


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("not JSON", where=where) from None
    if not isinstance(document, dict):
        raise Invalid("not a Pulser sequence: a JSON object is needed", where=where)
    return document
