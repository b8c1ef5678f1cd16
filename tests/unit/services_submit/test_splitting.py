"""Splitting jobs by a resource's limits."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quanopy.domain.errors import ResourceMismatch
from quanopy.domain.jobs import JobKind, Pub, Reading, Slice
from quanopy.domain.programs import Footprint
from quanopy.domain.resources import Capabilities, Limits
from quanopy.services.splitting import split

FOOTPRINT = Footprint(
    circuits=1, qubits=2, clbits=2, gates=("h",), instructions=4, clifford=True, measured=True
)


def a_reading(pubs: Sequence[Pub], evaluations: Sequence[int] | None = None) -> Reading:
    return Reading(
        kind=JobKind.SAMPLE,
        circuits=(b"",),
        footprints=(FOOTPRINT,),
        pubs=tuple(pubs),
        evaluations=tuple(evaluations or [1] * len(pubs)),
    )


def slices(
    pubs: Sequence[Pub], limits: Limits, evaluations: Sequence[int] | None = None
) -> list[Slice]:
    able = Capabilities(limits=limits)
    return [part.slice for part in split(pubs, a_reading(pubs, evaluations), able)]


def test_without_limits_a_job_is_one_task() -> None:
    assert slices([Pub(shots=10)] * 1000, Limits()) == [Slice(first=0, count=1000)]


def test_pubs_are_cut_by_their_number() -> None:
    parts = slices([Pub(shots=10)] * 5, Limits(pubs=2))
    assert [(part.first, part.count) for part in parts] == [(0, 2), (2, 2), (4, 1)]


def test_pubs_are_cut_by_their_evaluations() -> None:
    parts = slices([Pub(shots=10)] * 4, Limits(evaluations=5), [3, 3, 2, 5])
    assert [(part.first, part.count) for part in parts] == [(0, 1), (1, 2), (3, 1)]


def test_a_pub_with_more_evaluations_than_a_task_takes_is_one_by_itself_on_an_emulator() -> None:
    parts = slices([Pub(shots=10)] * 3, Limits(evaluations=5), [1, 60, 1])
    assert [(part.first, part.count) for part in parts] == [(0, 1), (1, 1), (2, 1)]


def test_a_pub_with_more_evaluations_than_a_task_takes_is_refused_by_a_device() -> None:
    pubs = [Pub(shots=10)] * 2
    able = Capabilities(limits=Limits(evaluations=5), simulator=False)
    with pytest.raises(ResourceMismatch) as raised:
        split(pubs, a_reading(pubs, [1, 6]), able)
    assert raised.value.where == "pubs[1].parameters"


def test_shots_are_cut_in_order() -> None:
    assert slices([Pub(shots=25)], Limits(shots=10)) == [
        Slice(first=0, count=1, shots_from=0, shots=10),
        Slice(first=0, count=1, shots_from=10, shots=10),
        Slice(first=0, count=1, shots_from=20, shots=5),
    ]


@given(
    shots=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    pubs=st.none() | st.integers(1, 5),
    most=st.none() | st.integers(5, 30),
)
def test_every_shot_of_every_pub_is_done_once_within_the_limits(
    shots: list[int], pubs: int | None, most: int | None
) -> None:
    parts = slices([Pub(shots=n) for n in shots], Limits(pubs=pubs, shots=most))
    done = [0] * len(shots)
    for part in parts:
        assert pubs is None or part.count <= pubs
        for index in range(part.first, part.first + part.count):
            some = part.shots or shots[index]
            assert most is None or some <= most
            done[index] += some
    assert done == shots


def test_a_wider_circuit_is_estimated_to_take_longer() -> None:
    wide = Footprint(
        circuits=1, qubits=25, clbits=2, gates=("t",), instructions=4, clifford=False, measured=True
    )
    pubs = [Pub(shots=10)]
    reading = a_reading(pubs)
    wider = Reading(
        kind=JobKind.SAMPLE, circuits=(b"",), footprints=(wide,), pubs=(pubs[0],), evaluations=(1,)
    )
    able = Capabilities()
    assert split(pubs, wider, able)[0].estimate_s > 10 * split(pubs, reading, able)[0].estimate_s


@pytest.mark.parametrize("precision", [5e-324, 1e-300, 1e-9, 1.0, 1e300])
@pytest.mark.parametrize("simulator", [True, False])
def test_any_precision_has_an_estimate(precision: float, simulator: bool) -> None:
    pubs = [Pub(precision=precision)]
    [part] = split(pubs, a_reading(pubs), Capabilities(simulator=simulator))
    assert 0 < part.estimate_s < float("inf")
