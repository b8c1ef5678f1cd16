"""Whether what claims to be a result is one: every pub, by its form."""

import math
import re
from collections.abc import Sequence
from typing import Any

from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind

_OUTCOME = re.compile(r"0x[0-9a-f]+")
_MOST_BITS = 1_000_000
_MOST_SETS = 100_000_000
_MOST_AXES = 32
_MOST_TABLE = 512 * 1024 * 1024
"""Bytes of a pub's outcomes as an array, which gives each as much room as the longest."""
_LARGEST = 2**63


def check_pubs(pubs: object, kind: JobKind, where: str) -> list[dict[str, Any] | None]:
    """These, where each is the result of a pub of such a job (or ``None``: it is missing); raises
    :class:`Invalid` with the place for anything else."""
    if not isinstance(pubs, list):
        raise Invalid("it is no list", where=where)
    forms = {
        _checked_form(pub, f"{where}[{index}]") for index, pub in enumerate(pubs) if pub is not None
    }
    if len(forms) > 1 or ("evs" in forms) != bool(forms and kind is JobKind.ESTIMATE):
        found = " and ".join(sorted(forms))
        raise Invalid(f"its pubs have {found}, which is no result of kind {kind}", where=where)
    return pubs


def _checked_form(pub: object, where: str) -> str:
    """What a pub's result is told in."""
    if not isinstance(pub, dict):
        raise Invalid("it is no object", where=where)
    sets = _sets(pub.get("shape"), where)
    if "outcomes" in pub:
        _check_native(pub, where)
        return "outcomes"
    if "counts" in pub:
        _check_counts(pub, sets, where)
        return "counts"
    _check_estimate(pub, sets, where)
    return "evs"


def _sets(shape: object, where: str) -> int:
    """How many places a shape has."""
    if not isinstance(shape, list) or not all(_is_count(size) for size in shape):
        raise Invalid("it has no shape", where=where)
    if len(shape) > _MOST_AXES or math.prod(size or 1 for size in shape) > _MOST_SETS:
        raise Invalid(f"its shape is {str(shape)[:60]}", where=where)
    return math.prod(shape)


def _check_native(pub: dict[str, Any], where: str) -> None:
    _check_shots(pub, where)
    if not isinstance(pub.get("native"), str):
        raise Invalid("it names no format", where=f"{where}.native")
    outcomes = pub["outcomes"]
    if not isinstance(outcomes, dict) or not all(_is_count(one) for one in outcomes.values()):
        raise Invalid("it counts no outcomes", where=f"{where}.outcomes")
    _check_table(len(outcomes), 4 * max(map(len, outcomes), default=0), f"{where}.outcomes")
    if not isinstance(pub.get("documents", []), list):
        raise Invalid("it is no list", where=f"{where}.documents")


def _check_counts(pub: dict[str, Any], sets: int, where: str) -> None:
    _check_shots(pub, where)
    bits = _bits(pub.get("registers"), f"{where}.registers")
    counts = pub["counts"]
    if not isinstance(counts, list) or len(counts) != sets:
        raise Invalid(f"it has not one entry for each of {sets} sets", where=f"{where}.counts")
    for one in counts:
        if not isinstance(one, dict) or not all(_is_count(number) for number in one.values()):
            raise Invalid("it counts no outcomes", where=f"{where}.counts")
        _check_outcomes(list(one), bits, f"{where}.counts")
    _check_table(sum(map(len, counts)), bits // 8, f"{where}.counts")
    memory = pub.get("memory")
    if memory is not None:
        _check_memory(memory, sets, bits, f"{where}.memory")


def _check_memory(memory: object, sets: int, bits: int, where: str) -> None:
    rows = isinstance(memory, list) and all(isinstance(shots, list) for shots in memory)
    if not isinstance(memory, list) or not rows or len(memory) != sets:
        raise Invalid(f"it has not the shots of each of {sets} sets", where=where)
    if len({len(shots) for shots in memory}) > 1:
        raise Invalid("its sets have not as many shots each", where=where)
    _check_table(sum(map(len, memory)), bits // 8, where)
    for shots in memory:
        _check_outcomes(shots, bits, where)


def _check_table(rows: int, width: int, where: str) -> None:
    if rows * width > _MOST_TABLE:
        raise Invalid(f"{rows} outcomes of {width} bytes each", where=where)


def _check_outcomes(outcomes: Sequence[object], bits: int, where: str) -> None:
    most = (bits + 3) // 4 or 1
    for one in outcomes:
        if not isinstance(one, str) or len(one) > most + 2 or not _OUTCOME.fullmatch(one):
            raise Invalid(f"{str(one)[:60]!r} is no outcome of {bits} bits", where=where)
        if int(one, 16) >> bits:
            raise Invalid(f"{one[:60]} has more than {bits} bits", where=where)


def _bits(registers: object, where: str) -> int:
    """Of all registers together."""
    if not isinstance(registers, list):
        raise Invalid("it is no list", where=where)
    total = 0
    for one in registers:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise Invalid("a register has no name", where=where)
        if not _is_count(one.get("bits")):
            raise Invalid("a register has no bits", where=where)
        total += one["bits"]
    if total > _MOST_BITS:
        raise Invalid(f"{total} bits", where=where)
    return total


def _check_estimate(pub: dict[str, Any], sets: int, where: str) -> None:
    for name in ("evs", "stds"):
        values = pub.get(name)
        if not isinstance(values, list) or len(values) != sets:
            raise Invalid(f"it has not {sets} numbers", where=f"{where}.{name}")
        if not all(one is None or _is_number(one) for one in values):
            raise Invalid("there is something else than numbers", where=f"{where}.{name}")
    if pub.get("precision") is not None and not _is_number(pub["precision"]):
        raise Invalid("it is no number", where=f"{where}.precision")


def _check_shots(pub: dict[str, Any], where: str) -> None:
    if not _is_count(pub.get("shots")):
        raise Invalid("it has no shots", where=f"{where}.shots")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)
