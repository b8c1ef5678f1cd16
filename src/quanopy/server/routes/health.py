"""Whether the service stands and can work, and its metrics; open to everybody."""

import logging
from collections.abc import Callable
from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.errors import QuanopyError, Unavailable
from quanopy.server.metrics import MEDIA_TYPE
from quanopy.server.openapi import open_problems, shows
from quanopy.server.web import Web, answer, web_of
from quanopy.wire.service import HealthOut

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])

VERSION = version("quanopy")
_HEALTH = {"status": "ok", "version": VERSION, "checks": {}}


@router.get(
    "/v1/health",
    summary="Whether the service stands",
    response_model=HealthOut,
    responses={**shows(_HEALTH), **open_problems()},
)
async def health() -> Response:
    """Answers without looking at anything."""
    return answer(HealthOut(version=VERSION))


@router.get(
    "/v1/ready",
    summary="Whether the service can work",
    response_model=HealthOut,
    responses={
        **shows({**_HEALTH, "checks": {"database": "ok", "objects": "ok", "reader": "ok"}}),
        **open_problems(503),
    },
)
async def ready(request: Request) -> Response:
    """Asks the database, the object store and the reader of programs."""
    web = web_of(request)
    checks: dict[str, Callable[[], object]] = {
        "database": web.store.check,
        "objects": web.objects.check,
        "reader": lambda: web.reader.read([], deadline_s=1.0),
    }
    for name, check in checks.items():
        await _check(web, name, check)
    return answer(HealthOut(version=VERSION, checks=dict.fromkeys(checks, "ok")))


async def _check(web: Web, name: str, check: Callable[[], object]) -> None:
    try:
        await web.calls.run(check)
    except QuanopyError as error:
        # Open to everybody: where the database is, say, is for the log alone.
        logger.warning("not ready: the %s cannot be used: %s", name, error)
        raise Unavailable(
            f"the {name} cannot be used now", where=name, hint="The server's log says why."
        ) from error


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    responses={
        200: {"content": {"text/plain": {"example": "quanopy_jobs_submitted_total 1.0"}}},
        **open_problems(),
    },
)
async def metrics(request: Request) -> Response:
    """In Prometheus' text format; no account appears in it."""
    return Response(web_of(request).metrics.text(), media_type=MEDIA_TYPE)
