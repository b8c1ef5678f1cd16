"""What the page on calibration shows is run as it stands, beside a loopback vendor."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.testing.vendors import registry
from tests.integration.test_readme import RUN_S, START_S, Desk, broker
from tests.unit.docs.blocks import DOCS, files, script

PAGE = DOCS / "calibration.md"
VENDOR = "http://127.0.0.1:9001"

pytestmark = pytest.mark.timeout(RUN_S + START_S)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, str]]:
    """A desk beside a broker with the page's settings, and where the vendor really is."""
    folder: Path = tmp_path_factory.mktemp("calibration")
    desk = Desk(folder, data=folder / "data")
    with registry.build("ibm") as vendor:
        (shown,) = files(PAGE).values()
        assert VENDOR in shown
        (folder / "quanopy.toml").write_text(shown.replace(VENDOR, vendor.url), encoding="utf-8")
        desk.environ |= vendor.environment()
        desk.environ["QUANOPY_CONFIG"] = str(folder / "quanopy.toml")
        with broker(desk):
            yield desk, vendor.url


def test_the_commands_of_the_page_run(place: tuple[Desk, str]) -> None:
    desk, url = place
    shown = desk.run(["bash", "-euo", "pipefail", "-s"], script(PAGE, "sh").replace(VENDOR, url))
    assert "ibm-nairobi: calibrated" in shown
    assert "cx.error" in shown
    assert (desk.folder / "drift.svg").read_bytes().startswith(b"<?xml")


def test_the_python_of_the_page_runs(place: tuple[Desk, str]) -> None:
    desk, _ = place
    shown = desk.run([sys.executable, "-"], script(PAGE, "python")).splitlines()
    assert shown[0] in ("exact", "closest")
    assert "False" in shown
