"""Vendors' own programs: recognised by how they begin, and Python objects of vendors' packages.

No package of a vendor is imported here: an object of one shows that it is loaded already.
"""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from quanopy.domain.errors import Invalid
from quanopy.domain.programs import (
    BRAKET_AHS,
    BRAKET_IR,
    IQM,
    PERCEVAL,
    PULSER,
    QIR,
    Program,
)

PERCEVAL_MARK = ":PCVL:"
_QIR_MARK = "@__quantum__qis__"
_LLVM = (";", "source_filename", "target ", "define ", "declare ", "%", "@", "!", "attributes ")
"""How a module of LLVM's may begin."""
_HEADERS = {
    "braket.ir.ahs.program": BRAKET_AHS,
    "braket.ir.openqasm.program": BRAKET_IR,
    "braket.ir.jaqcd.program": BRAKET_IR,
}
_PULSER = frozenset({"version", "device", "register", "channels", "operations"})


def format_of(text: str) -> str | None:
    """The vendor's format that a text is in; ``None`` for what is none of theirs."""
    begin = text.lstrip()[: len(PERCEVAL_MARK)]
    if begin == PERCEVAL_MARK:
        return PERCEVAL
    if _QIR_MARK in text and text.lstrip().startswith(_LLVM):
        return QIR
    if begin[:1] not in ("{", "["):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _format_of_document(document)


def _format_of_document(document: Any) -> str | None:
    circuits = document.get("circuits") if isinstance(document, dict) else document
    first = circuits[0] if isinstance(circuits, list) and circuits else document
    if isinstance(first, dict) and {"name", "instructions"} <= first.keys():
        return IQM
    if not isinstance(document, dict):
        return None
    header = document.get("braketSchemaHeader")
    if isinstance(header, dict):
        return _HEADERS.get(str(header.get("name")))
    return PULSER if document.keys() >= _PULSER else None


def is_native(thing: object) -> bool:
    """Whether it is an object of a vendor's package that stands for a program."""
    return _maker_of(thing) is not None


def native_program(thing: object) -> Program:
    """The program that an object of a vendor's package stands for, by that package's own
    serialiser; raises :class:`Invalid` for one that stands for none, or for several."""
    make = _maker_of(thing)
    if make is None:
        raise Invalid(f"{type(thing).__name__} is nothing to run")
    return make(thing)


def _maker_of(thing: object) -> Callable[[Any], Program] | None:
    module = type(thing).__module__
    for prefix, make in _MAKERS.items():
        if module == prefix or module.startswith(f"{prefix}."):
            return make
    return None


def _schema(thing: Any) -> Program:
    """A document of Braket's schemas."""
    name = str(getattr(getattr(thing, "braketSchemaHeader", None), "name", None))
    if name not in _HEADERS:
        raise Invalid(f"{type(thing).__name__} is no program of Braket's")
    return Program(format=_HEADERS[name], data=thing.json().encode())


def _braket_circuit(circuit: Any) -> Program:
    openqasm = import_module("braket.circuits.serialization").IRType.OPENQASM
    return _schema(circuit.to_ir(openqasm))


def _bloqade(routine: Any) -> Program:
    """A program of atoms as Bloqade itself makes it for Braket."""
    backend = getattr(routine, "braket", None)
    if backend is None:
        raise Invalid(f"{type(routine).__name__} is no program of atoms that is complete")
    tasks = list(backend.local_emulator()._compile(shots=1).tasks.values())
    if len(tasks) != 1:
        raise Invalid(
            f"it stands for {len(tasks)} programs", hint="Assign its variables one by one."
        )
    return _schema(tasks[0].task_ir.program)


def _pulser(sequence: Any) -> Program:
    if not hasattr(sequence, "to_abstract_repr"):
        raise Invalid(f"{type(sequence).__name__} is no sequence of Pulser's")
    return Program(format=PULSER, data=sequence.to_abstract_repr().encode())


def _perceval(thing: Any) -> Program:
    experiment = getattr(thing, "experiment", thing)
    text = import_module("perceval.serialization").serialize(experiment)
    if not isinstance(text, str):
        raise Invalid(
            f"{type(thing).__name__} is no experiment of Perceval's",
            hint="Make a perceval.Experiment of it, with its input.",
        )
    return Program(format=PERCEVAL, data=text.encode())


_MAKERS: Mapping[str, Callable[[Any], Program]] = {
    "braket.ir": _schema,
    "braket.circuits.circuit": _braket_circuit,
    "braket.ahs": lambda thing: _schema(thing.to_ir()),
    "bloqade.analog": _bloqade,
    "pulser.sequence": _pulser,
    "perceval": _perceval,
}
"""By the beginning of the name of the module that an object's class is of."""
