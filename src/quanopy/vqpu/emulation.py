"""In a child process: circuits read, compiled for the machine, and run with its noise."""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Measure
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from quanopy.codecs.qiskit_targets import qiskit_target
from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch, TaskFailed, TooLarge
from quanopy.domain.programs import CLIFFORD, OPENQASM3, Program
from quanopy.domain.resources import Target as TargetData
from quanopy.providers.aer.noise import backend_of
from quanopy.sandbox.circuits import load
from quanopy.sandbox.scan import scan
from quanopy.vqpu.machine import Emulated
from quanopy.vqpu.runs import Run, Taken

_ALONE = frozenset({"barrier", "measure"})
MOST_BITS = 10_000


def warm_up() -> None:
    """Load Aer and let it run once, before limits are set."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    AerSimulator().run(circuit, shots=1).result()


def emulate(machine: Emulated, runs: Sequence[Run]) -> list[Taken | QuanopyError]:
    """Run these; one answer each, so that a bad circuit fails alone."""
    return [_guarded(machine, run) for run in runs]


def _guarded(machine: Emulated, run: Run) -> Taken | QuanopyError:
    try:
        return _emulate(machine, run)
    except QuanopyError as error:
        return error
    except MemoryError:
        return ResourceMismatch("the emulation ran out of memory", hint="Use fewer qubits.")
    except RecursionError:
        return TooLarge("the program is nested too deeply", hint="Flatten it.")
    except Exception as error:  # noqa: BLE001 - Qiskit and Aer raise what they like: its answer
        return TaskFailed(f"the emulation failed: {type(error).__name__}: {error}"[:500])


def _emulate(machine: Emulated, run: Run) -> Taken:
    circuit = _read(machine, run) if run.program is not None else _built(machine, run)
    if not circuit.num_clbits or "measure" not in circuit.count_ops():
        raise Invalid("the circuit measures nothing", hint="Measure qubits into bits.")
    if circuit.num_clbits > MOST_BITS:
        raise TooLarge(f"{circuit.num_clbits} bits, at most {MOST_BITS} are read out")
    active = _active(circuit)
    noise = _noise(machine, active)
    _check_memory(machine, circuit, len(active), noisy=noise is not None)
    options: dict[str, Any] = {"shots": run.shots, "memory": run.memory}
    if noise is not None:
        options["noise_model"] = noise
    if run.seed is not None:
        options["seed_simulator"] = run.seed
    result = _simulator(machine).run(circuit, **options).result()
    (experiment,) = result.results
    if not result.success:
        raise TaskFailed(f"Aer: {experiment.status}"[:500])
    order = _order(circuit)
    memory = getattr(experiment.data, "memory", None) if run.memory else None
    return Taken(
        bits=circuit.num_clbits,
        counts=_counts(getattr(experiment.data, "counts", {}), order),
        memory=None if memory is None else [_outcome(key, order) for key in memory],
    )


# -- circuits ---------------------------------------------------------------------------------
def _built(machine: Emulated, run: Run) -> QuantumCircuit:
    """Of instructions, which the service has found to be the machine's own."""
    gates = get_standard_gate_name_mapping()
    used = [q for _, qubits, _ in run.instructions for q in qubits]
    width = 1 + max([*used, *(qubit for qubit, _ in run.measure)])
    circuit = QuantumCircuit(
        QuantumRegister(width, "q"), ClassicalRegister(1 + max(bit for _, bit in run.measure), "c")
    )
    for name, qubits, angles in run.instructions:
        circuit.append(gates[name].base_class(*angles), qubits)
    for qubit, bit in run.measure:
        circuit.measure(qubit, bit)
    return circuit


def _read(machine: Emulated, run: Run) -> QuantumCircuit:
    """Of a stranger's text; compiled to the machine's gates and connections."""
    program = Program(format=OPENQASM3, data=(run.program or "").encode())
    scan(program)
    (circuit,) = load(program)
    if circuit.num_parameters:
        raise Invalid("the program has inputs", hint="Bind its parameters first.")
    target = _target(machine)
    if circuit.num_qubits > (target.num_qubits or 0):
        raise ResourceMismatch(
            f"{circuit.num_qubits} qubits, there are {target.num_qubits}", hint="Use fewer."
        )
    flow = sorted(set(_names(circuit)) - _ALONE - set(get_standard_gate_name_mapping()))
    flow = [name for name in flow if name in ("if_else", "for_loop", "while_loop", "switch_case")]
    if flow:
        raise ResourceMismatch(f"this device does no {flow[0]}", hint="Send a straight circuit.")
    return transpile(circuit, target=target, optimization_level=1, seed_transpiler=0)


def _names(circuit: QuantumCircuit) -> list[str]:
    return list(circuit.count_ops())


def _active(circuit: QuantumCircuit) -> frozenset[int]:
    """Qubits that something is done to: Aer leaves the others out."""
    used = {q for one in circuit.data if one.name != "barrier" for q in one.qubits}
    return frozenset(circuit.find_bit(qubit).index for qubit in used)


def _check_memory(machine: Emulated, circuit: QuantumCircuit, qubits: int, *, noisy: bool) -> None:
    """Refuse a state that has no room, before anything is allocated for it."""
    needed = 0
    match machine.method:
        case "automatic" if not noisy and CLIFFORD.issuperset(circuit.count_ops()):
            return
        case "automatic" | "statevector":
            needed = 16 << qubits
        case "density_matrix":
            needed = 16 << 2 * qubits
    if needed > machine.memory_bytes:
        raise ResourceMismatch(
            f"{qubits} qubits need {needed:.1e} bytes, there are {machine.memory_bytes:.1e}",
            hint="Use fewer qubits, or a vQPU of another method.",
        )


# -- the machine ------------------------------------------------------------------------------
@cache
def _simulator(machine: Emulated) -> AerSimulator:
    return AerSimulator(
        method=machine.method,
        device="GPU" if machine.gpu else "CPU",
        max_parallel_threads=machine.threads,
        max_memory_mb=machine.memory_bytes // 2**20,
    )


@cache
def _target(machine: Emulated) -> Target:
    return qiskit_target(decode_target(TargetData(data=machine.target)))


@cache
def _measured(machine: Emulated) -> Mapping[tuple[str, tuple[int, ...]], float]:
    return {(metric.name, metric.targets): metric.value for metric in machine.metrics}


@lru_cache(maxsize=64)
def _noise(machine: Emulated, active: frozenset[int]) -> NoiseModel | None:
    """What Aer derives from the metrics, for operations on these qubits alone: translating the
    noise of all takes it seconds."""
    if not machine.metrics:
        return None
    found = _measured(machine)

    def value(name: str, place: tuple[int, ...]) -> float | None:
        return found.get((name, place), found.get((name, ())))

    qubits = [
        QubitProperties(t1=value("T1", (q,)), t2=_possible_t2(value("T1", (q,)), value("T2", (q,))))
        for q in range(1 + max(active))
    ]
    part = Target(num_qubits=len(qubits), qubit_properties=qubits)
    gates = get_standard_gate_name_mapping()
    for name, entry in decode_target(TargetData(data=machine.target))["instructions"].items():
        operation = Measure() if name == "measure" else gates[name]
        places = _within(entry.get("qubits"), active, operation.num_qubits)
        properties = {
            place: InstructionProperties(
                # Aer knows no readout of which nothing is known.
                error=value(f"{name}.error", place) or (0.0 if name == "measure" else None),
                duration=value(f"{name}.duration", place),
            )
            for place in places
        }
        if properties:
            part.add_instruction(operation, properties, name=name)
    return NoiseModel.from_backend(backend_of(part))


def _possible_t2(t1: float | None, t2: float | None) -> float | None:
    """Calibrations have T2 a little above twice T1, which no qubit can have."""
    return t2 if t1 is None or t2 is None else min(t2, 2 * t1)


def _within(
    places: Sequence[Sequence[int]] | None, active: frozenset[int], width: int
) -> list[tuple[int, ...]]:
    if places is not None:
        return [tuple(place) for place in places if active.issuperset(place)]
    found: list[tuple[int, ...]] = [()]
    for _ in range(width):
        found = [(*place, q) for place in found for q in sorted(active) if q not in place]
    return found


# -- outcomes ---------------------------------------------------------------------------------
def _order(circuit: QuantumCircuit) -> list[int] | None:
    """Where each bit of the registers lies in Aer's outcome; ``None``: just there."""
    bits = [bit for register in circuit.cregs for bit in register]
    found = [circuit.find_bit(bit).index for bit in bits]
    return None if not found or found == list(range(circuit.num_clbits)) else found


def _outcome(key: str, order: Sequence[int] | None) -> str:
    value = int(key, 16)
    if order is None:
        return hex(value)
    return hex(sum(((value >> place) & 1) << bit for bit, place in enumerate(order)))


def _counts(counts: Mapping[str, int], order: Sequence[int] | None) -> dict[str, int]:
    total: dict[str, int] = {}
    for key, number in counts.items():
        outcome = _outcome(key, order)
        total[outcome] = total.get(outcome, 0) + int(number)
    return total
