"""The page at ``/docs``: every route, as the OpenAPI document tells it. It is one document without
scripts, and loads nothing from anywhere: it is the same where there is no way out."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

_REF = re.compile(r"#/components/schemas/(\w+)")
_CODE = re.compile(r"`([^`]+)`")
_ALONE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid #8886; }
details { border-top: 1px solid #8886; padding: .4rem 0; }
summary { cursor: pointer; }
table { border-collapse: collapse; }
td, th { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; }
"""


def pages(document: Callable[[], Mapping[str, Any]]) -> APIRouter:
    """The page of a service whose OpenAPI document this gives, and the way to it from ``/``."""
    router = APIRouter(include_in_schema=False)
    made: list[str] = []

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        if not made:
            made.append(page(document()))
        return HTMLResponse(made[0], headers=_ALONE)

    @router.get("/")
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    return router


def page(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as one HTML page."""
    sections = [part for tag in document.get("tags", ()) for part in _section(document, tag)]
    models = [_model(name, of) for name, of in sorted(document["components"]["schemas"].items())]
    return f"{_head(document['info'])}{''.join(sections)}<h2>Documents</h2>{''.join(models)}</html>"


def _head(info: Mapping[str, str]) -> str:
    title = escape(info["title"])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title} {escape(info['version'])}</h1>"
        f"<p>{_prose(info['summary'])} {_prose(info['description'])} "
        'For programs: <a href="/openapi.json">openapi.json</a>.</p>'
    )


def _section(document: Mapping[str, Any], tag: Mapping[str, str]) -> Iterator[str]:
    yield f"<h2>{escape(tag['name'])}</h2><p>{_prose(tag['description'])}</p>"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if tag["name"] in operation["tags"]:
                yield _operation(method, path, operation)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = [
        (one["name"], _where(one), _type(one["schema"]), _prose(one.get("description", "")))
        for one in operation.get("parameters", ())
    ]
    token = "" if operation["security"] else "<p>Needs no token.</p>"
    return (
        f"<details><summary><code>{method.upper()} {escape(path)}</code> "
        f"{_prose(operation['summary'])}</summary><p>{_prose(operation['description'])}</p>{token}"
        f"{_table('Parameters', parameters)}{_body(operation)}"
        f"{''.join(_answer(*item) for item in operation['responses'].items())}</details>"
    )


def _where(parameter: Mapping[str, Any]) -> str:
    return f"{escape(parameter['in'])}{', required' if parameter.get('required') else ''}"


def _body(operation: Mapping[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    return f"<h4>Body</h4>{_contents(operation['requestBody']['content'])}"


def _answer(status: str, answer: Mapping[str, Any]) -> str:
    described = f"<h4>{escape(status)}: {_prose(answer['description'])}</h4>"
    return described + (_contents(answer.get("content", {})) if status < "400" else "")


def _contents(contents: Mapping[str, Any]) -> str:
    """Media types with what they hold: the document's name, and an example."""
    shown = []
    for media_type, content in contents.items():
        shown.append(f"<p><code>{escape(media_type)}</code> {_type(content.get('schema', {}))}</p>")
        example = content.get("example")
        if example is not None:
            text = example if isinstance(example, str) else json.dumps(example, indent=2)
            shown.append(f"<pre>{escape(text)}</pre>")
    return "".join(shown)


def _model(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    fields = [
        (
            field,
            "required" if field in required else "",
            _type(of),
            _prose(of.get("description", "")),
        )
        for field, of in schema.get("properties", {}).items()
    ]
    return (
        f'<details id="{escape(name)}" open><summary><code>{escape(name)}</code></summary>'
        f"<p>{_prose(schema.get('description', ''))}</p>"
        f"{_table('', fields) or _type(schema)}</details>"
    )


def _table(title: str, rows: list[tuple[str, str, str, str]]) -> str:
    """Rows of a name, which is text, and of three cells of HTML."""
    if not rows:
        return ""
    body = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return f"{f'<h4>{title}</h4>' if title else ''}<table>{body}</table>"


def _type(schema: Mapping[str, Any]) -> str:
    """What a value may be, in a few words, with links to documents."""
    if "$ref" in schema:
        found = _REF.fullmatch(schema["$ref"])
        return f'<a href="#{found[1]}">{found[1]}</a>' if found else ""
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(filter(None, map(_type, schema[several])))
    if "enum" in schema:
        return " | ".join(escape(json.dumps(one)) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {})) or 'anything'}"
    text = escape(str(schema.get("format") or schema.get("type") or ""))
    default = schema.get("default")
    return text if default is None else f"{text}, default {escape(json.dumps(default))}"


def _prose(text: str) -> str:
    """A sentence as HTML, with what stands in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
