"""Demands: jobs that run only under a calibration that is young enough, or that another had."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from quanopy.domain.durations import duration_text
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    QuanopyError,
    ResourceMismatch,
    TaskFailed,
    Transient,
)
from quanopy.domain.ids import is_id, made_at
from quanopy.domain.jobs import Options, Task
from quanopy.domain.sightings import Standing
from quanopy.domain.states import ExecutionState, TaskState
from quanopy.ports.jobs import JobStore
from quanopy.services.ending import Verdict, again, failed, problem_of
from quanopy.services.recording import Awaiting

AGE, WAIT, SAME = (
    f"options.{name}"
    for name in ("max_calibration_age", "max_calibration_wait", "same_calibration_as")
)
_UNPUBLISHED = "{} publishes no calibration"


class Standings(Protocol):
    """What is known of resources' calibrations as jobs are submitted."""

    def standing(self, resource: str) -> Standing:
        """How things stand at a resource."""

    def is_constant(self, resource: str) -> bool:
        """Whether its calibration never changes."""


def demands(options: Options) -> bool:
    """Whether a job asks anything of the calibration."""
    return not (
        options.max_calibration_age_s is None
        and options.max_calibration_wait_s is None
        and options.same_calibration_as is None
    )


class Demands:
    """Holds what jobs ask against what is known."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def at_submission(
        self, options: Options, account: str, resource: str, standings: Standings
    ) -> Awaiting | None:
        """What a job is to wait for, if it has to.

        Raises:
            ResourceMismatch: what it asks can never be.
            NotFound: there is no job that it names.
            Invalid: it would wait for nothing.
        """
        if options.max_calibration_wait_s is not None and options.max_calibration_age_s is None:
            raise Invalid(
                "there is nothing to wait for", where=WAIT, hint="It goes with max_calibration_age."
            )
        standing = standings.standing(resource)
        if standing.silent:
            where = AGE if options.same_calibration_as is None else SAME
            raise ResourceMismatch(_UNPUBLISHED.format(resource), where=where)
        if options.same_calibration_as is not None:
            self._check_same(options.same_calibration_as, account, standing)
        most = options.max_calibration_age_s
        if most is None or _is_young(standing, most):
            return None
        if standings.is_constant(resource):
            raise ResourceMismatch(
                _too_old(standing, most),
                where=AGE,
                hint="It is emulated: its calibration never changes.",
            )
        return Awaiting(age_s=most, at_most_s=options.max_calibration_wait_s)

    def verdict(self, task: Task, options: Options, standing: Standing) -> Verdict | None:
        """What becomes of a task that is about to run; ``None``: it may. Raises
        :class:`~quanopy.domain.errors.Unavailable`."""
        if standing.silent:
            return failed(task, ResourceMismatch(_UNPUBLISHED.format(standing.resource)))
        if options.same_calibration_as is not None:
            try:
                self._check_same(options.same_calibration_as, task.account, standing)
            except (NotFound, ResourceMismatch) as error:
                return failed(task, error)
            if standing.seen is None:
                return again(task, _unseen(standing))
        most = options.max_calibration_age_s
        if most is None or _is_young(standing, most):
            return None
        return _waits(task, most, options.max_calibration_wait_s, standing)

    def _check_same(self, job_id: str, account: str, standing: Standing) -> None:
        digest = self._ran_under(job_id, account, standing.resource)
        now = standing.sighting
        if now is not None and now.digest != digest:
            raise ResourceMismatch(
                f"{standing.resource} was calibrated anew since {job_id} ran",
                where=SAME,
                hint=f"That ran under {digest}, now it is {now.digest}.",
            )

    def _ran_under(self, job_id: str, account: str, resource: str) -> str:
        """The snapshot that all of a job ran under."""
        known = is_id(job_id, "job") and self._store.jobs([job_id], account=account)
        if not known:
            raise NotFound(f"there is no job {job_id[:60]!r}", where=SAME)
        done = [
            one for one in self._store.executions(job_id) if one.state is ExecutionState.COMPLETED
        ]
        places = {one.resource for one in done} - {resource}
        if places:
            raise ResourceMismatch(
                f"{job_id} ran on {', '.join(sorted(places))}, not on {resource}", where=SAME
            )
        found = {one.calibration.snapshot for one in done}
        digest = found.pop() if len(found) == 1 else None
        if digest is None:
            why = "ran under several calibrations" if found else "has no calibration that is known"
            raise ResourceMismatch(f"{job_id} {why}", where=SAME)
        return digest


def _is_young(standing: Standing, most_s: float) -> bool:
    """What was seen last is no younger than what is there now."""
    seen = standing.sighting
    return seen is not None and seen.age_s(datetime.now(UTC)) <= most_s


def _waits(task: Task, most_s: float, wait_s: float | None, standing: Standing) -> Verdict:
    """It waits for a younger one, if it still may."""
    now = datetime.now(UTC)
    since = task.turn_at or made_at(task.id)
    until = None if wait_s is None else since + timedelta(seconds=wait_s)
    if until is not None and until <= now:
        late = TaskFailed(
            f"calibration age: {_too_old(standing, most_s)}",
            hint=f"None came within {duration_text(wait_s or 0.0)}: allow an older one, or wait.",
        )
        return failed(task, late)
    return Verdict(
        task=task,
        state=TaskState.QUEUED,
        problem=problem_of(Transient(_too_old(standing, most_s))),
        ready_at=until,
        awaits_s=most_s,
    )


def _too_old(standing: Standing, most_s: float) -> str:
    asked = f"at most {duration_text(most_s)} is asked for"
    seen = standing.sighting
    if seen is None:
        return f"no calibration of {standing.resource} was seen yet; {asked}"
    age = duration_text(seen.age_s(datetime.now(UTC)))
    return f"the calibration of {standing.resource} is {age} old; {asked}"


def _unseen(standing: Standing) -> QuanopyError:
    why = f": {standing.problem.message}" if standing.problem is not None else ""
    return Transient(f"{standing.resource} does not tell its calibration{why}")
