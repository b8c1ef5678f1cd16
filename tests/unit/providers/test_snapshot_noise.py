"""Noise from what vendors say of their devices: IBM's and IQM's names, and nonsense."""

import pytest

from quanopy.codecs.calibrations import encode_metrics
from quanopy.domain.calibration import Metric
from quanopy.domain.errors import ResourceMismatch

pytest.importorskip("qiskit_aer")

from quanopy.providers.aer.snapshots import noise_of

PAIR = frozenset({0, 1})


def metric(name: str, *targets: int, value: float, unit: str = "") -> Metric:
    return Metric(name=name, targets=targets, value=value, unit=unit)


def test_what_iqm_says_makes_noise() -> None:
    numbers = encode_metrics(
        [
            metric("t1_time", 0, value=3e-5, unit="s"),
            metric("t2_time", 0, value=1e-5, unit="s"),
            metric("prx.fidelity", 0, value=0.999),
            metric("cz.fidelity", 0, 1, value=0.98),
            metric("measure.fidelity", 0, value=0.97),
        ]
    )
    noise = noise_of(numbers, PAIR, frozenset({"r", "cz", "measure"}))
    errors = noise.to_dict()["errors"]
    assert {(tuple(e["operations"]), tuple(map(tuple, e["gate_qubits"]))) for e in errors} >= {
        (("r",), ((0,),)),
        (("cz",), ((0, 1),)),
        (("measure",), ((0,),)),
    }
    (readout,) = [e for e in errors if e["type"] == "roerror" and e["gate_qubits"] == [(0,)]]
    assert readout["probabilities"][0][1] == pytest.approx(0.03)


def test_what_ibm_says_makes_noise_of_the_qubits_that_are_used_alone() -> None:
    numbers = encode_metrics(
        [
            metric("T1", 0, value=100.0, unit="us"),
            metric("T2", 0, value=400.0, unit="us"),
            metric("sx.error", 0, value=2e-4),
            metric("sx.error", 7, value=2e-4),
            metric("sx.length", 0, value=35.0, unit="ns"),
            metric("cx.error", 0, 1, value=1e-2),
            metric("cx.length", 0, 1, value=300.0, unit="ns"),
            metric("readout_error", 1, value=0.02),
        ]
    )
    noise = noise_of(numbers, PAIR, frozenset({"sx", "cx", "measure"}))
    places = {
        (e["operations"][0], tuple(q for pair in e["gate_qubits"] for q in pair))
        for e in noise.to_dict()["errors"]
    }
    assert ("sx", (0,)) in places
    assert ("cx", (0, 1)) in places
    assert ("sx", (7,)) not in places


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [metric("sx.error", 5, value=0.01)],
        [metric("sx.error", 0, value=7.0)],
        [metric("sx.error", 0, value=-1.0)],
        [metric("T1", 0, value=1.0, unit="parsec")],
        [metric("nonsense", 0, value=1.0)],
        [metric("cx.error", 0, value=0.1)],
    ],
)
def test_a_snapshot_that_tells_nothing_of_it_is_refused(numbers: list[Metric]) -> None:
    with pytest.raises(ResourceMismatch, match="tells nothing"):
        noise_of(encode_metrics(numbers), PAIR, frozenset({"sx", "cx"}))
