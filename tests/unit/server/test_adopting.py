"""Adopting over HTTP: operators ask for a vendor's jobs, and emulators have none."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from quanopy.domain.accounts import Scope
from quanopy.domain.jobs import Problem
from quanopy.domain.resources import Resource
from quanopy.ports.wakeups import Topic
from quanopy.server import waiting
from tests.unit.server.service import AER, WORKER, Service


def test_an_emulator_has_nothing_to_adopt(service: Service) -> None:
    emulator = replace(AER, capabilities=replace(AER.capabilities, adopts=False))
    vendors = Resource(name="acme-1", provider="acme")
    service.store.register(WORKER, [emulator, vendors], ttl_s=600)
    operator = service.client("olga", Scope.OPERATOR)
    refused = operator.post("/v1/adoptions", json={"provider": "aer", "id": "d1a2"})
    assert refused.status_code == 422
    assert "emulates here" in refused.json()["detail"]
    shown = operator.get("/v1/adoptions", params={"provider": "aer", "id": "d1a2"})
    assert shown.status_code == 404
    taken = operator.post("/v1/adoptions", json={"provider": "acme", "id": "d1a2"})
    assert taken.status_code == 202


def test_who_waits_for_an_adoption_is_told_when_it_was_tried(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SWEEP_S", 3600.0)
    service.store.register(WORKER, [Resource(name="acme-1", provider="acme")], ttl_s=600)
    operator = service.client("olga", Scope.OPERATOR)
    asked = {"provider": "acme", "id": "awaited"}
    assert operator.post("/v1/adoptions", json=asked).status_code == 202
    began = time.monotonic()
    early = operator.get("/v1/adoptions", params=asked | {"wait": 0.1}).json()
    assert (early["job_id"], early["problem"]) == (None, None)
    assert time.monotonic() - began >= 0.09
    with ThreadPoolExecutor(1) as threads:
        # Longer than a client waits for an answer.
        told = threads.submit(operator.get, "/v1/adoptions", params=asked | {"wait": 60})
        service.await_callers(1)
        found = service.store.adoption("acme", "awaited")
        assert found is not None
        service.store.refuse_adoption(found, Problem(type="Rejected", message="it is gone"))
        service.wakeups.notify(Topic.TRIED)
        assert told.result().json()["problem"]["message"] == "it is gone"
