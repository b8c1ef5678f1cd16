"""Children: what one does to itself, its own call alone fails."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import (
    ChildCancelled,
    ChildDied,
    Children,
    ChildTimedOut,
)
from tests.unit.sandbox import calls


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    children = Children(1, Confinement(memory_bytes=2**30), name="test")
    yield children
    children.close()


def test_a_killed_child_fails_its_own_call_alone(children: Children) -> None:
    doomed, next_ = children.submit(calls.die), children.submit(calls.pid)
    with pytest.raises(ChildDied) as death:
        doomed.result()
    assert death.value.signal == signal.SIGKILL
    assert next_.result() > 0


def test_a_call_that_hangs_times_out(children: Children) -> None:
    with pytest.raises(ChildTimedOut):
        children.submit(calls.hang, timeout_s=0.2).result()


def test_a_call_can_be_cancelled(children: Children) -> None:
    call = children.submit(calls.hang)
    threading.Timer(0.2, call.cancel).start()
    with pytest.raises(ChildCancelled):
        call.result()


def test_waiting_too_long_cancels_a_call_that_never_began(children: Children) -> None:
    first, second = children.submit(calls.hang, timeout_s=0.5), children.submit(calls.pid)
    with pytest.raises(ChildCancelled):
        second.result(timeout_s=0.1)
    with pytest.raises(ChildTimedOut):
        first.result()


def test_what_a_call_raises_comes_back(children: Children) -> None:
    with pytest.raises(ValueError, match="not this"):
        children.submit(calls.refuse).result()


def test_memory_is_bounded(children: Children) -> None:
    with pytest.raises(MemoryError):
        children.submit(calls.hoard).result()


def test_threads_are_explicit(children: Children) -> None:
    assert children.submit(calls.threads).result() == "1"


def test_a_child_killed_while_idle_is_replaced(children: Children) -> None:
    before = children.submit(calls.pid).result()
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert children.submit(calls.pid).result() != before


def test_a_closed_pool_takes_no_calls() -> None:
    closed = Children(1, Confinement(), name="closed")
    closed.close()
    closed.close()
    with pytest.raises(Unavailable):
        closed.submit(calls.pid)


def test_children_end_with_a_parent_that_is_killed() -> None:
    program = (
        "from quanopy.sandbox.pool import Children, Confinement\n"
        "from tests.unit.sandbox import calls\n"
        "import time\n"
        "children = Children(1, Confinement(), name='orphan')\n"
        "print(children.submit(calls.pid).result(), flush=True)\n"
        "children.submit(calls.hang)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    ends_at = time.monotonic() + 5
    while _lives(child):
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_is_started_before_it_is_needed_and_only_one(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    warm_up = partial(calls.note, str(noted))
    children = Children(2, Confinement(warm_up=warm_up), name="warm")
    try:
        children.warm()
        children.warm()
        until = time.monotonic() + 30
        while not noted.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert children.submit(calls.pid).result() > 0
        children.warm()
        assert noted.read_text() == "started\n"
    finally:
        children.close()
    children.warm()  # nothing, any more


def test_what_is_sent_to_the_whole_group_is_left_to_the_parent(children: Children) -> None:
    before = children.submit(calls.pid).result()
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(before, number)
    assert children.submit(calls.pid).result() == before
