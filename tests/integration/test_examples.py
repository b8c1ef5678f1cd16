"""The examples run, from beginning to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.client.settings import data_path
from quanopy.codecs.figures import Figure, value_of
from quanopy.domain.states import JobState
from quanopy.testing.vendors.registry import build
from tests.integration.processes import embedded
from tests.unit.docs.blocks import ROOT

EXAMPLES = ROOT / "examples"
OWN_BROKER = {"demo.py", "demo_long.py"}
"""Examples that start a broker themselves."""
VENDORS = {
    ("hong_ou_mandel", "perceval"): ["sim-loopback"],
    ("rydberg_blockade", "pasqal"): ["fresnel", "emu-free"],
    ("aquila_pair", "braket"): ["aquila"],
}
"""Examples for vendors' own programs, by the vendor on loopback: resources they are run on."""
LOCAL = {
    "hong_ou_mandel": "quanopy.providers.perceval:create_local",
    "rydberg_blockade": "quanopy.providers.pasqal:create_local",
    "aquila_pair": "quanopy.providers.quera:create_local",
}
"""The same by the plugin with the vendor's own emulator."""
PACKAGES = {
    "hong_ou_mandel": "perceval",
    "rydberg_blockade": "pasqal_cloud",
    "aquila_pair": "bloqade.analog",
}
"""What each needs."""
RUN_S = 280.0

pytestmark = pytest.mark.timeout(RUN_S + 20)


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "QUANOPY" not in name}
    return {**kept, "HOME": str(data.parent), "QUANOPY_DATA": str(data), "OMP_NUM_THREADS": "1"}


def run(example: Path, data: Path, *arguments: str) -> str:
    """What an example prints; whatever it has started ends with it."""
    with subprocess.Popen(
        [sys.executable, str(example), *arguments],
        env=environment(data),
        cwd=data.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=RUN_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    assert process.returncode == 0, printed[-8000:]
    return printed


@pytest.mark.parametrize(
    "example",
    [
        path
        for path in sorted(EXAMPLES.glob("*.py"))
        if path.name not in OWN_BROKER and path.stem not in LOCAL
    ],
    ids=lambda path: path.stem,
)
def test_an_example_runs_at_a_broker(example: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Client.embedded(data, emulator_processes=1):
        assert data_path(environment(data)) == data
        assert run(example, data).strip()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "vendor"), VENDORS, ids=lambda one: str(one))
def test_an_example_runs_at_a_vendor(
    name: str, vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(PACKAGES[name])
    with build(vendor) as service:
        for variable, value in service.environment().items():
            monkeypatch.setenv(variable, value)
        providers = {vendor: service.options()}
        with embedded(tmp_path / "data", providers):
            for resource in VENDORS[name, vendor]:
                printed = run(EXAMPLES / f"{name}.py", tmp_path / "data", resource)
                assert f"on {resource}" in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCAL)
def test_an_example_runs_on_the_vendor_s_own_emulator(name: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[name])
    providers = {"local": {"plugin": LOCAL[name], "processes": 1}}
    with embedded(tmp_path / "data", providers):
        assert "on " in run(EXAMPLES / f"{name}.py", tmp_path / "data")


def test_the_circuits_are_read_and_run(tmp_path: Path) -> None:
    circuits = sorted((EXAMPLES / "circuits").glob("*.qasm"))
    with Client.embedded(tmp_path / "data", emulator_processes=1) as client:
        results = client.submit(circuits, shots=10).result(60)
        assert [sum(pub.counts.values()) for pub in results] == [10] * len(circuits)


def linked(name: str, tmp_path: Path) -> Path:
    """An example in a folder of its own: it keeps its data beside the examples."""
    (tmp_path / "examples").mkdir()
    for path in EXAMPLES.iterdir():
        (tmp_path / "examples" / path.name).symlink_to(path)
    return tmp_path / "examples" / name


@pytest.mark.slow
def test_the_demonstration_runs_by_itself(tmp_path: Path) -> None:
    printed = run(linked("demo.py", tmp_path), tmp_path / "data")
    assert "ghz_12" in printed
    assert "job_" in printed


@pytest.mark.slow
def test_a_long_experiment_outlives_its_script_its_broker_and_its_calibration(
    tmp_path: Path,
) -> None:
    pytest.importorskip("qiskit_ibm_runtime")
    pytest.importorskip("matplotlib")
    data = tmp_path / ".demo-long"
    printed = run(linked("demo_long.py", tmp_path), data)
    assert printed.count("killed the script") == 3
    assert printed.count("killed the broker") == 1
    assert "30 segments, 30,000 shots" in printed
    assert (data / "bell.png").read_bytes().startswith(b"\x89PNG")
    with Client.embedded(data, emulator_processes=1) as client:
        (group,) = client.groups()
        segments = group.segments()
        details = [job.detail() for job in group.jobs()]
    assert len(segments) == 30
    assert all(one.state is JobState.COMPLETED for one in details)
    assert all(len(one.executions) == 1 for one in details), "none was run twice"
    told = {one.executions[0].id for one in details}
    assert f"{len(told)} jobs were sent to the machine" in printed
    assert segments.merged().shots == 30_000
    whole = [one for one in segments.epochs if not one.across]
    assert len(whole) >= 3
    assert sum(epoch.merge.shots for epoch in segments.epochs) == 30_000
    across = [one for one in segments if one.across]
    assert all(one.started != one.ended for one in across)
    assert bool(across) is ("fell across a change of calibration" in printed)
    worse = [epoch.merge for epoch in (whole[0], whole[-1])]
    first, last = (value_of(one, Figure(observable="ZZ")) for one in worse)
    assert first is not None
    assert last is not None
    assert last.value < first.value - 3 * last.error
