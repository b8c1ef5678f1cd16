"""``quanopy group`` and ``quanopy segment``: what is asked, what is shown, what is refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from quanopy.cli.main import app
from quanopy.domain.errors import Conflict, NotFound
from quanopy.domain.ids import new_id
from tests.unit.client.stub import Answer, Seen, Stub, document, problem

NAME = "[red]scan[/] of ψ"
"""Neither markup nor ASCII alone."""
AT = "2026-03-01T12:00:00Z"


@dataclass
class OneGroup:
    """A broker of one group with three jobs, by its routes alone."""

    state: str = "running"
    resource: str | None = "aer"
    reason: str | None = None
    id: str = field(default_factory=lambda: new_id("group"))
    jobs: list[str] = field(default_factory=lambda: [new_id("job") for _ in range(3)])
    progress: dict[str, int] = field(
        default_factory=lambda: {"completed": 2, "failed": 1, "shots": 2000}
    )
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and body of what was not only looked at."""

    def __call__(self, seen: Seen) -> Answer:
        """The answer to a request."""
        split = urlsplit(seen.path)
        path, query = split.path.removeprefix("/v1"), parse_qs(split.query)
        body: Any = json.loads(seen.body) if seen.body else None
        if seen.method != "GET" and path not in ("/results", "/jobs/wait"):
            self.asked.append((seen.method, path, body))
        if path == "/groups":
            if seen.method == "POST":
                return document(self.group(), 201)
            known = query.get("name", [NAME]) == [NAME]
            return document({"groups": [self.group()] if known else [], "next": None})
        if path == f"/groups/{self.id}/action":
            self.state = {"run": "running", "pause": "paused", "cancel": "cancelled"}[
                body["action"]
            ]
            return document(self.group())
        if path == f"/groups/{self.id}":
            return document(self.group())
        if path.startswith(f"/groups/{self.id}/"):
            return document({"jobs": [self.job(n) for n in range(3)], "next": None})
        if path in ("/jobs/wait", "/jobs"):
            return document({"jobs": [self.job(n) for n in range(3)], "next": None})
        if path == "/results":
            return document({"results": [self.result(0), None, self.result(2)]})
        if path.startswith("/jobs/"):
            return document(self.job(self.jobs.index(path.rsplit("/", 1)[1])))
        return problem(NotFound(f"no {path}"))

    def group(self) -> dict[str, Any]:
        """The group as it is shown."""
        return {
            "id": self.id,
            "name": NAME,
            "account": "ada",
            "state": self.state,
            "reason": self.reason,
            "resource": self.resource,
            "size": 3,
            "progress": self.progress,
            "policy": {"order": "sequential", "gap": 600.0},
            "created_at": AT,
            "started_at": AT,
            "ended_at": AT if self.state == "done" else None,
        }

    def job(self, number: int) -> dict[str, Any]:
        """A job of it."""
        return {
            "id": self.jobs[number],
            "kind": "sample",
            "resource": "aer",
            "state": "failed" if number == 1 else "completed",
            "account": "ada",
            "shots": 1000,
            "created_at": AT,
            "group": self.id,
            "position": number,
        }

    def result(self, number: int) -> dict[str, Any]:
        """What a job gave."""
        pub: dict[str, Any] = {"shape": [], "shots": 1000, "counts": [{"0x0": 600, "0x3": 400}]}
        pub["registers"] = [{"name": "c", "bits": 2}]
        job = self.job(number)
        kept = {name: job[name] for name in ("kind", "resource", "state")}
        return {"job_id": job["id"], "pubs": [pub], "missing": [], **kept}


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OneGroup]:
    broker = OneGroup()
    with Stub(broker) as stub:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("QUANOPY_URL", stub.url)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        yield broker


def run(*arguments: object, ends: int = 0) -> str:
    found = CliRunner().invoke(app, [str(one) for one in arguments])
    assert found.exit_code == ends, found.output
    assert "Traceback" not in found.output
    return found.output


def told(*arguments: object) -> Any:
    """The one document that is printed."""
    return json.loads(run(*arguments, "--json"))


def test_a_group_is_made_as_its_options_say(broker: OneGroup) -> None:
    shown = run(
        *("group", "create", NAME, "--order", "sequential", "--max-in-flight", 3, "--gap", "10m"),
        *("--stop", "precision=0.01", "--stop", "calibration.cx.error=0.02", "-r", "aer"),
        *("--stop", 'calibration.T1={"least": 5e-5}', "--stop", "deadline=2026-12-31T12:00Z"),
    )
    assert NAME in shown
    (_, path, body) = broker.asked[0]
    assert (path, body["name"], body["resource"]) == ("/groups", NAME, "aer")
    policy = body["policy"]
    assert (policy["order"], policy["max_in_flight"], policy["gap"]) == ("sequential", 3, 600.0)
    stop = {name: value for name, value in policy["stop"].items() if value}
    assert stop.pop("calibration") == {"cx.error": {"most": 0.02}, "T1": {"least": 5e-5}}
    assert stop == {"precision": 0.01, "deadline": "2026-12-31T12:00:00Z"}


def test_whoever_stops_watching_is_told_how_to_go_on(broker: OneGroup) -> None:
    said = run("group", "show", NAME, "--watch", "--timeout", 0.05, ends=75)
    assert f"it goes on; follow it: quanopy group show {broker.id} --watch" in said


def test_a_group_that_was_not_run_is_not_followed_for_ever(broker: OneGroup) -> None:
    broker.state, broker.progress = "open", {"blocked": 3}
    for command in (("show", NAME, "--watch"), ("results", NAME, "--wait")):
        said = run("group", *command, ends=75)
        assert "has not been run" in said
        assert f"quanopy group run '{NAME}'" in said
        assert "it goes on" not in said
    said = run("group", "show", NAME, "--watch", "--timeout", 0.05, ends=75)
    assert f"{NAME}: open (not run yet)" in said
    assert "it goes on" not in said
    assert "with a timeout" not in said


def test_whoever_adds_jobs_is_told_what_has_them_begin(broker: OneGroup, bell: Path) -> None:
    assert "quanopy group" not in run("group", "add", NAME, bell)
    broker.state = "open"
    assert f"quanopy group run '{NAME}'" in run("group", "add", NAME, bell)


def test_whoever_follows_a_group_to_a_pause_is_told_how_to_go_on(broker: OneGroup) -> None:
    broker.state, broker.reason = "paused", "3 jobs have failed"
    for command in (("show", NAME, "--watch"), ("results", NAME, "--wait")):
        said = run("group", *command)
        assert f"it is paused; go on with it: quanopy group resume {broker.id}" in said


def test_it_is_shown_with_how_far_it_is_and_why_it_stopped(broker: OneGroup) -> None:
    broker.state, broker.reason = "paused", "3 jobs have failed"
    for shown in (run("group", "show", NAME), run("group", "show", broker.id)):
        assert "3 jobs have failed" in shown
        assert "sequential, one in flight, 600 s apart" in shown
        assert broker.id in shown
    (listed,) = [line for line in run("group", "list").splitlines() if NAME in line]
    assert "paused" in listed


def test_each_command_prints_one_document(broker: OneGroup, bell: Path) -> None:
    group = broker.group()
    for command in (
        ("create", NAME),
        ("show", NAME),
        ("run", NAME),
        ("pause", NAME),
        ("resume", NAME),
        ("change", NAME, "--gap", "1m"),
        ("cancel", NAME),
    ):
        found = told("group", *command)
        assert (found["id"], found["name"]) == (broker.id, NAME)
        assert found["progress"]["completed"] == 2
    assert found.keys() >= group.keys()
    assert [one["id"] for one in told("group", "list")] == [broker.id]
    for listing in (("jobs", NAME), ("add", NAME, bell), ("rerun", NAME)):
        assert [one["id"] for one in told("group", *listing)] == broker.jobs
    first, gap, _ = told("group", "results", NAME)
    assert gap is None
    assert first["pubs"][0]["counts"] == [{"0x0": 600, "0x3": 400}]
    segmented = ("segment", bell, "--name", NAME, "--total-shots", 3000, "-s", 1000)
    assert told(*segmented)["id"] == broker.id
    assert [one["id"] for one in told("jobs", "--group", NAME)] == broker.jobs


@pytest.mark.parametrize(
    ("command", "action", "state"),
    [
        ("run", "run", "running"),
        ("resume", "run", "running"),
        ("pause", "pause", "paused"),
        ("cancel", "cancel", "cancelled"),
    ],
)
def test_it_does_what_it_is_told(broker: OneGroup, command: str, action: str, state: str) -> None:
    assert state in run("group", command, NAME)
    assert broker.asked == [("POST", f"/groups/{broker.id}/action", {"action": action})]


def test_jobs_are_added_one_a_file(broker: OneGroup, bell: Path) -> None:
    other = bell.with_name("other.qasm")
    other.write_text(bell.read_text())
    shown = run("group", "add", NAME, bell, other, "-s", 100, "-r", "aer")
    assert all(job_id in shown for job_id in broker.jobs)
    (_, path, body) = broker.asked[0]
    assert path == f"/groups/{broker.id}/jobs"
    assert [(one["name"], one["options"]["shots"]) for one in body["jobs"]] == [
        ("bell", 100),
        ("other", 100),
    ]


def test_it_is_changed_forgotten_and_run_again(broker: OneGroup) -> None:
    run("group", "change", NAME, "--name", "other", "--order", "parallel")
    assert "its jobs are there still" in run("group", "remove", NAME)
    run("group", "rerun", NAME)
    changed, removed, again = broker.asked
    assert changed[:2] == ("PATCH", f"/groups/{broker.id}")
    assert (changed[2]["name"], changed[2]["policy"]["order"]) == ("other", "parallel")
    assert removed[:2] == ("DELETE", f"/groups/{broker.id}")
    assert again[:2] == ("POST", f"/groups/{broker.id}/rerun")


def test_results_are_shown_in_order_and_gaps_with_them(broker: OneGroup) -> None:
    shown = run("group", "results", NAME).splitlines()
    heads = [line for line in shown if "job_" in line]
    assert [line.split()[0] for line in heads] == ["0", "1", "2"]
    assert "failed" in heads[1]
    gap = shown.index(heads[1])
    assert shown[gap + 1] == heads[2], "nothing is shown of a job that has no result"


def test_it_is_followed_to_its_end_in_lines(broker: OneGroup) -> None:
    broker.state = "done"
    shown = run("group", "show", NAME, "--watch")
    assert f"{NAME}: done, 3 of 3 jobs ended, 2 completed, 1 failed, 2,000 shots" in shown
    waited = run("group", "results", NAME, "--wait")
    assert f"{NAME}: done" in waited


def test_patience_that_ends_says_that_it_goes_on(broker: OneGroup) -> None:
    shown = run("group", "show", NAME, "--watch", "--timeout", "0", ends=75)
    assert "not done after 0 s" in shown


def test_an_experiment_is_cut_as_it_is_told(broker: OneGroup, bell: Path) -> None:
    run(
        *("segment", bell, "--name", NAME, "--total-shots", 250, "--shots", 100, "--seed", 7),
        *("--gap", "90s", "--stop", "seconds=600", "-r", "aer"),
    )
    (made, cut) = broker.asked
    assert made[2]["run"] is True
    assert made[2]["policy"]["gap"] == 90.0
    assert made[2]["policy"]["max_in_flight"] == 2
    assert cut[1] == f"/groups/{broker.id}/segments"
    assert (cut[2]["total_shots"], cut[2]["shots"], cut[2]["count"]) == (250, 100, None)
    assert cut[2]["job"]["options"]["seed"] == 7
    broker.asked.clear()
    run("segment", bell, "--name", NAME, "--count", 5, "--observable", "ZZ", "--precision", 0.1)
    assert broker.asked[1][2]["count"] == 5
    assert broker.asked[1][2]["job"]["kind"] == "estimate"


def test_an_experiment_of_another_resource_is_attached_to_knowingly(
    broker: OneGroup, bell: Path
) -> None:
    broker.resource = "ibm-fez"
    cut = ("segment", bell, "--name", NAME, "--total-shots", 10, "-s", 10, "-r", "aer")
    shown = run(*cut, ends=65)
    assert "is of ibm-fez, not of aer" in shown
    run(*cut, "--override")
    assert broker.asked[-1][2]["job"]["resource"] == "ibm-fez"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--stop", "precision"), "no RULE=VALUE"),
        (("--stop", "precise=0.1"), "there is no rule 'precise'"),
        (("--stop", "precision=much"), "precision"),
        (("--stop", "precision=-1"), "precision"),
        (("--stop", "precision=NaN"), "precision"),
        (("--stop", "failures=0"), "failures"),
        (("--stop", "deadline=tomorrow"), "deadline"),
        (("--stop", "deadline=2026-12-31T12:00"), "deadline"),
        (("--stop", "calibration.=1"), "calibration"),
        (("--stop", "calibration.T1=long"), "T1"),
        (("--stop", "cost=1", "--stop", "cost=2"), "twice"),
        (("--gap", "soon"), "gap"),
        (("--gap", "-5m"), "gap"),
        (("--order", "random"), "order"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    broker: OneGroup, options: tuple[str, ...], said: str
) -> None:
    for command in (("group", "create", NAME), ("group", "change", NAME)):
        assert said in run(*command, *options, ends=65)
    assert broker.asked == []


@pytest.mark.parametrize("name", ["", "\x1b[31mred", "a\nb", "x" * 201])
def test_a_name_that_cannot_be_shown_is_refused(broker: OneGroup, name: str) -> None:
    shown = run("group", "create", name, ends=65)
    assert "name" in shown
    assert "\x1b[31m" not in shown
    assert broker.asked == []


@pytest.mark.parametrize(
    "command",
    [
        ("show",),
        ("jobs",),
        ("run",),
        ("pause",),
        ("resume",),
        ("cancel",),
        ("rerun",),
        ("change", "--gap", "1m"),
        ("remove",),
        ("results",),
        ("segments",),
    ],
    ids=str,
)
def test_a_group_that_is_not_there_is_told(broker: OneGroup, command: tuple[str, ...]) -> None:
    shown = run("group", command[0], "elsewhere", *command[1:], ends=66)
    assert "there is no group 'elsewhere'" in shown
    assert "quanopy group list" in shown
    assert broker.asked == []


def test_a_refusal_of_the_broker_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bell: Path
) -> None:
    refusal = problem(Conflict("there is a group 'x' with another policy: gap is 60 s, not none"))
    with Stub(refusal) as stub:
        for name, value in (("HOME", str(tmp_path)), ("QUANOPY_URL", stub.url)):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("QUANOPY_TOKEN", "t")
        shown = run("segment", bell, "--name", "x", "--count", 2, ends=73)
    assert "gap is 60 s, not none" in shown


def test_a_file_that_is_none_is_told(broker: OneGroup, tmp_path: Path) -> None:
    shown = run("segment", tmp_path / "gone.qasm", "--name", "x", "--count", 2, ends=66)
    assert "gone.qasm" in shown
    assert broker.asked == []


def test_how_many_segments_has_to_be_said(broker: OneGroup, bell: Path) -> None:
    shown = run("segment", bell, "--name", "x", "--shots", 10, ends=65)
    assert "--count" in shown
    shown = run("segment", bell, "--name", "x", "--total-shots", 10, ends=65)
    assert "--shots" in shown
    assert broker.asked == []
