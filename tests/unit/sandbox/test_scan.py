"""The scan: known dangers are refused before any reader sees them, quickly."""

import contextlib

import pytest

from quanopy.domain.errors import Invalid, TooLarge, Unsupported
from quanopy.domain.programs import Program
from quanopy.sandbox.scan import MAX_TEXT, scan

HEAD = b'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def qasm3(text: bytes) -> Program:
    return Program(format="openqasm3", data=HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"rx(" + b"(" * 50_000 + b"1" + b")" * 50_000 + b") q;", id="parentheses"),
        pytest.param(b"if(true){" * 20_000 + b"}" * 20_000, id="blocks"),
        pytest.param(b"rx(" + b"-" * 100_000 + b"1) q;", id="unary minus"),
        pytest.param(b"rx(" + b"- /* ) */ " * 100_000 + b"1) q;", id="unary minus with comments"),
        pytest.param(b"qubit[2000000000] q;", id="qubit"),
        pytest.param(b"qubit [ 2_000_000_000 ] q;", id="spaced"),
        pytest.param(b"bit[2000000000] c;", id="bit"),
        pytest.param(b"qreg q[2000000000];", id="qreg"),
    ],
)
def test_what_kills_readers_is_too_large(text: bytes) -> None:
    with pytest.raises(TooLarge):
        scan(qasm3(text))


def test_strings_hide_nothing() -> None:
    with pytest.raises(TooLarge):
        scan(qasm3(b'"//" ' + b"(" * 1000))
    with pytest.raises(TooLarge):
        scan(qasm3(b'"/*" ' + b"(" * 1000 + b'"*/"'))


def test_brackets_in_comments_do_not_count() -> None:
    scan(qasm3(b"// :(\n" * 1000 + b"/* " + b"(" * 1000 + b" */ qubit[2] q;"))


@pytest.mark.parametrize("name", [b"/etc/passwd", b"other.inc", b"../stdgates.inc"])
def test_only_the_standard_gates_are_included(name: bytes) -> None:
    with pytest.raises(Invalid, match="refused") as refusal:
        scan(Program(format="openqasm3", data=b'OPENQASM 3;\n\ninclude "' + name + b'";'))
    assert refusal.value.where == "line 3"


def test_the_wrong_version_of_openqasm_is_named() -> None:
    with pytest.raises(Invalid, match="OpenQASM 2"):
        scan(Program(format="openqasm3", data=b"OPENQASM 2.0;"))
    with pytest.raises(Invalid, match="OpenQASM 3"):
        scan(Program(format="openqasm2", data=b"OPENQASM 3.0;"))


@pytest.mark.parametrize("version", range(1, 13))
def test_old_qpy_is_refused_with_a_way_out(version: int) -> None:
    with pytest.raises(Unsupported) as refusal:
        scan(Program(format="qpy", data=b"QISKIT" + bytes([version]) + b"\0" * 20))
    assert "qpy.dump" in str(refusal.value.hint)


def test_a_declared_qpy_version_must_be_true() -> None:
    with pytest.raises(Invalid, match="version 15"):
        scan(Program(format="qpy/14", data=b"QISKIT\x0f" + b"\0" * 20))
    scan(Program(format="qpy/15", data=b"QISKIT\x0f" + b"\0" * 20))


@pytest.mark.parametrize("format", ["Pickle", "open qasm", "qpy/x", "qpy/", "qpy/99999", ""])
def test_an_unknown_format_is_unsupported(format: str) -> None:
    with pytest.raises(Unsupported):
        scan(Program(format=format, data=b"x"))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"OPENQASM 3.0;\0"])
def test_what_is_no_text_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        scan(Program(format="openqasm3", data=data))


@pytest.mark.parametrize("unit", [b"/*", b'"', b"qubit ", b"qreg a[ ", b"include ", b"- "])
def test_the_scan_is_linear(unit: bytes) -> None:
    """One that is not would not end before the test's own time does."""
    with contextlib.suppress(Invalid):
        scan(Program(format="openqasm3", data=unit * (MAX_TEXT // 2 // len(unit))))
