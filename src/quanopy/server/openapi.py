"""What the API says of itself: bodies, problems and the security scheme in OpenAPI."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from quanopy.wire.problems import MEDIA_TYPE
from quanopy.wire.service import Problem

_REF = "#/components/schemas/{model}"
_MODELS: dict[str, type[BaseModel]] = {}
_OPEN_TAG = "health"

PROBLEMS: Mapping[int, str] = {
    401: "No, a wrong, or an expired token.",
    403: "The token has not the right that is needed.",
    404: "No such thing, or not one of yours.",
    406: "No such representation.",
    409: "Not ready, or used for something else.",
    410: "The job failed or was cancelled; the problem says why.",
    413: "More than a limit allows.",
    415: "A media type that is not read.",
    422: "The request is wrong; `where` says where.",
    429: "Too much is used already.",
    500: "Something went wrong here; the problem carries an id of the log's entry.",
    503: "Something needed is not there now; try again after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documentation of the problems a route answers, besides those that every route may."""
    return {
        status: {
            "description": PROBLEMS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
        for status in sorted({*statuses, 401, 422, 500, 503})
    }


def open_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """As :func:`problems`, for a route that needs no token and takes nothing."""
    documented = problems(*statuses)
    return {status: documented[status] for status in (*statuses, 500)}


def takes(model: type[BaseModel], *, example: object) -> dict[str, Any]:
    """Documentation of a JSON body that the route reads itself."""
    _MODELS[model.__name__] = model
    schema = {"$ref": _REF.format(model=model.__name__)}
    content = {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def shows(example: object, *, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Documentation of what a good answer looks like."""
    return {status: {"content": {"application/json": {"example": example}}}}


def describe(app: FastAPI) -> None:
    """Complete the document that FastAPI makes."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        models: list[type[BaseModel]] = [Problem, *_MODELS.values()]
        for model in models:
            schema = model.model_json_schema(ref_template=_REF)
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for operations in document["paths"].values():
            for operation in operations.values():
                open_to_all = _OPEN_TAG in operation.get("tags", ())
                operation["security"] = [] if open_to_all else [{"token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
