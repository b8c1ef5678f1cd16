"""Observables as people type them."""

import json
import math
import re

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
