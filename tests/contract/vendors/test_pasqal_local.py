"""Pulser's own emulator as a local provider: strangers' sequences in child processes."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from quanopy.codecs.calibrations import encode_metrics
from quanopy.domain.calibration import Metric
from quanopy.domain.errors import NotFound, QuanopyError, ResourceMismatch
from quanopy.domain.jobs import Options, Pub
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.pasqal import create_local
from quanopy.providers.pasqal.local import RESOURCE, PulserEmulators
from tests.contract.vendors.test_pasqal import blockade, work


@pytest.fixture(scope="module")
def emulators() -> Iterator[PulserEmulators]:
    emulators = create_local(processes=1, atoms=4, time_limit_s=60.0)
    yield emulators
    emulators.close()


def local(**changes: Any) -> Work:
    return replace(work(RESOURCE, shots=300), **changes)


def outcomes(outcome: Outcome) -> dict[str, int]:
    assert outcome.error is None, outcome.error
    (pub,) = json.loads(outcome.result or b"")
    found: dict[str, int] = pub["outcomes"]
    assert sum(found.values()) == pub["shots"] == 300
    assert pub["native"] == "pulser"
    return found


def test_atoms_that_are_near_are_not_excited_together(emulators: PulserEmulators) -> None:
    (outcome,) = emulators.start([local()]).wait()
    assert outcomes(outcome).get("11", 0) < 45
    assert outcome.usage["seconds"] > 0
    assert outcome.usage["shots"] == 300


def test_a_seed_gives_the_same_alone_and_in_company(emulators: PulserEmulators) -> None:
    one = local(options=Options(seed=7))
    (alone,) = emulators.start([one]).wait()
    _, shared = emulators.start([local(), one]).wait()
    assert outcomes(alone) == outcomes(shared)
    later = replace(one, shots_from=300)
    assert outcomes(emulators.start([later]).wait()[0]) != outcomes(alone)


@pytest.mark.parametrize(
    "program",
    [
        b"OPENQASM 3;",
        b"[]",
        b'{"version": "1"}',
        b'{"version": "1", "register": [{"name": "q", "x": 0, "y": 0}]}',
        b"\xff\xfe",
    ],
    ids=lambda program: str(program[:24]),
)
def test_a_bad_program_fails_alone(emulators: PulserEmulators, program: bytes) -> None:
    fails_alone(emulators, program)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda good: good.replace(b'"channel": "all"', b'"channel": "none"'),
        lambda good: good.replace(b'"duration": 500', b'"duration": 1e99'),
        lambda good: good[:-20],
    ],
    ids=["a channel that is none", "a pulse without end", "cut off"],
)
def test_a_program_that_is_spoilt_fails_alone(
    emulators: PulserEmulators, spoilt: Callable[[bytes], bytes]
) -> None:
    assert spoilt(blockade()) != blockade()
    fails_alone(emulators, spoilt(blockade()))


def fails_alone(emulators: PulserEmulators, program: bytes) -> None:
    works = [local(), local(circuits=[program]), local()]
    first, bad, last = emulators.start(works).wait()
    assert isinstance(bad.error, QuanopyError)
    assert bad.result is None
    outcomes(first)
    outcomes(last)


def test_atoms_are_read_as_wrong_as_a_snapshot_says(emulators: PulserEmulators) -> None:
    wrong = encode_metrics([Metric(name="noise.p_false_pos", value=0.9)])
    (outcome,) = emulators.start([local(noise=wrong)]).wait()
    assert outcomes(outcome)["11"] > 200
    (refused,) = emulators.start([local(noise=encode_metrics([]))]).wait()
    assert isinstance(refused.error, ResourceMismatch)


def test_what_is_not_for_it_is_refused(emulators: PulserEmulators) -> None:
    with pytest.raises(ResourceMismatch):
        emulators.check(local(native=None))
    with pytest.raises(ResourceMismatch, match="5 atoms"):
        emulators.check(local(circuits=[blockade(5)]))
    with pytest.raises(ResourceMismatch):
        emulators.target(RESOURCE)
    with pytest.raises(NotFound):
        emulators.target("pulser-of-nobody")


def test_several_pubs_are_run_in_their_order(emulators: PulserEmulators) -> None:
    both = local(
        circuits=[blockade(), blockade(3)],
        pubs=[Pub(program=0, shots=100), Pub(program=1, shots=200)],
    )
    (outcome,) = emulators.start([both]).wait()
    first, second = json.loads(outcome.result or b"")
    assert (first["shots"], second["shots"]) == (100, 200)
    assert {len(bits) for bits in second["outcomes"]} == {3}


def test_the_worker_itself_never_loads_the_emulation(emulators: PulserEmulators) -> None:
    emulators.start([local()]).wait()
    assert "quanopy.providers.pasqal.emulation" not in sys.modules
