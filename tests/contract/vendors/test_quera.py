"""QuEra's atoms: on Braket's path before the loopback Braket, and on Bloqade's emulator."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from quanopy.domain.errors import Invalid
from quanopy.domain.jobs import JobKind, Options
from quanopy.domain.programs import BRAKET_AHS
from quanopy.ports.providers import Outcome, Work
from quanopy.providers.braket.provider import BraketProvider
from quanopy.providers.braket.simulators import BraketSimulators
from quanopy.providers.quera import create, create_local
from quanopy.providers.secrets import Secret
from quanopy.testing.remote_provider_contract import ProviderContract
from quanopy.testing.vendors.bench import Given, VendorBench
from quanopy.testing.vendors.braket import BUCKET, KEY_ID, BraketVendor
from tests.contract.vendors.test_braket import BLOCKADE, CONFLICTS, native


def make(given: Given) -> BraketProvider:
    return create(
        access_key_id=Secret(f"command:printf {KEY_ID}"),
        secret_access_key=given.secret,
        account=given.account,
        bucket=BUCKET,
        endpoint_url=given.url,
        s3_endpoint_url=given.url,
        timeout_s=given.timeout_s,
        poll_interval_s=0.1,
    )


def atoms(program: Any = BLOCKADE, *, shots: int = 60, on: str = "aquila", **more: Any) -> Work:
    return replace(native(BRAKET_AHS, program, shots, on), **more)


def idle() -> dict[str, Any]:
    """One atom that nothing is done to: emulated in no time."""
    program = copy.deepcopy(BLOCKADE)
    program["setup"] = {"ahs_register": {"sites": [["0", "0"]], "filling": [1]}}
    return program


@pytest.fixture(scope="module")
def vendor() -> Iterator[BraketVendor]:
    with BraketVendor() as vendor:
        assert isinstance(vendor, BraketVendor)
        yield vendor


class TestQuera(ProviderContract):
    """On Aquila."""

    @pytest.fixture
    def bench(self, vendor: BraketVendor) -> VendorBench:
        return VendorBench(vendor, make, atoms(idle(), shots=10), absorbed=CONFLICTS)


def test_it_has_quera_s_devices_alone(vendor: BraketVendor) -> None:
    provider = VendorBench(vendor, make, atoms()).provider()
    (aquila,) = provider.resources()
    assert aquila.name == "aquila"
    assert aquila.provider == "quera"
    assert aquila.capabilities.kinds == (JobKind.RUN,)
    provider.close()


@pytest.fixture(scope="module")
def emulators() -> Iterator[BraketSimulators]:
    emulators = create_local(processes=1, time_limit_s=60.0)
    yield emulators
    emulators.close()


def outcomes(outcome: Outcome) -> dict[str, int]:
    assert outcome.error is None, outcome.error
    (pub,) = json.loads(outcome.result or b"")
    found: dict[str, int] = pub["outcomes"]
    assert pub["native"] == BRAKET_AHS
    assert sum(found.values()) == pub["shots"]
    return found


def test_bloqade_emulates_the_blockade(emulators: BraketSimulators) -> None:
    (outcome,) = emulators.start([atoms(on="bloqade", shots=200)]).wait()
    found = outcomes(outcome)
    assert found.get("rr", 0) <= 6
    assert found.get("rg", 0) + found.get("gr", 0) > 140
    assert outcome.usage["shots"] == 200


def test_atoms_far_apart_do_not_see_each_other(emulators: BraketSimulators) -> None:
    far = copy.deepcopy(BLOCKADE)
    far["setup"]["ahs_register"] = {  # type: ignore[index]
        "sites": [["0", "0"], ["2e-5", "0"], ["4e-5", "0"]],
        "filling": [1, 0, 1],
    }
    seeded = Options(seed=1)
    (outcome,) = emulators.start([atoms(far, on="bloqade", shots=300, options=seeded)]).wait()
    found = outcomes(outcome)
    assert all(label[1] == "e" for label in found)
    both, one = found.get("rer", 0) / 300, (found.get("rer", 0) + found.get("reg", 0)) / 300
    assert both == pytest.approx(one**2, abs=0.1)


def test_a_seed_gives_the_same(emulators: BraketSimulators) -> None:
    one = atoms(on="bloqade", shots=100, options=Options(seed=5))
    first, second = emulators.start([one, one]).wait()
    assert json.loads(first.result or b"") == json.loads(second.result or b"")


@pytest.mark.parametrize(
    "change",
    [
        {"hamiltonian": {"drivingFields": [], "localDetuning": []}},
        {"setup": {"ahs_register": {"sites": [["0", "0"], ["0", "1e-5"]], "filling": [0, 0]}}},
        {"setup": "none"},
    ],
)
def test_what_is_no_program_of_atoms_fails_with_the_reason(
    emulators: BraketSimulators, change: Any
) -> None:
    (outcome,) = emulators.start([atoms(BLOCKADE | change, on="bloqade")]).wait()
    assert isinstance(outcome.error, Invalid)
