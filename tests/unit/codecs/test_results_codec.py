"""Results: JSON and .npz, both ways; shots that were split come together."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from quanopy.codecs.results import (
    decode_result,
    encode_result,
    from_npz,
    merge_shots,
    to_npz,
)
from quanopy.domain.errors import Invalid

COUNTS: dict[str, Any] = {
    "shape": [2],
    "shots": 3,
    "registers": [{"name": "a", "bits": 1}, {"name": "b", "bits": 70}],
    "counts": [{"0x0": 2, hex(2**70): 1}, {"0x1": 3}],
}
MEMORY = COUNTS | {"memory": [["0x0", hex(2**70), "0x0"], ["0x1"] * 3]}
VALUES: dict[str, Any] = {
    "shape": [2, 1],
    "evs": [0.5, -0.25],
    "stds": [0.1, 0.1],
    "precision": 0.1,
}


@pytest.mark.parametrize("pubs", [[COUNTS, None, MEMORY], [VALUES], []])
def test_a_result_survives_as_npz(pubs: list[Any]) -> None:
    assert from_npz(to_npz("sample", pubs)) == ("sample", pubs)


def test_a_result_survives_as_json() -> None:
    assert decode_result(encode_result([COUNTS, VALUES])) == [COUNTS, VALUES]


def test_split_shots_are_added_and_joined() -> None:
    merged = merge_shots([MEMORY, MEMORY])
    assert merged["shots"] == 6
    assert merged["counts"] == [{"0x0": 4, hex(2**70): 2}, {"0x1": 6}]
    assert merged["memory"][0] == MEMORY["memory"][0] * 2
    assert merge_shots([VALUES]) == VALUES


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, codec=np.array([{}], dtype=object))
    return buffer.getvalue()


def _empty_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w"):
        pass
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"PK", _pickled(), _empty_zip()])
def test_what_is_no_result_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        from_npz(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"[" * 100_000])
def test_what_is_no_json_result_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_result(data)
