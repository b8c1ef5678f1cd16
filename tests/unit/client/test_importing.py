"""Importing a receipt: how far the broker is, what came of it, and what if it breaks off."""

from pathlib import Path

import pytest

from quanopy.client import Client
from quanopy.domain.errors import Conflict, QuanopyError
from quanopy.domain.imports import ImportStep
from quanopy.wire.jobs import ImportingOut
from quanopy.wire.problems import to_problem
from tests.unit.client.stub import LOST, Answer, Stub, stream

DONE = (
    'event: done\ndata: {"receipt":"sha256:1","broker":"b","exported_at":"2026-01-31T12:00:00Z",'
    '"new":["job_1"],"known":[],"left_out":[]}\n\n'
)


def far(step: str, done: int) -> str:
    return f'event: progress\ndata: {{"step":"{step}","done":{done},"of":9}}\n\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.quanopy"
    path.write_bytes(b"PK" + b"x" * 100_000)
    return path


def test_it_is_told_what_is_sent_and_then_how_far_the_broker_is(file: Path) -> None:
    sent: list[tuple[int, int]] = []
    told: list[ImportingOut] = []
    answer = stream(": begun\n\n", far("check", 4), far("keep", 9), DONE)
    with Stub(answer) as stub, Client(stub.url, "t") as client:
        found = client.import_receipt(
            file, on_progress=lambda *some: sent.append(some), told=told.append
        )
    assert found.new == ["job_1"]
    assert sent[-1] == (100_002, 100_002)
    assert [(one.step, one.done, one.of) for one in told] == [
        (ImportStep.CHECK, 4, 9),
        (ImportStep.KEEP, 9, 9),
    ]
    assert stub.seen[0].headers["Accept"] == "text/event-stream"
    assert stub.seen[0].body == file.read_bytes()


def test_what_is_wrong_is_raised_though_the_answer_had_begun(file: Path) -> None:
    problem = to_problem(Conflict("job_1 is there already")).model_dump_json(exclude_none=True)
    answer = stream(far("check", 4), f"event: problem\ndata: {problem}\n\n")
    with (
        Stub(answer) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(Conflict, match="there already"),
    ):
        client.import_receipt(file)


@pytest.mark.parametrize("broken", [stream(far("keep", 4)), LOST], ids=["ended", "lost"])
def test_what_broke_off_is_sent_again_from_its_beginning(file: Path, broken: Answer) -> None:
    with Stub(broken, stream(DONE)) as stub, Client(stub.url, "t") as client:
        assert client.import_receipt(file).new == ["job_1"]
    assert [one.body for one in stub.seen] == [file.read_bytes()] * 2


def test_an_answer_that_is_something_else_is_said(file: Path) -> None:
    answer = stream("event: done\ndata: {}\n\n")
    with (
        Stub(answer) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(QuanopyError, match="something else"),
    ):
        client.import_receipt(file)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(201, b'{"new":["job_1"]}', {"Content-Type": "application/json"}),
        Answer(200, b"<html>Log in</html>", {"Content-Type": "text/html"}),
        Answer(200, b""),
    ],
    ids=["document", "page", "nothing"],
)
def test_a_file_is_not_sent_again_to_what_answers_as_no_broker_does(
    file: Path, answer: Answer
) -> None:
    with (
        Stub(answer) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(QuanopyError, match="no Quanopy broker"),
    ):
        client.import_receipt(file)
    assert len(stub.seen) == 1
