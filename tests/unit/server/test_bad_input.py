"""Bad requests: each a problem that says what is wrong and where, never a 500."""

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from quanopy.domain.accounts import Scope
from quanopy.wire.service import Problem
from tests.unit.server.service import BELL, JOB, Service

JSON = {"Content-Type": "application/json"}
TEXT = {"format": "openqasm3"}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "programs"),
        ({"programs": [BELL]}, "resource"),
        ({"programs": [BELL], "requires": {"connectivity": [[1, 1]]}}, "requires.connectivity"),
        (JOB | {"programs": []}, "programs"),
        (JOB | {"pubs": []}, "pubs"),
        (JOB | {"colour": "red"}, "colour"),
        (JOB | {"kind": "guess"}, "kind"),
        (JOB | {"programs": [TEXT]}, "programs[0]"),
        (JOB | {"programs": [TEXT | {"text": "x", "data": "eA=="}]}, "programs[0]"),
        (JOB | {"programs": [BELL, TEXT | {"data": "not base64!"}]}, "programs[1].data"),
        (JOB | {"programs": [{"text": "x"}]}, "programs[0].format"),
        (JOB | {"programs": [TEXT | {"text": "bad"}]}, "programs[0]"),
        (JOB | {"pubs": [{"program": 1}]}, "pubs[0].program"),
        (JOB | {"pubs": [{"shots": 0}]}, "pubs[0].shots"),
        (JOB | {"options": {"shots": 5001}}, "options.shots"),
        (JOB | {"options": {"shots": 10**30}}, "options.shots"),
        (JOB | {"pubs": [{"shots": 2**31}]}, "pubs[0].shots"),
        (JOB | {"options": {"precision": 1e-300}}, "options.precision"),
        (JOB | {"pubs": [{"precision": 1e300}]}, "pubs[0].precision"),
        (JOB | {"options": {"optimization_level": 4}}, "options.optimization_level"),
        (JOB | {"name": "a\u0000b"}, "name"),
        (JOB | {"name": "x" * 201}, "name"),
        (JOB | {"tags": ["a b"]}, "tags[0]"),
        (JOB | {"tags": ["ok", "a\u0000b"]}, "tags[1]"),
        (JOB | {"tags": ["\u202egnp"]}, "tags[0]"),
        (JOB | {"name": "a\u2028b"}, "name"),
        (JOB | {"priority": 1000}, "priority"),
    ],
)
def test_a_wrong_body_is_refused_where_it_is_wrong(
    service: Service, body: dict[str, object], where: str
) -> None:
    answer = service.client().post("/v1/jobs", json=body)
    problem = Problem.model_validate(answer.json())
    assert answer.status_code == problem.status == 422
    assert problem.where == where
    in_batch = service.client().post("/v1/jobs/batch", json={"jobs": [JOB, body]})
    assert in_batch.json()["where"] == f"jobs[1].{where}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b'{"resource":"aer","programs":[{"format":"openqasm3","text":"\\ud800"}]}',
        b'{"resource":"\xff"}',
        b'{"resource":"aer","programs":[],"options":{"precision":NaN}}',
        json.dumps(JOB).encode()[:-1],
    ],
)
def test_what_is_no_json_of_a_job_is_refused(service: Service, content: bytes) -> None:
    for path in ("/v1/jobs", "/v1/jobs/batch", "/v1/results", "/v1/jobs/cancel", "/v1/jobs/wait"):
        answer = service.client().post(path, content=content, headers=JSON)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


def test_deep_parameters_are_refused_and_shallow_ones_taken(service: Service) -> None:
    ada = service.client()
    deep = '{"resource":"aer","programs":[{"format":"openqasm3","text":"x"}],"pubs":[{"parameters":'
    content = deep + "[" * 10_000 + "]" * 10_000 + "}]}"
    assert ada.post("/v1/jobs", content=content, headers=JSON).status_code == 422
    content = deep + "[" * 20 + "]" * 20 + "}]}"
    assert ada.post("/v1/jobs", content=content, headers=JSON).status_code == 201


def test_another_media_type_is_refused(service: Service) -> None:
    ada = service.client()
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = ada.post("/v1/jobs", content=b"{}", headers={"Content-Type": media_type})
        assert answer.status_code == 415
    gzipped = ada.post("/v1/jobs", content=b"{}", headers=JSON | {"Content-Encoding": "gzip"})
    assert gzipped.status_code == 415


def test_a_large_body_is_refused_by_what_it_says_and_by_what_it_is(service: Service) -> None:
    ada = service.client()
    large = b" " * (service.settings.body_limit + 1)

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    assert ada.post("/v1/jobs", content=large, headers=JSON).status_code == 413
    assert ada.post("/v1/jobs", content=chunks(), headers=JSON).status_code == 413
    assert ada.post("/v1/jobs", json=JOB).status_code == 201


def test_a_caller_that_goes_away_in_the_middle_harms_nobody(service: Service) -> None:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: quanopy\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {service.secret()}\r\nContent-Length: 1000\r\n\r\n{{"
    )
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(service.socket))
        caller.sendall(head.encode())
    assert service.client().post("/v1/jobs", json=JOB).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there"])
def test_an_idempotency_key_out_of_form_is_refused(service: Service, key: str) -> None:
    answer = service.client().post("/v1/jobs", json=JOB, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["where"] == "Idempotency-Key"


def test_unknown_routes_methods_and_resources_are_problems(service: Service) -> None:
    ada = service.client()
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/jobs/", 404),
        ("PATCH", "/v1/jobs", 405),
        ("GET", "/v1/resources/moon", 404),
    ):
        answer = ada.request(method, path)
        assert answer.status_code == status
        assert Problem.model_validate(answer.json()).status == status
    moon = ada.post("/v1/jobs", json=JOB | {"resource": "moon"})
    assert moon.status_code == 404
    assert moon.json()["hint"] == "Known: aer."


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("state=gone", "state[0]"),
        ("kind=guess", "kind"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-01T00:00:00", "created_from"),
        ("cursor=%00", "cursor"),
        ("name=%00", "name"),
        ("name_prefix=a%00", "name_prefix"),
        ("tag=%00", "tag"),
        ("resource=%00", "resource"),
    ],
)
def test_a_wrong_query_is_refused_where_it_is_wrong(
    service: Service, query: str, where: str
) -> None:
    answer = service.client().get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["where"] == where


@pytest.mark.parametrize(
    ("path", "where", "hint"),
    [
        ("/v1/jobs?sate=completed", "sate", "state"),
        ("/v1/jobs?state=completed&Tag=x", "Tag", "tag"),
        ("/v1/jobs/job_none/result?wait=1&partail=true", "partail", "partial"),
        ("/v1/jobs/job_none/result?timeout=1", "timeout", "wait"),
        ("/v1/events/stream?group_id=g", "group_id", "group"),
        ("/v1/tokens?deep=1", "deep", "takes none"),
        ("/v1/jobs?" + "x" * 100 + "=", "x" * 60, "limit"),
    ],
)
def test_a_parameter_that_a_route_does_not_know_is_refused(
    service: Service, path: str, where: str, hint: str
) -> None:
    answer = service.client().get(path)
    assert answer.status_code == 422
    problem = Problem.model_validate(answer.json())
    assert problem.where == where
    assert hint in str(problem.hint)


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready", "/metrics"])
def test_probes_may_add_what_they_like(service: Service, path: str) -> None:
    assert service.client().get(f"{path}?format=prometheus&now=1").status_code == 200


def test_so_is_one_of_a_route_that_changes_something(service: Service) -> None:
    eve = service.client("eve")
    assert eve.post("/v1/jobs?wait=5", json=JOB).json()["where"] == "wait"
    assert eve.get("/v1/jobs").json()["jobs"] == []


def test_a_stream_is_gone_on_with_as_browsers_do(service: Service) -> None:
    ada = service.client()
    job = ada.post("/v1/jobs", json=JOB).json()["id"]
    headers = {"Last-Event-ID": "0.0", "Accept": "text/event-stream"}
    with ada.stream("GET", f"/v1/events/stream?job={job}&job={job}", headers=headers) as stream:
        assert stream.status_code == 200
        assert any(line == "event: job.queued" for line in stream.iter_lines())


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
def test_a_wait_out_of_bounds_is_refused(service: Service, wait: str) -> None:
    ada = service.client()
    job_id = ada.post("/v1/jobs", json=JOB).json()["id"]
    assert ada.get(f"/v1/jobs/{job_id}?wait={wait}").status_code == 422


@pytest.mark.parametrize("after", ["x", "1", "1.x", "-1.2", "1." + "9" * 30, "\u0661.\u0662"])
def test_a_position_that_is_none_is_refused(service: Service, after: str) -> None:
    ada = service.client()
    assert ada.get("/v1/events", params={"after": after}).status_code == 422
    assert ada.get("/v1/events/stream", params={"after": after}).status_code == 422


def test_ids_that_are_none_are_simply_not_found(service: Service) -> None:
    ada = service.client()
    for job_id in ("x", "job_", "%00", "..%2f..", "'; drop table jobs; --", "\u2603"):
        assert ada.get(f"/v1/jobs/{job_id}").status_code == 404
    assert ada.post("/v1/results", json={"ids": ["\x00"]}).status_code == 404


def test_names_and_tags_may_be_of_any_script(service: Service) -> None:
    name, tag = "\U0001f469\u200d\U0001f52c \u5b9f\u9a13", "\U0001f469\u200d\U0001f52c"
    ada = service.client()
    job = ada.post("/v1/jobs", json=JOB | {"name": name, "tags": [tag]}).json()
    assert (job["name"], job["tags"]) == (name, [tag])
    assert [found["id"] for found in ada.get("/v1/jobs", params={"name": name}).json()["jobs"]] == [
        job["id"]
    ]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"label": "a\u0000b"}, "label"),
        ({"expires_in_s": 1e12}, "expires_in_s"),
        ({"expires_in_s": 1e300}, "expires_in_s"),
    ],
)
def test_a_token_out_of_bounds_is_refused(
    service: Service, body: dict[str, object], where: str
) -> None:
    answer = service.client(scope=Scope.ADMIN).post("/v1/tokens", json={"account": "eve"} | body)
    assert (answer.status_code, answer.json()["where"]) == (422, where)


def test_a_nul_is_in_no_name_and_in_no_reason(service: Service) -> None:
    admin = service.client(scope=Scope.ADMIN)
    assert admin.delete("/v1/tokens/%00").status_code == 404
    state = {"state": "maintenance", "reason": "a\u0000b"}
    assert admin.put("/v1/resources/%00/state", json=state).status_code == 404
    answer = admin.put("/v1/resources/aer/state", json=state)
    assert (answer.status_code, answer.json()["where"]) == (422, "reason")


def test_a_bug_shows_an_id_and_no_trace(service: Service) -> None:
    answer = service.client().post("/v1/jobs", json=JOB | {"programs": [TEXT | {"text": "bug"}]})
    assert answer.status_code == 500
    assert answer.json()["error_id"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_headers_without_end_are_refused(service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(service.socket))
        caller.sendall(b"GET /v1/health HTTP/1.1\r\nHost: q\r\n")
        with contextlib.suppress(ConnectionError):  # it has been answered meanwhile
            for index in range(300):
                caller.sendall(b"X-%d: " % index + b"x" * 1000 + b"\r\n")
        assert caller.recv(100).startswith(b"HTTP/1.1 400")
    assert service.caller(None).get("/v1/health").status_code == 200
