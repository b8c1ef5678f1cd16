"""Results: JSON and .npz, both ways; shots that were split come together."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from quanopy.codecs.result_arrays import check_npz, to_npz
from quanopy.codecs.results import decode_result, encode_result, merge_shots
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


NATIVE: dict[str, Any] = {
    "shape": [],
    "shots": 3,
    "native": "braket-ahs",
    "outcomes": {"rg": 1, "rr": 2},
    "documents": [{"own": 1}],
}


@pytest.mark.parametrize(
    "pubs",
    [
        [COUNTS, None, MEMORY],
        [VALUES, VALUES | {"precision": None, "evs": [None, 1]}],
        [NATIVE],
        [],
        [COUNTS | {"shape": [0], "counts": [], "memory": []}],
        [COUNTS | {"counts": [{}, {}], "memory": [[], []]}],
        [NATIVE | {"outcomes": {}}],
    ],
)
def test_a_result_survives_as_npz(pubs: list[Any]) -> None:
    check_npz(to_npz("sample", pubs), "sample", pubs)


def test_a_result_survives_as_json() -> None:
    assert decode_result(encode_result([COUNTS, VALUES])) == [COUNTS, VALUES]


def test_split_shots_are_added_and_joined() -> None:
    merged = merge_shots([MEMORY, MEMORY])
    assert merged["shots"] == 6
    assert merged["counts"] == [{"0x0": 4, hex(2**70): 2}, {"0x1": 6}]
    assert merged["memory"][0] == MEMORY["memory"][0] * 2
    assert merge_shots([VALUES]) == VALUES


def test_each_form_is_told_from_another() -> None:
    for pubs, others in (
        ([COUNTS], [COUNTS | {"shots": 4}]),
        ([MEMORY], [MEMORY | {"memory": [["0x0"] * 3, ["0x1"] * 3]}]),
        ([VALUES], [VALUES | {"evs": [0.5, 0.25]}]),
        ([NATIVE], [NATIVE | {"outcomes": {"rg": 2, "rr": 1}}]),
        ([COUNTS, None], [COUNTS]),
    ):
        with pytest.raises(Invalid, match="not that of the result"):
            check_npz(to_npz("sample", pubs), "sample", others)
    with pytest.raises(Invalid, match="kind"):
        check_npz(to_npz("run", [COUNTS]), "sample", [COUNTS])


def changed(data: bytes, change: dict[str, bytes | None]) -> bytes:
    """The same zip with other members (``None``: without)."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(made, "w") as after:
        for name in before.namelist():
            content = change.get(name, before.read(name))
            if content is not None:
                after.writestr(name, content)
    return made.getvalue()


def npy(header: str, data: bytes = b"abc") -> bytes:
    """An array with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def pickled() -> bytes:
    """An array that only pickle reads."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object))
    return buffer.getvalue()


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"


@pytest.mark.parametrize(
    "array",
    [
        None,
        b"",
        pickled(),
        npy(HEADER % ("<i8", "(1000000000000,)")),
        npy(HEADER % ("<U100000000", "()")),
        npy(HEADER % ("<i8", "(2,)")),
        npy("{'descr': '<i8', 'fortran_order': False, 'shape': ("),
        npy("(" * 9000),
        npy("{" * 200),
        b"\x93NUMPY\x09\x00",
    ],
)
def test_an_array_of_a_stranger_is_refused_before_it_is_unpacked(array: bytes | None) -> None:
    data = changed(to_npz("sample", [COUNTS]), {"pubs/0/numbers.npy": array})
    with pytest.raises(Invalid):
        check_npz(data, "sample", [COUNTS])


@pytest.mark.parametrize("data", [b"", b"PK", changed(to_npz("sample", []), {"kind.npy": None})])
def test_what_is_no_result_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        check_npz(data, "sample", [])


def test_what_a_later_version_adds_is_left_out() -> None:
    data = io.BytesIO(to_npz("sample", [COUNTS]))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("pubs/0/later.npy", pickled())
    check_npz(data.getvalue(), "sample", [COUNTS])


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"[" * 100_000])
def test_what_is_no_json_result_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_result(data)
