"""Targets as canonical JSON: see :class:`quanopy.domain.resources.Target`."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from quanopy.domain.errors import Invalid
from quanopy.domain.resources import Target

FORMAT = "quanopy.target/1"


def encode_target(
    *, qubits: int, instructions: Mapping[str, Mapping[str, Any]], dt: float | None = None
) -> Target:
    """A target; the same content gives the same bytes."""
    document = {"format": FORMAT, "qubits": qubits, "dt": dt, "instructions": instructions}
    return Target(data=json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def decode_target(target: Target) -> dict[str, Any]:
    """The document in a target; raises :class:`Invalid` for another format."""
    try:
        document = json.loads(target.data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not a target: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Invalid(f"not a target of format {FORMAT}")
    return document


@lru_cache(maxsize=64)
def instruction_names(target: Target) -> frozenset[str]:
    """What a target carries out somewhere; raises :class:`Invalid` for another format."""
    return frozenset(decode_target(target)["instructions"])


_MOST_QUBITS = 10_000
_MOST_PLACES = 1_000_000
_MOST_NAMES = 500
_LARGEST = 1e300
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,59}")


def checked_target(document: object) -> Target:
    """A target from a stranger's document; raises :class:`Invalid` unless it is one."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise Invalid(f"not a target of format {FORMAT}")
    qubits, dt = document.get("qubits"), document.get("dt")
    if not _is_whole(qubits) or not 1 <= qubits <= _MOST_QUBITS:
        raise Invalid(f"a target of {str(qubits)[:40]} qubits", where="qubits")
    if dt is not None and not _is_number(dt):
        raise Invalid("dt is no time in seconds", where="dt")
    instructions = document.get("instructions")
    if not isinstance(instructions, dict) or len(instructions) > _MOST_NAMES:
        raise Invalid("a target has instructions by name", where="instructions")
    places = 0
    checked = {}
    for name, entry in instructions.items():
        checked[name] = _checked_entry(name, entry, qubits)
        places += len(checked[name]["qubits"] or ())
    if places > _MOST_PLACES:
        raise Invalid(f"instructions act on {places} places", where="instructions")
    return encode_target(qubits=qubits, instructions=checked, dt=dt)


def _checked_entry(name: object, entry: object, qubits: int) -> dict[str, Any]:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or not isinstance(entry, dict):
        raise Invalid("an instruction has a name", where=f"instructions.{str(name)[:60]}")
    where = f"instructions.{name}"
    parameters, places = entry.get("parameters"), entry.get("qubits")
    if parameters is not None and not (_is_whole(parameters) and 0 <= parameters <= 1000):
        raise Invalid("parameters is a small number", where=where)
    found: dict[str, Any] = {"parameters": parameters, "qubits": places}
    if places is None:
        return found
    if not isinstance(places, list) or not all(_is_place(place, qubits) for place in places):
        raise Invalid("it acts on qubits that are not there", where=where)
    for kind in ("errors", "durations_s"):
        values = entry.get(kind)
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != len(places):
            raise Invalid(f"{kind} are not one a place", where=where)
        if not all(value is None or _is_number(value) for value in values):
            raise Invalid(f"{kind} are no numbers", where=where)
        found[kind] = values
    return found


def _is_place(place: object, qubits: int) -> bool:
    return (
        isinstance(place, list)
        and 1 <= len(place) <= 64
        and all(_is_whole(qubit) and 0 <= qubit < qubits for qubit in place)
        and len(set(place)) == len(place)
    )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= _LARGEST  # NaN is not, and a huge integer is compared, not converted
