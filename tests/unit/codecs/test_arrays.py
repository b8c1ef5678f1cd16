"""Arrays: NumPy's own format, both ways, without trusting it."""

import base64
import io
from typing import Any

import numpy as np
import pytest

from quanopy.codecs.arrays import decode_array, encode_array, from_npy, to_npy
from quanopy.domain.errors import Invalid, TooLarge


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (5, 4), (10, 10, 2)])
def test_arrays_come_back(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).random(shape)
    assert np.array_equal(decode_array(encode_array(array)), array)
    assert decode_array(encode_array(array)).shape == shape


def test_numpy_reads_what_is_written_and_the_reverse() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(np.load(io.BytesIO(to_npy(array)), allow_pickle=False), array)
    buffer = io.BytesIO()
    np.save(buffer, np.asfortranarray(array.astype(np.float32)))
    assert np.array_equal(from_npy(buffer.getvalue()), array)


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        _npy(np.array([1j])),
        _npy(np.array([{}], dtype=object)),
        _npy(np.array(["text"])),
        _npy(np.arange(10.0))[:-1],
        _npy(np.arange(10.0)) + b"x",
        _npy(np.arange(10.0)).replace(b"(10,)", b"(99,)"),
        _npy(np.arange(10.0)).replace(b"(10,)", b"(-9,)"),
    ],
)
def test_bad_bytes_are_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode_array({"npy": base64.b64encode(data).decode()})


def test_a_header_that_promises_too_much_allocates_nothing() -> None:
    data = _npy(np.arange(10.0)).replace(b"(10,), }    ", b"(9999999999,), }"[:12])
    with pytest.raises((TooLarge, Invalid)):
        from_npy(data)
