"""What tests have children do."""

import os
import signal
from pathlib import Path


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    while True:
        pass


def hoard() -> int:
    return len(bytearray(2**31))


def note(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("started\n")


def refuse() -> None:
    raise ValueError("not this")


def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]
