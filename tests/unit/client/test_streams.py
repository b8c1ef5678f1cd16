"""Event streams: what is in them, and how they are taken up again."""

import pytest

from quanopy.client import Client
from quanopy.client.streams import parse
from quanopy.domain.errors import Denied, QuanopyError, Unavailable
from quanopy.wire.problems import to_problem
from tests.unit.client.stub import LOST, Answer, Stub, problem

EVENT = '{"id": "%s", "at": "2026-01-01T00:00:00Z", "subject": "s", "kind": "job.queued"}'


def block(position: str) -> str:
    return f"id: {position}\nevent: job.queued\ndata: {EVENT % position}\n\n"


def test_comments_are_left_out_and_positions_kept() -> None:
    text = ": following\n\nid: 7.1\n\n" + block("8.1") + ": alive\n\n"
    found = list(parse(text.split("\n")))
    assert [(position, event and event.id) for position, event in found] == [
        ("7.1", None),
        ("8.1", "8.1"),
    ]


def test_a_problem_in_the_stream_is_raised() -> None:
    text = to_problem(Unavailable("the database is away")).model_dump_json()
    with pytest.raises(Unavailable, match="away"):
        list(parse(["event: problem", f"data: {text}", ""]))


def test_data_that_is_no_event_is_an_error() -> None:
    with pytest.raises(QuanopyError):
        list(parse(["id: 1.1", "data: {}", ""]))


def test_a_broken_stream_is_taken_up_after_the_last_event() -> None:
    first = Answer(body=(block("1.1") + block("2.1")).encode())
    second = Answer(body=block("3.1").encode())
    with Stub(first, LOST, second) as stub, Client(stub.url, "t") as client:
        events = client.events()
        assert [next(events).id for _ in range(3)] == ["1.1", "2.1", "3.1"]
    assert stub.seen[0].path == "/v1/events/stream"
    assert stub.seen[2].path == "/v1/events/stream?after=2.1"


def test_a_refused_stream_is_not_tried_again() -> None:
    with (
        Stub(problem(Denied("no"))) as stub,
        Client(stub.url, "t") as client,
        pytest.raises(Denied),
    ):
        next(client.events())
    assert len(stub.seen) == 1
