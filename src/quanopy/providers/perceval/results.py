"""Results of Perceval as texts: counted, sampled or weighed Fock states, read without Perceval.

``:PCVL:BSCount:{|1,0>: 3 …}`` and its like, perhaps compressed. Perceval's own reader is not used:
its client imports whatever module an answer names.
"""

import base64
import binascii
import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from quanopy.domain.errors import Rejected

_PREFIX = ":PCVL:"
_ZIP = ":PCVL:zip:"
_MOST_TEXT = 256 * 1024 * 1024
_MOST_OUTCOMES = 5_000_000
_STATE = re.compile(r"\|[^|>;=]{0,4096}>")


def outcomes_of(value: Any, *, shots: Callable[[], int], seed: str) -> dict[str, int]:
    """How often each Fock state came; of a distribution, so many shots are drawn, the same ones
    for the same ``seed``.

    Raises:
        Rejected: it is no such thing.
    """
    if not isinstance(value, str) or not value.startswith(_PREFIX):
        raise Rejected("the result is no text of Perceval's")
    text = _unzipped(value) if value.startswith(_ZIP) else value
    tag, _, body = text.removeprefix(_PREFIX).partition(":")
    try:
        if tag == "BSCount":
            return {state: _count(number) for state, number in _pairs(body)}
        if tag == "BSSamples":
            return dict(Counter(_samples(body)))
        if tag == "BSDistribution":
            weights = {state: _weight(number) for state, number in _pairs(body)}
            return _drawn(weights, shots(), seed)
    except (ValueError, LookupError) as error:
        raise Rejected(f"the result is a {tag} that cannot be read: {error}"[:300]) from None
    raise Rejected(f"the result is a {tag[:40]!r}, not counts, samples or a distribution")


def _drawn(weights: dict[str, float], shots: int, seed: str) -> dict[str, int]:
    if sum(weights.values()) <= 0:
        return {}
    return dict(Counter(random.Random(seed).choices([*weights], [*weights.values()], k=shots)))


def _unzipped(text: str) -> str:
    try:
        data = base64.b64decode(text.removeprefix(_ZIP), validate=True)
        opened = zlib.decompressobj()
        found = opened.decompress(data, _MOST_TEXT)
        if opened.unconsumed_tail or not opened.eof:
            raise Rejected(f"the result does not unpack to {_MOST_TEXT} bytes or less")
        return found.decode()
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Rejected(f"the result cannot be unpacked: {error}"[:300]) from None


def _pairs(body: str) -> list[tuple[str, str]]:
    inner = body.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        raise ValueError("it has no braces")
    if inner == "{}":
        return []
    parts = inner[1:-1].split(";")
    if len(parts) > _MOST_OUTCOMES:
        raise ValueError(f"it has {len(parts)} outcomes")
    return [_pair(part) for part in parts]


def _pair(part: str) -> tuple[str, str]:
    state, _, number = part.rpartition("=")
    return _state(state), number


def _state(text: str) -> str:
    if not _STATE.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no Fock state")
    return text


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count < 2**53:
        raise ValueError(f"a count of {count}")
    return count


def _weight(text: str) -> float:
    weight = float(text)
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"a probability of {weight}")
    return weight


def _samples(body: str) -> list[str]:
    listed, _, order = body.partition("/")
    if not listed:
        return []
    states = [_state(one) for one in listed.split(";")]
    places = [int(one) for one in order.split(";")]
    if len(places) > _MOST_OUTCOMES or any(not 0 <= place < len(states) for place in places):
        raise ValueError("its samples are of states that are not listed")
    return [states[place] for place in places]
