"""Counts that stay text until they are read: the same as parsed, or refused alike."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quanopy.codecs import count_text
from quanopy.codecs.count_text import entries, parsed
from quanopy.codecs.merging import Merge
from quanopy.domain.errors import Invalid

OUTCOMES = st.integers(0, 2**70 - 1).map(hex)
COUNTS = st.dictionaries(OUTCOMES, st.integers(0, 10**12), max_size=30)


def pub(counts: dict[str, Any], bits: int = 70) -> dict[str, Any]:
    registers = [{"name": "c", "bits": bits}]
    return {"shape": [], "shots": 1, "registers": registers, "counts": [counts]}


def text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.fixture(autouse=True)
def _all_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_text, "_SHORT", 0)


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(COUNTS, min_size=1, max_size=4))
def test_counts_are_the_same_as_parsed(counts: list[dict[str, int]]) -> None:
    pubs = [pub(one) for one in counts]
    found = parsed(text(pubs))
    assert all(isinstance(one["counts"][0], bytes) for one in found)
    assert Merge.of([found]).result() == Merge.of([pubs]).result()


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"results": [None]},
        [pub({"0x0": 1}) | {"counts": []}],
        [pub({}) | {"counts": [{"0x0": 1}, {"0x1": 2}], "shape": [2]}],
        [{"native": "x", "documents": [{"counts": [{"a": [1, 2]}]}], "outcomes": {"a": 1}}],
        [{'say "counts': [{"a": 1}], "more": '"counts":[{'}],
        {"counts": ["text", {"a": 1}]},
        {"counts": [17]},
    ],
)
def test_what_is_not_counts_of_one_set_is_parsed_as_it_stands(document: Any) -> None:
    found = parsed(text(document))
    for one in found if isinstance(found, list) else []:
        for inner in one.get("counts", []):
            assert not isinstance(inner, bytes)
    if not isinstance(document, list) or not any('say "counts' in one for one in document):
        assert found == document


def test_blanks_are_read_as_well() -> None:
    pubs = [pub({"0x1": 3, "0x0": 4})]
    assert entries(json.dumps({"0x1": 3, "0x0": 4}).encode()) is None
    assert Merge.of([parsed(json.dumps(pubs).encode())]).result() == Merge.of([pubs]).result()


@pytest.mark.parametrize(
    "counts",
    [
        b'{"0x1":-1}',
        b'{"0x1":1.5}',
        b'{"0x1":1e3}',
        b'{"0x1":9999999999999999999}',
        b'{"0x1":true}',
        b'{"0x1":null}',
        b'{"0x1":"1"}',
        b'{"0xg":1}',
        b'{"1":1}',
        b'{"0x1\\u0030":1}',
        b'{"0x1":1,"\\"":1}',
        b'{"0x4":1}',
        b'{"":1}',
    ],
)
def test_what_is_no_count_is_refused(counts: bytes) -> None:
    whole = text([pub({}, bits=2)]).replace(b"{}", counts)
    with pytest.raises(Invalid):
        Merge.of([parsed(whole)])


@pytest.mark.parametrize("broken", [b"", b"[", b'{"counts":[{"0x1":1}', b'[{"counts":[{,}]}]'])
def test_what_is_no_json_is_refused(broken: bytes) -> None:
    with pytest.raises(Invalid):
        Merge.of([parsed(broken)])


@pytest.mark.parametrize(
    "letters",
    [
        *(b"", b"{", b"{}", b'{"', b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1,}', b'{"a":1]'),
        *(b'{"a":1 }', b'{"a":1;"b":2}', b'{"a":,"b":2}', b'x"a":1}', b'{"a"=1}', b'{"a":1}}'),
    ],
)
def test_what_is_not_written_just_so_is_left_to_the_parser(letters: bytes) -> None:
    assert entries(letters) is None
