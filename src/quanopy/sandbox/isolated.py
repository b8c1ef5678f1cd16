"""One child process and the pipe to it: calls go in one at a time, answers come out."""

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from quanopy.sandbox.channel import BadFrame, Channel
from quanopy.sandbox.confinement import Confinement, confine
from quanopy.sandbox.messages import (
    Function,
    decode_answer,
    decode_arguments,
    decode_text,
    encode,
    say,
)
from quanopy.sandbox.spawning import Spawning

_RETURNED, _RAISED = 0, 1
"""Kinds of answers; the kind of a call is its function's place among the child's functions."""


class Gone(Exception):
    """The child is no more; ``exit_code`` is negative for a signal."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the process ended with exit code {exit_code}")
        self.exit_code = exit_code


class Broken(Exception):
    """The call raised, or what came is no answer to it: the child is not to be asked again."""


class Isolated:
    """A child that has been started. The thread that makes it must outlive it: the kernel ends
    the child with that thread (prctl(2), PR_SET_PDEATHSIG)."""

    def __init__(self, confinement: Confinement, functions: Sequence[Function]) -> None:
        """Start it, to be asked for these functions alone, and wait until it is ready; raises
        :class:`Gone` if it never is."""
        self._confinement = confinement
        self._functions = functions
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        self._process = Spawning().Process(
            target=_serve, args=(confinement, functions, os.getpid(), theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._ends_at: float | None = None
        try:
            self._receive()
        except (BadFrame, Gone):
            gone = self._gone()
            self.close()
            raise gone from None

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def send(self, function: Function, args: Sequence[Any], timeout_s: float | None) -> None:
        """Have it call one of its functions. Raises :class:`Gone`; ``TimeoutError`` where it does
        not take the call in time, as any :meth:`answer` to it then does too;
        :class:`~quanopy.sandbox.messages.Unsendable` before it has heard anything."""
        frame = encode(args)
        self._asked, self._count = function, len(args[-1])
        self._ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            self._channel.send(self._functions.index(function), frame, self._ends_at)
        except TimeoutError:
            raise
        except OSError:
            raise self._gone() from None

    def answer(self) -> list[Any]:
        """What the call gave; raises :class:`Gone`, :class:`Broken`, and ``TimeoutError`` where
        it is not there in time, counted from when it was sent."""
        try:
            kind, message = self._receive()
            if kind == _RAISED:
                raise Broken(f"it raised {decode_text(message)}")
            found = decode_answer(self._asked, message)
        except (Broken, Gone, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever this says, it is no answer
            raise Broken(f"it gave no proper answer ({say(error)})") from None
        if len(found) != self._count:
            raise Broken(f"it gave {len(found)} answers instead of {self._count}")
        return found

    def kill(self) -> None:
        """End it at once, from any thread; whoever waits for its answer hears of it, even where
        another process has its end of the pipe."""
        self._process.kill()
        self._channel.shut()

    def close(self) -> None:
        """End it and let go of it; it is not to be used any more."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._channel.close()

    def _receive(self) -> tuple[int, memoryview]:
        try:
            return self._channel.receive(self._confinement.answer_bytes, self._ends_at)
        except TimeoutError:
            raise
        except (EOFError, OSError):
            # Its end of the pipe is closed, or it was killed in the middle of a message.
            raise self._gone() from None

    def _gone(self) -> Gone:
        self._process.kill()
        self._process.join()
        return Gone(self._process.exitcode)


def _serve(
    confinement: Confinement, functions: Sequence[Function], parent: int, end: socket.socket
) -> None:
    """In the child: be ready, then do one call after another until the parent closes."""
    confine(confinement, parent)
    channel = Channel(end)
    channel.send(_RETURNED, encode([]))
    while True:
        try:
            number, message = channel.receive()
        except EOFError:
            return
        channel.send(*_outcome(functions[number], message))


def _outcome(function: Function, message: memoryview) -> tuple[int, bytearray]:
    try:
        with message:  # which is let go of before the call
            args = decode_arguments(function, message)
        return _RETURNED, encode(function(*args))
    except Exception as error:  # noqa: BLE001 - the caller's answer, whatever it is
        return _RAISED, encode(say(error))
