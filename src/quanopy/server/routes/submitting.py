"""How routes submit jobs, each request but once."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from starlette.requests import Request

from quanopy.domain.errors import TooLarge
from quanopy.domain.jobs import JobSpec
from quanopy.domain.requirements import Requirements
from quanopy.server.loop import Mailbox
from quanopy.server.routes.parameters import idempotency_key
from quanopy.server.web import Web, identity_of
from quanopy.services.candidates import look_up
from quanopy.services.submit import Request as Submission
from quanopy.services.submit import Submitted

MOST_AFTER = 100_000
"""Jobs that those of one request come after, counted for each of them."""


async def submit_specs(
    request: Request,
    web: Web,
    digest: str,
    specs: Sequence[JobSpec],
    requirements: Mapping[int, Requirements],
    *,
    group_id: str | None = None,
    key: str | None = None,
) -> Submitted:
    """Submit the jobs of a request, whose body the ``digest`` names, perhaps into a group; its
    idempotency key is by default the one in its header."""
    account = identity_of(request).account
    named = sum(len(spec.after) for spec in specs)
    if named > MOST_AFTER:
        raise TooLarge(
            f"these jobs name {named} others to come after, {MOST_AFTER} are taken at once",
            where="after",
            hint="Let many jobs come after one, and that one after the others.",
        )
    if requirements:
        await web.asks.run(look_up, web.candidates, account, requirements.values())
    submission = Submission(
        account=account,
        specs=specs,
        requirements=requirements,
        idempotency_key=key or idempotency_key(request),
        digest=digest,
        group_id=group_id,
    )
    if web.submitted is None:
        web.submitted = Mailbox(asyncio.get_running_loop())
    future = web.submitted.future()
    web.submit.submit(submission, partial(web.submitted.post, future))
    submitted = await future
    if not submitted.replayed:
        web.metrics.jobs.inc(len(submitted.jobs))
    return submitted


def status_of(submitted: Submitted) -> int:
    """200 where the request's key had made the jobs before."""
    return 200 if submitted.replayed else 201
