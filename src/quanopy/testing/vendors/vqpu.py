"""A loopback vQPU that misbehaves as it is told: the real device and interface, faults before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.messages import Reply, Request, Route, route
from quanopy.vqpu.api import Api
from quanopy.vqpu.device import Device
from quanopy.vqpu.machine import Machine, Pace, build
from quanopy.vqpu.noise import Parameters

_ABOUT = {
    ("POST", r"/api/v1/circuits"): "start",
    ("POST", r"/api/v1/circuits/status"): "poll",
    ("GET", r"/api/v1/circuits/[^/]+"): "result",
    ("POST", r"/api/v1/circuits/cancel"): "stop",
    ("DELETE", r"/api/v1/circuits/[^/]+"): "stop",
    ("GET", r"/api/v1/device"): "target",
    ("GET", r"/api/v1/native-gates"): "target",
    ("PUT", r"/api/v1/reservations"): "reserve",
    ("DELETE", r"/api/v1/reservations"): "reserve",
    ("GET", r"/health"): "health",
}


class VqpuVendor(Vendor):
    """The vQPU service's own device, behind a server that injects faults."""

    name = "vqpu"

    def __init__(self, *, port: int = 0, machine: Machine | None = None) -> None:
        """By default five qubits with a little noise, and two lanes."""
        self.device = Device(machine or _sample())
        self._api = Api(self.device, lambda: self.secret)
        super().__init__(port=port)

    def routes(self) -> Sequence[Route]:
        """Those of the vQPU."""
        return [route(*known, about, self._pass_on) for known, about in _ABOUT.items()]

    def refuse(self, status: int, message: str) -> Reply:
        """As the vQPU says it."""
        return Reply(status=status, body={"message": message})

    def options(self) -> Mapping[str, Any]:
        """One vQPU, by its own name."""
        token = f"env:{self._variable}"
        return {"vqpus": {self.device.machine.name: {"url": self.url, "token": token}}}

    def accepted(self, key: str) -> int:
        """How many submissions carry this key."""
        return self.device.accepted(key)

    def hold(self) -> None:
        """Run nothing."""
        self.device.hold(True)

    def release(self) -> None:
        """Run again."""
        self.device.hold(False)

    def recalibrate(self) -> None:
        """A little more noise."""
        machine = self.device.machine
        metrics = tuple(replace(one, value=one.value * 1.01) for one in machine.metrics)
        self.device.machine = replace(machine, metrics=metrics, calibrated_at=datetime.now(UTC))

    def stop(self) -> None:
        """End; idempotent."""
        super().stop()
        self.device.close()

    def _pass_on(self, request: Request) -> Reply:
        if request.fault is Fault.REJECT:
            return self.refuse(400, "told to reject it")
        if request.fault is Fault.VANISHED:
            for each in request.json()["ids"]:
                self.device.forget(each)
        found = self._api.answer(request.method, request.path, request.headers, request.body)
        body = found.body
        if request.fault is Fault.UNSEEN and isinstance(body, dict):
            odd = {"state": "entangling"}
            body = {"circuits": {each: row | odd for each, row in body["circuits"].items()}}
        return Reply(status=found.status, body=body, headers=found.headers)


def _sample() -> Machine:
    return build(
        name="vqpu",
        qubits=5,
        noise=Parameters(depolarising=0.001, readout=0.01),
        memory_bytes=2**28,
        pace=Pace(lanes=2),
    )
