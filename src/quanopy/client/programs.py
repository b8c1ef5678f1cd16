"""Programs as they are sent: text, files and bytes, recognised by how they begin."""

import base64
import binascii
import json
import os
import re
import struct
from pathlib import Path

from quanopy.client.natives import PERCEVAL_MARK, format_of
from quanopy.domain.errors import Invalid, NotFound, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import OPENQASM2, OPENQASM3, QPY, QRMI_PAYLOAD, Program
from quanopy.wire.jobs import ProgramIn, ProgramOut

Source = str | bytes | os.PathLike[str] | Program
"""A program: its text, its bytes, the path of a file, or the thing itself."""

_HEADER = re.compile(r"(?:\s|//[^\n]*\n|/\*.*?\*/)*OPENQASM\s+(\d{1,4})", re.DOTALL)
_STATEMENT = re.compile(r"[;{]")
_QPY_MAGIC = b"QISKIT"
_QPY_COUNT = struct.Struct("!6sBBBBQ")
_QRMI_KINDS = {"sampler": JobKind.SAMPLE, "estimator": JobKind.ESTIMATE}


def program_of(source: Source) -> Program:
    """The program that ``source`` stands for.

    Raises:
        Unsupported: it is in no format known here.
        NotFound: a file cannot be read.
    """
    if isinstance(source, Program):
        return source
    if isinstance(source, bytes):
        return _recognised(source, "program")
    if isinstance(source, str):
        if not source.strip() or _STATEMENT.search(source) or source.startswith(PERCEVAL_MARK):
            return _recognised(source.encode(), "program")
        source = Path(source)
    try:
        return _recognised(Path(source).read_bytes(), str(source))
    except OSError as error:
        raise NotFound(
            f"cannot be read: {error.strerror or error}",
            where=str(source)[:200],
            hint="Give the path of a file, or a program's text.",
        ) from error


def _recognised(data: bytes, where: str) -> Program:
    if data.startswith(_QPY_MAGIC):
        return Program(format=QPY, data=data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unsupported("neither text nor QPY", where=where) from error
    native = format_of(text)
    if native is not None:
        return Program(format=native, data=data)
    if text.lstrip().startswith("{"):
        return Program(format=QRMI_PAYLOAD, data=data)
    if not text.strip():
        raise Invalid(
            "there is nothing in it", where=where, hint="Give OpenQASM, QPY or a payload."
        )
    header = _HEADER.match(text)
    if header is None:
        raise Unsupported(
            "the format is not recognised",
            where=where,
            hint="Begin OpenQASM with `OPENQASM 3.0;` or `OPENQASM 2.0;`; QPY, QRMI payloads and "
            "vendors' own programs are known too.",
        )
    return Program(format=OPENQASM2 if int(header[1]) == 2 else OPENQASM3, data=data)


def kind_in(program: Program) -> JobKind | None:
    """What a QRMI payload asks for; ``None`` for a program that leaves it open.

    Raises :class:`Unsupported` for a payload that is neither sampler nor estimator.
    """
    if program.format != QRMI_PAYLOAD:
        return None
    try:
        payload = json.loads(program.data)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            "it begins as a payload does, and is not JSON", where=_place_of(error)
        ) from error
    name = payload.get("program_id") if isinstance(payload, dict) else None
    if name not in _QRMI_KINDS:
        raise Unsupported(
            f"program_id is {name!r}",
            where="payload.program_id",
            hint="Sampler and estimator payloads can be run.",
        )
    return _QRMI_KINDS[name]


def _place_of(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"payload.line {error.lineno}, column {error.colno}"
    return "payload"


def circuits_in(program: Program) -> int:
    """How many circuits a program holds, as its header says (QPY), or 1."""
    if program.format != QPY:
        return 1
    try:
        return int(_QPY_COUNT.unpack_from(program.data)[5])
    except struct.error as error:
        raise Invalid("QPY without its header") from error


def encode(program: Program) -> ProgramIn:
    """The program as it crosses the wire: text stays readable."""
    if program.format == QPY:
        return ProgramIn(format=program.format, data=base64.b64encode(program.data).decode())
    try:
        return ProgramIn(format=program.format, text=program.data.decode())
    except UnicodeDecodeError:
        return ProgramIn(format=program.format, data=base64.b64encode(program.data).decode())


def decode(program: ProgramOut) -> Program:
    """A program back from the broker, byte for byte."""
    if program.text is not None:
        return Program(format=program.format, data=program.text.encode())
    return Program(format=program.format, data=unpacked(program.data or ""))


def unpacked(data: str) -> bytes:
    """Bytes out of base64; raises :class:`Invalid` for what is not."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Invalid(f"not base64: {error}") from error
