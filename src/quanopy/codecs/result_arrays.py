"""Results as NumPy's ``.npz``, to be read without pickle.

That of a job holds ``codec`` (``quanopy.result/1``), ``kind``, ``length`` and, for each pub, arrays
under ``pubs/INDEX/…``.
"""

import io
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from quanopy.codecs.results import CODEC, PubResult
from quanopy.domain.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNREADABLE = (
    *(ValueError, KeyError, TypeError, OSError, EOFError, SyntaxError, RecursionError),
    *(NotImplementedError, MemoryError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What zipfile, and NumPy's reader of headers, raise at bytes that are no arrays."""


def to_npz(kind: str, pubs: Sequence[PubResult | None]) -> bytes:
    """A job's result as ``.npz``; a pub that is missing has no arrays.

    Counts of a pub: ``outcomes`` (rows of bytes, little-endian), ``numbers`` and ``sets`` (the
    parameter set of each row), ``registers`` and ``bits``, ``memory`` (sets, shots, bytes) if kept.
    Estimates: ``evs`` and ``stds`` in the pub's shape, ``precision``.
    Native programs: ``native`` (the format), ``labels`` (outcomes as texts) and ``numbers``; the
    vendor's own documents are in the JSON alone.
    """
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **_result_arrays(kind, pubs))
    return buffer.getvalue()


def check_npz(data: bytes, kind: str, pubs: Sequence[PubResult | None]) -> None:
    """Refuse an ``.npz`` that does not hold this result, which has been found to be one
    (``result_checks``); raises :class:`Invalid`.

    Nothing is unpacked but what the result has too, in the same type and shape: a stranger's
    header makes nobody hold more than that.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name, array in _result_arrays(kind, pubs).items():
                with archive.open(f"{name}.npy") as file:
                    if not _is_same(file, array):
                        raise Invalid(f"its {name} is not that of the result")
    except _UNREADABLE as error:
        raise Invalid(f"no .npz of the result: {error}"[:200]) from None


def _is_same(file: IO[bytes], expected: "NDArray[Any]") -> bool:
    import numpy as np

    form = np.lib.format
    version = form.read_magic(file)
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if shape != expected.shape or dtype.newbyteorder("=") != expected.dtype.newbyteorder("="):
        return False
    found = np.frombuffer(file.read(expected.nbytes), dtype=dtype)
    array = found.reshape(shape, order="F" if fortran else "C")
    return np.array_equal(array, expected, equal_nan=expected.dtype.kind == "f")


def _result_arrays(kind: str, pubs: Sequence[PubResult | None]) -> "Mapping[str, NDArray[Any]]":
    import numpy as np

    arrays: dict[str, NDArray[Any]] = {
        "codec": np.array(CODEC),
        "kind": np.array(kind),
        "length": np.array(len(pubs)),
    }
    for index, pub in enumerate(pubs):
        if pub is not None:
            part = _arrays(pub)
            arrays |= {f"pubs/{index}/{name}": array for name, array in part.items()}
    return arrays


def _arrays(pub: PubResult) -> dict[str, "NDArray[Any]"]:
    if "outcomes" in pub:
        return _native_arrays(pub)
    return _count_arrays(pub) if "counts" in pub else _estimate_arrays(pub)


def _native_arrays(pub: PubResult) -> dict[str, "NDArray[Any]"]:
    import numpy as np

    return {
        "shape": np.array([], dtype=np.int64),
        "shots": np.array(pub["shots"], dtype=np.int64),
        "native": np.array(pub["native"]),
        "labels": np.array(list(pub["outcomes"]), dtype=np.str_),
        "numbers": np.array(list(pub["outcomes"].values()), dtype=np.int64),
    }


def _estimate_arrays(pub: PubResult) -> dict[str, "NDArray[Any]"]:
    import numpy as np

    shape = tuple(pub["shape"])
    return {
        "shape": np.array(shape, dtype=np.int64),
        "evs": np.array(pub["evs"], dtype=np.float64).reshape(shape),
        "stds": np.array(pub["stds"], dtype=np.float64).reshape(shape),
        "precision": np.array(pub.get("precision"), dtype=np.float64),
    }


def _count_arrays(pub: PubResult) -> dict[str, "NDArray[Any]"]:
    import numpy as np

    width = max(1, (sum(register["bits"] for register in pub["registers"]) + 7) // 8)
    rows = [(i, key, n) for i, counts in enumerate(pub["counts"]) for key, n in counts.items()]
    arrays: dict[str, NDArray[Any]] = {
        "shape": np.array(pub["shape"], dtype=np.int64),
        "shots": np.array(pub["shots"], dtype=np.int64),
        "registers": np.array([register["name"] for register in pub["registers"]], dtype=np.str_),
        "bits": np.array([register["bits"] for register in pub["registers"]], dtype=np.int64),
        "sets": np.array([row[0] for row in rows], dtype=np.int64),
        "outcomes": _outcomes([row[1] for row in rows], width),
        "numbers": np.array([row[2] for row in rows], dtype=np.int64),
    }
    if "memory" in pub:
        memory = _outcomes([shot for shots in pub["memory"] for shot in shots], width)
        each = len(pub["memory"][0]) if pub["memory"] else 0
        arrays["memory"] = memory.reshape(len(pub["memory"]), each, width)
    return arrays


def _outcomes(keys: Sequence[str], width: int) -> "NDArray[np.uint8]":
    import numpy as np

    data = b"".join(int(key, 16).to_bytes(width, "little") for key in keys)
    return np.frombuffer(data, dtype=np.uint8).reshape(len(keys), width)
