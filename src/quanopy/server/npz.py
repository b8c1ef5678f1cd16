"""Results as NumPy's ``.npz``: arrays that load with ``allow_pickle=False``.

Codec ``quanopy.result/1``. ``result`` is the JSON of everything but the numbers (job, kind,
state, shapes, registers), as UTF-8 bytes. Of the estimate pub *i*: ``pubs.i.evs`` and
``pubs.i.stds``, of the pub's shape. Of the sample pub *i*, one row an outcome:
``pubs.i.set`` (which parameter set, in C order), ``pubs.i.bits`` (the outcome, big-endian bytes
of all registers) and ``pubs.i.counts``.
"""

import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NPZ = "application/x-npz"
CODEC = "quanopy.result/1"


def to_npz(result: bytes) -> bytes:
    """``ResultOut`` JSON as an ``.npz`` file's bytes."""
    import numpy as np  # late: a server at rest has no need of it

    document = json.loads(result)
    arrays: dict[str, NDArray[Any]] = {}
    for index, pub in enumerate(document["pubs"]):
        if pub is not None:
            taken = _estimate(pub) if "evs" in pub else _sample(pub)
            arrays |= {f"pubs.{index}.{name}": array for name, array in taken.items()}
    head = json.dumps({"format": CODEC, **document}).encode()
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, result=np.frombuffer(head, np.uint8), **arrays)
    return file.getvalue()


def _estimate(pub: dict[str, Any]) -> "dict[str, NDArray[np.float64]]":
    """The numbers of an estimate pub, taken out of it."""
    import numpy as np

    shape = pub["shape"]
    return {name: np.array(pub.pop(name), float).reshape(shape) for name in ("evs", "stds")}


def _sample(pub: dict[str, Any]) -> "dict[str, NDArray[Any]]":
    """The counts of a sample pub, taken out of it."""
    import numpy as np

    width = max(1, -(-sum(register["bits"] for register in pub["registers"]) // 8))
    rows = [
        (index, int(outcome, 16), count)
        for index, counts in enumerate(pub.pop("counts"))
        for outcome, count in counts.items()
    ]
    bits = b"".join(outcome.to_bytes(width, "big") for _, outcome, _ in rows)
    return {
        "set": np.array([row[0] for row in rows], np.int64),
        "bits": np.frombuffer(bits, np.uint8).reshape(len(rows), width),
        "counts": np.array([row[2] for row in rows], np.int64),
    }
