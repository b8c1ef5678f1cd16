"""Submission: jobs that were put together, sent to the broker in one request."""

import uuid
from collections.abc import Sequence

from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.wire.jobs import JobIn, JobOut, JobsIn, JobsOut


def submitted(http: Http, jobs: Sequence[JobIn]) -> list[Job]:
    """Handles on these jobs, all of them submitted, or none.

    Each call has an idempotency key of its own: a request whose answer was lost is sent again,
    and doubles nothing.
    """
    if not jobs:
        return []
    key = {"Idempotency-Key": str(uuid.uuid4())}
    if len(jobs) == 1:
        return [Job(http, http.post(JobOut, "/jobs", jobs[0], headers=key).id)]
    answers = http.post(JobsOut, "/jobs/batch", JobsIn(jobs=list(jobs)), headers=key).jobs
    return [Job(http, answer.id) for answer in answers]
