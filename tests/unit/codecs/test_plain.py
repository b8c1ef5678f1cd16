"""Dataclasses as plain JSON and back: every type is checked, and its place named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from quanopy.codecs.plain import from_plain, to_plain
from quanopy.domain.errors import Invalid
from quanopy.domain.states import JobState


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Inside."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Every kind of field."""

    text: str
    at: datetime
    state: JobState
    ratio: float = 0.0
    flag: bool = False
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    anything: Any = None


WHOLE = Outer(
    text="é",
    at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    state=JobState.FAILED,
    ratio=0.5,
    flag=True,
    inner=Inner(number=1),
    many=(Inner(number=2), Inner(number=3)),
    usage={"seconds": 1.0},
    anything=[1, {"a": None}],
)
PLAIN = to_plain(WHOLE)


def test_what_is_written_is_read_back() -> None:
    assert from_plain(Outer, PLAIN, "it") == WHOLE


def test_fields_of_later_versions_are_left_out() -> None:
    assert from_plain(Outer, PLAIN | {"later": 1}, "it") == WHOLE


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"text": 1}, "it.text"),
        ({"text": None}, "it.text"),
        ({"at": "2026-01-31T12:00:00"}, "it.at"),
        ({"at": "noon"}, "it.at"),
        ({"state": "asleep"}, "it.state"),
        ({"state": []}, "it.state"),
        ({"ratio": "1"}, "it.ratio"),
        ({"ratio": 10**400}, "it.ratio"),
        ({"flag": 1}, "it.flag"),
        ({"inner": {"number": True}}, "it.inner.number"),
        ({"inner": {"number": 2**70}}, "it.inner.number"),
        ({"inner": {}}, "it.inner"),
        ({"many": [{"number": 1}, 2]}, "it.many[1]"),
        ({"many": {}}, "it.many"),
        ({"usage": {"seconds": None}}, "it.usage.seconds"),
    ],
)
def test_what_is_something_else_is_refused_with_its_place(
    change: dict[str, Any], where: str
) -> None:
    with pytest.raises(Invalid) as caught:
        from_plain(Outer, PLAIN | change, "it")
    assert caught.value.where == where


def test_what_is_left_out_is_named() -> None:
    with pytest.raises(Invalid, match="it has no text"):
        from_plain(Outer, {name: one for name, one in PLAIN.items() if name != "text"}, "it")
