"""A parameter-shift gradient of 20 parameters (40 evaluations), beside Aer's EstimatorV2."""

from collections.abc import Callable

import numpy as np
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2

from benchmarks.measure import Measure, p50, report, seconds
from quanopy.codecs.results import decode_result
from quanopy.domain.jobs import JobKind, Options, Pub
from quanopy.ports.providers import Work
from quanopy.providers.aer import create
from quanopy.sandbox.circuits import dump_qpy

ROUNDS = 15
TERMS = {"ZZ": 0.4, "XX": 0.2, "IZ": -0.3, "ZI": -0.3}
OPERATOR = SparsePauliOp.from_list(list(TERMS.items()))
ANSATZ = efficient_su2(2, reps=4).decompose()
SHIFTS = np.concatenate([np.eye(20), -np.eye(20)]) * np.pi / 2
SETS = np.linspace(0, 1, 20) + SHIFTS


def work(parameters: np.ndarray, task: str) -> Work:
    """A task of one pub."""
    pub = Pub(parameters=parameters.tolist(), observables=TERMS, precision=0.0)
    return Work(
        task_id=task,
        resource="aer",
        kind=JobKind.ESTIMATE,
        circuits=[dump_qpy([ANSATZ])],
        pubs=[pub],
        options=Options(),
    )


def alternately(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of two things, measured in turn."""
    times = [(seconds(first), seconds(second)) for _ in range(ROUNDS)]
    return p50([one for one, _ in times]) * 1e3, p50([two for _, two in times]) * 1e3


def main() -> None:
    """Measure and report."""
    estimator, aer = EstimatorV2(), create(processes=1)
    try:
        whole = work(SETS, "whole")
        parts = [work(one, f"part {index}") for index, one in enumerate(SETS)]
        [outcome] = aer.start([whole]).wait()
        direct = estimator.run([(ANSATZ, OPERATOR, SETS)]).result()[0].data.evs
        if not np.allclose(decode_result(outcome.result or b"")[0]["evs"], direct):
            raise SystemExit("the values differ")
        peer, ours = alternately(
            lambda: estimator.run([(ANSATZ, OPERATOR, SETS)]).result(),
            lambda: aer.start([whole]).wait(),
        )
        peers, parted = alternately(
            lambda: [estimator.run([(ANSATZ, OPERATOR, one)]).result() for one in SETS],
            lambda: aer.start(parts).wait(),
        )
    finally:
        aer.close()
    report(
        [
            Measure(
                measure="gradient as one pub, provider alone",
                value=ours,
                unit="ms",
                peer=peer,
                goal="≤ one EstimatorV2 call + 3 ms",
                holds=ours <= peer + 3,
            ),
            Measure(
                measure="gradient as 40 works of one pub, provider alone",
                value=parted,
                unit="ms",
                peer=peers,
                goal="faster than 40 EstimatorV2 calls",
                holds=parted < peers,
            ),
        ]
    )


if __name__ == "__main__":
    main()
