"""The object store: immutable, content-addressed, create-once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quanopy.domain.jobs import Extent


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """An object as a listing shows it."""

    key: str
    size: int
    modified_at: datetime


class Objects(Protocol):
    """Bytes kept for good under keys that name their content.

    Raises :class:`~quanopy.domain.errors.Unavailable` when the store cannot be reached, is full
    or is read-only, :class:`~quanopy.domain.errors.NotFound` for a key that is not there.
    """

    @property
    def near(self) -> bool:
        """Whether objects are kept about as quickly as rows: no network in between."""

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Keep these objects durably (synced) before returning. A key that exists is left as it
        is: content-addressed writes are idempotent."""

    def remember(self, objects: Mapping[str, bytes]) -> None:
        """Have these at hand, if they are small, for who reads them before they are put."""

    def get(self, keys: Sequence[str]) -> list[bytes]:
        """Whole objects, in the order asked."""

    def read(self, extents: Sequence[Extent]) -> list[bytes]:
        """Parts of objects, in the order asked; parts of one object are fetched together."""

    def at_hand(self, extents: Sequence[Extent]) -> list[bytes] | None:
        """The same if nothing need be waited for (all was put or read lately), else ``None``."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object under a prefix, in no order."""

    def delete(self, keys: Sequence[str]) -> None:
        """Forget these objects; one that is not there is no error."""

    def check(self) -> None:
        """Raise unless the store can be reached and written now (for readiness)."""
