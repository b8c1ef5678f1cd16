"""IBM's result of a job, read without trusting it, as outcomes of the works it was made of.

The vendor's own decoder imports whichever module an answer names, so it is not used.
"""

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quanopy.codecs.arrays import read_npy
from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid, Rejected
from quanopy.domain.jobs import Pub
from quanopy.ports.providers import Work
from quanopy.sandbox.circuits import load_qpy

_MOST_BYTES = 512 * 2**20
_MOST_BITS = 1 << 16


def read_result(data: bytes) -> list[Mapping[str, Any]]:
    """The pubs of a result, each ``{"data", "metadata"}``; raises :class:`Invalid`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the result is no JSON: {type(error).__name__}") from None
    found = _value(document, "PrimitiveResult").get("pub_results")
    if not isinstance(found, list):
        raise Invalid("the result has no pubs")
    return [_value(pub, "PubResult", "SamplerPubResult", "EstimatorPubResult") for pub in found]


def split(
    found: Sequence[Mapping[str, Any]], works: Sequence[Work] | None
) -> list[list[PubResult]]:
    """The results of each work's pubs, in order; ``works`` ``None``: of one work, of which nothing
    is known. Raises :class:`Rejected` where there are more or fewer than were sent."""
    if works is None:
        return [[_result(pub, None, None, memory=False) for pub in found]]
    sent = sum(len(work.pubs) for work in works)
    if len(found) != sent:
        raise Rejected(f"IBM gave {len(found)} results for {sent} pubs")
    rest = iter(found)
    return [
        [_result(next(rest), pub, work, memory=work.options.memory) for pub in work.pubs]
        for work in works
    ]


def read_counts(found: Mapping[str, Any], *, memory: bool) -> PubResult:
    """A pub's counts, of which nothing else is known; raises :class:`Invalid`."""
    return _result(found, None, None, memory=memory)


def _result(
    found: Mapping[str, Any], pub: Pub | None, work: Work | None, *, memory: bool
) -> PubResult:
    data = _value(found.get("data"), "DataBin")
    fields, shape = data.get("fields"), _shape(data.get("shape"))
    if not isinstance(fields, dict) or not fields:
        raise Invalid("a result without data: nothing was measured into a register")
    if "evs" in fields:
        asked = pub.precision if pub is not None else _target(found.get("metadata"))
        return _estimated(fields, asked or 0.0)
    names = [name for name in fields if isinstance(name, str)]
    if len(names) > 1 and work is not None and pub is not None:
        names = _in_order(names, pub, work)
    return _counted({name: fields[name] for name in names}, shape, memory=memory)


def _in_order(names: Sequence[str], pub: Pub, work: Work) -> list[str]:
    """Registers as the circuit has them: an answer may name them in any order."""
    circuit = load_qpy(work.circuits[pub.program])[pub.circuit]
    order = [register.name for register in circuit.cregs]
    if set(order) != set(names):
        raise Invalid(f"results of registers {sorted(names)}, the circuit has {sorted(order)}")
    return order


def _counted(fields: Mapping[str, Any], shape: tuple[int, ...], *, memory: bool) -> PubResult:
    sets = math.prod(shape)
    registers, parts = [], []
    shots: int | None = None
    for name, field in fields.items():
        bits = _value(field, "BitArray")
        width, array = bits.get("num_bits"), _array(bits.get("array"))
        if not isinstance(width, int) or not 0 < width <= _MOST_BITS:
            raise Invalid(f"register {name} of {width!r} bits")
        size = (width + 7) // 8
        if array.dtype != np.uint8 or array.shape[:-2] != shape or array.shape[-1:] != (size,):
            raise Invalid(f"register {name} of {width} bits in an array of {array.shape}")
        if shots not in (None, array.shape[-2]):
            raise Invalid("registers of different numbers of shots")
        shots = array.shape[-2]
        little = array.reshape(sets, shots, size)[..., ::-1]
        parts.append(np.unpackbits(little, axis=-1, count=width, bitorder="little"))
        registers.append({"name": name, "bits": width})
    packed = np.packbits(np.concatenate(parts, axis=-1), axis=-1, bitorder="little")
    result: PubResult = {
        "shape": list(shape),
        "shots": shots,
        "registers": registers,
        "counts": [_counts(rows) for rows in packed],
    }
    if memory:
        result["memory"] = [[_outcome(row) for row in rows] for rows in packed]
    return result


def _counts(rows: NDArray[np.uint8]) -> dict[str, int]:
    outcomes, numbers = np.unique(rows, axis=0, return_counts=True)
    return {_outcome(row): int(n) for row, n in zip(outcomes, numbers, strict=True)}


def _outcome(row: NDArray[np.uint8]) -> str:
    return hex(int.from_bytes(row.tobytes(), "little"))


def _estimated(fields: Mapping[str, Any], precision: float) -> PubResult:
    evs = np.asarray(_array(fields["evs"]), dtype=np.float64)
    stds = np.asarray(_array(fields.get("stds", 0.0)), dtype=np.float64)
    stds = np.broadcast_to(stds, evs.shape)
    if not (np.isfinite(evs).all() and np.isfinite(stds).all()):
        raise Invalid("expectation values that are not finite")
    return {
        "shape": list(evs.shape),
        "evs": evs.ravel().tolist(),
        "stds": stds.ravel().tolist(),
        "precision": precision,
    }


def _target(metadata: Any) -> float | None:
    found = metadata.get("target_precision") if isinstance(metadata, dict) else None
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _value(found: Any, *kinds: str) -> Mapping[str, Any]:
    """What is in a typed object of the vendor's JSON."""
    if not isinstance(found, dict) or found.get("__type__") not in kinds:
        raise Invalid(f"no {kinds[0]} where one belongs in the result")
    value = found.get("__value__")
    if not isinstance(value, dict):
        raise Invalid(f"an empty {kinds[0]} in the result")
    return value


def _shape(found: Any) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(one) is int and one >= 0 for one in found):
        raise Invalid(f"a result of shape {str(found)[:40]}")
    return tuple(found)


def _array(found: Any) -> NDArray[Any]:
    if isinstance(found, int | float) and not isinstance(found, bool):
        return np.asarray(found)
    text = found.get("__value__") if isinstance(found, dict) else None
    if not isinstance(text, str) or found.get("__type__") != "ndarray":
        raise Invalid("no array where one belongs in the result")
    try:
        inflating = zlib.decompressobj()
        data = inflating.decompress(base64.b64decode(text, validate=True), _MOST_BYTES)
    except (ValueError, zlib.error) as error:
        raise Invalid(f"an array that cannot be unpacked: {type(error).__name__}") from None
    if inflating.unconsumed_tail:
        raise Invalid(f"an array of more than {_MOST_BYTES} bytes")
    return read_npy(data)
