"""Targets as canonical JSON: see :class:`quanopy.domain.resources.Target`."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

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
