"""The short way and FastAPI's way give the same answers."""

import json

import httpx
import pytest

from tests.unit.server.service import JOB, Service


@pytest.fixture
def ada(service: Service) -> httpx.Client:
    return service.client()


def submitted(service: Service, ada: httpx.Client) -> str:
    """The id of a job that is done."""
    job_id: str = ada.post("/v1/jobs", json=JOB).json()["id"]
    service.complete()
    return job_id


def long_way(path: str) -> str:
    """The same request in a form that the short way leaves alone."""
    return path + ("&" if "?" in path else "?") + "partial=false"


@pytest.mark.parametrize("wait", ["0", "0.1", "60"])
def test_results_are_the_same_either_way(service: Service, ada: httpx.Client, wait: str) -> None:
    job_id = submitted(service, ada)
    path = f"/v1/jobs/{job_id}/result?wait={wait}"
    short, long = ada.get(path), ada.get(long_way(path))
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert short.headers["content-type"] == long.headers["content-type"]


@pytest.mark.parametrize("path", ["/v1/jobs/job_none/result?wait=1", "/v1/jobs/x/result?wait=0"])
def test_so_are_refusals(ada: httpx.Client, path: str) -> None:
    short, long = ada.get(path), ada.get(long_way(path))
    assert (short.status_code, short.json()) == (long.status_code, long.json()) != (200, {})


@pytest.mark.parametrize("wait", ["61", "9999", "-1", "nan", "1e-1", "", "0&wait=0.1", "٣"])
def test_what_is_wrong_with_a_wait_is_said(ada: httpx.Client, wait: str) -> None:
    job_id = ada.post("/v1/jobs", json=JOB).json()["id"]
    answer = ada.get(f"/v1/jobs/{job_id}/result?wait={wait}")
    assert answer.status_code in (409, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_nobody_comes_in_without_a_token(service: Service, ada: httpx.Client) -> None:
    job_id = submitted(service, ada)
    stranger = service.caller("qnp_none")
    for method, path in (("POST", "/v1/jobs"), ("GET", f"/v1/jobs/{job_id}/result?wait=0")):
        answer = stranger.request(method, path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"programs": 3}'])
def test_bodies_are_checked(ada: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/jobs", "/v1/jobs/batch"):
        answer = ada.post(path, content=body, headers=headers)
        assert answer.status_code in (400, 422)


def test_both_ways_are_counted_by_their_route(service: Service, ada: httpx.Client) -> None:
    job_id = submitted(service, ada)
    ada.get(f"/v1/jobs/{job_id}/result?wait=0")
    ada.get(f"/v1/jobs/{job_id}/result?wait=0&partial=true")
    text = ada.get("/metrics").text
    assert json.dumps("/v1/jobs/{id}/result") in text
    assert job_id not in text
