"""In a child process: circuits, and strangers' programs, on Braket's own simulators."""

import hashlib
import json
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from braket.analog_hamiltonian_simulator.rydberg.rydberg_simulator import RydbergAtomSimulator
from braket.circuits.serialization import IRType
from braket.default_simulator import DensityMatrixSimulator, StateVectorSimulator
from braket.ir.ahs.program_v1 import Program as AtomProgram
from braket.ir.jaqcd.program_v1 import Program as JaqcdProgram
from braket.ir.openqasm.program_v1 import Program
from qiskit_braket_provider import to_braket  # noqa: F401 - loaded before limits are set

from quanopy.codecs.results import PubResult, encode_result
from quanopy.domain.errors import Invalid, QuanopyError, ResourceMismatch, TaskFailed
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket.programs import translated
from quanopy.providers.braket.results import native_result
from quanopy.providers.circuits import Counted, Run, final_measurements, results_of, runs_of

Native = Callable[[bytes, int, int | None], dict[str, Any]]
"""Runs a stranger's program, so many shots under a seed; gives the vendor's document."""

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


def outcome(work: Work, run: Callable[[], list[PubResult]]) -> Outcome:
    """What a work comes to; whatever a simulator raises is its own work's."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pubs = run()
    except QuanopyError as error:
        return Outcome(error=error)
    except MemoryError:
        return Outcome(error=ResourceMismatch("the emulation ran out of memory"))
    except Exception as error:  # noqa: BLE001 - a simulator raises what it likes
        reason = f"the emulation failed: {type(error).__name__}: {error}"
        return Outcome(error=TaskFailed(" ".join(reason.split())[:500]))
    shots = float(sum(pub.get("shots", 0) * max(1, len(pub.get("counts", ()))) for pub in pubs))
    usage = {"seconds": time.perf_counter() - began, "shots": shots}
    return Outcome(result=encode_result(pubs), usage=usage)


def native_pubs(work: Work, run: Native) -> list[PubResult]:
    """The result of each program that runs as it stands."""
    found = []
    for place, pub in enumerate(work.pubs):
        seed = seed_of(work, work.first_pub + place, 0)
        document = run(work.circuits[pub.program], pub.shots or 1, seed)
        found.append(native_result(document, _no_more))
    return found


def seed_of(work: Work, pub: int, run: int) -> int | None:
    """A seed from the job's own indices: the same however the job is split."""
    if work.options.seed is None:
        return None
    name = f"{work.options.seed}/{pub}/{run}/{work.shots_from}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big")


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
    answers, since = [], (-1, 0)
    for run in runs_of(work):
        since = (run.pub, since[1] + 1 if since[0] == run.pub else 0)
        answers.append(_counted(backend, run, seed_of(work, work.first_pub + run.pub, since[1])))
    return results_of(work, answers)


def _counted(backend: str, run: Run, seed: int | None) -> Counted:
    measured = final_measurements(run.circuit)
    if not measured:
        return Counted(counts={0: run.shots}, memory=[0] * run.shots)
    labels = range(run.circuit.num_qubits)
    circuit = translated(run.circuit, labels=labels, verbatim=False)
    simulator = _simulator(backend)
    simulator.seed = seed
    found = simulator.run(circuit.to_ir(IRType.OPENQASM), shots=run.shots)
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


def _no_more(path: str) -> Any:
    raise TaskFailed(f"the simulator's result names a document elsewhere: {path[:100]}")
