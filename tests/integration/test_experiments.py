"""Sweeps, gradients and segments on a broker: one job, or several that come back as one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from typer.testing import CliRunner

from quanopy import Client
from quanopy.cli.main import app
from quanopy.client import drafts
from quanopy.domain.errors import Invalid, NotReady, TaskFailed

LIMIT_S = 60.0
A, B = Parameter("a"), Parameter("b")
QASM = """OPENQASM 3.0;
include "stdgates.inc";
input float phi;
qubit[1] q;
bit[1] c;
rx(phi) q[0];
c = measure q;
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client with its own broker."""
    with Client.embedded(tmp_path_factory.mktemp("broker"), emulator_processes=1) as client:
        yield client


def rotations() -> QuantumCircuit:
    """⟨ZI⟩ is cos(b), ⟨IZ⟩ is cos(a)."""
    circuit = QuantumCircuit(2)
    circuit.rx(A, 0)
    circuit.ry(B, 1)
    return circuit


def test_each_with_each_is_one_job(client: Client) -> None:
    a, b = np.linspace(0, 3, 4), np.linspace(0, 2, 3)
    sweep = client.sweep(
        rotations(), {"a": a, "b": b}, ["ZI", "IZ"], combine="product", resource="aer"
    )
    found = sweep.result(LIMIT_S)
    assert len(sweep.jobs) == 1
    assert found.evs.shape == (4, 3, 2)
    np.testing.assert_allclose(found.evs[..., 0], np.broadcast_to(np.cos(b), (4, 3)), atol=1e-9)
    np.testing.assert_allclose(found.evs[..., 1].T, np.broadcast_to(np.cos(a), (3, 4)), atol=1e-9)
    assert {*found.resources.flat} == {"aer"}
    assert found.rows()[1][:4] == ("0", "1", "aer", "")
    with pytest.raises(Invalid, match="`evs`"):
        found.counts(0, 0)


def test_counts_of_a_sweep_are_at_their_points(client: Client) -> None:
    circuit = rotations()
    circuit.measure_all()
    values = {A: [0, np.pi, np.pi], B: [0, 0, np.pi]}
    found = client.sweep(circuit, values, combine="zip", shots=500, resource="aer").result(LIMIT_S)
    assert [found.counts(at) for at in range(3)] == [{"00": 500}, {"01": 500}, {"11": 500}]
    numbers, errors = found.measured(observable="ZI")
    assert numbers.tolist() == [1, 1, -1]
    assert errors.tolist() == [0, 0, 0]
    assert found.measured(outcome="01")[0].tolist() == [0, 1, 0]
    with pytest.raises(Invalid, match="`counts`"):
        _ = found.evs


def test_a_program_that_is_text_is_swept_by_the_names_of_its_inputs(client: Client) -> None:
    found = client.sweep(QASM, {"phi": [0.0, np.pi]}, shots=100, resource="aer").result(LIMIT_S)
    assert [found.counts(at) for at in range(2)] == [{"0": 100}, {"1": 100}]


def test_a_sweep_is_scattered_and_comes_back_in_its_shape(client: Client) -> None:
    a = np.linspace(0, 3, 10).reshape(2, 5)
    values = {"a": a, "b": 0.5}
    scatter = {"aer": 3, "aer-mps": 2}
    sweep = client.sweep(rotations(), values, "IZ", scatter=scatter)
    found = sweep.result(LIMIT_S)
    np.testing.assert_allclose(found.evs, np.cos(a), atol=1e-6)
    assert found.resources.tolist() == [["aer"] * 5, ["aer", *["aer-mps"] * 4]]
    text, html = str(found), found._repr_html_()
    for shown in (text, html):
        assert "aer-mps" in shown
    ids = [job.id for job in sweep.jobs]
    again = client.sweep(rotations(), values, "IZ", scatter=scatter, jobs=ids)
    np.testing.assert_array_equal(again.result(LIMIT_S).evs, found.evs)
    with pytest.raises(Invalid, match="2 jobs for a sweep of 1"):
        client.sweep(rotations(), values, "IZ", jobs=ids)
    with pytest.raises(Invalid, match="not of this sweep"):
        client.sweep(rotations(), values, "IZ", scatter={"aer": 1, "aer-mps": 1}, jobs=ids).result(
            LIMIT_S
        )


def test_resources_take_as_much_as_their_lanes(client: Client) -> None:
    sweep = client.sweep(rotations(), {"a": [0.1, 0.2], "b": 0}, "IZ", scatter=["aer", "aer-mps"])
    lanes = [client.resource(name).lanes or 1 for name in ("aer", "aer-mps")]
    assert len(sweep.jobs) == 2 - (0 in [round(2 * one / sum(lanes)) for one in lanes])
    assert sweep.result(LIMIT_S).evs == pytest.approx(np.cos([0.1, 0.2]))


def test_what_is_missing_of_a_scattered_sweep_is_a_gap(client: Client) -> None:
    client.set_resource_state("aer-mps", "maintenance", "tests")
    try:
        sweep = client.sweep(
            rotations(), {"a": [0.1, 0.2], "b": 0}, "IZ", scatter={"aer": 1, "aer-mps": 1}
        )
        sweep.jobs[0].wait(timeout=LIMIT_S)
        found = sweep.result(partial=True)
        assert found.evs[0] == pytest.approx(np.cos(0.1))
        assert np.isnan(found.evs[1])
        assert found.rows()[1][-1] == ""
        sweep.cancel()
        with pytest.raises(TaskFailed):
            sweep.result(LIMIT_S)
    finally:
        client.set_resource_state("aer-mps", "online")


def test_nothing_to_run_it_on_is_said(client: Client) -> None:
    with pytest.raises(Invalid, match="nothing to run it on"):
        client.sweep(rotations(), {"a": 0.1, "b": 0}, "IZ", scatter=[])


def test_a_gradient_is_one_job_and_exact(client: Client) -> None:
    ansatz = efficient_su2(2, reps=1)
    hamiltonian = SparsePauliOp(["ZZ", "XI"], [1.0, 0.5])
    theta = np.linspace(0.1, 1, ansatz.num_parameters)
    asked = client.gradient(ansatz, hamiltonian, theta, resource="aer")
    found = asked.result(LIMIT_S)
    assert found.gradient.shape == (ansatz.num_parameters,)
    shifts = 1e-4 * np.vstack([np.eye(theta.size), -np.eye(theta.size)])
    evs = client.sweep(ansatz, theta + shifts, hamiltonian, resource="aer").result(LIMIT_S).evs
    forward, backward = np.split(evs, 2)
    np.testing.assert_allclose(found.gradient, (forward - backward) / 2e-4, atol=1e-6)
    assert not found.gradient_errors.any()
    assert len(asked.job.detail().parts) == 1


def test_a_gradient_of_finite_precision_tells_its_errors(client: Client) -> None:
    found = client.gradient(
        rotations(), "IZ", {"a": 0.7, "b": 0.2}, resource="aer", precision=0.01, seed=4
    ).result(LIMIT_S)
    assert found.errors == pytest.approx(0.01)
    assert found.gradient_errors == pytest.approx(0.01 / np.sqrt(2))
    assert abs(found.gradient[0] + np.sin(0.7)) < 5 * found.gradient_errors[0]


def test_segments_of_a_group_merge(client: Client) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    group = client.segment(
        circuit, name="bell", total_shots=4000, shots=1000, seed=1, resource="aer"
    )
    group.wait(LIMIT_S)
    segments = group.segments()
    assert [one.shots for one in segments] == [1000] * 4
    merged = segments.merged()
    assert sum(merged[0].counts.values()) == merged.shots == 4000
    ((row,), epochs) = (segments.table(outcome="11"), segments.epochs)
    assert (row.resource, row.platform, row.segments) == ("aer", "aer", 4)
    assert abs((row.value or 0) - 0.5) < 5 * (row.error or 0)
    assert epochs[0].snapshots == ()


def test_an_experiment_seen_by_another_name_says_both(client: Client) -> None:
    draft = drafts.estimate((rotations().assign_parameters([0.1, 0.2]), "ZZ"), precision=0.1)
    client.segment(draft, name="named", count=3, resource="aer").wait(LIMIT_S)
    group = client.group("named", resource="aer-mps", override=True)
    (note,) = group.segments().notes
    assert note == "named here is aer-mps; it is of aer"
    empty = client.group("nothing yet").segments()
    with pytest.raises(NotReady):
        empty.merged()


def sweep(client: Client, folder: Path, *arguments: str) -> Any:
    """What ``quanopy sweep`` of the program says, and what went wrong."""
    file = folder / "rabi.qasm"
    file.write_text(QASM)
    env = {"QUANOPY_URL": client.settings.url, "QUANOPY_TOKEN": client.settings.token}
    return CliRunner().invoke(app, ["sweep", str(file), *arguments], env=env)


def test_a_sweep_is_typed(client: Client, tmp_path: Path) -> None:
    over = ("--over", f"phi=0:{np.pi}:3", "--shots", "50")
    asked = (*over, "--scatter", "aer=2", "--scatter", "aer-mps=1", "--json")
    done = sweep(client, tmp_path, *asked)
    found = json.loads(done.stdout)
    assert found["values"] == {"phi": pytest.approx([0, np.pi / 2, np.pi])}
    assert found["resources"] == ["aer", "aer", "aer-mps"]
    assert [found["counts"][at] for at in (0, 2)] == [{"0x0": 50}, {"0x1": 50}]
    jobs = [part for job in found["jobs"] for part in ("--job", job)]
    assert json.loads(sweep(client, tmp_path, *asked, *jobs).stdout) == found
    shown = sweep(client, tmp_path, "--over", "phi=0,3.14159265", "--shots", "50").stdout
    assert "phi" in shown
    assert "P(0)" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--over", "phi"), "no NAME=VALUES"),
        (("--over", "phi=0:1:1"), "no NAME=VALUES"),
        (("--over", "phi=a"), "no NAME=VALUES"),
        (("--over", "phi=1", "--scatter", "aer=x"), "no number"),
    ],
)
def test_what_is_typed_wrongly_is_said(
    client: Client, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    done = sweep(client, tmp_path, *arguments)
    assert done.exit_code != 0
    assert says in done.stderr
