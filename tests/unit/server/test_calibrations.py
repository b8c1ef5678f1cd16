"""Calibrations over HTTP."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.calibration import Binding, CalibrationLabel, Metric, Snapshot
from quanopy.domain.resources import Resource
from quanopy.ports.claims import Offer
from quanopy.services.calibration_packs import pack_snapshot
from quanopy.testing.catalogue import ending, execution
from tests.unit.server.service import JOB, WORKER, Service

QPU = Resource(name="qpu", provider="acme")
SECRET = Resource(name="secret", provider="acme", accounts=("eve",))


def keep(service: Service, name: str = "cal-1", *, age_s: float = 60.0) -> str:
    """Have a snapshot of the machine seen; its digest."""
    service.store.register(WORKER, [QPU, SECRET], ttl_s=600)
    now = datetime.now(UTC)
    snapshot = Snapshot(
        resource="qpu",
        format="acme/1",
        raw=json.dumps({"id": name, "at": now.isoformat()}).encode(),
        metrics=[
            Metric(name="T1", targets=(0,), value=9e-05, unit="s", measured_at=now),
            Metric(name="T1", targets=(1,), value=8e-05, unit="s"),
            Metric(name="cz.error", targets=(0, 1), value=0.01),
        ],
        calibrated_at=now - timedelta(seconds=age_s),
        fetched_at=now,
        vendor_id=name,
    )
    key, data, sighting = pack_snapshot(snapshot)
    service.objects.put({key: data})
    service.store.note_calibration("qpu", sighting, pause_s=300)
    return snapshot.digest


def test_a_resource_tells_how_it_is_calibrated(service: Service) -> None:
    digest = keep(service)
    client = service.client()
    found = client.get("/v1/resources/qpu/calibration").json()
    some = client.get("/v1/resources/qpu/calibration", params={"metric": "cz.error"}).json()
    shown = found["snapshot"]
    assert (found["published"], shown["digest"], shown["vendor_id"]) == (True, digest, "cal-1")
    assert shown["metrics"]["T1"]["1"] == {"value": 8e-05, "unit": "s", "measured_at": None}
    assert shown["metrics"]["cz.error"]["0,1"]["value"] == 0.01
    assert 60 <= shown["age_s"] < 120
    assert list(some["snapshot"]["metrics"]) == ["cz.error"]


def test_a_history_is_newest_first_with_the_numbers_asked_for(service: Service) -> None:
    keep(service)
    last = keep(service, "cal-2")
    client = service.client()
    plain = client.get("/v1/resources/qpu/calibrations").json()["snapshots"]
    params: dict[str, Any] = {"metric": "T1", "limit": 1}
    one = client.get("/v1/resources/qpu/calibrations", params=params).json()["snapshots"]
    future = {"since": "2999-01-01T00:00:00Z", "until": "2999-01-02T00:00:00Z"}
    later = client.get("/v1/resources/qpu/calibrations", params=future).json()["snapshots"]
    assert [shown["vendor_id"] for shown in plain[:2]] == ["cal-2", "cal-1"]
    assert {str(shown["metrics"]) for shown in plain} == {"None"}
    assert [(shown["digest"], list(shown["metrics"])) for shown in one] == [(last, ["T1"])]
    assert [shown["digest"] for shown in later] == [last]


def test_a_snapshot_is_had_by_its_digest_with_the_vendors_own_document(service: Service) -> None:
    digest = keep(service)
    client = service.client()
    plain = client.get(f"/v1/calibrations/{digest}").json()
    whole = client.get(f"/v1/calibrations/{digest}", params={"raw": True}).json()
    nothing = client.get("/v1/calibrations/sha256:00")
    assert (plain["resource"], plain["raw"], plain["count"]) == ("qpu", None, 3)
    assert whole["raw"]["id"] == "cal-1"
    assert (nothing.status_code, nothing.json()["where"]) == (404, "digest")


def test_a_snapshot_is_shown_to_whom_its_resource_serves_or_has_served(service: Service) -> None:
    digest = keep(service)
    path = f"/v1/calibrations/{digest}"
    ran = service.client().post("/v1/jobs", json=JOB | {"resource": "qpu"})
    assert ran.status_code == 201
    assert service.client("bob").get(path).status_code == 200
    service.store.open_resource("qpu", ["eve"], actor="op")
    answers = {who: service.client(who).get(path) for who in ("ada", "bob", "eve")}
    operators = service.client("op", Scope.OPERATOR).get(path)
    service.store.open_resource("qpu", None, actor="op")
    unknown, absent = answers["bob"], service.client("bob").get(path[:-1])
    assert (unknown.status_code, absent.status_code) == (404, 404)
    assert (unknown.json()["type"], unknown.json()["where"]) == (absent.json()["type"], "digest")
    assert answers["eve"].json()["resource"] == "qpu"
    assert answers["ada"].json()["digest"] == digest
    assert operators.status_code == 200


def test_an_emulator_without_noise_publishes_none(service: Service) -> None:
    client = service.client()
    found = client.get("/v1/resources/aer/calibration").json()
    assert (found["published"], found["snapshot"], found["problem"]) == (False, None, None)


@pytest.mark.parametrize("path", ["calibration", "calibrations"])
@pytest.mark.parametrize("name", ["nope", "secret"])
def test_a_resource_that_is_not_there_or_not_yours_is_not_found(
    service: Service, path: str, name: str
) -> None:
    keep(service)
    client = service.client()
    answer = client.get(f"/v1/resources/{name}/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.json()["hint"]


def test_a_time_without_a_zone_is_refused(service: Service) -> None:
    keep(service)
    client = service.client()
    found = client.get("/v1/resources/qpu/calibrations", params={"since": "2026-01-01T00:00"})
    assert (found.status_code, found.json()["where"]) == (422, "since")


def test_resources_say_when_they_were_calibrated(service: Service) -> None:
    keep(service, age_s=60.0)
    client = service.client()
    one = client.get("/v1/resources/qpu").json()
    listed = {each["name"]: each for each in client.get("/v1/resources").json()["resources"]}
    age = datetime.now(UTC) - datetime.fromisoformat(one["calibrated_at"])
    assert 60 <= age.total_seconds() < 120
    assert listed["qpu"]["calibrated_at"] == one["calibrated_at"]
    assert listed["aer"]["calibrated_at"] is None


# -- demands ----------------------------------------------------------------------------------
def submitted(service: Service, resource: str = "qpu", **options: Any) -> tuple[int, Any]:
    """The status and body of what is answered to a job with these options."""
    body = JOB | {"resource": resource, "options": options}
    client = service.client()
    answered = client.post("/v1/jobs", json=body)
    if answered.status_code != 201:
        return answered.status_code, answered.json()
    return 201, client.get(f"/v1/jobs/{answered.json()['id']}").json()


@pytest.mark.parametrize("age", [3600, "1h", "60m", "3600s"])
def test_a_calibration_that_is_young_enough_is_not_waited_for(
    service: Service, age: float | str
) -> None:
    keep(service)
    status, found = submitted(service, max_calibration_age=age)
    assert status == 201
    assert found["parts"][0]["ready_at"] is not None


def test_an_old_one_is_waited_for_and_the_wait_may_have_an_end(service: Service) -> None:
    keep(service, age_s=7200.0)
    status, found = submitted(service, max_calibration_age="1h")
    assert (status, found["state"], found["parts"][0]["ready_at"]) == (201, "queued", None)
    status, found = submitted(service, max_calibration_age="1h", max_calibration_wait="2h")
    ready = datetime.fromisoformat(found["parts"][0]["ready_at"])
    assert 7000 < (ready - datetime.now(UTC)).total_seconds() <= 7200
    keep(service, "cal-2")
    assert service.store.ready(("qpu",)) == {"qpu"}


def test_what_was_submitted_shows_what_was_demanded(service: Service) -> None:
    keep(service)
    _, found = submitted(service, max_calibration_age="1h", max_calibration_wait=60)
    client = service.client()
    options = client.get(f"/v1/jobs/{found['id']}/programs").json()["options"]
    assert (options["max_calibration_age"], options["max_calibration_wait"]) == (3600.0, 60.0)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"max_calibration_age": 0}, "options.max_calibration_age"),
        ({"max_calibration_age": "soon"}, "options.max_calibration_age"),
        ({"max_calibration_age": 1e300}, "options.max_calibration_age"),
        ({"max_calibration_wait": 60}, "options.max_calibration_wait"),
    ],
)
def test_durations_that_cannot_be_meant_are_refused(
    service: Service, options: dict[str, Any], where: str
) -> None:
    keep(service)
    status, found = submitted(service, **options)
    assert (status, found["where"]) == (422, where)


@pytest.mark.parametrize("option", ["max_calibration_age", "same_calibration_as"])
def test_a_resource_that_publishes_none_cannot_meet_a_demand(service: Service, option: str) -> None:
    status, found = submitted(service, "aer", **{option: "1d"})
    assert (status, found["where"]) == (422, f"options.{option}")
    assert "publishes no calibration" in found["detail"]


def test_a_job_that_is_no_model_for_another_is_refused(service: Service) -> None:
    keep(service)
    status, found = submitted(service, same_calibration_as="job_" + "0" * 32)
    assert (status, found["where"]) == (404, "options.same_calibration_as")
    _, model = submitted(service, "aer")
    status, found = submitted(service, same_calibration_as=model["id"])
    assert status == 422
    assert "no calibration that is known" in found["detail"]
    service.complete()
    status, found = submitted(service, same_calibration_as=model["id"])
    assert status == 422
    assert "ran on aer, not on qpu" in found["detail"]


def test_a_jobs_detail_says_what_it_ran_under_and_warns(service: Service) -> None:
    _, found = submitted(service, "aer")
    (claim,) = service.store.claim(WORKER, [Offer(resource="aer", seconds=1e9)], ttl_s=600)
    bound = Binding(
        label=CalibrationLabel.CLOSEST, snapshot="b", submitted="a", started="a", ended="b"
    )
    done = replace(execution(claim), calibration=bound)
    service.store.finish(claim.id, [ending(done)])
    (ran,) = service.client().get(f"/v1/jobs/{found['id']}").json()["executions"]
    shown = ran["calibration"]
    assert (shown["label"], shown["snapshot"], shown["submitted"]) == ("closest", "b", "a")
    assert "calibrated anew" in shown["warning"]
