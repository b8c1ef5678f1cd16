"""Arrays of real numbers in JSON: nested lists, or ``{"npy": base64}`` of NumPy's own format.

NumPy is imported when an array is decoded or encoded, never before: the server holds arrays in
their JSON form.
"""

import ast
import base64
import binascii
import math
import re
import struct
from typing import TYPE_CHECKING, Any

from quanopy.domain.errors import Invalid, TooLarge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_NUMBERS = 32 * 1024 * 1024
"""Numbers in one array: 256 MiB of doubles."""
_LISTED = 64
"""Arrays of up to this many numbers are kept as lists, for people to read."""
_MAGIC = b"\x93NUMPY"
_DTYPE = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1)")
_HINT = 'Send nested lists of numbers, or {"npy": base64 of a real .npy array}.'


def decode_array(value: Any) -> "NDArray[np.float64]":
    """The array that a JSON value stands for, as doubles.

    Raises :class:`Invalid` for ragged lists, for what is no real finite number, and for bytes
    that are no ``.npy``; :class:`TooLarge` above :data:`MAX_NUMBERS`.
    """
    import numpy as np

    if isinstance(value, dict):
        array = _from_base64(value)
    else:
        _check_numbers(value)
        try:
            array = np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Invalid(f"no array of real numbers: {error}", hint=_HINT) from None
    if not np.isfinite(array).all():
        raise Invalid("the array holds NaN or infinity", hint="Send finite numbers.")
    return array


def encode_array(array: "NDArray[np.float64]") -> Any:
    """The JSON form of an array: lists while it is small, ``{"npy": …}`` above."""
    if 0 < array.size <= _LISTED:
        return array.tolist()
    return {"npy": base64.b64encode(to_npy(array)).decode("ascii")}


def to_npy(array: "NDArray[np.float64]") -> bytes:
    """An array in NumPy's ``.npy`` format, version 1.0, little-endian doubles, C order."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {array.shape!r}, }}"
    padding = -(len(header) + 11) % 64
    encoded = (header + " " * padding + "\n").encode("latin-1")
    return b"".join((_MAGIC, b"\1\0", struct.pack("<H", len(encoded)), encoded, _raw(array)))


def _raw(array: "NDArray[np.float64]") -> bytes:
    return array.astype("<f8", copy=False).tobytes()


def from_npy(data: bytes) -> "NDArray[np.float64]":
    """Read a ``.npy`` of real numbers without trusting it: nothing is allocated that the bytes
    are not there for, and no object is ever unpickled. Raises :class:`Invalid`."""
    import numpy as np

    return read_npy(data).astype(np.float64)


def read_npy(data: bytes) -> "NDArray[Any]":
    """The same with the numbers in the type they were written in."""
    import numpy as np

    header, start = _npy_header(data)
    shape, dtype = _shape_and_dtype(header)
    count = math.prod(shape)
    if count > MAX_NUMBERS:
        raise TooLarge(f"{count} numbers, at most {MAX_NUMBERS} are read")
    if len(data) - start != count * np.dtype(dtype).itemsize:
        raise Invalid("the .npy array is cut short or too long", hint="Write it again.")
    order = "F" if header["fortran_order"] else "C"
    flat = np.frombuffer(data, dtype=dtype, offset=start)
    return flat.reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def _npy_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a .npy, versions 1 to 3, and where the numbers begin."""
    if not data.startswith(_MAGIC) or len(data) < 12:
        raise Invalid("these bytes are no .npy array", hint=_HINT)
    width = 2 if data[6] == 1 else 4
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width + length
    text = data[8 + width : start].decode("latin-1")
    try:
        # Python literals alone, and few of them: that is all a header ever is.
        header = ast.literal_eval(text.strip()) if length < 10_000 else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise Invalid("the .npy header cannot be read", hint="Write it again with numpy.save.")
    return header, start


def _shape_and_dtype(header: dict[str, Any]) -> tuple[tuple[int, ...], str]:
    shape, dtype = header["shape"], header["descr"]
    if not (isinstance(dtype, str) and _DTYPE.fullmatch(dtype)):
        raise Invalid(f"an array of {str(dtype)[:40]} is no array of real numbers", hint=_HINT)
    if not (
        isinstance(shape, tuple)
        and len(shape) <= 32
        and all(type(one) is int and one >= 0 for one in shape)
    ):
        raise Invalid("the .npy header has no proper shape", hint="Write it with numpy.save.")
    return shape, dtype


def _from_base64(value: dict[str, Any]) -> "NDArray[np.float64]":
    text = value.get("npy")
    if set(value) != {"npy"} or not isinstance(text, str):
        raise Invalid("no array", hint=_HINT)
    try:
        return from_npy(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise Invalid(f"no base64: {error}", hint=_HINT) from None


def _check_numbers(value: Any) -> None:
    """Refuse what NumPy would take for a number (``"1.5"``, ``true``, ``null``)."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, bool) or not isinstance(one, int | float):
            raise Invalid(f"{str(one)[:40]!r} is no real number", hint=_HINT)
        count += 1
        if count > MAX_NUMBERS:
            raise TooLarge(f"more than {MAX_NUMBERS} numbers", hint="Cut it into several pubs.")
