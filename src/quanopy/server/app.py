"""The FastAPI application."""

from functools import partial

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from quanopy.domain.errors import QuanopyError
from quanopy.server.docs_page import pages
from quanopy.server.express import Express
from quanopy.server.gate import Gate
from quanopy.server.openapi import describe
from quanopy.server.parameters import only_known
from quanopy.server.problems import handle_error
from quanopy.server.routes import (
    adoptions,
    calibrations,
    events,
    groups,
    health,
    jobs,
    matching,
    programs,
    receipts,
    resources,
    results,
    segments,
    stranded,
    tokens,
    webhooks,
)
from quanopy.server.routes.health import VERSION
from quanopy.server.web import Web

TAGS = [
    {"name": "jobs", "description": "Submit, list, look at, wait for, cancel, retry."},
    {"name": "groups", "description": "Jobs in order, under one policy."},
    {"name": "results", "description": "What jobs gave."},
    {"name": "programs", "description": "What was submitted, back again."},
    {"name": "receipts", "description": "Jobs with all that belongs to them, as one archive."},
    {"name": "events", "description": "History, by page or as it happens."},
    {"name": "webhooks", "description": "Where one is told what happens."},
    {"name": "resources", "description": "What can run programs, and how busy it is."},
    {"name": "calibrations", "description": "What resources were like, and when."},
    {
        "name": "stranded",
        "description": "What nobody can tell of, and the ways out. For operators.",
    },
    {"name": "adoptions", "description": "Vendors' jobs, taken over. For operators."},
    {"name": "tokens", "description": "Who may use the service. For administrators."},
    {"name": "health", "description": "Whether the service stands and can work."},
]


def create_app(web: Web) -> ASGIApp:
    """The application of a server. Closing ``web`` is the caller's."""
    app = FastAPI(
        title="Quanopy",
        version=VERSION,
        summary="Broker between programs and quantum resources.",
        description="Errors are problem documents (RFC 9457). Times are UTC.",
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(only_known)],
    )
    app.state.web = web
    for part in (
        *(jobs, groups, segments, results, programs, events, webhooks, resources, matching),
        *(calibrations, receipts, stranded, adoptions, tokens, health),
    ):
        app.include_router(part.router)
    for error in (QuanopyError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, handle_error)
    gate = partial(
        Gate, authenticator=web.authenticator, metrics=web.metrics, first=web.reader.warm
    )
    app.add_middleware(gate)
    describe(app)
    app.include_router(pages(app.openapi))
    return Express(app, gate)
