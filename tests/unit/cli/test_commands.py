"""What commands show, and how they end."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import quanopy
from quanopy.cli.main import app
from quanopy.domain.ids import new_id
from tests.unit.cli.broker import OneJob


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_each_file_becomes_a_job_named_after_it(broker: OneJob, bell: Path) -> None:
    other = bell.with_name("other.qasm")
    other.write_bytes(bell.read_bytes())
    assert run("submit", bell, other, "--shots", 10, "--tag", "x").exit_code == 0
    assert [job["name"] for job in broker.submitted] == ["bell", "other"]
    assert broker.submitted[0]["options"] == {"shots": 10}
    assert broker.submitted[0]["tags"] == ["x"]


def test_options_go_with_the_job_as_they_are_given(broker: OneJob, bell: Path) -> None:
    given = ("--seed", 3, "--optimization-level", 2, "--seed-transpiler", 5, "--memory")
    assert run("submit", bell, *given, "--priority", -7).exit_code == 0
    assert run("submit", bell, "--no-compile").exit_code == 0
    assert [job["options"] for job in broker.submitted] == [
        {"seed": 3, "optimization_level": 2, "seed_transpiler": 5, "memory": True},
        {"compile": False},
    ]
    assert [job["priority"] for job in broker.submitted] == [-7, 0]


def test_what_is_not_compiled_takes_no_options_of_compiling(broker: OneJob, bell: Path) -> None:
    found = run("submit", bell, "--no-compile", "--optimization-level", 2)
    assert found.exit_code == 65
    assert "--no-compile: nothing is compiled" in found.stderr
    assert not broker.submitted


def test_files_may_be_one_job(broker: OneJob, bell: Path) -> None:
    assert run("submit", bell, bell, "--together", "--name", "both").exit_code == 0
    assert [len(job["programs"]) for job in broker.submitted] == [2]


def test_observables_make_an_estimate(broker: OneJob, bell: Path) -> None:
    assert run("submit", bell, "--observable", "ZZ", "--observable", "XX").exit_code == 0
    assert broker.submitted[0]["kind"] == "estimate"
    assert broker.submitted[0]["pubs"][0]["observables"] == [{"ZZ": 1.0}, {"XX": 1.0}]


def test_json_is_one_document_on_stdout(broker: OneJob, bell: Path) -> None:
    for command in (
        ("submit", bell),
        ("status", broker.id),
        ("jobs",),
        ("cancel", broker.id),
        ("result", broker.id),
    ):
        found = run(*command, "--json")
        assert found.exit_code == 0, found.output
        json.loads(found.stdout)


def test_of_a_cancelled_job_that_still_runs_it_is_said_how_it_goes_on(broker: OneJob) -> None:
    broker.state = "running"
    found = run("cancel", broker.id)
    assert "ends soon" in found.stderr
    assert f"quanopy watch {broker.id}\n" in found.stderr
    assert run("cancel", broker.id, "--json").stderr == ""
    broker.state = "cancelled"
    assert run("cancel", broker.id).stderr == ""


@pytest.mark.parametrize(
    ("listed", "said"),
    [(0, "no job is"), (1, "1 job is"), (3, "3 jobs are"), (501, "more than 500 jobs are")],
)
def test_who_follows_all_jobs_is_told_so_and_how_it_ends(
    broker: OneJob, listed: int, said: str
) -> None:
    broker.listed = listed
    found = run("watch").stderr
    assert found.startswith(f"{said} under way; what happens to all jobs")
    assert "until Ctrl-C" in found
    assert "under way" not in run("watch", "--json").stderr
    assert "under way" not in run("watch", broker.id).stderr


def test_jobs_are_cancelled_by_what_they_are(broker: OneJob) -> None:
    broker.state = "queued"
    assert run("cancel", "--tag", "x", "--name", "bell").exit_code == 0
    assert broker.ended == [broker.id]
    (asked,) = broker.asked
    assert (asked["tag"], asked["name"]) == (["x"], ["bell"])
    assert "queued" in asked["state"]
    assert "completed" not in asked["state"]
    assert run("cancel", "--state", "running").exit_code == 0
    assert broker.asked[1]["state"] == ["running"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no job is named"),
        (("ID", "--tag", "x"), "named and chosen"),
        (("--state", "completed"), "have ended"),
    ],
)
def test_what_is_to_be_cancelled_is_said_one_way(
    broker: OneJob, arguments: tuple[str, ...], said: str
) -> None:
    found = run("cancel", *arguments)
    assert (found.exit_code, said in found.stderr) == (65, True)
    assert broker.ended == []


@pytest.mark.parametrize(
    ("options", "answer", "cancelled"), [((), b"n\n", 0), ((), b"y\n", 1), (("--yes",), b"", 1)]
)
def test_a_person_is_asked_before_many_are_cancelled(
    broker: OneJob, options: tuple[str, ...], answer: bytes, cancelled: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    command = [sys.executable, "-m", "quanopy", "cancel", "--tag", "x", *options]
    found = subprocess.run(command, stdin=theirs, capture_output=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (b"cancel 1 job?" in found.stderr) == (not options)
    assert len(broker.ended) == cancelled
    assert (found.returncode == 0) == bool(cancelled)


def test_times_may_be_so_long_ago(broker: OneJob) -> None:
    assert run("jobs", "--since", "2h", "--until", "2026-01-31T12:00:00+00:00").exit_code == 0
    (asked,) = broker.asked
    ago = datetime.now(UTC) - datetime.fromisoformat(asked["created_from"][0])
    assert abs(ago - timedelta(hours=2)) < timedelta(minutes=5)
    assert datetime.fromisoformat(asked["created_to"][0]) == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert "is no time" in run("jobs", "--since", "soon").stderr


def test_the_group_is_shown_where_there_is_one(broker: OneJob) -> None:
    assert "group" not in run("jobs").stdout
    broker.group = new_id("group")
    assert broker.group in run("jobs").stdout


def test_where_there_are_no_jobs_that_is_said(broker: OneJob) -> None:
    broker.listed = 0
    plain, filtered = run("jobs"), run("jobs", "--tag", "x")
    assert (plain.stdout, plain.stderr) == ("", "no jobs\n")
    assert (filtered.stdout, filtered.stderr) == ("", "no jobs with these filters\n")
    found = run("jobs", "--json")
    assert (json.loads(found.stdout), found.stderr) == ([], "")


def test_where_there_are_more_jobs_than_are_shown_that_is_said(broker: OneJob) -> None:
    broker.listed = 3
    all_, some = run("jobs", "-n", "3"), run("jobs", "-n", "2")
    assert (all_.stdout.count(broker.id), all_.stderr) == (3, "")
    assert some.stdout.count(broker.id) == 2
    assert some.stderr == "the newest 2; there are more: --limit, --since\n"
    as_json = run("jobs", "-n", "2", "--json")
    assert (len(json.loads(as_json.stdout)), as_json.stderr) == (2, "")


def test_names_are_shown_as_text_not_as_markup(broker: OneJob) -> None:
    assert "[red]bell[/]" in run("jobs").stdout


def test_a_result_is_shown_as_bars(broker: OneJob) -> None:
    shown = run("result", broker.id).stdout
    assert "00" in shown
    assert "60.00%" in shown
    assert "█" in shown


def test_expectation_values_are_shown_beside_their_observables(broker: OneJob) -> None:
    broker.observables = [{"ZZ": 1.0}, {"XX": 0.5, "ZI": -2.0}]
    shown = run("result", broker.id).stdout.splitlines()
    assert [line.split() for line in shown] == [
        ["ZZ", "+0.250000", "±", "0"],
        ["0.5*XX", "-", "2*ZI", "+0.250000", "±", "0"],
    ]
    broker.read = False
    assert "ZZ" not in run("result", broker.id).stdout
    broker.observables = [{"ZXYI" * 50: 1.0}]
    broker.read = True
    assert "…" in run("result", broker.id).stdout


def test_a_result_is_saved_where_it_can_be_loaded(broker: OneJob, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert run("result", broker.id, "-o", path).exit_code == 0
    assert quanopy.load(path)[0].counts == {"00": 60, "11": 40}


def test_whoever_waits_for_a_result_is_told_what_for(broker: OneJob) -> None:
    assert run("result", broker.id).stderr == ""
    broker.state = "queued"
    broker.waits = [{"awaited": "turn", "message": "its turn on aer: 2 tasks queued there"}]
    found = run("result", broker.id, "--timeout", 0.05)
    assert found.exit_code == 75
    assert f"{broker.id} waits for its turn on aer: 2 tasks queued there\n" in found.stderr
    assert "is not done after 0.05 s" in found.stderr


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("cancelled", 1)])
def test_waiting_ends_as_the_job_did(broker: OneJob, bell: Path, state: str, code: int) -> None:
    broker.state = state
    assert run("submit", bell, "--wait").exit_code == code


def test_a_failed_job_has_no_result_but_a_reason(broker: OneJob) -> None:
    broker.state = "failed"
    found = run("result", broker.id)
    assert found.exit_code == 1
    assert "out of memory" in found.stderr
    assert found.stdout == ""


def test_errors_are_a_problem_document_where_json_was_asked_for(broker: OneJob) -> None:
    found = run("status", "nonsense", "--json")
    assert found.exit_code == 65
    assert json.loads(found.stdout)["type"] == "urn:quanopy:problem:invalid"
    assert json.loads(run("jobs", "--limit", -1, "--json").stdout)["where"] == "--limit"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status", "nonsense"), 65),
        (("result", new_id("job")), 66),
        (("submit", "/nowhere.qasm"), 66),
        (("submit", "/"), 66),
        (("submit",), 2),
        (("jobs", "--limit", "0"), 65),
        (("jobs", "--since", "yesterday"), 65),
        (("no-such-command",), 2),
    ],
)
def test_exit_codes_say_what_was_wrong(
    broker: OneJob, arguments: tuple[str, ...], code: int
) -> None:
    found = run(*arguments)
    assert found.exit_code == code
    assert "Traceback" not in found.output


def test_no_broker_is_69_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("QUANOPY_URL", "QUANOPY_TOKEN", "QUANOPY_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = run("jobs")
    assert found.exit_code == 69
    assert "quanopy serve" in found.stderr


def test_exit_codes_and_every_command_are_in_the_help() -> None:
    shown = run("--help").stdout
    assert "Exit codes" in shown
    for command in ("submit", "result", "watch", "resources", "store", "serve", "worker"):
        assert command in shown
        assert run(command, "--help").exit_code == 0


def test_a_replay_s_picture_is_refused_before_anything_is_run() -> None:
    found = run("replay", f"job_{'0' * 32}", "--plot", "replay.gif")
    assert found.exit_code == 65
    assert "replay.gif is neither PNG nor SVG" in found.stderr


def test_help_names_what_options_take_and_not_how_it_is_held() -> None:
    for command in ("submit", "jobs", "cancel", "match", "sweep", "group create", "webhook add"):
        shown = run(*command.split(), "--help").stdout
        options = shown.partition("Options:")[2]
        assert options
        assert "list[" not in options, command
        assert "...}" not in shown, command
