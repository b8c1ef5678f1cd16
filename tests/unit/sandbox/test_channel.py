"""The pipe: frames arrive whole, of bounded length and in bounded time, or not at all."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from quanopy.sandbox.channel import HEAD, BadFrame, Channel


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare other end of its pipe."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


def frame(message: bytes) -> bytearray:
    return bytearray(HEAD) + message


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 5_000_000])
def test_a_frame_arrives_as_it_was_sent(pair: tuple[Channel, socket.socket], size: int) -> None:
    channel, theirs = pair
    sent = bytes(index % 251 for index in range(size))
    sender = threading.Thread(target=lambda: Channel(theirs).send(7, frame(sent)))
    sender.start()
    kind, message = channel.receive(most=size)
    sender.join()
    assert (kind, bytes(message)) == (7, sent)


def test_a_frame_in_small_pieces_is_put_together(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    whole = b"\1" + (3).to_bytes(HEAD - 1, "big") + b"abc"

    def send() -> None:
        for place in range(len(whole)):
            theirs.send(whole[place : place + 1])

    sender = threading.Thread(target=send)
    sender.start()
    kind, message = channel.receive(ends_at=time.monotonic() + 30)
    sender.join()
    assert (kind, bytes(message)) == (1, b"abc")


def test_a_frame_that_is_too_long_is_refused_before_it_comes(
    pair: tuple[Channel, socket.socket],
) -> None:
    channel, theirs = pair
    theirs.send(b"\0" + (101).to_bytes(HEAD - 1, "big"))
    with pytest.raises(BadFrame, match="101 bytes"):
        channel.receive(most=100)


def test_what_follows_a_frame_unasked_is_refused(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    theirs.send(2 * (b"\0" + (1).to_bytes(HEAD - 1, "big") + b"a"))
    with pytest.raises(BadFrame):
        channel.receive()


@pytest.mark.parametrize("kept", [0, 3, HEAD, HEAD + 1])
def test_waiting_for_the_rest_has_an_end(pair: tuple[Channel, socket.socket], kept: int) -> None:
    channel, theirs = pair
    theirs.send((b"\0" + (9).to_bytes(HEAD - 1, "big") + b"abc")[:kept])
    with pytest.raises(TimeoutError):
        channel.receive(ends_at=time.monotonic() + 0.05)
    theirs.close()
    with pytest.raises(EOFError):
        channel.receive()


def test_sending_to_nobody_who_listens_has_an_end(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    with pytest.raises(TimeoutError):
        channel.send(0, frame(bytes(10_000_000)), ends_at=time.monotonic() + 0.2)
    theirs.close()
    with pytest.raises(OSError, match="pipe"):
        channel.send(0, frame(b""))


def test_an_answer_in_small_pieces_has_an_end_too(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    over = threading.Event()

    def dribble() -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            theirs.send(b"\0" + (10**6).to_bytes(HEAD - 1, "big"))
            while not over.wait(0.0002):
                theirs.send(b"x")

    sender = threading.Thread(target=dribble)
    sender.start()
    try:
        with pytest.raises(TimeoutError):
            channel.receive(ends_at=time.monotonic() + 0.2)
    finally:
        over.set()
        channel.shut()
        sender.join()


def test_sending_to_who_listens_slowly_has_an_end_too(pair: tuple[Channel, socket.socket]) -> None:
    channel, theirs = pair
    over = threading.Event()

    def sip() -> None:
        while not over.wait(0.001):
            theirs.recv(4096)

    reader = threading.Thread(target=sip)
    reader.start()
    try:
        with pytest.raises(TimeoutError):
            channel.send(0, frame(bytes(30_000_000)), ends_at=time.monotonic() + 0.2)
    finally:
        over.set()
        channel.shut()
        reader.join()


def test_no_time_at_all_is_not_all_time(pair: tuple[Channel, socket.socket]) -> None:
    channel, _ = pair
    with pytest.raises(TimeoutError):
        channel.receive(ends_at=time.monotonic())
    with pytest.raises(TimeoutError):
        channel.send(0, frame(b""), ends_at=time.monotonic())


def test_shutting_ends_a_wait(pair: tuple[Channel, socket.socket]) -> None:
    channel, _ = pair
    threading.Timer(0.1, channel.shut).start()
    with pytest.raises(EOFError):
        channel.receive(ends_at=time.monotonic() + 30)
