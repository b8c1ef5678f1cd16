"""Event streams: what is in them, and how they are taken up again."""

import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from quanopy.client import Client, streams
from quanopy.client.http import Http
from quanopy.client.settings import Settings
from quanopy.client.streams import parse
from quanopy.domain.errors import Denied, QuanopyError, Unavailable
from quanopy.wire.problems import to_problem
from tests.unit.client.stub import LOST, Stub, problem, stream

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


def test_a_broken_stream_is_taken_up_after_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PAUSE_S", 0.0)
    first = stream(block("1.1"), block("2.1"))
    second = stream(block("3.1"))
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


@contextmanager
def streaming(pieces: Sequence[bytes], stays: bool = False) -> Iterator[Http]:
    """A server that sends these pieces one by one and breaks off; or ``stays``, and is silent."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(head)
            for piece in pieces:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                time.sleep(0.02)
            over.wait()

    over = threading.Event()
    if not stays:
        over.set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        http = Http(Settings(url=f"http://127.0.0.1:{server.getsockname()[1]}"))
        try:
            yield http
        finally:
            over.set()
            http.close()
            thread.join()


def test_lines_come_whole_however_they_were_cut() -> None:
    text = "id: ψ\u2028\r\n\r\n: ∎\n"
    pieces = [bytes([byte]) for byte in text.encode()]
    with streaming(pieces) as http, http.lines("/events/stream", {}, idle_s=60.0) as lines:
        assert [next(lines) for _ in range(3)] == ["id: ψ\u2028", "", ": ∎"]


def test_a_stream_that_breaks_off_is_said_to_be_broken() -> None:
    with (
        streaming([b": following\n"]) as http,
        pytest.raises(Unavailable),
        http.lines("/events/stream", {}, idle_s=60.0) as lines,
    ):
        list(lines)


def test_a_line_comes_before_the_next_is_sent() -> None:
    with (
        streaming([b": following\n"], stays=True) as http,
        http.lines("/events/stream", {}, idle_s=60.0) as lines,
    ):
        assert next(lines) == ": following"


def test_a_silent_stream_is_broken() -> None:
    with (
        streaming([b": following\n"], stays=True) as http,
        pytest.raises(Unavailable, match="timed out"),
        http.lines("/events/stream", {}, idle_s=0.2) as lines,
    ):
        list(lines)


def test_an_answer_to_a_file_that_falls_silent_is_no_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quanopy.client.http.PATIENCE_S", 0.0)
    with streaming([b": begun\n\n"], stays=True) as http, pytest.raises(Unavailable) as raised:
        http.upload("/receipts", io.BytesIO(b"PK"), "application/zip", list, idle_s=1.5)
    assert "broke off" in str(raised.value)
    assert "go on" in str(raised.value.hint)
