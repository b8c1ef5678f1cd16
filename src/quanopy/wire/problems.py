"""The one table from errors to HTTP problems, exit codes and retry decisions, and back."""

from collections.abc import Mapping
from dataclasses import dataclass

from quanopy.domain import errors
from quanopy.domain.errors import ProviderError, QuanopyError, retry_after
from quanopy.wire.service import Problem

PROBLEM_TYPE = "urn:quanopy:problem:"
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How an error shows: HTTP status, problem slug, title, exit code, worth retrying."""

    error: type[QuanopyError]
    status: int
    slug: str
    title: str
    exit_code: int
    retry: bool = False


# Exit codes follow sysexits.h where it has one.
TABLE = (
    Kind(error=errors.Unsupported, status=415, slug="unsupported", title="Unsupported",
         exit_code=65),
    Kind(error=errors.TooLarge, status=413, slug="too-large", title="Too large", exit_code=65),
    Kind(error=errors.Invalid, status=422, slug="invalid", title="Invalid request", exit_code=65),
    Kind(error=errors.NotFound, status=404, slug="not-found", title="Not found", exit_code=66),
    Kind(error=errors.Conflict, status=409, slug="conflict", title="Conflict", exit_code=73),
    Kind(error=errors.Denied, status=401, slug="denied", title="Denied", exit_code=77),
    Kind(error=errors.Forbidden, status=403, slug="forbidden", title="Forbidden", exit_code=77),
    Kind(error=errors.InvalidTransition, status=409, slug="invalid-transition",
         title="Not possible in this state", exit_code=73),
    Kind(error=errors.NotReady, status=409, slug="not-ready", title="Not ready", exit_code=75,
         retry=True),
    Kind(error=errors.QuotaExceeded, status=429, slug="quota-exceeded", title="Quota exceeded",
         exit_code=75, retry=True),
    Kind(error=errors.ResourceMismatch, status=422, slug="resource-mismatch",
         title="Does not fit the resource", exit_code=65),
    Kind(error=errors.TaskFailed, status=410, slug="task-failed", title="The job failed",
         exit_code=1),
    Kind(error=errors.Transient, status=503, slug="transient", title="Try again", exit_code=75,
         retry=True),
    Kind(error=errors.Rejected, status=422, slug="rejected", title="Refused by the provider",
         exit_code=65),
    Kind(error=errors.Unavailable, status=503, slug="unavailable", title="Unavailable",
         exit_code=69, retry=True),
    Kind(error=errors.OutcomeUnknown, status=502, slug="outcome-unknown", title="Outcome unknown",
         exit_code=70),
    Kind(error=errors.ProviderError, status=502, slug="provider-error", title="Provider error",
         exit_code=70),
    Kind(error=errors.QuanopyError, status=500, slug="error", title="Error", exit_code=70),
)  # fmt: skip

_BY_ERROR: Mapping[type[QuanopyError], Kind] = {kind.error: kind for kind in TABLE}
_BY_SLUG: Mapping[str, Kind] = {kind.slug: kind for kind in TABLE}


def kind_of(error: QuanopyError) -> Kind:
    """The row of an error: that of its nearest class."""
    return next(_BY_ERROR[cls] for cls in type(error).__mro__ if cls in _BY_ERROR)


def to_problem(error: QuanopyError) -> Problem:
    """The problem document of an error."""
    kind = kind_of(error)
    return Problem(
        **error.more,
        type=PROBLEM_TYPE + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=error.message,
        where=error.where,
        hint=error.hint,
        retry_after_s=retry_after(error),
    )


def from_problem(problem: Problem) -> QuanopyError:
    """The error a problem document stands for, so that clients raise what the server raised."""
    error = _from_problem(problem)
    error.more = problem.model_extra or {}
    return error


def _from_problem(problem: Problem) -> QuanopyError:
    kind = _BY_SLUG.get(problem.type.removeprefix(PROBLEM_TYPE))
    if kind is None:
        return QuanopyError(f"{problem.title}: {problem.detail}", hint=problem.hint)
    if issubclass(kind.error, ProviderError):
        return kind.error(
            problem.detail,
            where=problem.where,
            hint=problem.hint,
            retry_after_s=problem.retry_after_s,
        )
    return kind.error(problem.detail, where=problem.where, hint=problem.hint)
