"""Reading the vendor's documents, which are a stranger's."""

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; nothing in it where it is none."""
    return value if isinstance(value, dict) else {}
