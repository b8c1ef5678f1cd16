"""Groups: make, find, fill, run, pause, cancel."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import Conflict, Invalid
from quanopy.domain.groups import Group, GroupAction, GroupState, no_group
from quanopy.domain.ids import is_id, new_id
from quanopy.domain.jobs import Job
from quanopy.ports.groups import GroupQuery
from quanopy.ports.wakeups import Topic
from quanopy.server.asked import policy_of, requirements_in, spec_of
from quanopy.server.bodies import parse
from quanopy.server.openapi import problems, shows, takes
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import KEY, GroupId, Wait, account_asked, text_of
from quanopy.server.routes.submitting import status_of, submit_specs
from quanopy.server.shown import group_out, job_out, jobs_out
from quanopy.server.web import Web, answer, body_of, identity_of, web_of
from quanopy.services import requests
from quanopy.services.requests import keep_retries
from quanopy.wire.groups import (
    GroupActionIn,
    GroupChangeIn,
    GroupIn,
    GroupJobsOut,
    GroupOut,
    GroupPage,
    PolicyIn,
)
from quanopy.wire.jobs import JobsIn, JobsOut

router = APIRouter(prefix="/v1/groups", tags=["groups"])


@router.post(
    "",
    summary="Make a group, or find it by its name",
    status_code=201,
    response_model=GroupOut,
    responses={
        200: {"model": GroupOut, "description": "The group of that name."},
        **shows(examples.GROUP, status=201),
        **problems(409, 413, 415),
    },
    openapi_extra=takes(GroupIn, example={"name": "long", "policy": {"max_in_flight": 2}}),
)
async def make_group(request: Request) -> Response:
    """Answers the account's group of that name, if there is one; 409 if its policy is not the one
    given. Whether its resource is the one meant is the caller's to see."""
    web, identity = web_of(request), identity_of(request)
    asked = parse(GroupIn, await body_of(request, web))
    policy = policy_of(asked.policy or PolicyIn())
    group = Group(
        id=new_id("group"),
        account=identity.account,
        name=asked.name,
        state=GroupState.RUNNING if asked.run else GroupState.OPEN,
        policy=policy,
        resource=asked.resource,
        created_at=datetime.now(UTC),
        started_at=datetime.now(UTC) if asked.run else None,
    )
    standing, new = await web.calls.run(requests.make_group, web.store, web.objects, group)
    if not new and asked.policy is not None and standing.policy != policy:
        raise Conflict(
            f"there is a group {asked.name!r} with another policy: "
            + "; ".join(standing.policy.differences(policy)),
            where="policy",
            hint="Leave the policy out to find it, say the one it has, or change that.",
        )
    web.wakeups.notify(Topic.EVENTS)
    return answer(
        await _shown(web, standing), 201 if new else 200, {"Location": f"/v1/groups/{standing.id}"}
    )


@router.get(
    "",
    summary="List groups",
    response_model=GroupPage,
    responses={**shows({"groups": [examples.GROUP], "next": None}), **problems(403)},
)
async def list_groups(
    request: Request,
    state: Annotated[list[GroupState] | None, Query(description="One of these states.")] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    name_prefix: Annotated[str | None, Query(max_length=200)] = None,
    account: Annotated[
        str | None, Query(max_length=100, description="Another's, or `*`: for operators.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Newest first, a page at a time."""
    web = web_of(request)
    whose = account_asked(identity_of(request), account)
    name, name_prefix = text_of("name", name), text_of("name_prefix", name_prefix)
    query = GroupQuery(
        account=whose,
        states=tuple(sorted(set(state or ()))),
        name=name,
        name_prefix=name_prefix,
        before=None if cursor is None else await _place(web, cursor, whose),
        limit=limit + 1,
    )
    groups = await web.calls.run(web.store.list_groups, query)
    following = groups[limit - 1].id if len(groups) > limit else None
    return answer(GroupPage(groups=await _all_shown(web, groups[:limit]), next=following))


async def _place(web: Web, cursor: str, whose: str | None) -> tuple[datetime, str]:
    found = await web.calls.run(web.store.groups, [cursor] if is_id(cursor, "group") else [])
    if not found or whose not in (None, found[0].account):
        raise Invalid("it is no cursor", where="cursor", hint="Begin without one.")
    return found[0].created_at, found[0].id


@router.get(
    "/{id}",
    summary="Look at a group, or wait for its end",
    response_model=GroupOut,
    responses={**shows(examples.GROUP), **problems(404)},
)
async def get_group(
    request: Request,
    id: GroupId,
    wait: Wait = 0.0,
    until: Annotated[
        list[GroupState] | None, Query(description="Wait for one of these; else for the end.")
    ] = None,
) -> Response:
    """With `wait`: answers when the group has ended, or is in a state of `until`, or time is
    over."""
    web, identity = web_of(request), identity_of(request)
    group = await owned(web, identity, id)
    if wait:
        group = await _wait(web, identity, group, wait, frozenset(until or ()))
    return answer(await _shown(web, group))


async def _wait(
    web: Web, identity: Identity, group: Group, wait_s: float, until: frozenset[GroupState]
) -> Group:
    with web.feed.subscribe(lambda event: event.subject == group.id) as told:
        await web.feed.following()
        try:
            async with asyncio.timeout(wait_s):
                while not (group := await owned(web, identity, group.id)).ended:
                    if group.state in until or await told.next() is None:
                        return group
        except TimeoutError:
            return group
    return group


@router.patch(
    "/{id}",
    summary="Give a group another name or policy",
    response_model=GroupOut,
    responses={**shows(examples.GROUP), **problems(404, 409)},
    openapi_extra=takes(GroupChangeIn, example={"policy": {"max_in_flight": 4}}),
)
async def change_group(request: Request, id: GroupId) -> Response:
    """A policy holds from now on; what runs goes on."""
    web, identity = web_of(request), identity_of(request)
    asked = parse(GroupChangeIn, await body_of(request, web))
    await owned(web, identity, id)
    policy = None if asked.policy is None else policy_of(asked.policy)

    def revise() -> Group:
        return requests.revise_group(
            *(web.store, web.objects, id),
            name=asked.name,
            policy=policy,
            actor=identity.account,
        )

    group = await web.calls.run(revise)
    web.wakeups.notify(Topic.TURNS, Topic.EVENTS)
    return answer(await _shown(web, group))


@router.post(
    "/{id}/action",
    summary="Run, pause or cancel a group",
    response_model=GroupOut,
    responses={**shows(examples.GROUP), **problems(404, 409)},
    openapi_extra=takes(GroupActionIn, example={"action": "pause"}),
)
async def act_on_group(request: Request, id: GroupId) -> Response:
    """Asking twice is no error. Of one that is cancelled, what waits is cancelled, and it is
    asked of what runs."""
    web, identity = web_of(request), identity_of(request)
    action: GroupAction = parse(GroupActionIn, await body_of(request, web)).action
    await owned(web, identity, id)

    def act() -> Group:
        return requests.act_on_group(web.store, web.objects, id, action, actor=identity.account)

    group = await web.calls.run(act)
    web.wakeups.notify(Topic.TURNS, Topic.EVENTS)
    return answer(await _shown(web, group))


@router.post(
    "/{id}/rerun",
    summary="Run what failed of a group again",
    response_model=JobsOut,
    responses={**shows(examples.JOBS), **problems(404, 409)},
)
async def rerun_group(request: Request, id: GroupId) -> Response:
    """Failed and cancelled jobs get their turn again, under the group's policy; those jobs."""
    web, identity = web_of(request), identity_of(request)
    await owned(web, identity, id)

    def rerun() -> Sequence[Job]:
        jobs = web.store.rerun_group(id, actor=identity.account)
        return keep_retries(web.store, web.objects, jobs)

    jobs = await web.calls.run(rerun)
    web.wakeups.notify(Topic.TURNS, Topic.EVENTS)
    return answer(jobs_out(jobs))


@router.delete(
    "/{id}",
    summary="Forget a group",
    response_model=GroupOut,
    responses={**shows(examples.GROUP), **problems(404, 409)},
)
async def remove_group(request: Request, id: GroupId) -> Response:
    """Its jobs stay, and have to have ended. As it was."""
    web, identity = web_of(request), identity_of(request)
    shown = await _shown(web, await owned(web, identity, id))

    def remove() -> Group:
        return requests.remove_group(web.store, web.objects, id, actor=identity.account)

    await web.calls.run(remove)
    web.wakeups.notify(Topic.EVENTS)
    return answer(shown)


@router.post(
    "/{id}/jobs",
    summary="Add jobs to a group",
    status_code=201,
    response_model=JobsOut,
    responses={
        200: {"model": JobsOut, "description": "The jobs that this Idempotency-Key made before."},
        **shows(examples.JOBS, status=201),
        **problems(404, 409, 413, 415),
    },
    openapi_extra={
        **takes(JobsIn, example={"jobs": [{"programs": [{"format": "openqasm3", "text": "…"}]}]}),
        "parameters": [KEY],
    },
)
async def add_jobs(request: Request, id: GroupId) -> Response:
    """All of them are accepted, in this order at the end of the group, or none."""
    web = web_of(request)
    body = await body_of(request, web)
    asked = parse(JobsIn, body).jobs
    await owned(web, identity_of(request), id)
    specs = [spec_of(job, f"jobs[{index}].") for index, job in enumerate(asked)]
    requirements = requirements_in(asked, "jobs[{}].")
    # The same body for another group is another request.
    digest = hashlib.sha256(f"{id} jobs ".encode() + body).hexdigest()
    submitted = await submit_specs(request, web, digest, specs, requirements, group_id=id)
    return answer(jobs_out(submitted.jobs), status_of(submitted))


@router.get(
    "/{id}/jobs",
    summary="The jobs of a group, in order",
    response_model=GroupJobsOut,
    responses={**shows(examples.JOBS | {"next": None}), **problems(404)},
)
async def group_jobs(
    request: Request,
    id: GroupId,
    after: Annotated[int, Query(ge=-1, le=2**53, description="Only past this position.")] = -1,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """A page in order; go on after its `next`."""
    web = web_of(request)
    await owned(web, identity_of(request), id)
    jobs = await web.calls.run(lambda: web.store.group_jobs(id, after=after, limit=limit))
    following = jobs[-1].position if len(jobs) == limit else None
    return answer(GroupJobsOut(jobs=[job_out(job) for job in jobs], next=following))


async def owned(web: Web, identity: Identity, id: str) -> Group:
    """A group that is the caller's; raises :class:`NotFound` alike for one that is not there."""
    found = await web.calls.run(web.store.groups, [id] if is_id(id, "group") else [])
    if not found or (found[0].account != identity.account and identity.scope is Scope.USER):
        raise no_group(id)
    return found[0]


async def _shown(web: Web, group: Group) -> GroupOut:
    (shown,) = await _all_shown(web, [group])
    return shown


async def _all_shown(web: Web, groups: Sequence[Group]) -> list[GroupOut]:
    progress = await web.calls.run(web.store.progress, [group.id for group in groups])
    return [group_out(group, progress[group.id]) for group in groups]
