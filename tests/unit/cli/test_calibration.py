"""What people type about calibrations, and what they see."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from typer.testing import CliRunner, Result

from quanopy.cli.main import app
from quanopy.client import Client
from quanopy.domain.calibration import CalibrationLabel
from quanopy.domain.durations import duration_text, seconds_of
from quanopy.domain.errors import NotFound
from quanopy.server.routes.examples import DETAIL, JOB_ID, SNAPSHOT
from tests.unit.client.stub import Answer, Seen, Stub, document, problem

NUMBERS = {
    "T1": {"0": {"value": 9.1e-05, "unit": "s"}, "1": {"value": 1.2e-04, "unit": "s"}},
    "cz.error": {"0,1": {"value": 0.004}},
    "fridge": {"": {"value": 0.011, "unit": "K"}},
}
LATER: dict[str, Any] = SNAPSHOT | {
    "digest": "sha256:later",
    "calibrated_at": "2026-02-01T08:00:00Z",
    "vendor_id": "cal-2",
    "metrics": NUMBERS,
}
BOUND = {
    "label": "closest",
    "snapshot": "sha256:later",
    "submitted": "sha256:3a7b…",
    "ended": "sha256:later",
    "warning": "the resource was calibrated anew between submission and end",
}
RAN: dict[str, Any] = DETAIL | {
    "executions": [
        {
            "id": f"exec_{number}",
            "provider": "acme",
            "resource": "acme-7",
            "state": "completed",
            "created_at": "2026-02-01T09:00:00Z",
            "calibration": bound,
        }
        for number, bound in enumerate((BOUND, {"label": "unknown"}))
    ]
}


def answer(seen: Seen) -> Answer:
    """A broker that knows one machine, an emulator without noise, and a job."""
    asked = urlsplit(seen.path)
    path, wanted = unquote(asked.path).removeprefix("/v1"), parse_qs(asked.query).get("metric", [])
    shown = LATER | {"metrics": {n: p for n, p in NUMBERS.items() if not wanted or n in wanted}}
    if path == "/resources/acme-7/calibration":
        return document({"resource": "acme-7", "published": True, "snapshot": shown})
    if path == "/resources/acme-7/calibrations":
        return document({"snapshots": [shown, SNAPSHOT]})
    if path == "/resources/aer/calibration":
        return document({"resource": "aer", "published": False})
    if path == "/resources/late/calibration":
        why = {"type": "Transient", "message": "the vendor is busy"}
        return document({"resource": "late", "published": None, "problem": why})
    if path == "/calibrations/sha256:later":
        return document(LATER | {"raw": {"id": "cal-2"}})
    if path == f"/jobs/{JOB_ID}":
        return document(RAN)
    return problem(NotFound(f"no {path}"))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stub]:
    with Stub(answer) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield stub


pytestmark = pytest.mark.usefixtures("broker")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["calibration", *map(str, arguments)])


def test_a_table_has_each_metric_in_short() -> None:
    found = run("acme-7")
    assert found.exit_code == 0, found.output
    at = datetime.fromisoformat(LATER["calibrated_at"]).astimezone()
    assert f"acme-7: calibrated {at:%Y-%m-%d %H:%M:%S}" in found.stdout
    (row,) = [line for line in found.stdout.splitlines() if "T1" in line]
    assert row.split()[1:] == ["2", "105.5", "µs", "91", "µs", "120", "µs"]
    assert "and 1 of the device as a whole" in found.stderr


def test_a_qubit_has_its_own_numbers_and_those_of_its_pairs() -> None:
    shown = run("acme-7", "--qubit", 1).stdout
    assert "120 µs" in shown
    assert "0,1" in shown
    assert "91 µs" not in shown


def test_a_metric_is_shown_qubit_by_qubit() -> None:
    shown = run("acme-7", "--metric", "T1").stdout
    assert "91 µs" in shown
    assert "cz.error" not in shown


def test_scripts_get_the_numbers_as_they_are() -> None:
    shown = json.loads(run("acme-7", "--json").stdout)
    assert shown["snapshot"]["metrics"]["T1"]["1"]["value"] == 1.2e-04
    assert [one["digest"] for one in json.loads(run("acme-7", "--history", "--json").stdout)] == [
        "sha256:later",
        SNAPSHOT["digest"],
    ]


def test_a_history_is_listed_with_medians(broker: Stub) -> None:
    shown = run("acme-7", "--since", "7d", "--metric", "T1").stdout
    assert "cal-2" in shown
    assert "105.5 µs" in shown
    assert "since=20" in broker.seen[-1].path


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("aer", "aer publishes no calibration"),
        ("late", "late did not tell its calibration: the vendor is busy"),
    ],
)
def test_why_there_is_none_is_said(resource: str, said: str) -> None:
    found = run(resource)
    assert (found.exit_code, found.stdout) == (0, "")
    assert said in found.stderr


def test_what_a_job_ran_under_is_shown_with_its_warnings() -> None:
    found = run("--job", JOB_ID)
    assert "closest" in found.stdout
    assert "exec_0: the resource was calibrated anew" in found.stderr
    labels = [one["label"] for one in json.loads(run("--job", JOB_ID, "--json").stdout)]
    assert labels == ["closest", "unknown"]


@pytest.mark.parametrize(
    ("name", "begins"),
    [("drift.png", b"\x89PNG"), ("drift.svg", b"<?xml"), ("DRIFT.SVG", b"<?xml")],
)
@pytest.mark.parametrize("narrowed", [(), ("--qubit", "1", "--metric", "T1")])
def test_a_drift_is_drawn(
    tmp_path: Path, name: str, begins: bytes, narrowed: tuple[str, ...]
) -> None:
    file = tmp_path / name
    found = run("acme-7", "--plot", file, *narrowed)
    assert found.exit_code == 0, found.output
    assert file.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 65, "name a resource"),
        (("acme-7", "--job", JOB_ID), 65, "not both"),
        (("--job", JOB_ID, "--history"), 65, "has no history"),
        (("acme-7", "--since", "yesterday"), 65, "is no time"),
        (("acme-7", "--plot", "drift.gif"), 65, "neither PNG nor SVG"),
        (("acme-7", "--plot", "/nowhere/drift.png"), 65, "cannot write"),
        (("aer", "--plot", "drift.png"), 66, "nothing to draw"),
        (("acme-7", "--metric", "T3"), 66, "acme-7 has no number of T3"),
        (("acme-7", "--qubit", "99"), 66, "acme-7 has no number of qubit 99"),
        (("nobody",), 66, "no /resources/nobody"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], code: int, said: str) -> None:
    found = run(*arguments)
    assert (found.exit_code, said in found.output) == (code, True), found.output


def test_a_picture_without_matplotlib_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = run("acme-7", "--plot", tmp_path / "drift.png")
    assert found.exit_code == 65
    assert found.output.count("\n") == 1
    assert "quanopy[plots]" in found.output


# -- the client -------------------------------------------------------------------------------
def test_a_job_has_what_each_execution_ran_under() -> None:
    with Client() as client:
        ran = client.job(JOB_ID).calibration
        assert [one.label for one in ran] == [CalibrationLabel.CLOSEST, CalibrationLabel.UNKNOWN]
        assert (ran.label, ran.snapshot) == (CalibrationLabel.UNKNOWN, None)
        assert ran.warnings == [f"exec_0: {BOUND['warning']}"]
        first = ran[0]
        assert (first.started, first.named) == (None, None)
        assert first.snapshot == first.ended == client.snapshot("sha256:later")
        assert first.snapshot is not None
        assert first.snapshot.value("T1", 1) == 1.2e-04
        assert first.snapshot.value("cz.error", 0, 1) == 0.004
        assert first.snapshot.metrics["fridge"][()].unit == "K"
        assert first.snapshot.raw() == {"id": "cal-2"}
        with pytest.raises(NotFound, match="no metric"):
            first.snapshot.value("T3", 1)
        with pytest.raises(NotFound, match="no T1"):
            first.snapshot.value("T1", 7)


def test_numbers_are_fetched_once_and_only_if_they_are_wanted(broker: Stub) -> None:
    with Client() as client:
        found = client.calibration("acme-7")
        assert found is not None
        before = len(broker.seen)
        assert (found.value("T1", 0), found.vendor_id) == (9.1e-05, "cal-2")
        assert len(broker.seen) == before
        by_digest = client.snapshot(found.digest)
        assert len(broker.seen) == before
        assert [by_digest.value("T1", 0), by_digest.value("T1", 1)] == [9.1e-05, 1.2e-04]
        assert len(broker.seen) == before + 1
        assert client.calibration("aer") is None


def test_demands_go_with_a_submission(tmp_path: Path, broker: Stub) -> None:
    program = tmp_path / "bell.qasm"
    program.write_text("OPENQASM 3.0;")
    CliRunner().invoke(
        app,
        ["submit", str(program), "--max-calibration-age", "2h", "--max-calibration-wait", "90"],
    )
    options = json.loads(broker.seen[-1].body)["options"]
    assert (options["max_calibration_age"], options["max_calibration_wait"]) == (7200.0, 90.0)
    with Client() as client, pytest.raises(NotFound):
        client.sample("OPENQASM 3.0;", same_calibration_as=client.job(JOB_ID))
    assert json.loads(broker.seen[-1].body)["options"]["same_calibration_as"] == JOB_ID


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2 h", 7200), ("7d", 604800)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1", "1w", "1e9", "nan", "\uff19"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (90, "1 min 30 s"),
        (7200, "2 h"),
        (1e5, "1 d 3 h"),
        (1e7, "115 d"),
    ],
)
def test_durations_are_told(seconds: float, shown: str) -> None:
    assert duration_text(seconds) == shown
