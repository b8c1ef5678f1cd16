"""Groups over HTTP: whose they are, and what is no request of one."""

from typing import Any

import pytest

from quanopy.domain.accounts import Scope
from tests.unit.server.service import BELL, JOB, Service

ONE = {"programs": [BELL]}
UNKNOWN = "group_" + "0" * 32
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/groups/{id}", None),
    ("GET", "/v1/groups/{id}?wait=5", None),
    ("GET", "/v1/groups/{id}/jobs", None),
    ("GET", "/v1/groups/{id}/receipt", None),
    ("GET", "/v1/groups?cursor={id}", None),
    ("GET", "/v1/events?group={id}", None),
    ("GET", "/v1/events/stream?group={id}", None),
    ("PATCH", "/v1/groups/{id}", {"name": "mine"}),
    ("POST", "/v1/groups/{id}/action", {"action": "cancel"}),
    ("POST", "/v1/groups/{id}/rerun", None),
    ("POST", "/v1/groups/{id}/jobs", {"jobs": [JOB]}),
    ("POST", "/v1/groups/{id}/segments", {"job": JOB, "count": 2}),
    ("DELETE", "/v1/groups/{id}", None),
]


def make(service: Service, name: str, account: str = "ada", **how: Any) -> str:
    """The id of a new group."""
    answer = service.client(account).post("/v1/groups", json={"name": name, **how})
    assert answer.status_code == 201
    return str(answer.json()["id"])


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_a_foreign_group_looks_as_if_it_did_not_exist(
    service: Service, method: str, path: str, body: Any
) -> None:
    group_id = make(service, f"{method} {path}")
    eve = service.client("eve")

    def answer(to: str) -> tuple[int, str]:
        got = eve.request(method, path.replace("{id}", to), json=body)
        return got.status_code, got.text.replace(to, "ID")

    assert answer(group_id) == answer(UNKNOWN)
    assert answer(group_id)[0] in (404, 422)
    assert service.store.groups([group_id])[0].name == f"{method} {path}"


def test_nobody_waits_for_a_foreign_job(service: Service) -> None:
    foreign = service.client("ada").post("/v1/jobs", json=JOB).json()["id"]
    answer = service.client("eve").post("/v1/jobs", json={**JOB, "after": [foreign]})
    assert (answer.status_code, answer.json()["where"]) == (404, "after")


def test_an_operator_sees_a_group_and_adds_nothing_to_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    group_id = make(service, "seen")
    operator = service.client("op", Scope.OPERATOR)
    assert operator.get(f"/v1/groups/{group_id}").json()["account"] == "ada"
    answer = operator.post(f"/v1/groups/{group_id}/jobs", json={"jobs": [JOB]})
    assert answer.status_code == 404
    # It is the caller's fault: nothing broke here.
    assert not [one for one in caplog.records if one.exc_info]


def test_an_operator_finds_groups_of_a_name_whosever_they_are(service: Service) -> None:
    ours = make(service, "same")
    theirs = service.client("bob").post("/v1/groups", json={"name": "same"}).json()["id"]
    operator = service.client("op", Scope.OPERATOR)

    def found(**params: str) -> list[str]:
        groups = operator.get("/v1/groups", params={"name": "same"} | params).json()["groups"]
        return [one["id"] for one in groups]

    assert found(account="*") == [theirs, ours]
    assert found(account="ada") == [ours]
    assert found(account="*", state="done") == found() == []


def test_no_request_stands_for_the_segments_of_a_group(service: Service) -> None:
    group_id = make(service, "uncut")
    key = {"Idempotency-Key": f"segments {group_id}"}
    answer = service.client().post("/v1/jobs", json=JOB, headers=key)
    assert (answer.status_code, answer.json()["where"]) == (422, "Idempotency-Key")
    cut = service.client().post(f"/v1/groups/{group_id}/segments", json={"job": JOB, "count": 2})
    assert (cut.status_code, len(cut.json()["jobs"])) == (201, 2)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/groups?name=%00", "name"),
        ("/v1/groups?name_prefix=a%00", "name_prefix"),
        ("/v1/groups?cursor=x", "cursor"),
        ("/v1/groups/{id}/jobs?after=-2", "after"),
        ("/v1/groups/{id}/jobs?after=9223372036854775808", "after"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(
    service: Service, path: str, where: str
) -> None:
    group_id = make(service, path)
    answer = service.client().get(path.replace("{id}", group_id))
    assert (answer.status_code, answer.json()["where"]) == (422, where)


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        ({"gap": -1}, "policy.gap"),
        ({"gap": 1e300}, "policy.gap"),
        ({"max_in_flight": 10**18}, "policy.max_in_flight"),
        ({"stop": {"deadline": "2030-01-01T00:00:00"}}, "policy.stop.deadline"),
        ({"stop": {"calibration": {"x" * 101: 1}}}, "policy.stop.calibration"),
        ({"stop": {"calibration": {"T1": {}}}}, "policy.stop.calibration.T1"),
        ({"stop": {"calibration": {"T1": {"least": 2, "most": 1}}}}, "policy.stop.calibration.T1"),
        ({"stop": {"calibration": {"T1": True}}}, "policy.stop.calibration.T1.most"),
        ({"stop": {"deadline": "9999-12-31T23:59:59Z"}}, "policy.stop.deadline"),
        ({"stop": {"deadline": "0001-01-01T00:00:00+14:00"}}, "policy.stop.deadline"),
        ({"stop": {"precision": True}}, "policy.stop.precision"),
        ({"stop": {"seconds": True}}, "policy.stop.seconds"),
        ({"stop": {"cost": True}}, "policy.stop.cost"),
        ({"stop": {"failures": True}}, "policy.stop.failures"),
        ({"gap": True}, "policy.gap"),
        ({"max_in_flight": True}, "policy.max_in_flight"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_its_name(
    service: Service, policy: Any, where: str
) -> None:
    answer = service.client().post("/v1/groups", json={"name": "never", "policy": policy})
    assert (answer.status_code, answer.json()["where"][: len(where)]) == (422, where)


@pytest.mark.parametrize(
    "policy",
    [
        {"stop": {"deadline": "2099-12-31T23:59:59.999999+00:00"}},
        {"stop": {"deadline": "2031-07-14T01:02:03.123457+05:30"}},
        {"gap": 0},
        {"stop": {"calibration": {"cx.error": 0.02, "T1": {"least": 5e-5, "most": 1}}}},
    ],
)
def test_a_policy_is_found_again_as_it_was_given(service: Service, policy: Any) -> None:
    asked = {"name": str(policy), "policy": policy}
    codes = [service.client().post("/v1/groups", json=asked).status_code for _ in range(2)]
    assert codes == [201, 200]


@pytest.mark.parametrize("asked", [{"count": True}, {"total_shots": True, "shots": 5}])
def test_the_number_of_segments_is_one(service: Service, asked: Any) -> None:
    path = f"/v1/groups/{make(service, str(asked))}/segments"
    answer = service.client().post(path, json={"job": JOB, **asked})
    assert (answer.status_code, answer.json()["where"]) == (422, next(iter(asked)))


def test_one_key_is_for_one_group(service: Service) -> None:
    first, second = make(service, "first"), make(service, "second")
    ada, key = service.client(), {"Idempotency-Key": "one key, two groups"}

    def add(to: str) -> int:
        path = f"/v1/groups/{to}/jobs"
        return ada.post(path, json={"jobs": [JOB]}, headers=key).status_code

    assert [add(first), add(first), add(second)] == [201, 200, 409]


def test_the_first_seed_follows_the_last(service: Service) -> None:
    group_id = make(service, "seeds")
    job = {**JOB, "options": {"seed": 2**63 - 1}}
    ada = service.client()
    made = ada.post(f"/v1/groups/{group_id}/segments", json={"job": job, "count": 2}).json()["jobs"]
    given = [ada.get(f"/v1/jobs/{one['id']}/programs").json() for one in made]
    assert [one["options"]["seed"] for one in given] == [2**63 - 1, 0]


def test_a_request_names_so_many_jobs_to_come_after(service: Service) -> None:
    ada, group_id = service.client(), make(service, "fan")
    ids = [ada.post("/v1/jobs", json=JOB).json()["id"] for _ in range(2)]
    ask = {"job": {**JOB, "after": ids}, "count": 50_001}
    answer = ada.post(f"/v1/groups/{group_id}/segments", json=ask)
    assert (answer.status_code, answer.json()["where"]) == (413, "after")


def test_a_job_named_twice_is_waited_for_once(service: Service) -> None:
    ada = service.client()
    first = ada.post("/v1/jobs", json=JOB).json()["id"]
    answer = ada.post("/v1/jobs", json={**JOB, "after": [first, first]})
    assert answer.status_code == 201
