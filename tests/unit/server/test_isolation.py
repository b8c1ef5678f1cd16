"""Two accounts cannot see, cancel or guess each other's jobs, programs, events or results."""

from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

from quanopy.domain.accounts import Scope
from tests.unit.server.service import JOB, Service

UNKNOWN = "job_" + "0" * 32
ROUTES = [
    ("GET", "/v1/jobs/{id}", None),
    ("GET", "/v1/jobs/{id}?wait=5", None),
    ("GET", "/v1/jobs/{id}/result", None),
    ("GET", "/v1/jobs/{id}/result?partial=true", None),
    ("GET", "/v1/jobs/{id}/programs", None),
    ("GET", "/v1/jobs/{id}/events", None),
    ("GET", "/v1/events?job={id}", None),
    ("GET", "/v1/events/stream?job={id}", None),
    ("POST", "/v1/jobs/{id}/cancel", None),
    ("POST", "/v1/jobs/{id}/retry", None),
    ("POST", "/v1/jobs/cancel", "{id}"),
    ("POST", "/v1/jobs/wait", "{id}"),
    ("POST", "/v1/jobs/programs", "{id}"),
    ("POST", "/v1/results", "{id}"),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_foreign_job_looks_as_if_it_did_not_exist(
    service: Service, method: str, path: str, body: str | None
) -> None:
    job_id = service.client("ada").post("/v1/jobs", json=JOB).json()["id"]
    eve = service.client("eve")

    def answer(to: str) -> tuple[int, str]:
        content = {"ids": [to]} if body else None
        got = eve.request(method, path.replace("{id}", to), json=content)
        return got.status_code, got.text.replace(to, "ID")

    assert answer(job_id) == answer(UNKNOWN)
    assert answer(job_id)[0] == 404
    assert service.job(job_id).state == "queued"


def test_of_a_list_with_a_foreign_job_nothing_is_cancelled(service: Service) -> None:
    foreign = service.client("ada").post("/v1/jobs", json=JOB).json()["id"]
    eve = service.client("eve")
    own = eve.post("/v1/jobs", json=JOB).json()["id"]
    assert eve.post("/v1/jobs/cancel", json={"ids": [own, foreign]}).status_code == 404
    assert [service.job(one).state for one in (own, foreign)] == ["queued", "queued"]


def test_listings_and_events_show_ones_own_alone(service: Service) -> None:
    service.client("ada").post("/v1/jobs", json=JOB)
    mallory = service.client("mallory")
    assert mallory.get("/v1/jobs").json()["jobs"] == []
    assert mallory.get("/v1/events").json()["events"] == []
    for path in ("/v1/jobs", "/v1/events", "/v1/events/stream"):
        assert mallory.get(path, params={"account": "ada"}).status_code == 403
        assert mallory.get(path, params={"account": "*"}).status_code == 403


def test_operators_see_every_account(service: Service) -> None:
    job_id = service.client("ada").post("/v1/jobs", json=JOB).json()["id"]
    operator = service.client("op", Scope.OPERATOR)
    assert operator.get(f"/v1/jobs/{job_id}").json()["account"] == "ada"
    assert operator.get("/v1/jobs").json()["jobs"] == []
    for account in ("ada", "*"):
        listed = operator.get("/v1/jobs", params={"account": account, "limit": 500}).json()
        assert job_id in {job["id"] for job in listed["jobs"]}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Basic abc", "Bearer qnp_wrong", "Bearer " + "x" * 5000]
)
def test_without_a_good_token_nothing_is_answered(service: Service, header: str) -> None:
    nobody = service.caller(None)
    for path in ("/v1/jobs", "/v1/jobs/batch", "/v1/resources", "/v1/nothing", "/nothing"):
        answer = nobody.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


class Tomorrow(datetime):
    """The clock, a day ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(days=1)


def test_an_expired_token_is_refused_also_when_it_was_just_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = service.caller(service.secret(expires_in_s=3600.0))
    assert brief.get("/v1/jobs").status_code == 200
    monkeypatch.setattr("quanopy.server.auth.datetime", Tomorrow)
    answer = brief.get("/v1/jobs")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "this token has expired"
