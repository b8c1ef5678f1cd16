"""Choosing a resource: what fits, what does not and why, and which goes first."""

from typing import Any

import pytest

from quanopy.codecs.targets import encode_target
from quanopy.domain.errors import ResourceMismatch, Unsupported
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PULSER
from quanopy.domain.requirements import (
    Bound,
    Candidate,
    Choice,
    Need,
    Policy,
    Requirements,
    Shape,
)
from quanopy.domain.resources import Capabilities, Limits, Resource, ResourceStatus, Target
from quanopy.domain.states import ResourceState
from quanopy.services.choosing import choose, none_fits, plain_reasons


def target(*pairs: tuple[int, int], gate: str = "cz") -> Target:
    known: dict[str, Any] = {"sx": {"parameters": 0, "qubits": None}}
    known[gate] = {"parameters": 0, "qubits": [list(pair) for pair in pairs]}
    return encode_target(qubits=5, instructions=known)


def candidate(name: str, *, able: dict[str, Any] | None = None, **changes: Any) -> Candidate:
    """A simulator of five qubits that nobody uses; ``changes`` are of it wherever they belong."""
    of_resource = {n: changes.pop(n) for n in ("state", "reason") if n in changes}
    of_status = {n: changes.pop(n) for n in ("queued", "wait_s", "workers") if n in changes}
    limits: dict[str, Any] = {"limits": Limits(qubits=5)}
    idle: dict[str, Any] = {"queued": 0, "active": 0, "wait_s": 0.0, "seen_at": None, "workers": 1}
    capabilities = Capabilities(**(limits | (able or {})))
    status = ResourceStatus(
        resource=Resource(name=name, provider="p", capabilities=capabilities, **of_resource),
        **(idle | of_status),
    )
    return Candidate(status=status, **changes)


def reasons(wanted: Requirements, one: Candidate, need: Need | None = None) -> list[str]:
    (verdict,) = choose(wanted, need or Need(), [one]).verdicts
    return list(verdict.reasons)


HARDWARE = {"simulator": False, "technology": "trapped-ion"}
PRICED = {"price_per_task": 0.3, "price_per_shot": 0.01}


@pytest.mark.parametrize(
    ("wanted", "one", "reason"),
    [
        ({}, {"state": ResourceState.OFFLINE, "reason": "gone"}, "offline: gone"),
        ({}, {"state": ResourceState.MAINTENANCE}, "maintenance"),
        ({}, {"workers": 0}, "no worker: nobody serves it now"),
        ({"qubits": 6}, {}, "too few qubits: 5, 6 are needed"),
        ({"qubits": 6}, {"able": {"limits": Limits()}}, "qubits: not known"),
        ({"simulator": False}, {}, "simulator: it is one"),
        ({"simulator": True}, {"able": HARDWARE}, "simulator: it is hardware"),
        ({}, {"able": HARDWARE}, "hardware: it may be billed, and was not asked for"),
        ({"technology": ("photonic",)}, {"able": HARDWARE}, "technology: trapped-ion"),
        ({"technology": ("photonic",)}, {}, "technology: not known"),
        ({"gates": ("ecr",)}, {"target": target((0, 1))}, "gates: it has no ecr"),
        ({"gates": ("ecr",)}, {}, "gates: not known"),
        ({"gates": ("ecr",)}, {"able": {"gates": ("h", "cx")}}, "gates: it has no ecr"),
        (
            {"connectivity": Shape.ALL, "qubits": 3},
            {"target": target((0, 1), (1, 2))},
            "connectivity: it has not these connections",
        ),
        ({"connectivity": Shape.ALL}, {}, "connectivity: not known"),
        ({"fidelity": 0.99}, {}, "fidelity: not known"),
        ({"fidelity": 0.99}, {"two_qubit_error": 0.02}, "fidelity: 0.9800, 0.99 is needed"),
        ({"metrics": {"T1": Bound(least=1.0)}}, {}, "noise: T1 is not known"),
        (
            {"metrics": {"T1": Bound(least=1.0)}},
            {"medians": {"T1": 0.5}},
            "noise: T1 is 0.5, at least 1 is wanted",
        ),
        (
            {"metrics": {"ro": Bound(most=0.1)}},
            {"medians": {"ro": 0.5}},
            "noise: ro is 0.5, at most 0.1 is wanted",
        ),
        ({"max_queue": 3}, {"queued": 4}, "queue: 4 tasks wait, at most 3 are wanted"),
        ({"max_wait_s": 3}, {"wait_s": 4.0}, "wait: 4.0 s, at most 3 s are wanted"),
        ({"max_cost": 1.0}, {}, "cost: not known"),
        ({"max_cost": 1.0}, {"able": PRICED}, "cost: 10.54, at most 1 is wanted"),
        ({"max_calibration_age_s": 60.0}, {}, "calibration: its age is not known"),
        (
            {"max_calibration_age_s": 60.0},
            {"calibration_age_s": 7200.0},
            "calibration: 2 h old, at most 1 min is wanted",
        ),
    ],
)
def test_what_does_not_fit_is_told_why(
    wanted: dict[str, Any], one: dict[str, Any], reason: str
) -> None:
    (said,) = reasons(Requirements(**wanted), candidate("one", **one))
    assert said.startswith(reason)


@pytest.mark.parametrize(
    ("wanted", "one"),
    [
        ({"qubits": 5, "simulator": True}, {}),
        ({"technology": ("photonic", "trapped-ion")}, {"able": HARDWARE}),
        ({"simulator": False}, {"able": HARDWARE}),
        ({"max_cost": 20.0}, {"able": HARDWARE | PRICED}),
        ({"gates": ("cz", "measure")}, {"target": target((0, 1))}),
        ({"connectivity": Shape.LINEAR, "qubits": 3}, {"target": target((0, 1), (1, 2))}),
        ({"connectivity": ((4, 9),)}, {"target": target((0, 1))}),
        ({"connectivity": Shape.ALL, "qubits": 5}, {"able": {"gates": ("h", "cx")}}),
        ({"fidelity": 0.99}, {"two_qubit_error": 0.001}),
        ({"metrics": {"T1": Bound(least=0.4, most=0.6)}}, {"medians": {"T1": 0.5}}),
        ({"max_queue": 0, "max_wait_s": 0.0}, {}),
        ({"max_calibration_age_s": 60.0}, {"calibration_age_s": 59.0}),
    ],
)
def test_what_fits_has_nothing_said_against_it(wanted: dict[str, Any], one: dict[str, Any]) -> None:
    assert reasons(Requirements(**wanted), candidate("one", **one)) == []


def test_what_a_job_needs_itself_counts_too() -> None:
    one = candidate("one", able={"kinds": (JobKind.SAMPLE,), "gates": ("h",)})
    assert reasons(Requirements(qubits=2), one, Need(qubits=6))[0].startswith(
        "too few qubits: 5, 6"
    )
    assert reasons(Requirements(), one, Need(kind=JobKind.RUN)) == ["kind: it does not do run"]
    assert reasons(Requirements(), one, Need(formats=(PULSER,))) == ["format: it takes no pulser"]
    assert reasons(Requirements(), one, Need(gates=("h", "t"))) == ["gates: it has no t"]


def test_a_clifford_program_has_more_room_where_there_is_more_for_it() -> None:
    one = candidate("one", able={"limits": Limits(qubits=5, clifford_qubits=5000)})
    assert reasons(Requirements(), one, Need(qubits=1000, clifford=True)) == []
    assert reasons(Requirements(), one, Need(qubits=1000)) != []


def test_who_does_not_fit_plainly_is_not_looked_at_closely() -> None:
    wanted = Requirements(qubits=6, connectivity=Shape.ALL)
    assert reasons(wanted, candidate("one")) == ["too few qubits: 5, 6 are needed"]
    assert plain_reasons(Requirements(connectivity=Shape.ALL), Need(), candidate("one")) == ()


def order(policy: Policy, *candidates: Candidate) -> list[str]:
    return [one.name for one in choose(Requirements(policy=policy), Need(), candidates).verdicts]


def test_the_policy_says_who_goes_first() -> None:
    busy = candidate("busy", wait_s=9.0, two_qubit_error=0.001, able={"price_per_shot": 1.0})
    free = candidate("free", two_qubit_error=0.01, able={"price_per_shot": 2.0})
    blank = candidate("blank", wait_s=5.0)
    every = (busy, free, blank)
    assert order(Policy.LEAST_BUSY, *every) == ["free", "blank", "busy"]
    assert order(Policy.BEST_CALIBRATED, *every) == ["busy", "free", "blank"]
    assert order(Policy.CHEAPEST, *every) == ["busy", "free", "blank"]


def test_who_does_not_fit_comes_last_and_equals_come_by_name() -> None:
    off = candidate("a", state=ResourceState.OFFLINE)
    assert order(Policy.LEAST_BUSY, off, candidate("c"), candidate("b")) == ["b", "c", "a"]


def test_the_best_is_none_where_none_fits() -> None:
    choice = choose(Requirements(qubits=6), Need(), [candidate("one")])
    assert choice.best is None
    assert choice.rejected == {"one": ("too few qubits: 5, 6 are needed",)}


def refused(wanted: Requirements, *candidates: Candidate, need: Need | None = None) -> Any:
    choice: Choice = choose(wanted, need or Need(), candidates)
    return none_fits(choice, need or Need())


def test_the_error_says_how_many_fall_short_of_what_and_each_of_what() -> None:
    small, away = candidate("small"), candidate("away", workers=0)
    error = refused(Requirements(qubits=6), small, away)
    assert isinstance(error, ResourceMismatch)
    assert error.message == "none of 2 resources fits: too few qubits (2), no worker (1)"
    few = "too few qubits: 5, 6 are needed"
    assert error.more == {
        "rejected": {"small": [few], "away": ["no worker: nobody serves it now", few]}
    }


def test_the_error_of_an_empty_catalogue_asks_for_a_worker() -> None:
    assert "worker" in refused(Requirements()).hint


def test_a_format_that_nobody_takes_is_unsupported_whatever_else_is_asked_for() -> None:
    error = refused(Requirements(), candidate("one"), need=Need(formats=(PULSER,)))
    assert isinstance(error, Unsupported)
    assert "openqasm3" in (error.hint or "")
