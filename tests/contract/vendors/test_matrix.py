"""Every provider meets everything that a vendor may do wrong."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from quanopy.testing import remote_provider_contract
from quanopy.testing.remote_provider_contract import COVERED, ProviderContract
from quanopy.testing.vendors.faults import Fault

SUITES = {
    "ibm": ["test_ibm:TestIbm"],
    "braket": ["test_braket:TestBraket"],
    "quera": ["test_quera:TestQuera"],
    "perceval": ["test_perceval:TestPerceval"],
    "pasqal": ["test_pasqal:TestPasqal"],
    "iqm": ["test_iqm:TestIqm"],
    "vqpu": ["test_vqpu:TestVqpu"],
    "qrmi": [
        "test_qrmi:TestIbmThroughQrmi",
        "test_qrmi:TestPasqalThroughQrmi",
        "test_qrmi:TestIqmThroughQrmi",
        "test_qrmi_types:TestIbmOnPremisesThroughQrmi",
        "test_qrmi_types:TestPasqalOnPremisesThroughQrmi",
        "test_qrmi_types:TestFelisThroughQrmi",
    ],
}
LOCAL = {"aer", "braket-local", "quera-local", "perceval-local", "pasqal-local"}
"""Emulators in processes of our own: there is no vendor to do anything wrong."""


def test_every_remote_provider_has_a_suite() -> None:
    declared = {one.name for one in entry_points(group="quanopy.providers")}
    assert declared - LOCAL == set(SUITES)


def test_every_fault_is_met_by_a_check_of_the_contract() -> None:
    assert set(Fault) <= set(COVERED)
    for check in COVERED.values():
        assert callable(getattr(ProviderContract, check))


@pytest.mark.parametrize("place", [place for places in SUITES.values() for place in places])
def test_no_suite_leaves_a_check_of_the_contract_out(place: str) -> None:
    module, _, name = place.partition(":")
    if module == "test_iqm":
        text = (Path(__file__).parent / f"{module}.py").read_text()
        assert f"class {name}(ProviderContract)" in text  # its client is in an environment apart
        return
    suite = getattr(import_module(f"tests.contract.vendors.{module}"), name)
    assert issubclass(suite, ProviderContract)
    assert not [one for one in vars(suite) if one.startswith("test_")]


def test_the_page_shows_which_check_is_about_what() -> None:
    root = Path(remote_provider_contract.__file__).parents[3]
    page = (root / "docs" / "reference" / "loopback-vendors.md").read_text()
    assert [check for check in COVERED.values() if f"`{check}`" not in page] == []
