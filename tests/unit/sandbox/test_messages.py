"""Messages: what is sent arrives as it was, and nothing else does."""

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from quanopy.domain import errors
from quanopy.domain.errors import Invalid, ProviderError, QuanopyError, Transient
from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Footprint, Program
from quanopy.ports.providers import Outcome
from quanopy.providers.aer.child import emulate
from quanopy.sandbox import child
from quanopy.sandbox.channel import HEAD
from quanopy.sandbox.messages import (
    Function,
    Unsendable,
    decode_answer,
    decode_arguments,
    encode,
)
from tests.unit.sandbox import calls

FOOTPRINT = Footprint(
    circuits=1, qubits=2, clbits=2, gates=("h",), instructions=3, clifford=True, measured=True
)
READING = Reading(
    kind=JobKind.ESTIMATE,
    circuits=(b"QISKIT",),
    footprints=(FOOTPRINT,),
    pubs=(Pub(parameters={"npy": "AAAA"}, observables=[{"ZZ": 0.5}], precision=0.0),),
    evaluations=(4,),
)


def message(value: object) -> memoryview:
    return memoryview(encode(value))[HEAD:]


def arrived(function: Function, *answers: object) -> list[object]:
    return decode_answer(function, message(answers))


def every_error() -> Iterator[QuanopyError]:
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, QuanopyError):
            yield cls("no \ud800\0", where="pubs[0]", hint="Mend it.")


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_every_error_arrives_as_it_was_with_text_that_can_be_kept(error: QuanopyError) -> None:
    for found in (
        *arrived(child.read, error),
        *(one.error for one in arrived(emulate, Outcome(error=error)) if isinstance(one, Outcome)),
    ):
        assert type(found) is type(error)
        assert isinstance(found, QuanopyError)
        assert (found.message, found.where, found.hint) == ("no ??", "pubs[0]", "Mend it.")


def test_an_error_says_when_to_try_again() -> None:
    [found] = arrived(child.read, Transient("later", retry_after_s=2.5))
    assert isinstance(found, ProviderError)
    assert found.retry_after_s == 2.5


def test_an_error_of_somebody_elses_arrives_as_the_nearest_of_ours() -> None:
    class Odd(Invalid):
        """Known here alone."""

    [found] = arrived(child.read, Odd("odd"))
    assert type(found) is Invalid


def test_arguments_and_answers_arrive_as_they_were() -> None:
    spec = JobSpec(
        kind=JobKind.SAMPLE,
        resource="aer",
        programs=[Program(format="qpy/15", data=bytes(range(256)))],
        pubs=[Pub(parameters=[[0.5, -2]], shots=7), Pub()],
        options=Options(seed=2**62),
        tags=("a", "b"),
    )
    assert decode_arguments(child.read, message(([spec],))) == ([spec],)
    outcome = Outcome(result=b"[]", usage={"seconds": 0.5})
    assert arrived(child.read, READING) == [READING]
    assert arrived(emulate, outcome) == [outcome]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "half a pair \ud800", Path(), b"".join])
def test_what_cannot_be_said_is_not_sent(value: object) -> None:
    with pytest.raises(Unsendable):
        encode([value])


def test_nesting_without_end_is_not_sent() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(Unsendable):
        encode(value)


SAID = msgspec.to_builtins(READING, builtin_types=(bytes,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "destroy"),
        ("circuits", ["text"]),
        ("circuits", [b"", b""]),
        ("footprints", []),
        ("evaluations", [1, 1]),
        ("evaluations", ["1"]),
        ("pubs", [{"program": 1}]),
        ("pubs", [{"program": -1}]),
        ("pubs", None),
        ("pubs", [{"shots": -5}]),
        ("pubs", [{"shots": 2**31}]),
        ("evaluations", [-1]),
        ("evaluations", [2**31]),
        *(
            ("footprints", [msgspec.to_builtins(FOOTPRINT) | {counted: number}])
            for counted in ("circuits", "qubits", "clbits", "instructions")
            for number in (-1, 2**31)
        ),
    ],
)
def test_a_reading_that_is_none_is_refused(field: str, value: object) -> None:
    assert arrived(child.read, SAID) == [READING]
    with pytest.raises(msgspec.ValidationError):
        arrived(child.read, SAID | {field: value})


@pytest.mark.parametrize(
    "said",
    [
        {"result": b"[]\n[]"},
        {"result": "text"},
        {"usage": {"seconds": -1.0}},
        {"usage": {"seconds": math.nan}},
        {"usage": {"seconds": math.inf}},
        {"usage": {"seconds": 1e9}},
        {"usage": {"shots": 1.7e308}},
        {"usage": {"sho\0ts": 1.0}},
        {"usage": {"": 1.0}},
        {"usage": {"s" * 65: 1.0}},
        {"usage": {str(kind): 1.0 for kind in range(17)}},
        {"error": ["Transient", "later", None, None, math.inf]},
        {"error": ["Transient", "later", None, None, math.nan]},
        {"error": ["Transient", "later", None, None, 86_401.0]},
        {"error": ["Transient", "later", None, None, -1.0]},
        {"error": ["Exception", "no", None, None, None]},
        {"error": ["Invalid", "N\0", None, None, None]},
        {"error": ["Invalid", "no", None, None]},
        {"error": "no"},
    ],
)
def test_an_outcome_that_is_none_is_refused(said: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        arrived(emulate, said)


def test_no_function_gives_what_it_does_not_say() -> None:
    assert arrived(calls.judge, 1) == [1]
    with pytest.raises(msgspec.ValidationError):
        arrived(calls.pid, Invalid("no"))
