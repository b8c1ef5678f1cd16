"""In a child process: programs as Qiskit circuits, and what is to be known of them."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.circuit import ControlFlowOp, ForLoopOp, Gate, Instruction
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError

from quanopy.codecs.qpy import WRITTEN
from quanopy.domain.errors import Invalid, TooLarge, Unsupported
from quanopy.domain.programs import (
    CLIFFORD,
    CONTROL_FLOW,
    OPENQASM2,
    QPY,
    Footprint,
    Program,
)
from quanopy.sandbox.scan import MAX_REGISTER, parse_format

warnings.filterwarnings("ignore", module=r"qiskit(\..*)?")

_NARROW = 24
"""Qubits of a circuit that all count, used or not: looking would cost more than it tells."""
MAX_INSTRUCTIONS = 20_000_000
"""Instructions of one circuit with its loops unrolled."""
_LIBRARY = ("qiskit.circuit.", "qiskit.synthesis.")
_DEFINED = (Gate, Instruction)
"""What circuits that a program defines are read as; other classes are Qiskit's own."""
_COUNTED = re.compile(r"circuit-\d+(-\d+)?")
_GATE = re.compile(r"\bgate\b")
_CAUSE = re.compile(r"^\s*0: Error: (.+)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TOKEN = "offendingToken"
_END = "<EOF>"
_LINE = re.compile(r"(?:<input>:)?(\d{1,7}),(\d{1,7}): ?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitFacts:
    """What pubs are checked against."""

    qubits: int
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """A program that has been read: its circuits again as QPY of our own, and their facts."""

    circuits: bytes
    footprint: Footprint
    facts: tuple[CircuitFacts, ...]


def read_program(program: Program) -> ProgramFacts:
    """Read a program; raises :class:`Invalid` that says what is wrong with it."""
    return describe(load(program))


def load(program: Program) -> list[QuantumCircuit]:
    """The circuits of a program in one of the circuit formats."""
    name = parse_format(program.format).name
    if name == QPY:
        return load_qpy(program.data)
    text = program.data.decode()
    return [load_openqasm2(text) if name == OPENQASM2 else load_openqasm3(text)]


def load_openqasm3(text: str) -> QuantumCircuit:
    """The native reader first (twenty times as fast), Qiskit's Python one for what it lacks."""
    if _GATE.search(text) is not None:
        # The native one takes a definition under a standard gate's name for that gate.
        return _load_openqasm3_slowly(text)
    try:
        return qasm3.loads_experimental(text, include_path=())
    except Exception:  # noqa: BLE001 - whatever it stumbled over, the other one says it better
        return _load_openqasm3_slowly(text)
    except BaseException as error:
        # A panic of the native reader derives from BaseException alone.
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        return _load_openqasm3_slowly(text)


def _load_openqasm3_slowly(text: str) -> QuantumCircuit:
    try:
        return qasm3.loads(text)
    except QiskitError as error:
        raise _misread(error) from None
    except RecursionError:
        raise TooLarge("expressions are nested too deeply", hint="Flatten the program.") from None
    except MemoryError:
        raise
    except IndexError:
        raise Invalid(
            "an index is beyond the end of its register",
            hint="The first has index 0, the last of n has n-1.",
        ) from None
    except TypeError:
        raise Invalid(
            "a gate is called with more or fewer parameters than it has",
            hint="Check what stands in parentheses after gates' names.",
        ) from None
    except Exception as error:  # noqa: BLE001 - the parser's own tree of errors, and its bugs
        raise _syntax_error(error) from None


def load_openqasm2(text: str) -> QuantumCircuit:
    """OpenQASM 2 as Qiskit always read it, with no file but ``qelib1.inc`` to include."""
    try:
        return qasm2.loads(
            text,
            include_path=(),
            custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS,
            custom_classical=qasm2.LEGACY_CUSTOM_CLASSICAL,
        )
    except QiskitError as error:
        raise _misread(error) from None


def _misread(error: QiskitError) -> Invalid:
    message = str(error.message if hasattr(error, "message") else error).strip("\"'")
    found = _LINE.match(message)
    where = f"line {found[1]}, column {found[2]}" if found else None
    return Invalid(message[found.end() if found else 0 :][:400] or "cannot be read", where=where)


def _syntax_error(error: Exception) -> Invalid:
    """ANTLR's parser says where in the exception that caused this one, or in one that this holds,
    if anywhere."""
    causes = [error.__cause__, *getattr(error.__cause__, "args", ())]
    tokens: list[Any] = [cause.offendingToken for cause in causes if hasattr(cause, _TOKEN)]
    if not tokens:
        return Invalid("no OpenQASM 3: syntax error", hint="Check the text.")
    text = str(tokens[0].text)
    return Invalid(
        f"no OpenQASM 3: syntax error {'at its end' if text == _END else f'near {text[:40]!r}'}",
        where=f"line {tokens[0].line}, column {tokens[0].column}",
        hint="Mend the text there, or just before: each statement ends with a semicolon.",
    )


def load_qpy(data: bytes) -> list[QuantumCircuit]:
    """The circuits in QPY bytes; raises :class:`Invalid` where they are damaged."""
    try:
        found = qpy.load(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged bytes surface as anything at all
        raise Invalid(
            f"the QPY cannot be read: {_cause(error)}",
            hint=f"Write it again with qiskit.qpy.dump(…, version={WRITTEN}).",
        ) from None
    if not found or not all(isinstance(one, QuantumCircuit) for one in found):
        raise Invalid("the QPY holds no circuits", hint="Dump QuantumCircuits alone.")
    return list(found)


def _cause(error: Exception) -> str:
    """What an error says on its first line, and the cause that a native reader names in the trace
    that follows; its colours left out."""
    text = _COLOUR.sub("", str(error.message if hasattr(error, "message") else error))
    found = _CAUSE.search(text)
    said = [text.partition("\n")[0], found[1] if found else ""]
    plain = " ".join("".join(filter(str.isprintable, one)).strip(" \"'") for one in said).strip()
    return plain[:250] or type(error).__name__


def dump_qpy(circuits: Sequence[QuantumCircuit]) -> bytes:
    """QPY of our own."""
    buffer = io.BytesIO()
    try:
        qpy.dump(circuits, buffer, version=WRITTEN)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - what a circuit may hold is without end
        raise Unsupported(f"a circuit cannot be kept as QPY: {_cause(error)}") from None
    return buffer.getvalue()


def describe(circuits: Sequence[QuantumCircuit]) -> ProgramFacts:
    """Check circuits and say what they need; raises :class:`Invalid` or :class:`TooLarge`."""
    gates: dict[str, None] = {}
    longest, measured = 0, True
    for circuit in circuits:
        if circuit.num_qubits > MAX_REGISTER or circuit.num_clbits > MAX_REGISTER:
            raise TooLarge(f"a circuit of {circuit.num_qubits} qubits")
        # Observables speak of the qubits as they stand; only our own compiler's layout counts.
        circuit._layout = None
        # A counter of some process says nothing; without it, equal circuits are equal bytes.
        if _COUNTED.fullmatch(circuit.name):
            circuit.name = "circuit"
        names, length = _walk(circuit)
        gates |= names
        longest = max(longest, length)
        measured = measured and "measure" in names
    return ProgramFacts(
        circuits=dump_qpy(circuits),
        footprint=Footprint(
            circuits=len(circuits),
            qubits=max(_used(circuit) for circuit in circuits),
            clbits=max(circuit.num_clbits for circuit in circuits),
            gates=tuple(sorted(gates)),
            instructions=longest,
            clifford=gates.keys() <= CLIFFORD | CONTROL_FLOW,
            measured=measured,
        ),
        facts=tuple(_facts(circuit) for circuit in circuits),
    )


def _used(circuit: QuantumCircuit) -> int:
    """How many qubits a wide circuit does something to; of a narrow one, how many it has."""
    if circuit.num_qubits <= _NARROW:
        return int(circuit.num_qubits)
    acting = (one.qubits for one in circuit.data if one.name != "barrier")
    return len({qubit for qubits in acting for qubit in qubits})


def _facts(circuit: QuantumCircuit) -> CircuitFacts:
    names: Iterable[Any] = circuit.parameters if circuit.num_parameters else ()
    return CircuitFacts(
        qubits=circuit.num_qubits, parameters=tuple(parameter.name for parameter in names)
    )


def _walk(circuit: QuantumCircuit) -> tuple[dict[str, None], int]:
    """Names of all instructions, those inside control flow too, and how many there are."""
    names: dict[str, None] = {}
    length = 0
    for index, instruction in enumerate(circuit.data):
        length += 1
        if not instruction.is_standard_gate():
            renamed = _with_own_names(instruction.operation)
            if renamed is not None:
                circuit.data[index] = instruction.replace(operation=renamed)
                names[renamed.name] = None
                continue
        names[instruction.name] = None
        if instruction.is_control_flow():
            inner, count = _walk_blocks(instruction.operation)
            names |= inner
            length += count
    if length > MAX_INSTRUCTIONS:
        raise TooLarge(
            f"{length} instructions with loops unrolled, at most {MAX_INSTRUCTIONS} are run",
            hint="Make the loops shorter.",
        )
    return names, length


def _with_own_names(operation: Any) -> Any:
    """A gate that a program defines under a standard gate's name, renamed: simulators and
    compilers know gates by name alone. ``None`` where the name is its own."""
    kind = operation.base_class
    if kind not in _DEFINED and str(kind.__module__).startswith(_LIBRARY):
        return None
    if operation.definition is not None:
        _walk(operation.definition)
    if operation.name not in standard_names():
        return None
    renamed = operation.to_mutable()
    renamed.name = f"{operation.name}_defined"
    return renamed


def _walk_blocks(operation: ControlFlowOp) -> tuple[dict[str, None], int]:
    times = len(operation.params[0]) if isinstance(operation, ForLoopOp) else 1
    names: dict[str, None] = {}
    length = 0
    for block in operation.blocks:
        inner, count = _walk(block)
        names |= inner
        length += times * max(1, count)
    return names, length


@cache
def standard_names() -> frozenset[str]:
    """Names that stand for one gate each, whatever a program says."""
    gates: Iterator[tuple[str, Any]] = iter(get_standard_gate_name_mapping().items())
    return frozenset(
        name for name, gate in gates if getattr(gate, "_standard_gate", None) is not None
    )
