"""QRMI payloads (schema v1) of IBM's sampler and estimator, read without trusting them.

``{"program_id": "sampler" | "estimator", "parameters": {"version": 2, "pubs": [[circuit,
parameters?, shots?] | [circuit, observables, parameters?, precision?], …], "options": {…}}}``
where a circuit is OpenQASM 3 text or what IBM's RuntimeEncoder makes of a circuit (zlib and QPY).
"""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

from quanopy.domain.errors import Invalid, TooLarge, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import OPENQASM3, QPY, Program

MAX_INFLATED = 64 * 1024 * 1024
_KINDS = {"sampler": JobKind.SAMPLE, "estimator": JobKind.ESTIMATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadPub:
    """A pub as the payload gives it; arrays in their JSON form."""

    circuit: int
    parameters: Any = None
    observables: Any = None
    shots: int | None = None
    precision: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a payload asks for: circuits (each text once) and pubs over them."""

    kind: JobKind
    circuits: tuple[Program, ...]
    pubs: tuple[PayloadPub, ...]
    default_shots: int | None
    default_precision: float | None


def parse_payload(data: bytes) -> Payload:
    """Read a payload; raises :class:`Invalid` with ``where`` inside it."""
    document = _document(data)
    kind = _KINDS.get(str(document.get("program_id")))
    if kind is None:
        raise Unsupported(
            "only IBM's sampler and estimator payloads are read here",
            where="program_id",
            hint='Set "program_id" to "sampler" or "estimator".',
        )
    parameters = _mapping(document.get("parameters"), "parameters")
    options = _mapping(parameters.get("options") or {}, "parameters.options")
    circuits: dict[Program, int] = {}
    pubs = [
        _pub(pub, kind, circuits, f"parameters.pubs[{index}]")
        for index, pub in enumerate(_pubs(parameters))
    ]
    return Payload(
        kind=kind,
        circuits=tuple(circuits),
        pubs=tuple(pubs),
        default_shots=options.get("default_shots"),
        default_precision=options.get("default_precision", parameters.get("precision")),
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(data), None)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the payload is no JSON: {error}"[:200]) from None


def _mapping(value: Any, where: str | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("a JSON object is needed here", where=where)
    return value


def _pubs(parameters: dict[str, Any]) -> list[Any]:
    pubs = parameters.get("pubs")
    if not isinstance(pubs, list) or not pubs:
        raise Invalid("a list of at least one pub is needed here", where="parameters.pubs")
    return pubs


def _pub(pub: Any, kind: JobKind, circuits: dict[Program, int], where: str) -> PayloadPub:
    parts = pub if isinstance(pub, list) else [pub]
    if not 1 <= len(parts) <= (3 if kind is JobKind.SAMPLE else 4):
        raise Invalid(f"a pub of {len(parts)} parts", where=where)
    parts = [*parts, None, None, None]
    program = _circuit(parts[0], f"{where}[0]")
    circuit = circuits.setdefault(program, len(circuits))
    if kind is JobKind.SAMPLE:
        return PayloadPub(
            circuit=circuit, parameters=_parameters(parts[1], f"{where}[1]"), shots=parts[2]
        )
    return PayloadPub(
        circuit=circuit,
        observables=_observables(parts[1]),
        parameters=_parameters(parts[2], f"{where}[2]"),
        precision=parts[3],
    )


def _circuit(value: Any, where: str) -> Program:
    if isinstance(value, str):
        return Program(format=OPENQASM3, data=value.encode())
    if _type(value) == "QuantumCircuit":
        return Program(format=QPY, data=_inflate(value["__value__"], where))
    raise Invalid("a circuit is OpenQASM 3 text, or QPY as IBM's encoder writes it", where=where)


def _parameters(value: Any, where: str) -> Any:
    match _type(value):
        case "ndarray":
            return _ndarray(value, where)
        case "BindingsArray":
            data = _mapping(_mapping(value["__value__"], where).get("data"), where)
            return _bindings(data, where)
    if isinstance(value, dict):
        return _bindings(value, where)
    return value


def _bindings(data: dict[str, Any], where: str) -> dict[str, Any]:
    """Arrays by name; a key that is a JSON list names several parameters, on the last axis."""
    return {key: _parameters(values, f"{where}.{key[:40]}") for key, values in data.items()}


def _observables(value: Any) -> Any:
    return value["__value__"] if _type(value) == "ObservablesArray" else value


def _type(value: Any) -> str | None:
    return value.get("__type__") if isinstance(value, dict) and "__value__" in value else None


def _ndarray(value: dict[str, Any], where: str) -> Any:
    inner = value["__value__"]
    if isinstance(inner, list):
        return inner
    return {"npy": base64.b64encode(_inflate(inner, where)).decode("ascii")}


def _inflate(text: Any, where: str) -> bytes:
    """Base64 of zlib, inflated to :data:`MAX_INFLATED` bytes and no further."""
    if not isinstance(text, str):
        raise Invalid("base64 text is needed here", where=where)
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(base64.b64decode(text, validate=True), MAX_INFLATED)
    except (binascii.Error, zlib.error) as error:
        raise Invalid(f"cannot be unpacked: {error}", where=where) from None
    if inflater.unconsumed_tail:
        raise TooLarge(f"unpacks to more than {MAX_INFLATED} bytes", where=where)
    if not inflater.eof:
        raise Invalid("the compressed data is cut short", where=where)
    return data
