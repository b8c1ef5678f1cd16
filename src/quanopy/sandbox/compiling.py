"""In a child process: circuits compiled for their target, or left alone where they fit it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.transpiler import PassManager, TranspilerError, generate_preset_pass_manager

from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch, TooLarge
from quanopy.domain.resources import Target
from quanopy.ports.programs import Compilation, Compiled
from quanopy.sandbox.circuits import dump_qpy, load_qpy
from quanopy.sandbox.targets import Machine, machine, misfit


def compile_all(requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
    """Compile these; one answer each."""
    return [_answer(request) for request in requests]


def _answer(request: Compilation) -> Compiled | QuanopyError:
    try:
        return compile_one(request)
    except QuanopyError as error:
        return error
    except MemoryError:
        return TooLarge("compiling needs more memory than is allowed")
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - native panics too: this request's answer
        return Invalid(f"it cannot be compiled: {type(error).__name__}: {error}"[:400])


def compile_one(request: Compilation) -> Compiled:
    """Compile one program; raises :class:`ResourceMismatch` where it cannot be made to fit."""
    circuits = load_qpy(request.circuits)
    goal = machine(request.target)
    options = request.options
    if not options.compile:
        _refuse_wide(circuits, goal)
        _refuse_misfits(circuits, goal)
        return Compiled(circuits=request.circuits, changed=False)
    level = options.optimization_level
    wanted = [level is not None or misfit(circuit, goal) is not None for circuit in circuits]
    if not any(wanted):
        return Compiled(circuits=request.circuits, changed=False)
    _refuse_wide(circuits, goal)
    passes = _passes(request.target, request.level if level is None else level, request.seed)
    compiled = [
        _compiled(circuit, passes, goal) if needed else circuit
        for circuit, needed in zip(circuits, wanted, strict=True)
    ]
    return Compiled(circuits=dump_qpy(compiled), changed=True)


def _compiled(circuit: QuantumCircuit, passes: PassManager, goal: Machine) -> QuantumCircuit:
    try:
        compiled = passes.run(circuit, num_processes=1)
    except TranspilerError as error:
        raise ResourceMismatch(
            f"it cannot be made to fit: {error.message}"[:400],
            hint="Choose another resource, or use gates that its own can make.",
        ) from None
    _refuse_misfits([compiled], goal)
    _keep_parameters(compiled, circuit.parameters)
    return compiled


def _keep_parameters(compiled: QuantumCircuit, given: Iterable[Parameter]) -> None:
    """Values of parameters come by their places: one that compiling has made idle keeps its own,
    as nothing that is added to the phase."""
    left = set(compiled.parameters)
    for idle in (one for one in given if one not in left):
        compiled.global_phase += 0 * idle


def _refuse_misfits(circuits: Sequence[QuantumCircuit], goal: Machine) -> None:
    for index, circuit in enumerate(circuits):
        found = misfit(circuit, goal)
        if found is not None:
            raise ResourceMismatch(
                f"the resource does not carry out {found}",
                where=f"circuit {index}",
                hint="Leave `compile` on, or transpile for the resource's own target first.",
            )


def _refuse_wide(circuits: Sequence[QuantumCircuit], goal: Machine) -> None:
    for index, circuit in enumerate(circuits):
        if circuit.num_qubits > goal.qubits:
            raise ResourceMismatch(
                f"{circuit.num_qubits} qubits, the resource has {goal.qubits}",
                where=f"circuit {index}",
                hint="Choose a larger resource, or use fewer qubits.",
            )


@lru_cache(maxsize=32)
def _passes(target: Target, level: int, seed: int) -> PassManager:
    """Building one costs more than most compilations."""
    return generate_preset_pass_manager(
        optimization_level=level, target=machine(target).qiskit, seed_transpiler=seed
    )
