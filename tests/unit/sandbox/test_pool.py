"""Children: what one does to itself, its own call alone fails."""

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.isolated import Gone, Isolated
from quanopy.sandbox.pool import (
    CallUnsendable,
    ChildBroken,
    ChildCancelled,
    ChildDied,
    ChildFailed,
    Children,
    ChildTimedOut,
)
from tests.unit.sandbox import calls


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    confinement = Confinement(memory_bytes=2**30, answer_bytes=2**20)
    children = Children(1, confinement, *calls.FUNCTIONS, name="test")
    yield children
    children.close()


def pid(children: Children) -> int:
    [found] = children.submit(calls.pid, [0]).result()
    return found


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """No more files are open than before, though the collector closed none meanwhile."""
    gc.disable()
    try:
        before = open_files()
        yield
        assert open_files() <= before
    finally:
        gc.enable()


def test_a_killed_child_fails_its_own_call_alone(children: Children) -> None:
    doomed, next_ = children.submit(calls.die, [0]), children.submit(calls.pid, [0])
    with pytest.raises(ChildDied) as death:
        doomed.result()
    assert death.value.signal == signal.SIGKILL
    assert next_.result()[0] > 0


def test_a_call_that_hangs_times_out(children: Children) -> None:
    with pytest.raises(ChildTimedOut):
        children.submit(calls.hang, [0], timeout_s=0.2).result()


def test_a_call_can_be_cancelled(children: Children) -> None:
    call = children.submit(calls.hang, [0])
    threading.Timer(0.1, call.cancel).start()
    with pytest.raises(ChildCancelled):
        call.result()


def test_a_call_can_be_cancelled_whoever_else_has_its_pipe(children: Children) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        call = children.submit(calls.leave_the_pipe_to_another, [listening.getsockname()[1]])
        another, _ = listening.accept()
    with another:
        call.cancel()
        with pytest.raises(ChildCancelled):
            call.result()
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            another.recv(1)


def test_waiting_too_long_cancels_a_call_that_never_began(children: Children) -> None:
    first = children.submit(calls.hang, [0])
    second = children.submit(calls.pid, [0])
    with pytest.raises(ChildCancelled):
        second.result(timeout_s=0.1)
    first.cancel()
    with pytest.raises(ChildCancelled):
        first.result()


def test_what_a_call_raises_is_told_and_ends_its_child(children: Children) -> None:
    before = pid(children)
    with pytest.raises(ChildBroken, match="it raised ValueError: not this"):
        children.submit(calls.refuse, [0]).result()
    assert pid(children) != before


def test_memory_is_bounded(children: Children) -> None:
    with pytest.raises(ChildBroken, match="MemoryError"):
        children.submit(calls.hoard, [0]).result()


def test_threads_are_explicit(children: Children) -> None:
    assert children.submit(calls.threads, [0]).result() == ["1"]


def test_a_child_killed_while_idle_is_replaced(children: Children) -> None:
    before = pid(children)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert pid(children) != before


@pytest.mark.parametrize("queued", [False, True])
def test_a_call_that_its_child_does_not_take_times_out(children: Children, queued: bool) -> None:
    before = pid(children)
    stopping = children.submit(calls.stop, [0])
    if not queued:  # then the slot's own thread sends it
        stopping.result()
    call = children.submit(calls.lengths, [bytes(10**7)], timeout_s=0.3)
    with pytest.raises(ChildTimedOut):
        call.result()
    assert pid(children) != before


def test_a_child_that_answers_a_byte_at_a_time_times_out(children: Children) -> None:
    pid(children)
    call = children.submit(calls.dribble, [0], timeout_s=0.3)
    with pytest.raises(ChildTimedOut):
        call.result(timeout_s=30)


def test_nothing_is_left_of_children_that_were_replaced(children: Children) -> None:
    pid(children)
    with leaving_nothing():
        for function in (calls.die, calls.refuse, calls.die):
            with pytest.raises(ChildFailed):
                children.submit(function, [0]).result()
        pid(children)


@pytest.mark.parametrize("warm_up", [calls.say_too_much, partial(os._exit, 3)])
def test_a_child_that_is_never_ready_is_gone_and_leaves_nothing(
    warm_up: Callable[[], None],
) -> None:
    with leaving_nothing(), pytest.raises(Gone) as gone:  # whose trace keeps what is not let go of
        Isolated(Confinement(warm_up=warm_up, answer_bytes=2**20), (calls.pid,))
    assert gone.value.exit_code


def test_what_cannot_be_sent_fails_and_harms_no_child(children: Children) -> None:
    before = pid(children)
    with pytest.raises(CallUnsendable):
        children.submit(calls.pid, [2**64]).result()
    assert pid(children) == before


def test_a_closed_pool_takes_no_calls() -> None:
    closed = Children(1, Confinement(), calls.pid, name="closed")
    closed.close()
    closed.close()
    with pytest.raises(Unavailable):
        closed.submit(calls.pid, [0])


def test_children_end_with_a_parent_that_is_killed() -> None:
    program = (
        "from quanopy.sandbox.pool import Children, Confinement\n"
        "from tests.unit.sandbox import calls\n"
        "import time\n"
        "children = Children(1, Confinement(), *calls.FUNCTIONS, name='orphan')\n"
        "print(*children.submit(calls.pid, [0]).result(), flush=True)\n"
        "children.submit(calls.hang, [0])\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([child], [], [], 60)
    os.close(child)
    assert ended


def test_a_program_that_left_its_children_open_ends() -> None:
    program = (
        "from quanopy.sandbox.confinement import Confinement\n"
        "from quanopy.sandbox.pool import Children\n"
        "from tests.unit.sandbox import calls\n"
        "confinement = Confinement(memory_bytes=2**30, answer_bytes=2**20)\n"
        "children = Children(2, confinement, *calls.FUNCTIONS, name='test')\n"
        "children.submit(calls.hang, [0])\n"
        "[child] = children.submit(calls.pid, [0]).result()\n"
        "print(child)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert not Path("/proc", ended.stdout.strip()).exists()


def test_a_child_is_started_before_it_is_needed_and_only_one(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    warm_up = partial(calls.note, str(noted))
    children = Children(2, Confinement(warm_up=warm_up), calls.pid, name="warm")
    try:
        children.warm()
        children.warm()
        until = time.monotonic() + 30
        while not noted.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert pid(children) > 0
        children.warm()
        assert noted.read_text() == "started\n"
    finally:
        children.close()
    children.warm()  # nothing, any more


def test_what_is_sent_to_the_whole_group_is_left_to_the_parent(children: Children) -> None:
    before = pid(children)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(before, number)
    assert pid(children) == before
