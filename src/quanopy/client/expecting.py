"""Expectations: whether a job is what it is taken for, before its result is relied on."""

from collections.abc import Callable, Iterable, Mapping

from quanopy.domain.errors import Invalid, ResourceMismatch
from quanopy.domain.states import FINAL_JOB_STATES
from quanopy.wire.jobs import ExecutionOut, JobDetail

Expected = Mapping[str, str]
"""``resource``, ``provider``, ``target`` and ``fingerprint``, as many as matter."""

_OF_EXECUTIONS: Mapping[str, Callable[[ExecutionOut], str | None]] = {
    "provider": lambda execution: execution.provider,
    "target": lambda execution: execution.target,
    "fingerprint": lambda execution: execution.fingerprint,
}
KNOWN = ("resource", *_OF_EXECUTIONS)


def expectation(given: Expected) -> Expected:
    """What is expected, checked; raises :class:`Invalid`."""
    if unknown := given.keys() - set(KNOWN):
        raise Invalid(
            f"nothing is known of a job's {min(unknown)}", hint=f"Known: {', '.join(KNOWN)}."
        )
    for name, value in given.items():
        if not value:
            raise Invalid(f"{value!r} is no {name}", where=f"expect.{name}")
    return dict(given)


def identity_of(detail: JobDetail) -> dict[str, str]:
    """What is known of a job's identity and the same of all its executions."""
    found = {name: values for name in KNOWN if len(values := _said(detail, name)) == 1}
    return {name: value for name, (value,) in found.items() if value is not None}


def compare(detail: JobDetail, expected: Expected) -> None:
    """Raise :class:`ResourceMismatch` where a job is not what is expected. What is not known yet
    of a job that has not ended is not held against it."""
    ended = detail.state in FINAL_JOB_STATES
    differ = [
        f"its {name} is {_shown(others)}, not {wanted}"
        for name, wanted in expected.items()
        if (others := {value for value in _said(detail, name) if value != wanted})
        and (ended or others != {None})
    ]
    if differ:
        raise ResourceMismatch(
            "; ".join(differ), where=detail.id, hint="It is not the job that was expected."
        )


def _said(detail: JobDetail, name: str) -> set[str | None]:
    if name == "resource":
        return {detail.resource}
    found = {_OF_EXECUTIONS[name](execution) for execution in detail.executions}
    return found or {None}


def _shown(values: Iterable[str | None]) -> str:
    return " and ".join(sorted(value or "not known" for value in values))
