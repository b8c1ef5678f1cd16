"""Whether a job fits a resource."""

import math

import pytest

from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Footprint, Program
from quanopy.domain.resources import Capabilities, Limits, Resource
from quanopy.services.matching import check_request, compilable, settle

PROGRAM = Program(format="openqasm3", data=b"a Bell pair")


def a_resource(**able: object) -> Resource:
    return Resource(name="dev", provider="p", capabilities=Capabilities(**able))  # type: ignore[arg-type]


def a_spec(*pubs: Pub, kind: JobKind = JobKind.SAMPLE, **options: object) -> JobSpec:
    return JobSpec(
        kind=kind,
        resource="dev",
        programs=[PROGRAM],
        pubs=pubs or None,
        options=Options(**options),  # type: ignore[arg-type]
    )


def a_reading(
    *pubs: Pub,
    kind: JobKind = JobKind.SAMPLE,
    clifford: bool = False,
    measured: bool = True,
    gates: tuple[str, ...] = ("h", "cx", "measure"),
) -> Reading:
    footprint = Footprint(
        circuits=1,
        qubits=5,
        clbits=2,
        gates=gates,
        instructions=4,
        clifford=clifford,
        measured=measured,
    )
    pubs = pubs or (Pub(),)
    return Reading(
        kind=kind,
        circuits=(b"",),
        footprints=(footprint,),
        pubs=pubs,
        evaluations=(1,) * len(pubs),
    )


def test_a_kind_that_the_resource_does_not_do_is_refused_with_those_it_does() -> None:
    resource = a_resource(kinds=(JobKind.ESTIMATE,))
    with pytest.raises(ResourceMismatch, match="It does estimate") as raised:
        check_request(a_spec(), resource)
    assert raised.value.where == "kind"


def test_too_many_shots_are_refused_where_they_are_asked() -> None:
    resource = a_resource(limits=Limits(job_shots=100))
    with pytest.raises(ResourceMismatch) as raised:
        check_request(a_spec(Pub(), Pub(shots=101)), resource)
    assert raised.value.where == "pubs[1].shots"


@pytest.mark.parametrize("precision", [math.nan, math.inf])
def test_a_precision_that_is_no_number_is_refused(precision: float) -> None:
    with pytest.raises(Invalid) as raised:
        check_request(a_spec(kind=JobKind.ESTIMATE, precision=precision), a_resource())
    assert raised.value.where == "options.precision"


def test_a_pub_of_a_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no program 1"):
        check_request(a_spec(Pub(program=1)), a_resource())


def test_too_many_qubits_are_refused_unless_all_gates_are_clifford() -> None:
    resource = a_resource(limits=Limits(qubits=4, clifford_qubits=10))
    settle(a_spec(), a_reading(clifford=True), resource)
    with pytest.raises(ResourceMismatch, match="room for 4"):
        settle(a_spec(), a_reading(), resource)


def test_unknown_gates_are_refused_only_where_compiling_is_off() -> None:
    resource = a_resource(gates=("h", "cz"))
    settle(a_spec(), a_reading(), resource)
    with pytest.raises(ResourceMismatch, match="does not carry out cx"):
        settle(a_spec(compile=False), a_reading(), resource)


CLIFFORD = ("cx", "h", "s", "if_else", "measure", "delay")
UNIVERSAL = ("cx", "h", "t", "delay")


@pytest.mark.parametrize(
    ("used", "known", "told"),
    [
        (("h", "measure", "barrier"), CLIFFORD, True),
        (("h", "cx", "if_else"), CLIFFORD, True),
        (("h", "t"), CLIFFORD, False),
        (("iswap", "my_own"), CLIFFORD, False),
        (("ccx", "rz", "my_own"), UNIVERSAL, True),
        (("h", "if_else"), UNIVERSAL, False),
    ],
)
def test_names_tell_what_fits_or_can_be_made_to(
    used: tuple[str, ...], known: tuple[str, ...], told: bool
) -> None:
    assert compilable(used, known) is told


def test_gates_that_may_be_compiled_are_never_refused_by_their_names() -> None:
    settle(a_spec(), a_reading(gates=("t", "tdg", "mcx", "if_else")), a_resource(gates=CLIFFORD))


def test_sampling_a_circuit_that_measures_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="measures nothing"):
        settle(a_spec(), a_reading(measured=False), a_resource())


def test_shots_come_from_the_pub_then_the_job_then_the_resource() -> None:
    resource = a_resource(default_shots=7)
    reading = a_reading(Pub(shots=3), Pub())
    assert [pub.shots for pub in settle(a_spec(), reading, resource)] == [3, 7]
    assert [pub.shots for pub in settle(a_spec(shots=5), reading, resource)] == [3, 5]


@pytest.mark.parametrize(
    ("options", "simulator", "expected"),
    [
        ({"precision": 0.1}, True, 0.1),
        ({"shots": 100}, True, 0.1),
        ({}, True, 0.0),
        ({}, False, 0.2),
    ],
)
def test_precision_is_exact_on_a_simulator_unless_something_says_otherwise(
    options: dict[str, object], simulator: bool, expected: float
) -> None:
    resource = a_resource(simulator=simulator, default_shots=25)
    spec = a_spec(kind=JobKind.ESTIMATE, **options)
    (pub,) = settle(spec, a_reading(kind=JobKind.ESTIMATE, measured=False), resource)
    assert pub.precision == pytest.approx(expected)
    assert pub.shots is None


def test_shots_that_a_payload_brings_are_held_to_the_limit_too() -> None:
    resource = a_resource(limits=Limits(job_shots=100))
    with pytest.raises(ResourceMismatch) as raised:
        settle(a_spec(), a_reading(Pub(shots=10), Pub(shots=101)), resource)
    assert raised.value.where == "pubs[1].shots"
