"""A linear look at a program before any reader sees it: size, nesting, widths, includes, versions.

It runs where it is called, so it parses nothing: it bounds what readers are known to die of
(stack overflows on deep nesting, aborts on huge registers, old QPY that executes code), and tells
formats apart. What it lets through may still be bad: that is for a child process to find out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from quanopy.codecs import qpy
from quanopy.domain.errors import Invalid, TooLarge, Unsupported
from quanopy.domain.programs import CIRCUITS, NATIVE, OPENQASM2, OPENQASM3, QPY, Program

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
MAX_TEXT = 4 * 1024 * 1024
MAX_BINARY = 64 * 1024 * 1024
MAX_NESTING = 200
MAX_UNARY = 200
MAX_REGISTER = 100_000

_OPENING = b"([{"
_UNARY = b"-+~!"
_TOKEN = re.compile(rb'"[^"\n]*"|\'[^\'\n]*\'|//[^\n]*|/\*')
_NO_STRUCTURE = bytes(set(range(256)) - set(b"()[]{}"))
_UNARY_RUN = re.compile(rb"[-+~!]{%d}" % (MAX_UNARY + 1))
_BLANKS = b" \t\r\n\f\v"
_WIDTH = re.compile(rb"\b(?:qubit|bit|qreg\s+\w+|creg\s+\w+)\s*\[\s*([0-9_]+)\s*\]")
_INCLUDE = re.compile(rb"\binclude\b\s*([\"'])")
_VERSION = re.compile(rb"\s*OPENQASM\s+([0-9]+)")
_INCLUDES = {OPENQASM3: b"stdgates.inc", OPENQASM2: b"qelib1.inc"}


@dataclass(frozen=True, slots=True)
class Format:
    """A format's name and, where it was given (``qpy/15``), its version."""

    name: str
    version: int | None


def parse_format(text: str) -> Format:
    """Read a program's format; raises :class:`Unsupported` for what cannot be the name of one."""
    name, slash, version = text.partition("/")
    wrong_version = slash and not (version.isascii() and version.isdigit() and len(version) < 5)
    if _NAME.fullmatch(name) is None or wrong_version:
        raise Unsupported(
            f"no reader for the format {text[:60]!r}",
            where="format",
            hint=f"Circuits come as {', '.join(CIRCUITS)}; others run as they stand: "
            f"{', '.join(NATIVE)}.",
        )
    return Format(name, int(version) if slash else None)


def scan(program: Program) -> None:
    """Refuse what is known to be bad; linear in the program's size.

    Raises :class:`Unsupported`, :class:`TooLarge` or :class:`Invalid`.
    """
    found = parse_format(program.format)
    _check_size(program.data, MAX_BINARY if found.name == QPY else MAX_TEXT)
    if found.name == QPY:
        scan_qpy(program.data, found.version)
    elif found.name in _INCLUDES:
        scan_qasm(program.data, found.name)
    else:
        _check_utf8(program.data)


def _check_size(data: bytes, most: int) -> None:
    if not data:
        raise Invalid("the program is empty", hint="Send the program's text or bytes.")
    if len(data) > most:
        raise TooLarge(
            f"{len(data)} bytes, at most {most} are read",
            hint="Cut it into several programs.",
        )


def scan_qpy(data: bytes, declared: int | None = None) -> None:
    """Check a QPY header (magic, version); raises :class:`Invalid` or :class:`Unsupported`."""
    version = qpy.version_of(data)
    if version is None:
        raise Invalid(
            "these bytes are no QPY", hint="Write them with qiskit.qpy.dump, or name the format."
        )
    if version < qpy.OLDEST:
        raise Unsupported(
            f"QPY version {version} is refused, for loading it can execute code (CVE-2025-2000)",
            hint=f"Write it again with qiskit.qpy.dump(…, version={qpy.OLDEST}) or later.",
        )
    if declared is not None and declared != version:
        raise Invalid(
            f"declared as qpy/{declared}, its header says version {version}",
            hint=f"Name the format qpy/{version}, or simply qpy.",
        )


def scan_qasm(data: bytes, format: str) -> None:
    """Check OpenQASM text (UTF-8, version, nesting, unary operators, registers, includes)."""
    _check_utf8(data)
    code = b"".join(_code(data))
    _check_version(code, format)
    _check_includes(code, format)
    _check_nesting(code)
    _check_unary(code)
    _check_widths(code)


def _check_utf8(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            "the text is not UTF-8", where=f"byte {error.start}", hint="Save it as UTF-8."
        ) from None
    if b"\0" in data:
        raise Invalid("the text holds a NUL byte", hint="Send text, or name the right format.")


def _code(data: bytes) -> Iterator[bytes]:
    """The text without comments; what strings hold is blanked, but for names of includes."""
    position = 0
    while (token := _TOKEN.search(data, position)) is not None:
        yield data[position : token.start()]
        position = token.end()
        if token[0] == b"/*":
            end = data.find(b"*/", position)
            position = len(data) if end < 0 else end + 2
            yield b" " + b"\n" * data.count(b"\n", token.start(), position)
        elif token[0].startswith(b"//"):
            yield b" "
        else:
            yield token[0].translate(None, b"()[]{}")
    yield data[position:]


def _check_version(code: bytes, format: str) -> None:
    version = _VERSION.match(code)
    if version is None:
        return
    said = version[1][:9].decode()
    if said not in ("2", "3"):
        raise Unsupported(f"OpenQASM {said} is not read", hint="Write OpenQASM 2.0 or 3.0.")
    if said != ("2" if format == OPENQASM2 else "3"):
        raise Invalid(
            f"declared as {format}, its first line says OpenQASM {said}",
            hint=f"Name the format openqasm{said}.",
        )


def _check_includes(code: bytes, format: str) -> None:
    """Readers open included files: the only name let through is one they carry themselves."""
    for found in _INCLUDE.finditer(code):
        end = code.find(found[1], found.end())
        name = code[found.end() : end if end >= 0 else None]
        if name != _INCLUDES[format]:
            raise Invalid(
                f"include of {name[:60].decode(errors='replace')!r} is refused",
                where=_line(code, found.start()),
                hint=f"Only {_INCLUDES[format].decode()} is there; put other text in the program.",
            )


def _line(code: bytes, position: int) -> str:
    number = code.count(b"\n", 0, position) + 1
    return f"line {number}"


def _check_nesting(code: bytes) -> None:
    brackets = code.translate(None, _NO_STRUCTURE)
    if sum(brackets.count(one) for one in _OPENING) <= MAX_NESTING:
        return
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in _OPENING else -1
        if depth > MAX_NESTING:
            raise TooLarge(
                f"brackets are nested more than {MAX_NESTING} deep", hint="Flatten the program."
            )


def _check_unary(code: bytes) -> None:
    if sum(code.count(one) for one in _UNARY) <= MAX_UNARY:
        return
    if _UNARY_RUN.search(code.translate(None, _BLANKS)) is not None:
        raise TooLarge(
            f"more than {MAX_UNARY} unary operators in a row", hint="Simplify the expression."
        )


def _check_widths(code: bytes) -> None:
    for found in _WIDTH.finditer(code):
        digits = found[1].replace(b"_", b"").lstrip(b"0")
        if len(digits) > 9 or int(digits or b"0") > MAX_REGISTER:
            raise TooLarge(
                f"a register of {digits[:20].decode()} bits, at most {MAX_REGISTER} are read",
                where=_line(code, found.start()),
                hint="No resource here is that wide.",
            )
