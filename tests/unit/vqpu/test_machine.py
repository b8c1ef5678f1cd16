"""What a vQPU pretends to be: from parameters, a snapshot, or a fake device."""

import json
from pathlib import Path
from typing import Any

import pytest

from quanopy.codecs.targets import decode_target
from quanopy.domain.errors import Invalid
from quanopy.providers.aer.devices import devices
from quanopy.vqpu.emulation import emulate
from quanopy.vqpu.machine import Machine, Pace, build
from quanopy.vqpu.noise import Parameters, parse_snapshot
from quanopy.vqpu.runs import Run, Taken

FLIP = (("rx", (0,), (3.141592653589793,)),)


def ones(machine: Machine, shots: int = 4000) -> float:
    """How often a flipped qubit is read as one."""
    run = Run(shots=shots, instructions=FLIP, measure=((0, 0),), seed=5)
    (taken,) = emulate(machine.emulated, [run])
    assert isinstance(taken, Taken)
    return taken.counts.get("0x1", 0) / shots


def test_without_noise_it_is_exact() -> None:
    machine = build(name="quiet")
    assert machine.metrics == ()
    assert machine.qubits == 12
    assert ones(machine) == 1.0


def test_readout_is_wrong_as_often_as_was_said() -> None:
    assert ones(build(name="blind", noise=Parameters(readout=0.1))) == pytest.approx(0.9, abs=0.02)


def test_depolarising_is_an_error_of_the_gate() -> None:
    # An average gate error of e leaves 1 - e of this state after a flip.
    noisy = build(name="noisy", noise=Parameters(depolarising=0.1))
    assert ones(noisy) == pytest.approx(0.9, abs=0.03)


def test_relaxation_lets_the_excited_state_decay() -> None:
    # A gate of 50 ns at a T1 of 50 ns: about a third is left.
    fast = build(name="fast", noise=Parameters(t1_s=50e-9, t2_s=50e-9))
    assert 0.2 < ones(fast) < 0.7


def test_a_fake_device_brings_its_gates_connections_and_noise() -> None:
    like = build(name="like", like="nairobi" if _has("nairobi") else devices()[0].name)
    instructions = decode_target(like.target)["instructions"]
    assert "if_else" not in instructions
    assert instructions["cx"]["qubits"] if "cx" in instructions else True
    assert {metric.name for metric in like.metrics} >= {"T1", "T2", "measure.error"}


def _has(name: str) -> bool:
    return any(one.name == name for one in devices())


def test_a_snapshot_decides_qubits_gates_and_connections(tmp_path: Path) -> None:
    rows = [
        {"name": "T1", "targets": [0], "value": 80.0, "unit": "us"},
        {"name": "cz.error", "targets": [0, 1], "value": 0.01},
        {"name": "cz.error", "targets": [1, 2], "value": 0.02},
        {"name": "sx.gate_error", "targets": [0], "value": 0.001},
        {"name": "readout_error", "targets": [2], "value": 0.03},
        {"name": "anharmonicity", "targets": [2], "value": -0.3, "unit": "GHz"},
    ]
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps({"metrics": rows}))
    machine = build(name="kept", snapshot=file)
    assert machine.qubits == 3
    assert machine.places == {"cz": {(0, 1), (1, 2)}, "sx": {(0,)}}
    assert {(m.name, m.targets): m.value for m in machine.metrics}[("T1", (0,))] == pytest.approx(
        80e-6
    )


def test_a_snapshot_is_also_read_as_the_broker_shows_it() -> None:
    shown = {"snapshot": {"metrics": {"cz.error": {"0,1": {"value": 0.01, "unit": ""}}}}}
    (metric,) = parse_snapshot(shown)
    assert (metric.name, metric.targets, metric.value) == ("cz.error", (0, 1), 0.01)


@pytest.mark.parametrize(
    "document",
    [
        7,
        "text",
        {},
        {"metrics": 7},
        {"metrics": [{}]},
        {"metrics": [{"name": "T1", "value": "x"}]},
        {"metrics": [{"name": "T1", "value": float("nan")}]},
        {"metrics": [{"name": "T1", "value": 1, "targets": [-1]}]},
        {"metrics": [{"name": "T1", "value": 1, "targets": [10**9]}]},
        {"qubits": 7, "gates": []},
        {"qubits": [[{"name": "T1"}]], "gates": []},
    ],
)
def test_what_is_no_snapshot_is_refused(document: Any) -> None:
    with pytest.raises(Invalid):
        parse_snapshot(document)


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "magic"},
        {"gates": ["rx", "warp"]},
        {"qubits": 10**9},
        {"like": "no-such-device"},
        {"like": "fez", "noise": Parameters(readout=0.1)},
    ],
)
def test_what_cannot_be_meant_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        build(name="odd", **asked)


@pytest.mark.parametrize(
    "given", [{"depolarising": 2.0}, {"readout": -1.0}, {"t1_s": 0.0}, {"t1_s": 1.0, "t2_s": 3.0}]
)
def test_impossible_noise_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        Parameters(**given)


@pytest.mark.parametrize("given", [{"lanes": 0}, {"shot_s": -1.0}, {"warm_up_s": float("nan")}])
def test_an_impossible_pace_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Pace(**given)
