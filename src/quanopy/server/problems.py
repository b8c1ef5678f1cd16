"""Every error as an RFC 9457 problem document."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from uuid import uuid4

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.errors import Denied, Forbidden, NotReady, QuanopyError
from quanopy.wire.problems import MEDIA_TYPE, kind_of, to_problem
from quanopy.wire.refusals import refusal
from quanopy.wire.service import Problem

logger = logging.getLogger(__name__)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as a response."""
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, problem.status, dict(headers or {}), media_type=MEDIA_TYPE)


def error_response(error: QuanopyError) -> Response:
    """The response of an error raised on purpose."""
    headers = {}
    problem = to_problem(error)
    if isinstance(error, Denied) and not isinstance(error, Forbidden):
        headers["WWW-Authenticate"] = 'Bearer realm="quanopy"'
    if kind_of(error).retry:
        default = 0.5 if isinstance(error, NotReady) else 1.0
        headers["Retry-After"] = str(math.ceil(problem.retry_after_s or default))
    return problem_response(problem, headers)


def plain_response(
    status: int, detail: str, *, hint: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The problem of an HTTP status that no error of ours stands for (405, 406, 408 …)."""
    title = HTTPStatus(status).phrase
    problem = Problem(type="about:blank", title=title, status=status, detail=detail, hint=hint)
    return problem_response(problem, headers)


def unexpected_response(error: Exception) -> Response:
    """A 500 that says only under which id the trace was logged."""
    return problem_response(unexpected_problem(error))


def unexpected_problem(error: Exception) -> Problem:
    """The same as a document."""
    error_id = uuid4().hex
    logger.error("unexpected error %s", error_id, exc_info=error)
    return Problem.model_validate(
        {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "something went wrong here, not with the request",
            "hint": f"Tell the operator this id: {error_id}.",
            "error_id": error_id,
        }
    )


def handle_error(_: Request, error: Exception) -> Response:
    """FastAPI's handler of errors raised on purpose, and of what FastAPI itself refuses."""
    if isinstance(error, QuanopyError):
        return error_response(error)
    if isinstance(error, RequestValidationError):
        return error_response(refusal(error.errors()))
    if isinstance(error, HTTPException):
        return plain_response(
            error.status_code,
            _DETAILS.get(error.status_code, str(error.detail)),
            hint="The routes are listed at /docs." if error.status_code in (404, 405) else None,
            headers=error.headers,
        )
    return unexpected_response(error)


_DETAILS = {
    404: "there is no such route",
    405: "this route does not take this method",
}
