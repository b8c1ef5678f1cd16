"""In a child process: circuits, and strangers' programs, on Braket's own simulators."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from braket.analog_hamiltonian_simulator.rydberg.rydberg_simulator import RydbergAtomSimulator
from braket.default_simulator import DensityMatrixSimulator, StateVectorSimulator
from braket.ir.ahs.program_v1 import Program as AtomProgram
from braket.ir.jaqcd.program_v1 import Program as JaqcdProgram
from braket.ir.openqasm.program_v1 import Program

from quanopy.codecs.results import PubResult
from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket.natives import native_pubs
from quanopy.providers.braket.openqasm import measured_source
from quanopy.providers.braket.programs import exact_source
from quanopy.providers.braket.results import exact_result
from quanopy.providers.circuits import BoundPub, Counted, Run, bound_pubs, final_measurements
from quanopy.providers.emulated import outcome, seed_of
from quanopy.providers.runs import results_of, runs_of

_INCLUDE = re.compile(r"\binclude\b")


class _Seeded(StateVectorSimulator):
    """Draws under a seed."""

    seed: int | None = None

    def initialize_simulation(self, **kwargs: Any) -> Any:
        simulation = super().initialize_simulation(**kwargs)
        simulation._rng_generator = np.random.default_rng(self.seed)
        return simulation


class _SeededMixed(DensityMatrixSimulator):
    """Draws under a seed."""

    seed: int | None = None

    def initialize_simulation(self, **kwargs: Any) -> Any:
        simulation = super().initialize_simulation(**kwargs)
        simulation._rng_generator = np.random.default_rng(self.seed)
        return simulation


@cache
def _simulator(backend: str) -> Any:
    return _SeededMixed() if backend == "braket_dm" else _Seeded()


def emulate(backend: str, works: Sequence[Work]) -> list[Outcome]:
    """Run a batch, one work after another; a bad one fails alone."""
    return [outcome(work, _pubs(backend, work)) for work in works]


def _pubs(backend: str, work: Work) -> Callable[[], list[PubResult]]:
    if backend == "braket_ahs":
        return lambda: native_pubs(work, atoms)
    if work.native is not None:
        return lambda: native_pubs(work, lambda *told: _gates(backend, *told))
    return lambda: _circuits(backend, work)


def atoms(program: bytes, shots: int, seed: int | None) -> dict[str, Any]:
    """A program of atoms on Braket's simulator, which draws from NumPy's common generator."""
    np.random.seed(seed)
    try:
        parsed = AtomProgram.parse_raw(program)
    except ValueError as error:
        raise Invalid(f"no braket-ahs program: {error}"[:300]) from None
    return _document(RydbergAtomSimulator().run(parsed, shots=shots))


def _gates(backend: str, program: bytes, shots: int, seed: int | None) -> dict[str, Any]:
    header = json.loads(program)["braketSchemaHeader"]["name"]
    kind = JaqcdProgram if header == "braket.ir.jaqcd.program" else Program
    try:
        parsed = kind.parse_raw(program)
    except ValueError as error:
        raise Invalid(f"no braket-ir program: {error}"[:300]) from None
    if kind is Program:
        _check_closed(parsed.source)
    simulator = _simulator(backend)
    simulator.seed = seed
    if kind is JaqcdProgram:
        qubits = 1 + max((_top(one) for one in json.loads(program)["instructions"]), default=0)
        return _document(simulator.run(parsed, qubit_count=qubits, shots=shots))
    return _document(simulator.run(parsed, shots=shots))


def _check_closed(source: str) -> None:
    """Refuse what would have the simulator read files of this machine."""
    if source.endswith(".qasm") or _INCLUDE.search(source):
        raise Invalid("a program cannot include files", hint="Braket's gates need none.")


def _top(instruction: Mapping[str, Any]) -> int:
    """The highest qubit of an instruction."""
    named = ("target", "control", "targets", "controls")
    values = [instruction[name] for name in named if name in instruction]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return max((one for one in flat if type(one) is int), default=0)


def _circuits(backend: str, work: Work) -> list[PubResult]:
    """Counts; expectation values measured, or calculated where they are to be exact."""
    if work.kind is JobKind.ESTIMATE and not all(pub.precision for pub in work.pubs):
        return [_calculated(backend, one) for one in bound_pubs(work)]
    answers, since = [], (-1, 0)
    for run in runs_of(work):
        since = (run.pub, since[1] + 1 if since[0] == run.pub else 0)
        answers.append(_counted(backend, run, seed_of(work, work.first_pub + run.pub, since[1])))
    return results_of(work, answers)


def _calculated(backend: str, one: BoundPub) -> PubResult:
    programs = [Program(source=exact_source(one, at)) for at in range(one.sets)]
    documents = [_document(_simulator(backend).run(program, shots=0)) for program in programs]
    return exact_result(one.pub, one.shape, documents)


def _counted(backend: str, run: Run, seed: int | None) -> Counted:
    measured = final_measurements(run.circuit)
    if not measured:
        return Counted(counts={0: run.shots}, memory=[0] * run.shots)
    labels = range(run.circuit.num_qubits)
    source = measured_source(run.circuit, labels=labels, verbatim=False)
    simulator = _simulator(backend)
    simulator.seed = seed
    found = simulator.run(Program(source=source), shots=run.shots)
    column = {label: at for at, label in enumerate(found.measuredQubits)}
    places = [(column[qubit], clbit) for clbit, qubit in measured.items()]
    rows = np.array(found.measurements, dtype=np.int64)
    if len(run.circuit.clbits) < 63:
        packed = sum(rows[:, at] << clbit for at, clbit in places)
        memory = np.asarray(packed).tolist()
    else:
        memory = [sum(int(row[at]) << clbit for at, clbit in places) for row in rows]
    return Counted(counts=Counter(memory), memory=memory)


def _document(result: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.json())
    return document
