"""Results as Qiskit's primitives give them: bit arrays by register, arrays of expectations."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)

from quanopy.domain.jobs import JobKind

if TYPE_CHECKING:
    from quanopy.client.results import EstimatePub, Result, SamplePub


def primitive_result(result: Result[Any]) -> PrimitiveResult[Any]:
    """Every pub of a whole result; metadata names job and resource."""
    if result.kind is JobKind.ESTIMATE:
        pubs: list[Any] = [_estimated(pub) for pub in result]
    else:
        # Counts have lost the order of shots. They are shuffled, the same way every time, so
        # that a slice of the shots is a fair sample and not the lowest outcomes.
        shuffle = np.random.default_rng(zlib.crc32(result.job_id.encode()))
        pubs = [_sampled(pub, shuffle) for pub in result]
    metadata = {"version": 2, "job_id": result.job_id, "resource": result.resource}
    return PrimitiveResult(pubs, metadata=metadata)


def _estimated(pub: EstimatePub) -> PubResult:
    evs = np.array(pub.flat_evs).reshape(pub.shape)
    stds = np.array(pub.flat_stds).reshape(pub.shape)
    data = DataBin(evs=evs, stds=stds, shape=pub.shape)
    return PubResult(data, metadata={"target_precision": pub.precision})


def _sampled(pub: SamplePub, shuffle: np.random.Generator) -> SamplerPubResult:
    bits = pub.num_bits
    if pub.memory is not None:
        shots = [_packed([int(o, 16) for o in outcomes], bits) for outcomes in pub.memory]
    else:
        shots = [_spread(counts, bits, shuffle) for counts in pub.raw_counts]
    joint = np.stack(shots) if shots else np.zeros((0, pub.shots, _bytes(bits)), np.uint8)
    joint = joint.reshape(*pub.shape, *joint.shape[1:])
    data = DataBin(**_by_register(pub, joint, bits), shape=pub.shape)
    return SamplerPubResult(data, metadata={"shots": pub.shots, "circuit_metadata": {}})


def _spread(counts: dict[str, int], bits: int, shuffle: np.random.Generator) -> NDArray[np.uint8]:
    """Shots, as bytes each, in an order as good as any."""
    unique = _packed([int(outcome, 16) for outcome in counts], bits)
    spread = np.repeat(np.arange(len(unique)), np.fromiter(counts.values(), np.intp, len(counts)))
    shuffle.shuffle(spread)
    taken: NDArray[np.uint8] = unique[spread]
    return taken


def _packed(outcomes: list[int], bits: int) -> NDArray[np.uint8]:
    size = _bytes(bits)
    data = b"".join(outcome.to_bytes(size, "big") for outcome in outcomes)
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, size)


def _by_register(pub: SamplePub, joint: NDArray[np.uint8], bits: int) -> dict[str, BitArray]:
    registers = pub.registers
    if len(registers) == 1:
        return {registers[0].name: BitArray(joint, bits)}
    singles = np.unpackbits(joint, axis=-1)
    end, arrays = singles.shape[-1], {}
    for register in registers:
        part = singles[..., end - register.bits : end]
        padding = [(0, 0)] * (part.ndim - 1) + [(-register.bits % 8, 0)]
        packed = np.packbits(np.pad(part, padding), axis=-1)
        arrays[register.name] = BitArray(packed, register.bits)
        end -= register.bits
    return arrays


def _bytes(bits: int) -> int:
    """Bytes of one shot, as ``BitArray`` wants them."""
    return (bits + 7) // 8
