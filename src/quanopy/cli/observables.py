"""Observables as people type and read them."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from quanopy.domain.errors import Invalid

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WHOLE = re.compile(r"[IXYZ01rl]+")
_TERM = re.compile(rf"\s*(?P<sign>[+-]?)\s*(?:(?P<number>{_NUMBER})\s*\*\s*)?(?P<label>[IXYZ]+)\s*")


def parse_observable(text: str) -> dict[str, float]:
    """``ZZ``, ``0.5*ZZ - 1.2*XI`` or ``{"ZZ": 0.5}`` as a mapping of label to coefficient.

    A label alone may use projectors too (``IXYZ01rl``), a sum Paulis only, a mapping all of
    Qiskit's alphabet: outside a mapping, ``+`` and ``-`` are signs and no projectors. Raises
    :class:`Invalid` for anything else, and for terms of unequal length.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        terms = _mapping(stripped)
    elif _WHOLE.fullmatch(stripped):
        terms = {stripped: 1.0}
    else:
        terms = _sum(stripped)
    if len({len(label) for label in terms}) != 1:
        raise Invalid(f"{text!r}: terms act on different numbers of qubits", where="observable")
    return terms


def _mapping(text: str) -> dict[str, float]:
    try:
        found = json.loads(text)
        terms = {str(label): float(value) for label, value in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"not a mapping of labels to numbers: {text[:80]}", where="observable") from (
            error
        )
    if not terms or not all(map(math.isfinite, terms.values())):
        raise Invalid("coefficients must be finite numbers", where="observable")
    return terms


def _sum(text: str) -> dict[str, float]:
    terms: dict[str, float] = {}
    place = 0
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None or (place and not term["sign"]):
            raise Invalid(
                f"{text!r} is no observable",
                where="observable",
                hint='Write ZZ, 0.5*ZZ - 1.2*XI or {"ZZ": 0.5, "XI": -1.2}.',
            )
        value = float(term["number"] or 1.0) * (-1.0 if term["sign"] == "-" else 1.0)
        terms[term["label"]] = terms.get(term["label"], 0.0) + value
        place = term.end()
    if not terms:
        raise Invalid("an empty observable", where="observable")
    return terms


def show_observable(terms: Mapping[str, float]) -> str:
    """A mapping of labels to coefficients as :func:`parse_observable` reads it: ``0.5*ZZ - XI``."""
    text = ""
    for label, value in terms.items():
        sign = ("- " if text else "-") if value < 0 else ("+ " if text else "")
        factor = "" if abs(value) == 1.0 else f"{abs(value):.6g}*"
        text += f"{' ' if text else ''}{sign}{factor}{label}"
    return text


def label(observables: Any, shape: Sequence[int], place: int) -> str:
    """What a value of a result of this shape is of, by its place in C order: its observable out
    of nested lists that are broadcast to the shape, and its index where that alone does not tell.
    """
    index: list[int] = []
    for size in reversed(shape):
        place, rest = divmod(place, size)
        index.insert(0, rest)
    own = _shape(observables)
    for size, at in zip(own, index[len(index) - len(own) :], strict=True):
        observables = observables[at if size > 1 else 0]
    alone = math.prod(own) == math.prod(shape)
    return show_observable(observables) + ("" if alone else f" {index}")


def _shape(nested: Any) -> tuple[int, ...]:
    return (len(nested), *_shape(nested[0])) if isinstance(nested, list) else ()
