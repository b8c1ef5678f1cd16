"""One child process and the pipe to it: calls go in one at a time, answers or errors come out."""

import os
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from quanopy.sandbox.confinement import Confinement, confine
from quanopy.sandbox.spawning import Spawning


class Gone(Exception):
    """The child is no more; ``exit_code`` is negative for a signal."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"the process ended with exit code {exit_code}")
        self.exit_code = exit_code


class Isolated:
    """A child that has been started. The thread that makes it must outlive it: the kernel ends
    the child with that thread (prctl(2), PR_SET_PDEATHSIG)."""

    def __init__(self, confinement: Confinement) -> None:
        """Start it and wait until it is ready; raises :class:`Gone` if it never is."""
        context = Spawning()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(confinement, os.getpid(), theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def send(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Have it call a module's function; raises :class:`Gone`."""
        try:
            _send(self._pipe, (function, args))
        except OSError:
            raise self._gone() from None

    def answer(self, timeout_s: float | None) -> tuple[bool, Any] | None:
        """Whether the call returned, and what it returned or raised; ``None``: not in time.

        Raises :class:`Gone`.
        """
        return self._receive() if self._pipe.poll(timeout_s) else None

    def kill(self) -> None:
        """End it at once, from any thread; whoever waits for its answer hears of it."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of it."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _receive(self) -> tuple[bool, Any]:
        try:
            returned, value = self._pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            # Its end of the pipe is closed, or it was killed in the middle of a message.
            raise self._gone() from None
        return returned, value

    def _gone(self) -> Gone:
        self._process.kill()
        self._process.join()
        return Gone(self._process.exitcode)


def _serve(confinement: Confinement, parent: int, pipe: Connection) -> None:
    """In the child: be ready, then do one call after another until the parent closes."""
    confine(confinement, parent)
    _send(pipe, (True, None))
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        _send(pipe, _outcome(function, args))


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*args)
    except Exception as error:  # noqa: BLE001 - the caller's answer, whatever it is
        return False, error


def _send(pipe: Connection, message: object) -> None:
    """As the pipe's own ``send``, without its look for things that only processes can share: that
    takes longer than all the rest."""
    pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
