"""In a child process: a look at programs that are not circuits, without the vendor's own reader.

Such a program runs as it stands; what is checked here is only that it is what its format says, so
that a wrong file is refused when it is submitted and not by the vendor a day later.
"""

import json
from collections.abc import Iterable
from typing import Any

from quanopy.domain.errors import Invalid, TooLarge
from quanopy.domain.programs import (
    BRAKET_AHS,
    BRAKET_IR,
    IQM,
    PERCEVAL,
    PULSER,
    QIR,
    Footprint,
    Program,
)

_HEADERS = {
    BRAKET_AHS: ("braket.ir.ahs.program",),
    BRAKET_IR: ("braket.ir.openqasm.program", "braket.ir.jaqcd.program"),
}
_DEEPEST = 100
_KEYS = {
    PULSER: ("version", "device", "register", "channels", "operations"),
}


def read_native(program: Program, name: str) -> Footprint:
    """What is to be known of a native program; raises :class:`Invalid` where it is plainly none."""
    if name == PERCEVAL:
        _check_perceval(program.data)
    elif name == QIR:
        _check_qir(program.data)
    elif name in _HEADERS or name in _KEYS or name == IQM:
        _check_document(_document(program.data), name)
    return Footprint(
        circuits=1,
        qubits=0,
        clbits=0,
        gates=(),
        instructions=0,
        clifford=False,
        measured=True,
        native=name,
    )


def _check_perceval(data: bytes) -> None:
    if not data.lstrip().startswith(b":PCVL:"):
        raise Invalid(
            "not a serialised Perceval experiment",
            hint="Send what `perceval.serialization.serialize(experiment)` gives.",
        )


def _check_qir(data: bytes) -> None:
    if b"define " not in data or b"@__quantum__qis__" not in data:
        raise Invalid(
            "not QIR: no function in it calls an instruction of a quantum machine",
            hint="Send the module as text (.ll), not as bitcode.",
        )


def _document(data: bytes) -> Any:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise Invalid(f"not JSON: {error}"[:200]) from None
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        # What reads it where it runs has less of a stack left than there is here.
        raise TooLarge(f"nested more than {_DEEPEST} deep", hint="Flatten it.")
    return document


def _inside(one: Any) -> Iterable[Any]:
    if isinstance(one, dict):
        return one.values()
    return one if isinstance(one, list) else ()


def _check_document(document: Any, name: str) -> None:
    if name == IQM:
        if not isinstance(document, dict | list) or not document:
            raise Invalid("not IQM's JSON of circuits", hint="A circuit, or a list of circuits.")
        return
    if not isinstance(document, dict):
        raise Invalid(f"not a {name} program: a JSON object is needed")
    if name in _HEADERS:
        header = document.get("braketSchemaHeader")
        found = header.get("name") if isinstance(header, dict) else None
        if found not in _HEADERS[name]:
            raise Invalid(
                f"its braketSchemaHeader does not name {' or '.join(_HEADERS[name])}",
                where="braketSchemaHeader",
            )
        return
    missing = [key for key in _KEYS[name] if key not in document]
    if missing:
        raise Invalid(f"not a {name} program: it has no {', '.join(missing)}")
