"""What the API says of itself."""

from html.parser import HTMLParser
from typing import Any

import pytest
from pydantic import BaseModel

from quanopy.server.docs_page import page
from quanopy.server.routes import examples
from quanopy.wire.jobs import JobDetail, JobIn, JobOut, ResultOut, SubmittedOut
from quanopy.wire.problems import MEDIA_TYPE
from quanopy.wire.service import EventsOut, ResourceOut, TokenOut
from tests.unit.server.service import Service

OPEN = {"/v1/health", "/v1/ready", "/metrics"}


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = service.caller(None).get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_every_route_has_a_summary_a_description_a_tag_and_an_example(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        good = next(answer for status, answer in operation["responses"].items() if status < "300")
        contents = [
            answer.get("content", {})
            for status, answer in operation["responses"].items()
            if status < "300"
        ]
        assert any("example" in one for content in contents for one in content.values()), name
        assert good["description"], name
        if "requestBody" in operation:
            contents = operation["requestBody"]["content"].values()
            assert all(content["example"] for content in contents), name


def test_every_route_documents_its_problems_and_its_token(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        bad = {s: a for s, a in operation["responses"].items() if s >= "400"}
        assert bad, name
        for status, answer in bad.items():
            assert MEDIA_TYPE in answer["content"], f"{name} {status}"
        if name.split()[1] in OPEN:
            assert operation["security"] == [], name
        else:
            assert operation["security"] == [{"token": []}], name
            assert {"401", "422", "500", "503"} <= bad.keys(), name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = document["components"]["schemas"].keys()

    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*(references(one) for one in part.values()))
        if isinstance(part, list):
            return set().union(*(references(one) for one in part))
        return set()

    assert {ref.rpartition("/")[2] for ref in references(document)} <= known


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (JobIn, examples.JOB_IN),
        (JobOut, examples.JOB),
        (JobDetail, examples.DETAIL),
        (ResultOut, examples.RESULT),
        (SubmittedOut, examples.SUBMITTED),
        (EventsOut, examples.EVENTS),
        (ResourceOut, examples.RESOURCE),
        (TokenOut, examples.TOKEN),
    ],
)
def test_examples_fit_their_models(model: type[BaseModel], example: dict[str, Any]) -> None:
    assert set(example) <= set(model.model_fields)
    model.model_validate(example)


class Links(HTMLParser):
    """What a page refers to, what it names, and whether anything in it could run."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what it says."""
        self.tags.add(tag)
        given = dict(attributes)
        self.links |= {str(given[name]) for name in ("href", "src", "action") if name in given}
        self.names |= {str(given["id"])} if "id" in given else set()


def test_the_page_tells_of_every_route_and_needs_nothing_from_elsewhere(
    service: Service, document: dict[str, Any]
) -> None:
    answer = service.caller(None).get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for name, operation in operations(document):
        method, path = name.split()
        assert f"<code>{method.upper()} {path}</code>" in answer.text, name
        for parameter in operation.get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in answer.text, name
    seen = Links()
    seen.feed(answer.text)
    assert not seen.tags & {"script", "link", "img", "iframe"}
    assert seen.links <= {"/openapi.json"} | {f"#{name}" for name in seen.names}


def test_what_the_page_shows_is_text() -> None:
    schema = {"type": "object", "properties": {"<b>": {"description": "`<i>` & more"}}}
    shown = page(
        {
            "info": {"title": "<u>", "version": "1", "summary": "", "description": ""},
            "paths": {},
            "components": {"schemas": {"Name": schema}},
        }
    )
    assert "<b>" not in shown
    assert "<code>&lt;i&gt;</code> &amp; more" in shown
    assert "<h1>&lt;u&gt; 1</h1>" in shown


def test_whoever_comes_to_the_root_is_led_to_the_page(service: Service) -> None:
    answer = service.caller(None).get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert service.caller(None).get("/docs/oauth2-redirect").status_code == 401
