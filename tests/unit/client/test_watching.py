"""Following a group: what people see of it in a line, a terminal and a notebook."""

import io
import json
import math
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from quanopy.client.group_view import GroupView
from quanopy.client.groups import Group
from quanopy.client.http import Http
from quanopy.client.settings import Settings
from quanopy.client.watching import Lines, display
from quanopy.domain.errors import NotReady
from quanopy.wire.groups import GroupOut
from tests.unit.client.stub import LOST, Answer, Seen, Stub, document

ID = "group_01a2003882af7000ad9ba3841f73c6ae"
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def shown(**given: Any) -> dict[str, Any]:
    """A group as the broker shows it."""
    progress = {"blocked": 6, "running": 1, "completed": 3, "shots": 30_000}
    return {
        "id": ID,
        "name": "bell",
        "account": "ada",
        "state": "running",
        "size": 10,
        "progress": progress,
        "created_at": BEGAN.isoformat(),
        "started_at": BEGAN.isoformat(),
    } | given


def view(*, after_s: float = 60.0, **given: Any) -> GroupView:
    group = GroupOut.model_validate(shown(**given))
    return GroupView(group=group, at=BEGAN + timedelta(seconds=after_s))


def test_a_line_says_how_far_it_is() -> None:
    said = str(view(usage={"seconds": 12.3456, "cost": 1234.0}))
    assert said.startswith(
        "bell: running, 3 of 10 jobs ended, 3 completed, 1 running, 6 waiting, 30,000 shots, "
        "12.3 s used, 1,234 billed, about 2 min 20 s left, until "
    )


def test_what_comes_next_is_said_while_nothing_runs() -> None:
    waiting = {"blocked": 7, "completed": 3}
    soon = BEGAN + timedelta(minutes=5)
    said = str(view(progress=waiting, next_at=soon.isoformat()))
    assert f"next at {soon.astimezone():%H:%M:%S}" in said
    assert "next at" not in str(view(next_at=soon.isoformat()))


def test_nothing_is_foretold_without_anything_to_go_by() -> None:
    assert view(progress={"blocked": 10}).left_s is None
    assert view(started_at=None).left_s is None
    paused = view(state="paused", reason="3 jobs failed")
    assert paused.left_s is None
    assert str(paused).startswith("bell: paused (3 jobs failed), 3 of 10")


def test_a_clock_behind_the_broker_s_foretells_no_past() -> None:
    assert view(after_s=-60.0).left_s == 0.0
    assert "left" not in str(view(after_s=-60.0))


def test_what_was_cancelled_takes_no_time() -> None:
    """Two ran in a minute, four were cancelled, four are left."""
    done = {"completed": 1, "failed": 1, "cancelled": 4, "blocked": 4}
    assert view(progress=done).left_s == pytest.approx(120.0)


def test_gaps_take_their_time() -> None:
    """One ran in a second; three come after ten minutes each, of which a minute is over."""
    soon = (BEGAN + timedelta(minutes=9, seconds=1)).isoformat()
    given: dict[str, Any] = {"after_s": 1.0, "progress": {"completed": 1, "blocked": 3}, "size": 4}
    one = {"order": "sequential", "gap": 600.0}
    assert view(policy=one, next_at=soon, **given).left_s == pytest.approx(1740.0)
    two = one | {"max_in_flight": 2}
    assert view(policy=two, next_at=soon, **given).left_s == pytest.approx(1140.0)
    assert view(policy=two, **given).left_s == pytest.approx(1200.0)
    side_by_side = {"order": "parallel", "gap": 600.0, "max_in_flight": 2}
    assert view(policy=side_by_side, **given).left_s == pytest.approx(1800.0)


def test_names_are_text_in_a_terminal_and_a_notebook() -> None:
    odd = view(name="[red]<b>x</b>[/]", reason="<i>why</i>", state="paused")
    out = io.StringIO()
    Console(file=out, width=120).print(odd)
    assert "[red]<b>x</b>[/]: paused (<i>why</i>)" in out.getvalue()
    html = odd._repr_html_()
    assert "<b>x</b>" not in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert '<progress max="10" value="3"' in html


def test_lines_come_when_something_changed_and_not_too_often() -> None:
    out, clock = io.StringIO(), [0.0]
    lines = Lines(out, every_s=10.0, clock=lambda: clock[0])
    for at, done in [(0, 1), (1, 2), (9, 3), (11, 3), (12, 4), (30, 4), (50, 4), (51, 5), (52, 6)]:
        clock[0] = at
        lines(view(progress={"blocked": 10 - done, "completed": done}))
    lines.close()
    said = [
        line.split("bell: running, ")[1].split(" of")[0] for line in out.getvalue().splitlines()
    ]
    assert said == ["1", "3", "4", "5", "6"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_it_in_place() -> None:
    out = Terminal()
    with display(out) as show:
        show(view())
        show(view(progress={"completed": 10}, state="done"))
    said = out.getvalue()
    assert "3 of 10" in said
    assert "10 of 10" in said
    assert "\x1b[1A" in said


class Broker:
    """A group that goes on each time it is looked at."""

    def __init__(self, ends: str = "done") -> None:
        self.done, self.ends = 0, ends

    def __call__(self, seen: Seen) -> Answer:
        self.done += 4
        ended = {"ended_at": BEGAN.isoformat()} if self.ends == "done" else {}
        if self.done >= 10:
            return document(shown(state=self.ends, progress={"completed": 10}, **ended))
        progress = {"completed": self.done, "blocked": 10 - self.done}
        return document(shown(progress=progress))


def group(stub: Stub) -> Group:
    return Group(Http(Settings(url=stub.url, token="t")), ID, resource="aer")


@pytest.mark.usefixtures("breathless")
@pytest.mark.parametrize("ends", ["done", "paused"])
def test_it_is_watched_to_its_end_or_pause(ends: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Stub(Broker(ends)) as stub:
        found = group(stub).watch(3600.0, every=0.0)
    assert found.state == ends
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line.split(", ")[1] for line in lines] == [
        f"{done} of 10 jobs ended" for done in (4, 8, 10)
    ]


def test_patience_ends_and_the_last_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Stub(document(shown())) as stub, pytest.raises(NotReady):
        group(stub).watch(0.1)
    assert capsys.readouterr().err.count("3 of 10") == 1


def test_a_handle_shows_how_far_it_is_and_asks_nothing_to_be_printed() -> None:
    with Stub(document(shown()), LOST) as stub:
        handle = group(stub)
        assert repr(handle) == f"Group('{ID}')"
        assert not stub.seen
        assert "3 of 10" in (handle._repr_html_() or "")
        asked = len(stub.seen)
        assert repr(handle).startswith("<bell: running, 3 of 10 jobs ended")
        assert repr(handle).endswith(f"{ID}>")
        assert len(stub.seen) == asked


NOTEBOOK = """
from quanopy.client.groups import Group
from quanopy.client.http import Http
from quanopy.client.settings import Settings
group = Group(Http(Settings(url={url!r}, token="t")), {id!r}, resource="aer")
group.watch(3600.0)
"""


def test_a_notebook_s_cell_shows_it_in_place(tmp_path: Path) -> None:
    nbclient, nbformat = import_module("nbclient"), import_module("nbformat")
    with Stub(Broker()) as stub:
        cell = nbformat.v4.new_code_cell(NOTEBOOK.format(url=stub.url, id=ID))
        handle = nbformat.v4.new_code_cell("group")
        notebook = nbformat.v4.new_notebook(cells=[cell, handle])
        nbclient.NotebookClient(notebook, timeout=60).execute(cwd=str(tmp_path))
    outputs = [one for one in cell.outputs if one.output_type == "display_data"]
    assert len(outputs) == 1, json.dumps(cell.outputs)
    assert "10 of 10" in outputs[0].data["text/html"]
    assert "10 of 10" in handle.outputs[-1].data["text/html"]


NEVER_RUN: dict[str, Any] = {"state": "open", "started_at": None, "progress": {"blocked": 10}}
PAUSED: dict[str, Any] = {
    "state": "paused",
    "reason": "3 jobs failed",
    "progress": {"completed": 3, "blocked": 7},
}
EMPTY: dict[str, Any] = {"size": 0, "progress": {}}


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        (NEVER_RUN, "'bell' has not been run", "quanopy group run bell"),
        (PAUSED, "'bell' is paused (3 jobs failed)", "quanopy group resume bell"),
        (PAUSED | {"started_at": None, "progress": {}}, "'bell' is paused", "group.resume()"),
        (EMPTY, "'bell' has no jobs", "group.add"),
        (NEVER_RUN | {"name": "a b"}, "'a b' has not been run", "quanopy group run 'a b'"),
    ],
)
def test_an_end_that_does_not_come_by_itself_is_waited_for_by_nobody(
    given: dict[str, Any], said: str, hint: str
) -> None:
    with Stub(document(shown(**given))) as stub:
        for wait in (group(stub).wait, group(stub).results):
            with pytest.raises(NotReady) as raised:
                wait()
            assert said in raised.value.message
            assert hint in (raised.value.hint or "")


@pytest.mark.parametrize("given", [NEVER_RUN, EMPTY], ids=["never run", "empty"])
def test_what_was_never_run_is_not_watched_for_ever(
    given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with Stub(document(shown(**given))) as stub, pytest.raises(NotReady, match="nothing more"):
        group(stub).watch()
    assert capsys.readouterr().err.startswith("bell: ")


@pytest.mark.usefixtures("breathless")
def test_a_group_that_somebody_may_run_yet_is_waited_for_where_it_is_said() -> None:
    """With a timeout, however long, or where it is the running that is waited for."""
    later = [document(shown(**NEVER_RUN))] * 2 + [document(shown())]
    done = document(shown(state="done", ended_at=BEGAN.isoformat()))
    with Stub(*later, done) as stub:
        assert group(stub).wait(math.inf).state == "done"
    with Stub(*later) as stub:
        assert group(stub).wait(states=["running"]).state == "running"
    with Stub(document(shown(**NEVER_RUN))) as stub, pytest.raises(NotReady, match="not been run"):
        group(stub).wait(0.05)


@pytest.mark.usefixtures("breathless")
def test_what_still_runs_of_a_paused_group_is_waited_for() -> None:
    last = {"state": "paused", "progress": {"completed": 9, "running": 1}}
    ending = {"state": "paused", "progress": {"completed": 10}}
    done = {"state": "done", "ended_at": BEGAN.isoformat()}
    with Stub(*(document(shown(**one)) for one in (last, ending, done))) as stub:
        assert group(stub).wait().state == "done"
    asked = [parse_qs(urlsplit(one.path).query).get("until", []) for one in stub.seen]
    assert asked == [["open", "paused"], [], []], "a pause that is known is no answer"


def test_it_is_said_of_a_group_that_it_was_not_run() -> None:
    assert str(view(**NEVER_RUN)).startswith("bell: open (not run yet), 0 of 10 jobs ended")
