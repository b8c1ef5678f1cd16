"""Handles: a submitted job, from any machine and at any later time."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from quanopy.client.calibrations import JobCalibration
from quanopy.client.choices import all_chosen
from quanopy.client.compiled import AsRun
from quanopy.client.expecting import Expected, compare, expectation, identity_of
from quanopy.client.http import Http
from quanopy.client.polling import rounds
from quanopy.client.programs import decode, unpacked
from quanopy.client.results import Result, result_of
from quanopy.client.streams import history
from quanopy.domain.errors import Invalid, NotReady, Unsupported
from quanopy.domain.ids import is_id
from quanopy.domain.programs import CIRCUITS, Program
from quanopy.domain.states import FINAL_JOB_STATES, JobState
from quanopy.wire.jobs import CompiledJobOut, JobDetail, JobOut, ResultOut, SubmittedOut
from quanopy.wire.service import EventOut

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

NPZ = "application/x-npz"


class Job:
    """A submitted job, by its id. Letting go of a handle cancels nothing.

    A pickled handle carries the id and what is expected of the job: where it is loaded, the
    broker is found as ``Client()`` finds it.
    """

    def __init__(self, http: Http, id: str) -> None:
        self._http = http
        self.id = checked_id(id)
        self._expected: Expected = {}

    def detail(self) -> JobDetail:
        """All that the broker says of it: state, times, parts, executions."""
        return self._http.get(JobDetail, f"/jobs/{self.id}")

    def status(self) -> JobState:
        """Its state now."""
        return self.detail().state

    def wait(
        self, timeout: float | None = None, *, states: Iterable[JobState | str] = ()
    ) -> JobState:
        """Wait until it is in one of ``states`` (by default: final), or final; the state then.

        Raises :class:`NotReady` after ``timeout`` seconds.
        """
        until = all_chosen(JobState, states, "state") or FINAL_JOB_STATES
        for wait_s in rounds(timeout):
            params = {"wait": wait_s, "until": sorted(until)}
            detail = self._http.get(JobDetail, f"/jobs/{self.id}", params=params, wait_s=wait_s)
            if detail.state in until | FINAL_JOB_STATES:
                return detail.state
        raise self._late(timeout)

    def result(self, timeout: float | None = None, partial: bool = False) -> Result[Any]:
        """Its result, once it is complete.

        With ``partial``, what is there now: whatever the resource is doing (a ``timeout`` then
        says how long to wait for all of it first).

        Raises:
            TaskFailed: the job failed or was cancelled.
            NotReady: it is not done after ``timeout`` seconds.
            ResourceMismatch: it ran on something else than it was expected to.
        """
        if partial and timeout is None:
            timeout = 0.0
        for wait_s in rounds(timeout):
            try:
                found = self._fetch(wait_s, partial)
            except NotReady:
                continue
            if self._expected:
                compare(self.detail(), self._expected)
            return result_of(found)
        raise self._late(timeout)

    def npz(self, timeout: float | None = None) -> bytes:
        """Its result as the bytes of a NumPy ``.npz`` file; raises as :meth:`result`."""
        for wait_s in rounds(timeout):
            try:
                return self._http.request(
                    "GET",
                    f"/jobs/{self.id}/result",
                    params={"wait": wait_s},
                    headers={"Accept": NPZ},
                    wait_s=wait_s,
                )
            except NotReady:
                continue
        raise self._late(timeout)

    def cancel(self) -> JobState:
        """Ask for its end: what is queued is cancelled now, what runs soon; the state after."""
        return self._http.post(JobOut, f"/jobs/{self.id}/cancel").state

    @property
    def calibration(self) -> JobCalibration:
        """What each of its executions ran under, and how surely that is known. Asks the broker."""
        return JobCalibration(self._http, self.detail().executions)

    def retry(self) -> JobState:
        """Queue its failed and cancelled parts again; the state after."""
        return self._http.post(JobOut, f"/jobs/{self.id}/retry", repeatable=False).state

    def events(self) -> list[EventOut]:
        """Its history so far, in order."""
        return list(history(self._http, f"/jobs/{self.id}/events"))

    def submitted(self) -> SubmittedOut:
        """What was submitted: programs, pubs as they were understood, options."""
        return self._http.get(SubmittedOut, f"/jobs/{self.id}/programs")

    def programs(self) -> list[Program]:
        """The programs as they were submitted, byte for byte."""
        return [decode(program) for program in self.submitted().programs]

    def circuits(self) -> "list[QuantumCircuit]":
        """The circuits of all its programs, in order, as Qiskit's.

        Raises :class:`NotReady` where the broker has not read the programs yet (those that took
        too long to read are read when the job is run), and :class:`Unsupported` for a program
        that is no circuits.
        """
        from quanopy.client.circuits import unpack_circuits

        found: list[QuantumCircuit] = []
        for program in self.submitted().programs:
            if program.format.partition("/")[0] not in CIRCUITS:
                raise Unsupported(
                    f"a {program.format} program has no circuits", hint="Take `programs()`."
                )
            if program.qpy is None:
                raise NotReady(f"the programs of {self.id} have not been read yet")
            found += unpack_circuits(unpacked(program.qpy))
        return found

    def compiled(self) -> "list[AsRun]":
        """What really ran: its programs as they were compiled, by part of the job and program,
        with layout, compiler, level, seed and target.

        Raises :class:`NotReady` until something of it has run.
        """
        found = self._http.get(CompiledJobOut, f"/jobs/{self.id}/compiled")
        return [AsRun(one) for one in found.programs]

    def identity(self) -> dict[str, str]:
        """What it ran on, to be expected of it later: ``resource``, ``provider``, ``target`` (a
        digest) and ``fingerprint`` (of the account at the vendor), as far as they are known, and
        the same of all its executions."""
        return identity_of(self.detail())

    def expect(self, expected: Expected) -> Self:
        """This handle, once it is seen that the job is what it is taken for. What is not known
        before its end is looked at again when its result is fetched.

        Raises :class:`ResourceMismatch`, which says what differs.
        """
        wanted = expectation(expected)
        compare(self.detail(), wanted)
        self._expected = wanted
        return self

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[object, ...]:
        return (_attach, (self.id, self._expected))

    def _fetch(self, wait_s: float, partial: bool) -> ResultOut:
        params = {"wait": wait_s, "partial": "true" if partial else None}
        return self._http.get(ResultOut, f"/jobs/{self.id}/result", params=params, wait_s=wait_s)

    def _late(self, timeout: float | None) -> NotReady:
        return NotReady(
            f"{self.id} is not done after {timeout or 0:g} s",
            hint=f"Ask again later; `quanopy status {self.id}` says what it waits for.",
        )


def checked_id(id: str) -> str:
    """The id of a job; raises :class:`Invalid` for anything else, which goes into no path."""
    if not is_id(id, "job"):
        raise Invalid(f"{str(id)[:60]!r} is no job's id", hint="Ids look like job_0193….")
    return id


def _attach(id: str, expected: Expected) -> Job:
    from quanopy.client.client import Client

    job = Client().job(id)
    job._expected = expected
    return job
