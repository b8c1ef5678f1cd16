"""Aer: results are Qiskit's, whatever is run together; what is lost fails alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.backends.backend_utils import BASIS_GATES

from quanopy.codecs.arrays import encode_array
from quanopy.domain.errors import ResourceMismatch, TaskFailed
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.programs import Compilation
from quanopy.ports.providers import Work
from quanopy.providers.aer import create
from quanopy.providers.aer.methods import METHODS
from quanopy.providers.aer.provider import AerProvider
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.compiling import compile_one
from quanopy.testing.local_provider_contract import pubs_of


@pytest.fixture(scope="module")
def aer() -> Iterator[AerProvider]:
    provider = create(processes=1, memory_bytes=2**28)
    yield provider
    provider.close()


def work(circuit: QuantumCircuit, *pubs: Pub, **more: Any) -> Work:
    kind = JobKind.ESTIMATE if pubs[0].observables is not None else JobKind.SAMPLE
    values: dict[str, Any] = {
        "task_id": f"task_{id(circuit)}_{len(pubs)}",
        "resource": "aer",
        "kind": kind,
        "circuits": [dump_qpy([circuit])],
        "options": Options(),
    }
    return Work(pubs=pubs, **(values | more))


def run(aer: AerProvider, *works: Work) -> list[Sequence[dict[str, Any]]]:
    return [pubs_of(outcome) for outcome in aer.start(works).wait()]


def ansatz() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rx(2 * Parameter("b"), 1)
    return circuit


def test_the_first_register_lies_in_the_lowest_bits(aer: AerProvider) -> None:
    qubits, low, high = QuantumRegister(3), ClassicalRegister(1, "low"), ClassicalRegister(2, "hi")
    circuit = QuantumCircuit(qubits, low, high)
    circuit.x(2)
    circuit.measure(qubits, [low[0], high[0], high[1]])
    [[result]] = run(aer, work(circuit, Pub(shots=10)))
    assert result["registers"] == [{"name": "low", "bits": 1}, {"name": "hi", "bits": 2}]
    assert result["counts"] == [{"0x4": 10}]


def test_loose_bits_are_left_out(aer: AerProvider) -> None:
    circuit = QuantumCircuit(2)
    circuit.add_bits([Clbit()])
    circuit.add_register(ClassicalRegister(1, "c"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    [[result]] = run(aer, work(circuit, Pub(shots=10)))
    assert result["counts"] == [{"0x1": 10}]


def test_parameter_sets_are_counted_in_c_order(aer: AerProvider) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    pub = Pub(parameters=[[[0.0], [np.pi]], [[np.pi], [0.0]]], shots=5)
    [[result]] = run(aer, work(circuit, pub))
    assert result["shape"] == [2, 2]
    assert result["counts"] == [{"0x0": 5}, {"0x1": 5}, {"0x1": 5}, {"0x0": 5}]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_no_parameter_sets_have_an_empty_result_as_in_qiskit(
    aer: AerProvider, shape: tuple[int, ...]
) -> None:
    values = np.zeros((*shape, 2))
    circuit = ansatz()
    none = Pub(parameters=encode_array(values), observables={"ZZ": 1.0}, precision=0.0)
    some = Pub(parameters=[[0.0, 0.0]], observables={"ZZ": 1.0}, precision=0.1)
    [[empty, full]] = run(aer, work(circuit, none, some))
    peer = StatevectorEstimator().run([(circuit, "ZZ", values)]).result()[0]
    assert tuple(empty["shape"]) == peer.data.evs.shape == shape
    assert (empty["evs"], empty["stds"], full["shape"]) == ([], [], [1])
    measured = circuit.measure_all(inplace=False)
    for options in (Options(), Options(memory=True), Options(memory=True, seed=1)):
        pubs = (Pub(parameters=encode_array(values), shots=5), Pub(parameters=[[0, 0]], shots=5))
        [[empty, full]] = run(aer, work(measured, *pubs, options=options))
        assert (tuple(empty["shape"]), empty["counts"], empty.get("memory", [])) == (shape, [], [])
        assert full["counts"] == [{"0x0": 5}]


def test_estimates_are_those_of_qiskit_over_all_broadcasts(aer: AerProvider) -> None:
    parameters = np.linspace(0, 1, 12).reshape(3, 2, 2)
    observables = [[{"ZZ": 1.0, "XI": 0.5}], [{"IY": 2.0}], [{"II": 3.0}]]
    pubs = [
        Pub(parameters=parameters.tolist(), observables=observables, precision=0.0),
        Pub(parameters=[0.3, 0.4], observables=observables, precision=0.0),
        Pub(parameters=parameters.tolist(), observables={"XX": 1.0}, precision=0.0),
    ]
    [results] = run(aer, work(ansatz(), *pubs))
    for pub, result in zip(pubs, results, strict=True):
        peer = _peer(pub)
        assert tuple(result["shape"]) == peer.shape
        assert np.allclose(np.reshape(result["evs"], result["shape"]), peer)


@pytest.mark.parametrize("used", [(0,), (0, 3), (4, 1, 2), (0, 1, 2, 3, 4)])
def test_observables_on_few_qubits_together_are_those_of_each(
    aer: AerProvider, used: tuple[int, ...]
) -> None:
    circuit = QuantumCircuit(5)
    for qubit in used:
        circuit.ry(0.4 + qubit, qubit)
    circuit.cx(used[0], used[-1]) if len(used) > 1 else circuit.x(used[0])
    labels = ["IIIIZ", "IZIII", "IZIIZ", "IXIII"]
    observables = [{label: 1.0} for label in labels]
    [[result]] = run(aer, work(circuit, Pub(observables=observables, precision=0.0)))
    [expected] = StatevectorEstimator().run([(circuit, labels)]).result()
    assert np.allclose(result["evs"], expected.data.evs)


def _peer(pub: Pub) -> Any:
    def operator(one: Any) -> Any:
        if isinstance(one, list):
            return [operator(each) for each in one]
        return SparsePauliOp.from_list(list(one.items()))

    given = (ansatz(), operator(pub.observables), pub.parameters)
    return StatevectorEstimator().run([given]).result()[0].data.evs


def test_works_of_one_circuit_are_kept_apart_though_run_together(aer: AerProvider) -> None:
    angles = np.linspace(0, 3, 20).tolist()
    works = [
        work(ansatz(), Pub(parameters=[a, 0.1], observables={"ZI": 1.0}, precision=0.0))
        for a in angles
    ]
    together = [result[0]["evs"] for result in run(aer, *works)]
    apart = [run(aer, one)[0][0]["evs"] for one in works]
    assert np.allclose(together, apart)


def test_precision_is_the_spread_of_estimates(aer: AerProvider) -> None:
    pub = Pub(parameters=np.zeros((400, 2)).tolist(), observables={"ZZ": 1.0}, precision=0.1)
    [[result]] = run(aer, work(ansatz(), pub))
    assert abs(np.std(result["evs"]) - 0.1) < 0.03
    assert set(result["stds"]) == {0.1}


@pytest.mark.parametrize(("precision", "seed"), [(0.05, None), (0.0, 3)])
def test_an_average_over_runs_that_differ_tells_its_error(
    aer: AerProvider, precision: float, seed: int | None
) -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    angles = np.linspace(0.8, 2.3, 16)
    pub = Pub(parameters=angles[:, None].tolist(), observables={"Z": 2.0}, precision=precision)
    [[result]] = run(aer, work(circuit, pub, options=Options(seed=seed)))
    theory = np.hypot(2 * np.sin(angles) / np.sqrt(1024), precision)
    assert np.all(np.abs(np.array(result["stds"]) / theory - 1) < 0.75)
    off = (np.array(result["evs"]) - 2 * np.cos(angles)) / theory
    assert 0.3 < np.sqrt(np.mean(off**2)) < 2.0  # but for one run in a million
    assert result["precision"] == precision


def test_runs_that_turn_out_alike_have_no_error(aer: AerProvider) -> None:
    circuit = ansatz()
    circuit.reset([0, 1])
    fixed = QuantumCircuit(2)
    fixed.reset(0)
    values = Pub(parameters=[[0.4, 0.1], [0.5, 0.2]], observables=[{"ZZ": 1.0}, {"II": 3.0}])
    [[both]] = run(aer, work(circuit, values))
    [[one, other]] = run(aer, work(fixed, *[Pub(observables={"ZI": 1.0})] * 2))
    assert (both["evs"], both["stds"]) == ([1.0, 3.0], [0.0, 0.0])
    assert one == other == {"shape": [], "evs": [1.0], "stds": [0.0], "precision": 0.0}


def test_a_seed_repeats_noise_and_measurements(aer: AerProvider) -> None:
    circuit = ansatz()
    circuit.reset(0)
    pub = Pub(parameters=[[0.4, 0.1], [0.5, 0.2]], observables={"ZZ": 1.0}, precision=0.1)
    one = work(circuit, pub, options=Options(seed=5))
    other = work(circuit, pub, options=Options(seed=6))
    first, again, different = run(aer, one, one, other)
    assert first == again != different


def test_what_does_not_fit_in_memory_is_refused_before_it_starts(aer: AerProvider) -> None:
    circuit = QuantumCircuit(40, 1)
    circuit.h(range(40))
    circuit.t(range(40))
    circuit.measure(0, 0)
    [outcome] = aer.start([work(circuit, Pub(shots=1))]).wait()
    assert isinstance(outcome.error, ResourceMismatch)
    assert "16 TiB" in outcome.error.message
    assert "256 MiB" in outcome.error.message


def test_a_wide_clifford_circuit_fits(aer: AerProvider) -> None:
    circuit = QuantumCircuit(200, 200)
    circuit.h(0)
    for qubit in range(199):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(200), range(200))
    [[result]] = run(aer, work(circuit, Pub(shots=20)))
    assert set(result["counts"][0]) <= {"0x0", hex(2**200 - 1)}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.resource)
def test_every_method_samples_a_bell_pair(aer: AerProvider, method: Any) -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    [[result]] = run(aer, work(circuit, Pub(shots=50), resource=method.resource))
    assert set(result["counts"][0]) <= {"0x0", "0x3"}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.resource)
def test_gates_are_those_that_aer_knows(method: Any) -> None:
    flow = {"if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop"}
    known = {*BASIS_GATES[method.name], *flow, "measure", "reset", "barrier", "delay"}
    assert set(method.gates) - {"initialize"} <= known


def test_a_fake_device_runs_compiled_circuits_with_its_noise(aer: AerProvider) -> None:
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.x(1)
    resource = "aer-fake-fez"
    request = Compilation(
        circuits=dump_qpy([circuit]), target=aer.target(resource), level=1, options=Options()
    )
    compiled = compile_one(request)
    assert compiled.changed
    pubs = [
        Pub(observables=observable, precision=0.0)
        for observable in ({"ZIZ": 1.0}, {"XIX": 1.0}, {"IZI": 1.0})
    ]
    [results] = run(aer, work(circuit, *pubs, resource=resource, circuits=[compiled.circuits]))
    values = [result["evs"][0] for result in results]
    assert np.allclose(values, [1, 1, -1], atol=0.1)
    assert values[0] < 1


def slow(layers: int) -> QuantumCircuit:
    circuit = QuantumCircuit(18, 1)
    for layer in range(layers):
        circuit.rx(0.1 * layer, layer % 18)
        circuit.cx(layer % 18, (layer + 7) % 18)
        circuit.measure(0, 0)
    return circuit


def children() -> set[int]:
    own = str(os.getpid())
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if rest.split()[1] == own and "resource_tracker" not in _command(stat.parent):
            found.add(int(name.split()[0]))
    return found


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_s(process: int) -> float:
    """Seconds of processor time that it has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_work(child: int, since: float) -> None:
    """Return once a child has used more processor time than to hear of something to do takes."""
    while cpu_s(child) < since + 0.05:
        time.sleep(0.005)


def test_works_that_share_a_killed_child_are_run_again_alone() -> None:
    before = children()
    aer = create(processes=1, memory_bytes=2**28)
    try:
        run(aer, work(slow(1), Pub(shots=1)))
        [child] = children() - before
        works = [work(slow(60 + extra), Pub(shots=20), estimate_s=0.1) for extra in range(2)]
        before_work = cpu_s(child)
        running = aer.start(works)
        await_work(child, since=before_work)
        os.kill(child, signal.SIGKILL)
        assert [len(pubs_of(outcome)) for outcome in running.wait()] == [1, 1]
    finally:
        aer.close()


def test_a_work_whose_child_is_killed_under_it_alone_fails_with_the_reason() -> None:
    before = children()
    aer = create(processes=1, memory_bytes=2**28)
    try:
        run(aer, work(slow(1), Pub(shots=1)))
        [child] = children() - before
        before_work = cpu_s(child)
        running = aer.start([work(slow(2000), Pub(shots=100))])
        await_work(child, since=before_work)
        os.kill(child, signal.SIGKILL)
        [outcome] = running.wait()
        assert isinstance(outcome.error, TaskFailed)
        assert "killed" in outcome.error.message
    finally:
        aer.close()


def test_a_batch_over_its_time_limit_fails() -> None:
    aer = create(processes=1, memory_bytes=2**28, time_limit_s=0.1)
    try:
        [outcome] = aer.start([work(slow(2000), Pub(shots=100))]).wait()
        assert isinstance(outcome.error, TaskFailed)
        assert "0.1 s" in outcome.error.message
    finally:
        aer.close()


def test_resources_and_targets_load_neither_qiskit_nor_numpy() -> None:
    program = (
        "import sys\n"
        "from quanopy.providers.aer import create\n"
        "provider = create()\n"
        "names = [resource.name for resource in provider.resources()]\n"
        "assert 'aer' in names and 'aer-fake-fez' in names\n"
        "assert provider.target('aer-fake-fez').digest\n"
        "assert not {'qiskit', 'numpy', 'qiskit_ibm_runtime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
