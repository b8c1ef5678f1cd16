"""Jobs of a group submitted again, as new jobs."""

from collections.abc import Callable, Sequence

from quanopy.client import bulk
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.wire.jobs import JobIn, JobOut, ProgramIn, SubmittedOut


def added_again(
    http: Http,
    jobs: Sequence[JobOut],
    add: Callable[[list[JobIn]], list[Job]],
    on_progress: Callable[[int, int], object] | None = None,
) -> list[Job]:
    """These as new jobs, which ``add`` makes. One that came after another of them comes after the
    new one, which has to be there first. ``on_progress`` is told of how many it is known what was
    submitted, of so many."""
    given: list[SubmittedOut] = []
    for one in bulk.submitted(http, [job.id for job in jobs]):
        given.append(one)
        if on_progress is not None:
            on_progress(len(given), len(jobs))
    made: dict[str, Job] = {}
    wanted: dict[str, JobIn] = {}

    def make() -> None:
        made.update(zip(wanted, add(list(wanted.values())), strict=True))
        wanted.clear()

    for job, one in zip(jobs, given, strict=True):
        if not wanted.keys().isdisjoint(one.after):
            make()
        after = [made[each].id if each in made else each for each in one.after]
        wanted[job.id] = submitted_again(job, one).model_copy(update={"after": after})
    make()
    return list(made.values())


def submitted_again(job: JobOut, given: SubmittedOut) -> JobIn:
    """What was submitted, to be submitted as another job."""
    return JobIn(
        kind=job.kind,
        resource=job.resource,
        programs=[
            ProgramIn(format=one.format, text=one.text, data=one.data) for one in given.programs
        ],
        pubs=given.pubs,
        options=given.options,
        name=job.name,
        tags=job.tags,
        priority=job.priority,
        on_failure=given.on_failure,
    )
