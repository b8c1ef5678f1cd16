"""Perceval's own emulators as a local provider: strangers' experiments in child processes."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from quanopy.codecs.calibrations import encode_metrics
from quanopy.domain.calibration import Metric
from quanopy.domain.errors import Invalid, NotFound, QuanopyError, ResourceMismatch
from quanopy.domain.jobs import Options, Pub
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.perceval import create_local
from quanopy.providers.perceval.local import BACKENDS, PercevalEmulators
from tests.contract.vendors.test_perceval import hong_ou_mandel, work


@pytest.fixture(scope="module")
def emulators() -> Iterator[PercevalEmulators]:
    emulators = create_local(processes=1, time_limit_s=60.0)
    yield emulators
    emulators.close()


def local(backend: str = "slos", **changes: Any) -> Work:
    return replace(work(f"perceval-{backend}", shots=300), **changes)


def outcomes(outcome: Outcome) -> dict[str, int]:
    assert outcome.error is None, outcome.error
    (pub,) = json.loads(outcome.result or b"")
    found: dict[str, int] = pub["outcomes"]
    assert sum(found.values()) == pub["shots"] == 300
    assert pub["native"] == "perceval"
    return found


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda one: one.name)
def test_alike_photons_leave_together(emulators: PercevalEmulators, backend: Any) -> None:
    one = replace(local(), resource=backend.resource)
    (outcome,) = emulators.start([one]).wait()
    assert set(outcomes(outcome)) == {"|2,0>", "|0,2>"}
    assert outcome.usage["seconds"] > 0
    assert outcome.usage["shots"] == 300


@pytest.mark.parametrize("backend", ["slos", "slap"])
def test_a_seed_gives_the_same_alone_and_in_company(
    emulators: PercevalEmulators, backend: str
) -> None:
    one = local(backend, options=Options(seed=7))
    (alone,) = emulators.start([one]).wait()
    _, shared = emulators.start([local(backend), one]).wait()
    assert outcomes(alone) == outcomes(shared)
    later = replace(one, shots_from=300)
    assert outcomes(emulators.start([later]).wait()[0]) != outcomes(alone)


@pytest.mark.parametrize(
    "program",
    [
        b":PCVL:Experiment:AAAA",
        b":PCVL:Experiment:" + b"x" * 64,
        b":PCVL:zip:AAAA",
        b":PCVL:BasicState:|1,0>",
        b":PCVL:NoSuchThing:1",
        b"\xff\xfe",
    ],
    ids=lambda program: str(program[:24]),
)
def test_a_bad_program_fails_alone(emulators: PercevalEmulators, program: bytes) -> None:
    fails_alone(emulators, program)


def test_a_program_that_is_cut_off_fails_alone(emulators: PercevalEmulators) -> None:
    fails_alone(emulators, hong_ou_mandel()[:-20])


def fails_alone(emulators: PercevalEmulators, program: bytes) -> None:
    works = [local(), local(circuits=[program]), local()]
    first, bad, last = emulators.start(works).wait()
    assert isinstance(bad.error, QuanopyError)
    assert bad.result is None
    outcomes(first)
    outcomes(last)


def test_photons_are_as_unlike_as_a_snapshot_says(emulators: PercevalEmulators) -> None:
    unlike = encode_metrics([Metric(name="HOM", value=0.5), Metric(name="Clock", value=8e7)])
    (outcome,) = emulators.start([local(noise=unlike, options=Options(seed=1))]).wait()
    assert 45 < outcomes(outcome)["|1,1>"] < 105
    (refused,) = emulators.start([local(noise=encode_metrics([]))]).wait()
    assert isinstance(refused.error, ResourceMismatch)


def test_what_is_not_for_it_is_refused(emulators: PercevalEmulators) -> None:
    with pytest.raises(ResourceMismatch):
        emulators.check(local(native=None))
    with pytest.raises(ResourceMismatch):
        emulators.target("perceval-slos")
    emulators.check(local(options=Options(seed=1)))
    with pytest.raises(ResourceMismatch):
        emulators.check(local("clifford", options=Options(seed=1)))
    with pytest.raises(NotFound):
        emulators.target("perceval-of-nobody")
    (outcome,) = emulators.start([local(circuits=[b"OPENQASM 3;"])]).wait()
    assert isinstance(outcome.error, Invalid)


def test_several_pubs_are_run_in_their_order(emulators: PercevalEmulators) -> None:
    both = local(
        circuits=[hong_ou_mandel(), hong_ou_mandel((2, 0))],
        pubs=[Pub(program=0, shots=100), Pub(program=1, shots=200)],
    )
    (outcome,) = emulators.start([both]).wait()
    first, second = json.loads(outcome.result or b"")
    assert (first["shots"], second["shots"]) == (100, 200)
    assert "|1,1>" in second["outcomes"]


def test_the_worker_itself_never_loads_the_emulation(emulators: PercevalEmulators) -> None:
    emulators.start([local()]).wait()
    assert "quanopy.providers.perceval.emulation" not in sys.modules
