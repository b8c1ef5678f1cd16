"""Spawned children that leave the program's main module alone, and end with the program.

A spawned child of multiprocessing first imports the main module of its parent. Where the broker
runs inside somebody's script (``Client.embedded``) that would run the script again in every
child. Ours need nothing from it: what they call lies in modules of their own.

When a program ends, multiprocessing sends SIGTERM to the children that are left and waits for
them. Ours ignore it, so that one meant for a whole process group leaves them to the broker: a
program that did not close what it opened would never end.
"""

import threading
from multiprocessing import popen_spawn_posix, spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

_MAIN = ("init_main_from_path", "init_main_from_name")
_here = threading.local()
_prepared = spawn.get_preparation_data


def _without_main(name: str) -> dict[str, Any]:
    """What multiprocessing tells a child; without the main module where we launch it."""
    data = dict(_prepared(name))
    if getattr(_here, "launching", False):
        for key in _MAIN:
            data.pop(key, None)
    return data


# The standard library has no other place to say this; other users' children are not concerned.
spawn.get_preparation_data = _without_main


class _Popen(popen_spawn_posix.Popen):
    def terminate(self) -> None:
        self.kill()


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> popen_spawn_posix.Popen:  # noqa: N802 - the library's name
        _here.launching = True
        try:
            return _Popen(process_obj)
        finally:
            _here.launching = False


class Spawning(SpawnContext):
    """A context for pools and processes whose children do not import the main module."""

    Process = _Process
