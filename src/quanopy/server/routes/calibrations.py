"""Calibrations: what resources were like, and when."""

import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.calibration import Metric
from quanopy.domain.sightings import Sighting
from quanopy.server.openapi import problems, shows
from quanopy.server.routes import examples
from quanopy.server.routes.parameters import aware
from quanopy.server.shown import problem_out
from quanopy.server.visible import sighting_of, status_of
from quanopy.server.web import Web, answer, identity_of, web_of
from quanopy.wire.calibrations import CalibrationOut, MetricOut, Metrics, SnapshotOut, SnapshotsOut

router = APIRouter(prefix="/v1", tags=["calibrations"])

Name = Annotated[str, Path(description="A resource's name.", max_length=100, examples=["aer"])]
Wanted = Annotated[
    list[str] | None, Query(description="Only metrics of these names.", max_length=100)
]


@router.get(
    "/resources/{name}/calibration",
    summary="How a resource is calibrated",
    response_model=CalibrationOut,
    responses={**shows(examples.CALIBRATION), **problems(404)},
)
async def get_calibration(request: Request, name: Name, metric: Wanted = None) -> Response:
    """The snapshot seen last, with its numbers; why there is none, where there is none."""
    web = web_of(request)
    await web.calls.run(status_of, web, identity_of(request), name)
    return answer(await web.calls.run(_standing, web, name, metric or []))


@router.get(
    "/resources/{name}/calibrations",
    summary="How a resource was calibrated",
    response_model=SnapshotsOut,
    responses={**shows({"snapshots": [examples.SNAPSHOT]}), **problems(404)},
)
async def list_calibrations(
    request: Request,
    name: Name,
    since: datetime | None = None,
    until: datetime | None = None,
    metric: Wanted = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Snapshots that were seen in a time, newest first, with the numbers asked for, if any."""
    web = web_of(request)
    await web.calls.run(status_of, web, identity_of(request), name)
    times = (aware("since", since), aware("until", until))
    return answer(await web.calls.run(_history, web, name, times, metric or [], limit))


@router.get(
    "/calibrations/{digest}",
    summary="One snapshot",
    response_model=SnapshotOut,
    responses={**shows(examples.SNAPSHOT), **problems(404)},
)
async def get_snapshot(
    request: Request,
    digest: Annotated[str, Path(max_length=100, examples=["sha256:3a7b…"])],
    metric: Wanted = None,
    raw: Annotated[bool, Query(description="The vendor's own document, too.")] = False,
) -> Response:
    """By its digest, as executions name it; where several resources had it, the latest to be
    seen with it. Of a resource that serves the caller, or where it has had jobs."""
    web = web_of(request)
    found = await web.calls.run(sighting_of, web, identity_of(request), digest)
    return answer(await web.calls.run(_snapshot, web, found, metric or [], raw))


def _standing(web: Web, name: str, wanted: list[str]) -> CalibrationOut:
    found = web.calibrations.standing(name)
    shown = None
    if found.sighting is not None:
        (metrics,) = web.calibrations.metrics([found.sighting], wanted)
        shown = snapshot_out(found.sighting, metrics)
    return CalibrationOut(
        resource=name,
        published=found.published,
        asked_at=found.asked_at,
        problem=problem_out(found.problem),
        snapshot=shown,
    )


def _history(
    web: Web,
    name: str,
    times: tuple[datetime | None, datetime | None],
    wanted: list[str],
    limit: int,
) -> SnapshotsOut:
    found = web.calibrations.history(name, *times, limit)
    if not wanted:
        return SnapshotsOut(snapshots=[snapshot_out(one) for one in found])
    metrics = web.calibrations.metrics(found, wanted)
    together = zip(found, metrics, strict=True)
    return SnapshotsOut(snapshots=[snapshot_out(one, numbers) for one, numbers in together])


def _snapshot(web: Web, found: Sighting, wanted: list[str], raw: bool) -> SnapshotOut:
    (metrics,) = web.calibrations.metrics([found], wanted)
    document = json.loads(web.calibrations.raw(found)) if raw else None
    return snapshot_out(found, metrics).model_copy(update={"raw": document})


def snapshot_out(sighting: Sighting, metrics: list[Metric] | None = None) -> SnapshotOut:
    """A snapshot as it was seen, with these of its numbers."""
    return SnapshotOut(
        digest=sighting.digest,
        resource=sighting.resource,
        format=sighting.format,
        calibrated_at=sighting.calibrated_at,
        vendor_id=sighting.vendor_id,
        seen_from=sighting.seen_from,
        seen_until=sighting.seen_until,
        age_s=sighting.age_s(datetime.now(UTC)),
        count=sighting.metrics,
        metrics=None if metrics is None else _metrics_out(metrics),
    )


def _metrics_out(metrics: list[Metric]) -> Metrics:
    shown: Metrics = {}
    for metric in metrics:
        number = MetricOut(value=metric.value, unit=metric.unit, measured_at=metric.measured_at)
        shown.setdefault(metric.name, {})[",".join(map(str, metric.targets))] = number
    return shown
