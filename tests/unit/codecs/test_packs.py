"""Packs are tar files whose members lie where their builder said."""

import tarfile
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quanopy.codecs.packs import BLOCK, PackBuilder, Span, digest_in, members
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import Extent
from quanopy.domain.programs import digest_of

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PARTS = st.tuples(st.sampled_from("az09"), st.text("az09._-", max_size=40)).map("".join)
NAMES = st.lists(PARTS, min_size=1, max_size=2).map("/".join)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.binary(max_size=2 * BLOCK + 1), max_size=8))
def test_members_lie_where_the_builder_said(contents: dict[str, bytes]) -> None:
    builder = PackBuilder(NOW)
    spans = {name: builder.add(name, data) for name, data in contents.items()}
    _, data = builder.close("pending")
    for name, span in spans.items():
        assert data[span.offset : span.offset + span.length] == contents[name]
    found = list(members(data))
    assert {member.name: member.data for member in found} == contents
    assert {member.name: member.span for member in found} == spans


def test_tarfile_opens_them() -> None:
    builder = PackBuilder(NOW)
    builder.add("folder/" + "x" * 93, b"data")
    _, data = builder.close("pending")
    with tarfile.open(fileobj=BytesIO(data), mode="r:", errorlevel=2) as archive:
        (info,) = archive.getmembers()
        assert info.mtime == NOW.timestamp()
        assert info.mode == 0o644
        assert info.isfile()


def test_a_name_stands_for_one_content() -> None:
    builder = PackBuilder(NOW)
    assert builder.add("a", b"first") == builder.add("a", b"first")
    _, data = builder.close("pending")
    assert len(list(members(data))) == 1


def test_the_key_is_the_stage_the_day_and_the_digest() -> None:
    key, data = PackBuilder(NOW).close("completed")
    assert key.startswith("completed/2026/03/04/")
    assert digest_in(key) == digest_of(data)


@pytest.mark.parametrize("name", ["x" * 101, "ä"])
def test_a_name_that_tar_has_no_room_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        PackBuilder(NOW).add(name, b"")


@pytest.mark.parametrize("data", [b"", b"no pack", b"x" * 10_000])
def test_other_bytes_are_no_pack(data: bytes) -> None:
    with pytest.raises(Invalid, match="not a pack"):
        list(members(data))


def test_a_span_becomes_an_extent_within_its_pack() -> None:
    assert Span(3, 4).within("k") == Extent(key="k", offset=3, length=4)
