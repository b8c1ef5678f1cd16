"""Tallies: how often each outcome came, as arrays, so that millions are added in no time.

An outcome is a row of 64-bit words, the lowest first. Where the bits of the outcomes leave room,
the parameter set is in the highest bits of the one word there is, else a word of its own, the last.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from quanopy.codecs.count_text import entries
from quanopy.domain.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.uint64]
    Numbers = NDArray[np.int64]
    Floats = NDArray[np.float64]

_NARROW = 22
"""Up to this many bits, every outcome there can be is given a place where there are many rows."""
_WAITING = 1 << 20
"""Rows that wait to be added to the others, at least: adding is put off until it is worth it."""
_MOST = 2**53
_SPACE, _NO_DIGIT = 0x20, 255


class Tally:
    """Counts of ``bits`` bits in so many parameter ``sets``, added to again and again."""

    def __init__(self, bits: int, sets: int) -> None:
        self.bits = bits
        self.sets = sets
        self.words = _words(bits)
        """Words that hold an outcome's bits."""
        wide = max(1, bits + max(0, sets - 1).bit_length())
        self.width = wide if wide <= 64 else 0
        """Bits of outcome and parameter set in one word; 0 where they do not fit."""
        self._waiting: list[tuple[Rows, Numbers]] = []
        self._rows = 0
        self._is_added = False
        self._ones: list[Floats] | None = None

    def add(self, counts: Sequence[Mapping[str, Any] | bytes]) -> None:
        """Add hexadecimal outcomes, a mapping (or its JSON) a parameter set; raises
        :class:`Invalid` for what is no outcome of so many bits, or no number."""
        import numpy as np

        parts = [
            (self._with_set(rows, at), numbers)
            for at, one in enumerate(counts)
            for rows, numbers in _read(one, self.bits, f"counts[{at}]")
        ]
        if parts:
            self._put(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def include(self, other: "Tally") -> None:
        """Add all of another of the same bits and sets."""
        for rows, numbers in other._waiting:
            self._put(rows, numbers)

    def added(self) -> "tuple[Rows, Numbers]":
        """Each outcome that came once, in order, and how often it came."""
        import numpy as np

        if not self._waiting:
            return np.zeros((0, 1 if self.width else self.words + 1), np.uint64), np.zeros(0, int)
        if not self._is_added:
            rows, numbers = zip(*self._waiting, strict=True)
            both = together(np.concatenate(rows), np.concatenate(numbers)[:, None], self.width)
            self._waiting = [(both[0], both[1][:, 0])]
            self._rows, self._is_added = len(both[0]), True
        return self._waiting[0]

    def by_set(self) -> "tuple[NDArray[np.intp], Numbers]":
        """The parameter set of each outcome that came, and how often it came."""
        rows, numbers = self.added()
        return self.sets_of(rows), numbers

    def sets_of(self, rows: "Rows") -> "NDArray[np.intp]":
        """The parameter set of each row."""
        import numpy as np

        if self.sets < 2:
            return np.zeros(len(rows), np.intp)
        if not self.width:
            return rows[:, -1].astype(np.intp)
        return (rows[:, 0] >> np.uint64(self.bits)).astype(np.intp)

    def outcomes_of(self, rows: "Rows") -> "Rows":
        """The outcomes' own words, without the parameter set."""
        import numpy as np

        return rows & np.uint64((1 << self.bits) - 1) if self.width else rows[:, : self.words]

    def counts(self) -> list[dict[str, int]]:
        """As hexadecimal outcomes, a mapping a parameter set, lowest outcome first."""
        import numpy as np

        rows, numbers = self.added()
        bounds = np.searchsorted(self.sets_of(rows), np.arange(self.sets + 1))
        keys, each = list(_hexadecimal(self.outcomes_of(rows))), numbers.tolist()
        return [
            dict(zip(keys[start:end], each[start:end], strict=True))
            for start, end in pairwise(bounds.tolist())
        ]

    def count(self, outcome: int) -> "tuple[Floats, Floats]":
        """How often an outcome came in each parameter set, and their shots."""
        rows, _ = self.added()
        words = self.outcomes_of(rows)
        return self._where((words == _split(outcome, words.shape[1])).all(axis=1))

    def odd(self, mask: int) -> "tuple[Floats, Floats]":
        """How often an odd number of these bits were 1 in each parameter set, and their shots."""
        import numpy as np

        words = self.outcomes_of(self.added()[0])
        ones = np.bitwise_count(words & _split(mask, words.shape[1])).sum(axis=1)
        return self._where(ones % 2 == 1)

    def ones(self) -> "tuple[list[Floats], Floats]":
        """Of each bit, the lowest first: how often it was 1, by parameter set; and their shots."""
        import numpy as np

        if self._ones is None:
            sets, numbers = self.by_set()
            words, one = self.outcomes_of(self.added()[0]), np.uint64(1)
            self._ones = [
                self._sums(sets, numbers * (words[:, bit // 64] >> np.uint64(bit % 64) & one))
                for bit in range(self.bits)
            ]
        return self._ones, self._sums(*self.by_set())

    def _where(self, rows: "NDArray[np.bool_]") -> "tuple[Floats, Floats]":
        sets, numbers = self.by_set()
        return self._sums(sets[rows], numbers[rows]), self._sums(sets, numbers)

    def _sums(self, sets: "NDArray[np.intp]", numbers: "NDArray[Any]") -> "Floats":
        import numpy as np

        return np.bincount(sets, numbers, minlength=self.sets).astype(np.float64)

    def commonest(self, at: int) -> int | None:
        """The outcome that came most often in a parameter set."""
        rows, numbers = self._of_set(at)
        if not len(rows):
            return None
        return int.from_bytes(rows[int(numbers.argmax())].astype("<u8").tobytes(), "little")

    def _of_set(self, at: int) -> "tuple[Rows, Numbers]":
        rows, numbers = self.added()
        own = self.sets_of(rows) == at
        return self.outcomes_of(rows)[own], numbers[own]

    def _put(self, rows: "Rows", numbers: "Numbers") -> None:
        self._waiting.append((rows, numbers))
        self._is_added, self._ones = False, None
        self._rows += len(rows)
        if self._rows > 2 * max(_WAITING, len(self._waiting[0][0])):
            self.added()

    def _with_set(self, rows: "Rows", at: int) -> "Rows":
        import numpy as np

        if not self.width:
            return np.column_stack([rows, np.full(len(rows), at, np.uint64)])
        return rows | np.uint64(at << self.bits) if at else rows


def aligned(one: Tally, other: Tally) -> "tuple[Rows, Numbers]":
    """Each outcome of two tallies of the same bits and sets; how often it came in both, as two
    columns."""
    import numpy as np

    (rows, numbers), (more_rows, more_numbers) = one.added(), other.added()
    columns = np.zeros((len(rows) + len(more_rows), 2), np.int64)
    columns[: len(rows), 0] = numbers
    columns[len(rows) :, 1] = more_numbers
    return together(np.concatenate([rows, more_rows]), columns, one.width)


def together(rows: "Rows", numbers: "Numbers", width: int) -> "tuple[Rows, Numbers]":
    """Equal rows made one, in order; their numbers, a column each, are added. ``width`` is how
    many bits they have, if they are of one word."""
    import numpy as np

    if not len(rows):
        return rows, numbers
    if 0 < width <= _NARROW and 8 * len(rows) >= 1 << width:
        return _placed(rows[:, 0].astype(np.intp), numbers)
    order = np.argsort(rows[:, 0]) if rows.shape[1] == 1 else np.lexsort(rows.T)
    ordered = rows[order]
    changes = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return ordered[starts], np.add.reduceat(numbers[order], starts, axis=0)


def _placed(places: "NDArray[np.intp]", numbers: "Numbers") -> "tuple[Rows, Numbers]":
    import numpy as np

    # Sums of doubles are exact below 2**53.
    totals = np.stack([np.bincount(places, column) for column in numbers.T], axis=1)
    seen = np.flatnonzero(np.bincount(places))
    return seen.astype(np.uint64)[:, None], totals[seen].astype(np.int64)


def _read(
    counts: Mapping[str, Any] | bytes, bits: int, where: str
) -> "Iterator[tuple[Rows, Numbers]]":
    """Outcomes and how often each came; nothing where there are none."""
    import numpy as np

    if isinstance(counts, bytes):
        if (found := entries(counts)) is not None:
            yield _rows_of(found.letters, found.begins, found.ends, bits, where), found.numbers
            return
        counts = _mapping(counts, where)
    if not counts:
        return
    numbers = _numbers_of(counts, where)
    try:
        letters = np.frombuffer(f"{' '.join(counts)} ".encode("ascii"), np.uint8)
    except UnicodeEncodeError:
        raise _no_outcome(bits, where) from None
    ends = np.flatnonzero(letters == _SPACE)
    if len(ends) != len(counts):
        raise _no_outcome(bits, where)
    yield _rows_of(letters, np.append(0, ends[:-1] + 1), ends, bits, where), numbers


def _mapping(text: bytes, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("it holds what is no mapping of outcomes to numbers", where=where)
    return found


def _numbers_of(counts: Mapping[str, Any], where: str) -> "Numbers":
    import numpy as np

    try:
        numbers = np.array(list(counts.values()))
    except ValueError:  # ragged lists
        numbers = np.array([None])
    if numbers.dtype.kind != "i" or numbers.ndim != 1:
        raise Invalid("it holds what is no whole number", where=where)
    if numbers.min() < 0 or numbers.sum(dtype=np.float64) >= _MOST:
        raise Invalid("its numbers are negative, or more than can be counted", where=where)
    return numbers.astype(np.int64, copy=False)


def _rows_of(
    letters: "NDArray[np.uint8]",
    begins: "NDArray[np.intp]",
    ends: "NDArray[np.intp]",
    bits: int,
    where: str,
) -> "Rows":
    """The words of hexadecimal outcomes: the digits of all of them are read place by place."""
    import numpy as np

    lengths, words = ends - begins - 2, _words(bits)
    if lengths.min() < 1 or lengths.max() > 16 * words:
        raise _no_outcome(bits, where)
    if (letters[begins] != ord("0")).any() or (letters[begins + 1] != ord("x")).any():
        raise _no_outcome(bits, where)
    rows, digits = np.zeros((len(ends), words), np.uint64), _digits()[letters]
    shortest = lengths.min()
    for place in range(int(lengths.max())):
        found = digits[ends - 1 - place]
        if place >= shortest:
            found[lengths <= place] = 0
        if (found == _NO_DIGIT).any():
            raise _no_outcome(bits, where)
        rows[:, place // 16] |= found.astype(np.uint64) << np.uint64(4 * (place % 16))
    top = bits - 64 * (words - 1)
    if top < 64 and (rows[:, -1] >> np.uint64(top)).any():
        raise _no_outcome(bits, where)
    return rows


def _no_outcome(bits: int, where: str) -> Invalid:
    return Invalid(f"it holds what is no hexadecimal outcome of {bits} bits", where=where)


def _split(number: int, words: int) -> "Rows":
    import numpy as np

    return np.frombuffer(number.to_bytes(8 * words, "little"), "<u8").astype(np.uint64)


def _words(bits: int) -> int:
    return max(1, (bits + 63) // 64)


@cache
def _digits() -> "NDArray[np.uint8]":
    """The value of each hexadecimal digit by its ASCII code."""
    import numpy as np

    values = np.full(256, _NO_DIGIT, np.uint8)
    for digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
        values[list(digits)] = range(16)
    return values


def _hexadecimal(rows: "Rows") -> Iterator[str]:
    if rows.shape[1] == 1:
        yield from map(hex, rows[:, 0].tolist())
        return
    for row in rows.astype("<u8"):
        yield hex(int.from_bytes(row.tobytes(), "little"))
