"""The compiler: what fits is left alone, the rest is made to fit or refused with a reason."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit.circuit.library import QFTGate
from qiskit.quantum_info import Operator, Statevector

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import ResourceMismatch
from quanopy.domain.jobs import Options
from quanopy.domain.resources import Target
from quanopy.ports.programs import Compilation, Compiled
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.compiler import ProcessCompiler
from quanopy.storage.objects import open_objects

GATES: dict[str, dict[str, Any]] = {
    "rz": {"parameters": 1, "qubits": [[0], [1], [2]]},
    "sx": {"parameters": 0, "qubits": [[0], [1], [2]]},
    "cx": {"parameters": 0, "qubits": [[0, 1], [1, 2]]},
    "measure": {"parameters": 0, "qubits": [[0], [1], [2]]},
    "if_else": {"parameters": None, "qubits": None},
}
LINE = encode_target(qubits=3, instructions=GATES)


@pytest.fixture(scope="module")
def compiler() -> Iterator[ProcessCompiler]:
    compiler = ProcessCompiler()
    yield compiler
    compiler.close()


def compiled(
    compiler: ProcessCompiler,
    circuit: QuantumCircuit,
    *,
    target: Target = LINE,
    options: Options | None = None,
) -> Compiled:
    request = Compilation(
        circuits=dump_qpy([circuit]), target=target, level=1, options=options or Options()
    )
    [answer] = compiler.compile([request])
    if isinstance(answer, Exception):
        raise answer
    return answer


def circuit_of(answer: Compiled) -> QuantumCircuit:
    [circuit] = qpy.load(io.BytesIO(answer.circuits))
    return circuit


def test_a_parameter_that_compiling_makes_idle_keeps_its_place(compiler: ProcessCompiler) -> None:
    circuit = QuantumCircuit(3, 1)
    circuit.rx(Parameter("b"), 0)
    circuit.rz(Parameter("a"), 0)
    circuit.measure(0, 0)
    options = Options(optimization_level=2)
    found = circuit_of(compiled(compiler, circuit, options=options))
    assert [parameter.name for parameter in found.parameters] == ["a", "b"]
    bound = found.assign_parameters([1.0, math.pi])
    bound.remove_final_measurements()
    assert math.isclose(Statevector(bound).probabilities([0])[1], 1.0)


def fitting() -> QuantumCircuit:
    circuit = QuantumCircuit(3, 1, name="fits")
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.measure(1, 0)
    return circuit


def test_what_fits_is_left_alone(compiler: ProcessCompiler) -> None:
    answer = compiled(compiler, fitting())
    assert not answer.changed
    assert answer.circuits == dump_qpy([fitting()])


def test_a_level_asked_for_is_kept_even_for_what_fits(compiler: ProcessCompiler) -> None:
    circuit = fitting()
    circuit.cx(0, 1)
    circuit.cx(0, 1)
    answer = compiled(compiler, circuit, options=Options(optimization_level=2))
    assert answer.changed
    assert circuit_of(answer).count_ops()["cx"] == 1


@pytest.mark.parametrize("backwards", [False, True])
def test_gates_coupling_and_direction_are_made_to_fit(
    compiler: ProcessCompiler, backwards: bool
) -> None:
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(*((2, 0) if backwards else (0, 2)))
    answer = compiled(compiler, circuit, options=Options(seed_transpiler=3))
    found = circuit_of(answer)
    assert answer.changed
    assert set(found.count_ops()) <= set(GATES)
    assert Operator.from_circuit(found).equiv(Operator(circuit))


def test_a_misfit_inside_control_flow_is_found(compiler: ProcessCompiler) -> None:
    circuit = QuantumCircuit(3, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], True)):
        circuit.cx(2, 1)
    with pytest.raises(ResourceMismatch, match="cx on qubits 2, 1"):
        compiled(compiler, circuit, options=Options(compile=False))
    assert compiled(compiler, circuit).changed


def test_without_compiling_the_first_misfit_is_named(compiler: ProcessCompiler) -> None:
    circuit = fitting()
    circuit.cx(1, 0)
    circuit.h(2)
    with pytest.raises(ResourceMismatch, match="cx on qubits 1, 0"):
        compiled(compiler, circuit, options=Options(compile=False))


def test_too_many_qubits_are_refused(compiler: ProcessCompiler) -> None:
    circuit = QuantumCircuit(4)
    circuit.h(3)
    with pytest.raises(ResourceMismatch, match="4 qubits"):
        compiled(compiler, circuit)


def test_what_no_gates_can_make_is_refused(compiler: ProcessCompiler) -> None:
    target = encode_target(qubits=2, instructions={"x": {"parameters": 0, "qubits": None}})
    circuit = QuantumCircuit(2)
    circuit.append(QFTGate(2), [0, 1])
    with pytest.raises(ResourceMismatch, match="cannot be made to fit"):
        compiled(compiler, circuit, target=target)


def test_a_seed_gives_the_same_circuit_in_every_process(compiler: ProcessCompiler) -> None:
    circuit = QuantumCircuit(3)
    circuit.append(QFTGate(3), [0, 1, 2])
    other = ProcessCompiler()
    try:
        options = Options(seed_transpiler=11)
        here, there = (compiled(one, circuit, options=options) for one in (compiler, other))
        assert circuit_of(here) == circuit_of(there)
    finally:
        other.close()


def test_what_was_compiled_is_kept_for_the_next_process(tmp_path: Path) -> None:
    circuit = QuantumCircuit(3, name="does not")
    circuit.h(0)
    objects = open_objects(tmp_path.as_uri())
    first = ProcessCompiler(objects)
    try:
        made = compiled(first, circuit)
        assert not compiled(first, fitting()).changed
    finally:
        first.close()
    assert len(list(objects.list("compiled"))) == 1  # what fits is seen sooner than read
    with ended_processes(ProcessCompiler(objects)) as second:
        assert compiled(second, circuit) == made


@contextmanager
def ended_processes(compiler: ProcessCompiler) -> Iterator[ProcessCompiler]:
    """A compiler that has no process left to compile in."""
    compiler._children.close()
    yield compiler
    compiler.close()
