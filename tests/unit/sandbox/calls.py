"""What tests have children do; and what children do that a program has taken over."""

import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from quanopy.domain.errors import Invalid, QuanopyError, Transient
from quanopy.sandbox.channel import HEAD


def pid(batch: Sequence[int]) -> list[int]:
    return [os.getpid()] * len(batch)


def die(batch: Sequence[int]) -> list[int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def hang(batch: Sequence[int]) -> list[int]:
    while True:
        pass


def hoard(batch: Sequence[int]) -> list[int]:
    return [len(bytearray(2**31))]


def refuse(batch: Sequence[int]) -> list[int]:
    raise ValueError("not this \ud800")


def threads(batch: Sequence[int]) -> list[str]:
    return [os.environ["OMP_NUM_THREADS"]] * len(batch)


def lengths(batch: Sequence[bytes]) -> list[int]:
    return [len(one) for one in batch]


def judge(batch: Sequence[int]) -> list[int | QuanopyError]:
    return [
        Invalid("odd", where=f"batch[{index}]", hint="Make it even.") if one % 2 else one
        for index, one in enumerate(batch)
    ]


def put_off(batch: Sequence[int]) -> list[int | QuanopyError]:
    return [Transient("later", retry_after_s=float(one)) for one in batch]


def answer_with(batch: Sequence[bytes]) -> list[int]:
    """Write this to the pipe as it stands, and never return."""
    pipe = _pipe()
    for one in batch:
        pipe.sendall(one)
    return hang([])


def answer_with_anything(batch: Sequence[bytes]) -> list[Any]:
    """The same, where an answer may be anything."""
    return answer_with(batch)


def break_off_after(batch: Sequence[bytes]) -> list[int]:
    """Write this to the pipe as it stands, and end."""
    _pipe().sendall(b"".join(batch))
    os._exit(0)


def dribble(batch: Sequence[int]) -> list[int]:
    """Begin to write a long answer, and go on a byte at a time."""
    pipe = _pipe()
    pipe.sendall(framed(bytes(2**20))[:HEAD])
    while True:
        pipe.send(b"x")


def stop(batch: Sequence[int]) -> list[int]:
    """Answer, and take nothing more."""
    _pipe().sendall(framed(b"\x91\x01"))
    os.kill(os.getpid(), signal.SIGSTOP)
    return hang([])


def say_too_much() -> None:
    """Write what is longer than it may be, before being ready."""
    _pipe().sendall(framed(bytes(2**22))[:HEAD])
    time.sleep(20)


def break_compiling(error: type[Exception]) -> None:
    """Have compiling fail as if for a fault of its own."""
    from quanopy.sandbox import compiling

    def broken(request: object) -> Any:
        raise error("not the program's fault")

    compiling.compile_one = broken


def leave_the_pipe_to_another(batch: Sequence[int]) -> list[int]:
    """Have a process that nobody knows of keep this end of the pipe open, while it is connected
    to this port."""
    if os.fork() == 0:
        with socket.create_connection(("127.0.0.1", batch[0])) as kept:
            kept.recv(1)
        os._exit(0)
    return hang([])


FUNCTIONS = (
    *(pid, die, hang, hoard, refuse, threads, lengths, judge, put_off),
    *(answer_with, answer_with_anything, break_off_after, leave_the_pipe_to_another),
    *(dribble, stop),
)


def note(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("started\n")


class Touch:
    """Whoever unpickles this makes a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return note, (self._path,)


def framed(message: bytes) -> bytes:
    """A frame of an answer with this for its message."""
    return bytes(1) + len(message).to_bytes(HEAD - 1, "big") + message


def take_over(module: str, name: str, bad: bytes, path: str) -> None:
    """Have a function of a module answer with a pickle where ``bad`` is in what it is given."""
    found = import_module(module)
    honest = getattr(found, name)

    def taken(*args: Any) -> Any:
        if bad in repr(args).encode():
            return answer_with([framed(pickle.dumps(Touch(path)))])
        return honest(*args)

    setattr(found, name, taken)


def _pipe() -> socket.socket:
    """This process's end of the pipe, as a program that has taken it over can find it."""
    values = (value for frame in _frames() for value in frame.f_locals.values())
    return next(value for value in values if isinstance(value, socket.socket))


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
