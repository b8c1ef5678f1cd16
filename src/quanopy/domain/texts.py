"""Text that people give, and that is shown to others: names, labels, reasons."""

import unicodedata

_HARMFUL = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls (NUL too, which PostgreSQL does not store), surrogates, line and paragraph ends."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Overrides, embeddings and isolates of the direction of writing: what is read is not what is
there (CVE-2021-42574)."""


def shown(text: str, longest: int) -> str:
    """A stranger's text as it can be shown on a line: at most so long, and of what would do
    something else than show (controls, turned writing) its code."""
    return "".join(one if is_showable(one) else ascii(one)[1:-1] for one in text[:longest])


def is_showable(text: str) -> bool:
    """Whether a line of text can be kept and shown as it is; joined emoji can."""
    return text.isprintable() or not any(
        one in _TURNING or unicodedata.category(one) in _HARMFUL for one in text
    )
