"""Reads strangers' programs in child processes; here nothing of them is parsed."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence

from quanopy.domain.errors import (
    Invalid,
    QuanopyError,
    ResourceMismatch,
    TooLarge,
    Unavailable,
)
from quanopy.domain.jobs import JobSpec, Reading
from quanopy.ports.programs import Compilation
from quanopy.sandbox import child
from quanopy.sandbox.confinement import Confinement
from quanopy.sandbox.known import KnownReadings
from quanopy.sandbox.pool import (
    Call,
    CallUnsendable,
    ChildCancelled,
    ChildDied,
    ChildFailed,
    Children,
    ChildTimedOut,
)
from quanopy.sandbox.scan import scan

LARGE = 64 * 1024
"""Programs of this many bytes are read apart, so that small ones do not wait for them."""
_MANY = 128
"""As many small programs or more are read by both processes, half each."""
_MEMORY = 2 * 1024**3
_KNOWN_BYTES = 16 * 1024 * 1024
_ALONE_S = 120.0
"""After so long alone, a job is known to be bad."""

Answer = Reading | QuanopyError | None
Trials = Callable[[JobSpec, Reading], Mapping[int, Compilation]]
"""By their index, the programs of a job that may not fit its resource, as they would be compiled
to run there."""


class ProcessReader:
    """The :class:`~quanopy.ports.programs.Reader` that keeps one process for small programs, one
    for large ones and one that tries whether programs fit, started when they are first needed."""

    def __init__(
        self, *, memory_bytes: int = _MEMORY, trials: Trials = lambda spec, reading: {}
    ) -> None:
        """``memory_bytes`` bounds what reading may use in one process. ``trials`` is asked for
        each job that was read, and must not take long."""
        confinement = Confinement(memory_bytes=memory_bytes, warm_up=child.warm_reader)
        self._small = Children(1, confinement, child.read, name="read")
        self._large = Children(1, confinement, child.read, name="read-large")
        trying = Confinement(memory_bytes=memory_bytes, warm_up=child.warm_compiler)
        self._trying = Children(1, trying, child.compile, name="read-try")
        self._known = KnownReadings(_KNOWN_BYTES)
        self._trials = trials

    def read(self, specs: Sequence[JobSpec], *, deadline_s: float) -> list[Answer]:
        """Read these jobs; see the port."""
        ends_at = time.monotonic() + deadline_s
        answers: list[Answer] = [self._known.get(spec) or _scanned(spec) for spec in specs]
        unread = [index for index, answer in enumerate(answers) if answer is None]
        calls = [
            (lane, some, self._begin(lane, [specs[index] for index in some], ends_at))
            for lane, some in self._lanes(specs, unread)
        ]
        for lane, some, call in calls:
            found = self._finish(lane, [specs[index] for index in some], call, ends_at)
            for index, answer in zip(some, found, strict=True):
                answers[index] = answer
                if isinstance(answer, Reading):
                    self._known.put(specs[index], answer)
        self._refuse_misfits(specs, answers, ends_at)
        return answers

    def _lanes(
        self, specs: Sequence[JobSpec], places: Sequence[int]
    ) -> list[tuple[Children, list[int]]]:
        """Which process takes which of these jobs, each group in one call."""
        large = [index for index in places if _size(specs[index]) >= LARGE]
        small = [index for index in places if _size(specs[index]) < LARGE]
        half = len(small) if len(small) < _MANY else len(small) // 2
        lanes = [(self._small, small[:half]), (self._large, small[half:])]
        lanes += [(self._large, [index]) for index in large]
        return [(lane, some) for lane, some in lanes if some]

    def warm(self) -> None:
        """Start the process for small programs; see the port."""
        self._small.warm()

    def close(self) -> None:
        """End the processes; idempotent."""
        for children in (self._small, self._large, self._trying):
            children.close()

    def _begin(
        self, lane: Children, specs: Sequence[JobSpec], ends_at: float
    ) -> Call[Reading | QuanopyError]:
        return lane.submit(child.read, specs, timeout_s=_remaining(ends_at))

    def _finish(
        self,
        lane: Children,
        specs: Sequence[JobSpec],
        call: Call[Reading | QuanopyError],
        ends_at: float,
    ) -> Sequence[Answer]:
        try:
            return call.result(timeout_s=_remaining(ends_at))
        except (ChildTimedOut, ChildCancelled):
            return [None] * len(specs)
        except ChildFailed as failure:
            if len(specs) == 1:
                return [_verdict(failure)]
            return [self._alone(lane, spec, ends_at) for spec in specs]

    def _refuse_misfits(
        self, specs: Sequence[JobSpec], answers: list[Answer], ends_at: float
    ) -> None:
        """What may not fit is compiled as whoever would run it does; what cannot be told in time
        is left to them."""
        doubts = {
            index: trials
            for index, (spec, answer) in enumerate(zip(specs, answers, strict=True))
            if isinstance(answer, Reading) and (trials := self._trials(spec, answer))
        }
        wanted = {
            (index, program): trial
            for index, trials in doubts.items()
            for program, trial in trials.items()
        }
        if wanted and time.monotonic() < ends_at:
            for index, refusal in _misfits(self._trying, wanted, _remaining(ends_at)).items():
                answers[index] = refusal

    def _alone(self, lane: Children, spec: JobSpec, ends_at: float) -> Answer:
        """One of those that failed together: whose fault was it?"""
        if time.monotonic() >= ends_at:
            return None
        return self._finish(lane, [spec], self._begin(lane, [spec], ends_at), ends_at)[0]


def _misfits(
    lane: Children, wanted: Mapping[tuple[int, int], Compilation], timeout_s: float
) -> dict[int, QuanopyError]:
    """By its job, the first of these programs that does not fit; what goes wrong while that is
    found out refuses nobody."""
    try:
        requests = child.requests_of(wanted.values())
        call = lane.submit(child.compile, *requests, timeout_s=timeout_s)
        answers = call.result(timeout_s)
    except (ChildFailed, Unavailable):
        return {}
    found: dict[int, QuanopyError] = {}
    for (index, program), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, ResourceMismatch) and index not in found:
            answer.where = ".".join(filter(None, (f"programs[{program}]", answer.where)))
            found[index] = answer
    return found


def _remaining(ends_at: float) -> float:
    return min(max(0.001, ends_at - time.monotonic()), _ALONE_S)


def _size(spec: JobSpec) -> int:
    return max((len(program.data) for program in spec.programs), default=0)


def _scanned(spec: JobSpec) -> QuanopyError | None:
    if not spec.programs:
        return Invalid("no programs", where="programs", hint="Give at least one.")
    for index, program in enumerate(spec.programs):
        try:
            scan(program)
        except QuanopyError as error:
            error.where = ".".join(filter(None, (f"programs[{index}]", error.where)))
            return error
    return None


def _verdict(failure: ChildFailed) -> Invalid:
    """What to tell the one whose job was lost with its reader."""
    match failure:
        case CallUnsendable():
            return Invalid(
                f"the job cannot be passed to its reader: {failure}",
                where="pubs",
                hint="Write large numbers with a point or an exponent.",
            )
        case ChildDied(signal=signal.SIGPROF):
            return TooLarge(
                "the programs take too long to read",
                where="programs",
                hint="Unroll or flatten nested definitions, or send QPY.",
            )
    return Invalid(
        f"the programs break their reader: {failure}",
        where="programs",
        hint="They are damaged or far too large: write them again with Qiskit.",
    )
