"""Readings that are remembered: of the same plain job, and of nothing else."""

from dataclasses import replace

import pytest

from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import QRMI_PAYLOAD, Footprint, Program
from quanopy.sandbox.known import KnownReadings

PROGRAM = Program(format="openqasm3", data=b"bell")
FOOTPRINT = Footprint(
    circuits=1, qubits=2, clbits=2, gates=(), instructions=0, clifford=True, measured=False
)
SPEC = JobSpec(kind=JobKind.SAMPLE, resource="aer", programs=[PROGRAM])


def a_reading(size: int = 10) -> Reading:
    return Reading(
        kind=JobKind.SAMPLE,
        circuits=(bytes(size),),
        footprints=(FOOTPRINT,),
        pubs=(),
        evaluations=(),
    )


def test_the_same_job_again_is_known_whatever_does_not_change_its_reading() -> None:
    known, reading = KnownReadings(1 << 20), a_reading()
    known.put(SPEC, reading)
    again = replace(
        SPEC,
        programs=[Program(format="openqasm3", data=b"bell")],
        resource="aer-mps",
        name="again",
        options=Options(shots=7),
    )
    assert known.get(again) is reading


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, kind=JobKind.ESTIMATE),
        replace(SPEC, programs=[Program(format="openqasm2", data=b"bell")]),
        replace(SPEC, programs=[Program(format="openqasm3", data=b"bell ")]),
        replace(SPEC, programs=[PROGRAM, PROGRAM]),
        replace(SPEC, pubs=[Pub()]),
        replace(SPEC, pubs=[Pub(shots=1)]),
    ],
)
def test_another_job_is_not(other: JobSpec) -> None:
    known = KnownReadings(1 << 20)
    known.put(SPEC, a_reading())
    assert known.get(other) is None
    known.put(other, a_reading())
    assert known.get(replace(other, pubs=[Pub(shots=2)])) is None


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, pubs=[Pub(parameters=[0.5])]),
        replace(SPEC, pubs=[Pub(observables="ZZ")]),
        replace(SPEC, pubs=[Pub()] * 17),
        replace(SPEC, programs=[Program(format=QRMI_PAYLOAD, data=b"{}")]),
        replace(SPEC, programs=[Program(format=f"{QRMI_PAYLOAD}/1", data=b"{}")]),
    ],
)
def test_what_brings_more_than_programs_is_read_each_time(spec: JobSpec) -> None:
    known = KnownReadings(1 << 20)
    known.put(spec, a_reading())
    assert known.get(spec) is None


def test_memory_is_bounded() -> None:
    known = KnownReadings(100_000)
    specs = [
        replace(SPEC, programs=[Program(format="openqasm3", data=b"%d" % n)]) for n in range(10)
    ]
    for spec in specs:
        known.put(spec, a_reading(20_000))
    assert [known.get(spec) is not None for spec in specs] == [False] * 6 + [True] * 4
    known.put(SPEC, a_reading(90_000))
    assert known.get(SPEC) is None
