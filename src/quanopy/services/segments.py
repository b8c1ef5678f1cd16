"""Segments: one program cut into many jobs."""

from collections.abc import Iterator
from dataclasses import replace

from quanopy.domain.errors import Invalid, TooLarge
from quanopy.domain.jobs import JobKind, JobSpec

MOST = 100_000
"""Segments that one request may ask for."""
_SEEDS = 2**63
"""How many seeds there are: the first follows the last."""


def by_shots(spec: JobSpec, total_shots: int, shots: int) -> list[JobSpec]:
    """Jobs of ``shots`` each that together have ``total_shots``; the last has what is left.

    Raises:
        Invalid: it is no job of shots, or a pub has shots of its own.
        TooLarge: these are more segments than :data:`MOST`.
    """
    if spec.kind is JobKind.ESTIMATE:
        raise Invalid(
            "an estimate has a precision, not shots",
            where="total_shots",
            hint="Give `count`: how many segments, each of the job's precision.",
        )
    if any(pub.shots is not None for pub in spec.pubs or ()):
        raise Invalid("a pub has shots of its own", where="job.pubs", hint="Leave them out.")
    whole, rest = divmod(total_shots, shots)
    _check(whole + bool(rest))
    sizes = [shots] * whole + ([rest] if rest else [])
    return [
        replace(one, options=replace(one.options, shots=size))
        for one, size in zip(_numbered(spec, len(sizes)), sizes, strict=True)
    ]


def by_count(spec: JobSpec, count: int) -> list[JobSpec]:
    """The same job, so many times; raises as :func:`by_shots`."""
    _check(count)
    return list(_numbered(spec, count))


def _numbered(spec: JobSpec, count: int) -> Iterator[JobSpec]:
    """Each with a seed of its own, if there is one: the same twice would tell nothing new."""
    seed = spec.options.seed
    for index in range(count):
        options = spec.options
        if seed is not None:
            options = replace(options, seed=(seed + index) % _SEEDS)
        yield replace(spec, options=options)


def _check(count: int) -> None:
    if count > MOST:
        raise TooLarge(
            f"{count} segments, at most {MOST} are made at once",
            where="shots",
            hint="Give each more shots.",
        )
