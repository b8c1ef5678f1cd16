"""Children that a program has taken over: whatever they answer, it is data, and theirs alone."""

import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec
import pytest
from qiskit import QuantumCircuit

from quanopy.domain.errors import Invalid, TaskFailed
from quanopy.domain.jobs import JobKind, JobSpec, Options, Pub, Reading
from quanopy.domain.programs import Program
from quanopy.ports.programs import Compilation, Compiled
from quanopy.ports.providers import Work
from quanopy.providers.aer import create
from quanopy.providers.aer.child import emulate
from quanopy.sandbox import child
from quanopy.sandbox.circuits import dump_qpy
from quanopy.sandbox.compiler import ProcessCompiler
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.pool import ChildBroken, ChildDied, Children, ChildTimedOut
from quanopy.sandbox.reader import ProcessReader
from tests.unit.sandbox import calls
from tests.unit.sandbox.test_compiler import LINE


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    confinement = Confinement(answer_bytes=2**20)
    children = Children(1, confinement, *calls.FUNCTIONS, name="taken-over")
    yield children
    children.close()


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that is there once something has been unpickled."""
    return tmp_path / "trace"


def pid(children: Children) -> int:
    [found] = children.submit(calls.pid, [0]).result()
    return found


def packed(value: object) -> bytes:
    return calls.framed(msgspec.msgpack.encode(value))


BAD_ANSWERS = {
    "garbage": random.Random(1).randbytes(4096),
    "a message that is garbage": calls.framed(random.Random(2).randbytes(4096)),
    "nothing at all": calls.framed(b""),
    "another type": packed(["text"]),
    "no list": packed({"0": 1}),
    "too few": packed([]),
    "too many": packed([1, 2]),
    "two answers": packed([1]) * 2,
    "more than is listened to": packed([1] * 2**20),
    "a length beyond all memory": bytes(1) + b"\xff" * 8,
    "a list beyond all memory": calls.framed(b"\xdd\xff\xff\xff\xff\x01"),
    "an error of no class of ours": packed([["SystemExit", "out", None, None, None]]),
    "an error that is none": packed([["Invalid"]]),
    "an error without end": packed([["Invalid", "x" * 10**5, None, None, None]]),
}


@pytest.mark.parametrize("said", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_what_is_no_answer_breaks_its_own_call_alone(
    children: Children, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = pid(children)
    bad = children.submit(calls.answer_with, [said], timeout_s=100)
    next_ = children.submit(calls.pid, [0])
    with pytest.raises(ChildBroken):
        bad.result()
    assert next_.result() != [before]
    assert "a child process was ended" in caplog.text


@pytest.mark.parametrize("frame", [calls.framed, bytes], ids=["framed", "plain"])
def test_a_pickle_is_not_loaded(
    children: Children, trace: Path, frame: Callable[[bytes], bytes]
) -> None:
    pickled = pickle.dumps(calls.Touch(str(trace)))
    with pytest.raises(ChildBroken):
        children.submit(calls.answer_with, [frame(pickled)], timeout_s=100).result()
    assert not trace.exists()
    pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert trace.exists()


def test_nesting_without_end_is_no_answer(children: Children) -> None:
    deep = calls.framed(b"\x91" * 10**5 + b"\xc0")
    with pytest.raises(ChildBroken, match="Recursion"):
        children.submit(calls.answer_with_anything, [deep], timeout_s=100).result()


def test_an_answer_that_is_broken_off_ends_with_its_child(children: Children) -> None:
    with pytest.raises(ChildDied):
        children.submit(calls.break_off_after, [packed([1])[:-1]], timeout_s=100).result()


@pytest.mark.parametrize("kept", [3, -1])
def test_an_answer_that_never_ends_times_out(children: Children, kept: int) -> None:
    with pytest.raises(ChildTimedOut):
        children.submit(calls.answer_with, [packed([1])[:kept]], timeout_s=0.3).result()


def test_nothing_is_ever_unpickled_where_children_are_called() -> None:
    program = (
        "import os, sys\n"
        "from quanopy.sandbox.pool import Children, Confinement\n"
        "from tests.unit.sandbox import calls\n"
        "def hook(event, args):\n"
        "    if event.startswith('pickle.'):\n"
        "        os._exit(3)\n"
        "sys.addaudithook(hook)\n"
        "children = Children(1, Confinement(), *calls.FUNCTIONS, name='watched')\n"
        "assert len(children.submit(calls.judge, [0, 1]).result()) == 2\n"
        "children.close()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# -- whose program took over a child fails with it, and neighbours are done again alone ------------


def taken(module: str, name: str, trace: Path) -> Confinement:
    """Children where whatever holds the word "taken" makes this function answer with a pickle."""
    return Confinement(warm_up=partial(calls.take_over, module, name, b"taken", str(trace)))


def named(name: str) -> bytes:
    """A circuit of this name."""
    circuit = QuantumCircuit(2, 1, name=name)
    circuit.h(0)
    circuit.measure(0, 0)
    return dump_qpy([circuit])


def test_a_reader_that_is_taken_over(trace: Path) -> None:
    reader = ProcessReader()
    confinement = taken("quanopy.sandbox.reading", "read_jobs", trace)
    reader._small = Children(1, confinement, child.read, child.compile, name="read")
    specs = [
        JobSpec(
            kind=JobKind.SAMPLE,
            resource="aer",
            programs=[Program(format="qpy", data=named(name))],
        )
        for name in ("first", "taken", "last")
    ]
    with closing(reader):
        first, bad, last = reader.read(specs, deadline_s=100)
    assert isinstance(bad, Invalid)
    assert "it gave no proper answer" in bad.message
    assert isinstance(first, Reading)
    assert isinstance(last, Reading)
    assert not trace.exists()


def test_a_compiler_that_is_taken_over(trace: Path) -> None:
    compiler = ProcessCompiler()
    confinement = taken("quanopy.sandbox.compiling", "compile_all", trace)
    compiler._children = Children(1, confinement, child.compile, name="compile")
    requests = [
        Compilation(circuits=named(name), target=LINE, level=1, options=Options())
        for name in ("first", "taken", "last")
    ]
    with closing(compiler):
        first, bad, last = compiler.compile(requests)
    assert isinstance(bad, Invalid)
    assert "it gave no proper answer" in bad.message
    assert isinstance(first, Compiled)
    assert isinstance(last, Compiled)
    assert not trace.exists()


def test_an_emulator_that_is_taken_over(trace: Path) -> None:
    provider = create(processes=1, memory_bytes=2**28)
    confinement = taken("quanopy.providers.aer.emulation", "emulate", trace)
    provider._children = Children(1, confinement, emulate, name="aer")
    works = [
        Work(
            task_id=name,
            resource="aer",
            kind=JobKind.SAMPLE,
            circuits=[named(name)],
            pubs=[Pub(shots=10)],
            options=Options(),
        )
        for name in ("first", "taken", "last")
    ]
    with closing(provider):
        first, bad, last = provider.start(works).wait()
    assert isinstance(bad.error, TaskFailed)
    assert "it gave no proper answer" in bad.error.message
    assert first.result
    assert last.result
    assert not trace.exists()
