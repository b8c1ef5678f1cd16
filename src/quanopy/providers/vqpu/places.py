"""Where an execution is: its vQPU, the instance of it that took it, and its id there.

So any process finds it again, and a vQPU that was started anew is not asked for what its forebear
had.
"""

import re
from dataclasses import dataclass

_ID = re.compile(r"([A-Za-z0-9._-]{1,100})/([A-Za-z0-9._-]{0,100})/([A-Za-z0-9._-]{1,100})")
_THERE = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of one execution; as a text it is the provider's id of it."""

    vqpu: str
    instance: str
    """Its registration's id; empty for a vQPU of the settings."""
    there: str

    def __str__(self) -> str:
        return f"{self.vqpu}/{self.instance}/{self.there}"


def place_of(id: str) -> Place | None:
    """The place that an id tells; ``None`` for what is no id of this provider."""
    match = _ID.fullmatch(id)
    return None if match is None else Place(vqpu=match[1], instance=match[2], there=match[3])


def is_id(there: object) -> bool:
    """Whether a vQPU's answer is an id."""
    return isinstance(there, str) and _THERE.fullmatch(there) is not None
