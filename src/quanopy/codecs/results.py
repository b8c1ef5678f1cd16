"""Results as bytes: JSON for people and programs, ``.npz`` for arrays. Both are versioned.

A task's result is a JSON array with one entry a pub, as :class:`quanopy.wire.jobs.ResultOut`
describes. That of a native program is ``{"shape": [], "shots": n, "native": FORMAT, "outcomes":
{label: number}, "documents": [the vendor's own result, …]?}``.

The ``.npz`` of a job holds ``codec`` (``quanopy.result/1``), ``kind`` and, for each pub,
arrays under ``pubs/INDEX/…``; it is written and read without pickle.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quanopy.domain.errors import Invalid, TooLarge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODEC = "quanopy.result/1"
MAX_NPZ = 4 * 1024 * 1024 * 1024
PubResult = dict[str, Any]
"""One pub's result in its JSON form."""


def encode_result(pubs: Sequence[PubResult]) -> bytes:
    """The result of a task: its pubs, in order."""
    return json.dumps(pubs, separators=(",", ":")).encode()


def decode_result(data: bytes) -> list[PubResult]:
    """The pubs of a result; raises :class:`Invalid` for bytes that are none."""
    try:
        pubs = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not a result: {error}") from None
    if not isinstance(pubs, list) or not all(isinstance(pub, dict) for pub in pubs):
        raise Invalid("not a result: a list of objects is needed")
    return pubs


def merge_shots(parts: Sequence[PubResult]) -> PubResult:
    """One pub whose shots were split over tasks: counts added, memory joined, in order."""
    first = parts[0]
    if len(parts) == 1 or not ("counts" in first or "outcomes" in first):
        return first
    merged = {**first, "shots": sum(part["shots"] for part in parts)}
    if "outcomes" in first:
        merged["outcomes"] = _added([part["outcomes"] for part in parts])
        merged["documents"] = [one for part in parts for one in part.get("documents", ())]
        return merged
    merged["counts"] = [
        _added(same) for same in zip(*(part["counts"] for part in parts), strict=True)
    ]
    if all("memory" in part for part in parts):
        merged["memory"] = [
            [shot for part in same for shot in part]
            for same in zip(*(part["memory"] for part in parts), strict=True)
        ]
    return merged


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for outcome, number in part.items():
            total[outcome] = total.get(outcome, 0) + number
    return total


def to_npz(kind: str, pubs: Sequence[PubResult | None]) -> bytes:
    """A job's result as ``.npz``; a pub that is missing has no arrays.

    Counts of a pub: ``outcomes`` (rows of bytes, little-endian), ``numbers`` and ``sets`` (the
    parameter set of each row), ``registers`` and ``bits``, ``memory`` (sets, shots, bytes) if kept.
    Estimates: ``evs`` and ``stds`` in the pub's shape, ``precision``.
    Native programs: ``native`` (the format), ``labels`` (outcomes as texts) and ``numbers``; the
    vendor's own documents are in the JSON alone.
    """
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
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


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
        "precision": np.array(pub["precision"], dtype=np.float64),
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
        arrays["memory"] = memory.reshape(len(pub["memory"]), -1, width)
    return arrays


def _outcomes(keys: Sequence[str], width: int) -> "NDArray[np.uint8]":
    import numpy as np

    data = b"".join(int(key, 16).to_bytes(width, "little") for key in keys)
    return np.frombuffer(data, dtype=np.uint8).reshape(len(keys), width)


def from_npz(data: bytes) -> tuple[str, list[PubResult | None]]:
    """A job's kind and result from its ``.npz``; raises :class:`Invalid` for anything else."""
    import numpy as np

    try:
        _check_inflated(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if str(arrays["codec"]) != CODEC:
            raise Invalid(f"the result's codec is {str(arrays['codec'])[:40]!r}, not {CODEC}")
        pubs = [_pub_from(arrays, index) for index in range(int(arrays["length"]))]
        return str(arrays["kind"]), pubs
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise Invalid(f"not a result's .npz: {error}"[:200]) from None


def _check_inflated(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_NPZ:
        raise TooLarge(f"the .npz unpacks to {size} bytes, at most {MAX_NPZ} are read")


def _pub_from(arrays: Mapping[str, "NDArray[Any]"], index: int) -> PubResult | None:
    prefix = f"pubs/{index}/"
    part = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if not part:
        return None
    shape = part["shape"].tolist()
    if "evs" in part:
        return {
            "shape": shape,
            "evs": part["evs"].ravel().tolist(),
            "stds": part["stds"].ravel().tolist(),
            "precision": float(part["precision"]),
        }
    if "native" in part:
        return {
            "shape": [],
            "shots": int(part["shots"]),
            "native": str(part["native"]),
            "outcomes": dict(zip(part["labels"].tolist(), part["numbers"].tolist(), strict=True)),
        }
    return _counts_from(part, shape)


def _counts_from(part: Mapping[str, "NDArray[Any]"], shape: list[int]) -> PubResult:
    sets = 1
    for size in shape:
        sets *= size
    counts: list[dict[str, int]] = [{} for _ in range(sets)]
    keys = _keys(part["outcomes"])
    for at, key, number in zip(part["sets"].tolist(), keys, part["numbers"].tolist(), strict=True):
        counts[at][key] = number
    pub: PubResult = {
        "shape": shape,
        "shots": int(part["shots"]),
        "registers": [
            {"name": name, "bits": bits}
            for name, bits in zip(part["registers"].tolist(), part["bits"].tolist(), strict=True)
        ],
        "counts": counts,
    }
    if "memory" in part:
        pub["memory"] = [_keys(rows) for rows in part["memory"]]
    return pub


def _keys(outcomes: "NDArray[np.uint8]") -> list[str]:
    return [hex(int.from_bytes(row.tobytes(), "little")) for row in outcomes]
