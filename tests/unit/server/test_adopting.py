"""Adopting over HTTP: operators ask for a vendor's jobs, and emulators have none."""

from dataclasses import replace

from quanopy.domain.accounts import Scope
from quanopy.domain.resources import Resource
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
