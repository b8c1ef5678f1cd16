"""qrun, sample and estimate as real processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import quanopy
from tests.unit.cli.broker import OneJob

BIN = Path(sys.executable).parent
LIMIT_S = 60


def start(name: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [BIN / name, *map(str, arguments)],
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(name: str, *arguments: object) -> tuple[int, str, str]:
    with start(name, *arguments) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def test_a_bare_circuit_is_sampled_and_its_result_written(broker: OneJob, bell: Path) -> None:
    output = bell.with_suffix(".json")
    assert run("qrun", bell, output, "--shots", 100, "--seed", 1) == (0, "", "")
    assert quanopy.load(output)[0].counts == {"00": 60, "11": 40}
    assert broker.submitted[0]["options"] == {"shots": 100, "seed": 1}
    assert sorted(p.name for p in bell.parent.iterdir()) == ["bell.json", "bell.qasm"]


def test_compiling_is_chosen_as_for_any_job(broker: OneJob, bell: Path) -> None:
    assert run("sample", bell, "-", "--no-compile", "--memory")[0] == 0
    assert run("qrun", bell, "-", "--optimization-level", 3, "--seed-transpiler", 1)[0] == 0
    assert [job["options"] for job in broker.submitted] == [
        {"compile": False, "memory": True},
        {"optimization_level": 3, "seed_transpiler": 1},
    ]


@pytest.mark.parametrize("name", ["qrun", "sample", "estimate"])
def test_calibration_and_resource_are_demanded_as_of_any_job(
    broker: OneJob, bell: Path, name: str
) -> None:
    asked = ["--max-calibration-age", "2h", "--max-calibration-wait", "6h"]
    asked += ["--same-calibration-as", broker.id, "--require", "qubits=2"]
    asked += ["--observable", "ZZ"] if name == "estimate" else []
    assert run(name, bell, "-", *asked)[0] == 0
    (job,) = broker.submitted
    assert job["options"] == {
        "max_calibration_age": 7200.0,
        "max_calibration_wait": 21600.0,
        "same_calibration_as": broker.id,
    }
    assert job["requires"] == {"qubits": 2}
    assert "resource" not in job


def test_what_is_no_requirement_is_one_line(broker: OneJob, bell: Path) -> None:
    code, out, err = run("qrun", bell, "-", "--require", "qubits")
    assert (code, out) == (65, "")
    assert "'qubits' is no NAME=VALUE" in err
    assert "Traceback" not in err


def test_a_dash_is_stdout(broker: OneJob, bell: Path) -> None:
    code, out, _ = run("sample", bell, "-")
    assert code == 0
    assert json.loads(out)["format"] == "quanopy.result/1"


def test_a_failed_task_is_a_failed_command_and_writes_nothing(broker: OneJob, bell: Path) -> None:
    broker.state = "failed"
    output = bell.with_suffix(".json")
    code, out, err = run("qrun", bell, output)
    assert (code, out) == (1, "")
    assert "out of memory" in err
    assert broker.id in err
    assert not output.exists()


def test_what_can_be_refused_is_refused_before_anything_is_sent(broker: OneJob, bell: Path) -> None:
    payload = bell.with_name("estimator.json")
    payload.write_text('{"program_id": "estimator", "parameters": {"pubs": []}}')
    for name, arguments, complaint in (
        ("sample", (payload, "-"), "estimate"),
        ("estimate", (bell, "-"), "--observable"),
        ("qrun", (payload, "-", "--observable", "ZZ"), "observables of its own"),
    ):
        code, out, err = run(name, *arguments)
        assert (code, out) == (65, "")
        assert complaint in err
    assert broker.submitted == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_the_job(broker: OneJob, bell: Path, number: signal.Signals) -> None:
    broker.state = "running"
    output = bell.with_suffix(".json")
    with start("qrun", bell, output) as process:
        assert broker.waited_for.wait(LIMIT_S)
        process.send_signal(number)
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert broker.cancelled.is_set()
    assert not output.exists()


def test_shots_without_bounds_are_wrong_usage(broker: OneJob, bell: Path) -> None:
    code, out, err = run("qrun", bell, "-", "--shots", 99999999999999999999)
    assert (code, out) == (2, "")
    assert "2147483647" in err
    assert broker.submitted == []


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(
    broker: OneJob, bell: Path
) -> None:
    for output in (bell.parent / "nowhere" / "out.json", bell.parent):
        code, out, err = run("qrun", bell, output)
        assert (code, out) == (65, "")
        assert "cannot be written" in err
    assert broker.submitted == []
    assert [path.name for path in bell.parent.iterdir()] == ["bell.qasm"]
