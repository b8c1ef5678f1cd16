"""Counts read from their text without making a Python object of each outcome.

A result's text is JSON of which nearly all is counts. These are cut out before the rest is parsed,
and read place by place as arrays: several times as fast as parsing them, and without the memory.
"""

import json
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from quanopy.domain.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BEGIN, _END = b'"counts":[', b"]"
_SHORT = 1000
"""Bytes up to which counts are as well parsed with the rest."""
_LONGEST = 15
"""Digits of a number, at most: a larger one is no count."""
_QUOTE, _COLON, _COMMA, _ZERO, _OPENS, _CLOSES = b'":,0{}'


def parsed(text: bytes) -> Any:
    """JSON in which long ``counts`` of one parameter set stay texts, as ``bytes``, for
    :mod:`quanopy.codecs.merging` to read. Raises :class:`Invalid` for what is no JSON."""
    mark = secrets.token_hex(8)  # nothing that anybody wrote into the text
    pieces: list[bytes] = []
    cut: list[bytes] = []
    last = 0
    for start, end in _places(text):
        pieces += [text[last:start], b'"%b%d"' % (mark.encode(), len(cut))]
        cut.append(text[start:end])
        last = end

    def put_back(found: dict[str, Any]) -> dict[str, Any]:
        match found.get("counts"):
            case [str(name)] if name.startswith(mark):
                found["counts"] = [cut[int(name.removeprefix(mark))]]
        return found

    try:
        return json.loads(b"".join([*pieces, text[last:]]), object_hook=put_back)
    except (ValueError, RecursionError):
        pass  # a vendor's document may have its own counts, with arrays in them
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}"[:200]) from None


def _places(text: bytes) -> Iterator[tuple[int, int]]:
    """Where one long object is all there is between the brackets of ``counts``."""
    at = text.find(_BEGIN)
    while at >= 0:
        start = at + len(_BEGIN)
        end = text.find(_END, start)
        body = text[start : start + 1], text[end - 1 : end]
        if end - start > _SHORT and body == (b"{", b"}") and text.find(b"}", start, end) == end - 1:
            yield start, end
        at = text.find(_BEGIN, max(start, end))


class Entries(NamedTuple):
    """The entries of ``{"KEY":NUMBER,…}``: its letters, where each key begins and ends, numbers."""

    letters: "NDArray[np.uint8]"
    begins: "NDArray[np.intp]"
    ends: "NDArray[np.intp]"
    numbers: "NDArray[np.int64]"


def entries(text: bytes) -> Entries | None:
    """The entries of an object; ``None`` where it is not written just so, without blanks."""
    import numpy as np

    letters = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(letters == _QUOTE)
    begins, ends, last = quotes[::2] + 1, quotes[1::2], len(letters) - 1
    whole = len(begins) == len(ends) > 0 and begins[0] == 2 and ends[-1] < last - 2
    if (
        not whole
        or (letters[0], letters[last]) != (_OPENS, _CLOSES)
        or (letters[ends + 1] != _COLON).any()
    ):
        return None
    # A number goes on to the comma before the next key.
    after = np.append(begins[1:] - 2, last)
    lengths = after - ends - 2
    if (letters[after[:-1]] != _COMMA).any():
        return None
    if lengths.min() < 1 or lengths.max() > _LONGEST:
        return None
    numbers = np.zeros(len(ends), np.int64)
    for place in range(int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        digits = letters[ends[longer] + 2 + place] - np.uint8(_ZERO)
        if (digits > 9).any():
            return None
        numbers[longer] = 10 * numbers[longer] + digits
    return Entries(letters, begins, ends, numbers)
