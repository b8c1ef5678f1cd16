"""IQM Server on loopback: its REST API, version 1, as iqm-client 36 and QRMI call it.

Two machines, ``adonis`` (five coupled qubits) and ``deneb`` (six around a resonator), run IQM's
JSON on Aer with the noise of the calibration set in force. A new set has an id and times of its
own, and a job names the one it was compiled with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from quanopy.testing.vendors import iqm_machine
from quanopy.testing.vendors.base import Vendor
from quanopy.testing.vendors.faults import Fault
from quanopy.testing.vendors.iqm_machine import Machine, Readings
from quanopy.testing.vendors.jobs import State, VendorJob
from quanopy.testing.vendors.messages import Reply, Request, Route, route

_NAMESPACE = UUID("6f0f8c1e-6f70-4c1a-9f0e-51d2f0f0a001")
_STATUSES = {
    State.QUEUED: "waiting",
    State.RUNNING: "processing",
    State.DONE: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
_REJECTED = "the circuit batch is not accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """A calibration set: the machine in one condition."""

    id: UUID
    machine: Machine
    at: datetime


@dataclass(slots=True, kw_only=True)
class _Order:
    """A job as it was posted."""

    machine: str
    definition: Mapping[str, Any]
    tag: str | None = None
    calibration: _Calibration | None = None
    """Set when it begins to run."""


@dataclass(slots=True, kw_only=True)
class _Device:
    """A machine and its calibration sets, the newest last."""

    machine: Machine
    sets: list[_Calibration] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        """Its id, always the same."""
        return uuid5(_NAMESPACE, self.machine.alias)


class IqmVendor(Vendor):
    """IQM's service in this process."""

    name = "iqm"
    secret = "iqm-loopback-token"

    def __init__(self, *, port: int = 0, runners: int = 1) -> None:
        self._devices = {
            machine.alias: _Device(machine=machine)
            for machine in (iqm_machine.adonis(), iqm_machine.deneb())
        }
        super().__init__(port=port, runners=runners)
        self.recalibrate()

    def routes(self) -> Sequence[Route]:
        """Of the API's version 1."""
        api, device, job = "/api/v1", "(?P<qc>[^/]+)", "(?P<id>[^/]+)"
        sets = f"{api}/calibration-sets/{device}/(?P<set>[^/]+)"
        return [
            self._route("GET", f"{api}/quantum-computers", "list", self._list),
            self._route("GET", f"{api}/quantum-computers/{device}", "list", self._details),
            self._route("GET", f"{api}/quantum-computers/{device}/health", "list", self._health),
            self._route(
                "GET",
                f"{api}/quantum-computers/{device}/artifacts/static-quantum-architectures",
                "target",
                self._static,
            ),
            self._route("GET", f"{sets}/dynamic-quantum-architecture", "target", self._dynamic),
            self._route("GET", f"{sets}/metrics", "calibration", self._metrics),
            self._route("GET", sets, "calibration", self._set),
            self._route("POST", f"{api}/jobs/{device}/circuit", "start", self._submit),
            self._route("GET", f"{api}/jobs/{job}/artifacts/measurements", "result", self._result),
            self._route(
                "GET", f"{api}/jobs/{job}/artifacts/measurement_counts", "result", self._counts
            ),
            self._route("GET", f"{api}/jobs/{job}/payload", "payload", self._payload),
            self._route("POST", f"{api}/jobs/{job}/cancel", "stop", self._cancel),
            self._route("GET", f"{api}/jobs/{job}", "poll", self._job),
        ]

    def refuse(self, status: int, message: str) -> Reply:
        """An error as IQM's servers say it."""
        return Reply(
            status=status,
            body={"message": message, "error_code": f"http_{status}", "source": "iqm-server"},
        )

    def recalibrate(self) -> None:
        """Each machine has a new default calibration set."""
        with self.lock:
            for device in self._devices.values():
                drifted = device.machine.drifted(len(device.sets))
                device.sets.append(_Calibration(id=uuid4(), machine=drifted, at=self.now()))

    def run(self, job: VendorJob) -> list[Readings]:
        """On Aer, under the calibration set that the job asks for, or the newest."""
        order: _Order = job.payload
        assert order.calibration is not None
        circuits, shots = order.definition["circuits"], order.definition["shots"]
        names = order.definition.get("qubit_mapping")
        return iqm_machine.run(order.calibration.machine, [_on(c, names) for c in circuits], shots)

    # -- routes -------------------------------------------------------------------------------
    def _route(self, method: str, pattern: str, about: str, handle: Any) -> Route:
        """A route behind the token."""

        def checked(request: Request) -> Reply:
            if request.headers.get("authorization") != f"Bearer {self.secret}":
                return self.refuse(401, "the token is not valid")
            reply: Reply = handle(request)
            return reply

        return route(method, pattern, about, checked)

    def _list(self, _: Request) -> Reply:
        found = [self._described(device) for device in self._devices.values()]
        return Reply(body={"quantum_computers": found})

    def _details(self, request: Request) -> Reply:
        device = self._device(request)
        if device is None:
            return self._no_machine(request)
        return Reply(body=self._described(device))

    def _described(self, device: _Device) -> dict[str, Any]:
        return {
            "id": str(device.id),
            "alias": device.machine.alias,
            "display_name": f"IQM {device.machine.alias.capitalize()}",
            "proxy_path": None,
        }

    def _health(self, request: Request) -> Reply:
        if self._device(request) is None:
            return self._no_machine(request)
        return Reply(body={"status": "operational", "healthy": True, "components": {}})

    def _static(self, request: Request) -> Reply:
        device = self._device(request)
        if device is None:
            return self._no_machine(request)
        return Reply(body=[iqm_machine.static_architecture(device.machine)])

    def _dynamic(self, request: Request) -> Reply:
        found = self._calibration(request)
        if found is None:
            return self._no_set(request)
        return Reply(body=iqm_machine.architecture(found.machine, found.id))

    def _set(self, request: Request) -> Reply:
        found = self._calibration(request)
        if found is None:
            return self._no_set(request)
        settings = iqm_machine.settings_of(found.machine, found.at)
        return Reply(body=_observation_set("calibration-set", found, found.id, None, settings))

    def _metrics(self, request: Request) -> Reply:
        found = self._calibration(request)
        if found is None:
            return self._no_set(request)
        metrics = iqm_machine.metrics_of(found.machine, found.at)
        name = uuid5(_NAMESPACE, f"metrics of {found.id}")
        return Reply(body=_observation_set("quality-metric-set", found, name, found.id, metrics))

    def _submit(self, request: Request) -> Reply:
        device = self._device(request)
        if device is None:
            return self._no_machine(request)
        try:
            definition = request.json()
            circuits, shots = definition["circuits"], definition["shots"]
            wanted = definition.get("calibration_set_id")
        except (ValueError, KeyError, TypeError, AttributeError):
            return self.refuse(422, "not a batch of circuits with shots")
        if request.fault is Fault.REJECT or not isinstance(circuits, list) or not circuits:
            return self.refuse(422, _REJECTED)
        if not isinstance(shots, int) or shots < 1:
            return self.refuse(422, "shots are a whole number of at least one")
        if wanted is not None and all(str(one.id) != wanted for one in device.sets):
            return self.refuse(404, f"there is no calibration set {wanted}")
        order = _Order(
            machine=device.machine.alias, definition=definition, tag=request.query.get("tag")
        )
        order.calibration = next(
            (one for one in device.sets if str(one.id) == wanted), device.sets[-1]
        )
        job = self.accept(str(uuid4()), order, key=_key(circuits))
        return Reply(body=self._shown(job), status=201)

    def _job(self, request: Request) -> Reply:
        job = self._find(request)
        if job is None:
            return self._no_job(request)
        body = self._shown(job)
        if request.fault is Fault.UNSEEN:
            body["status"] = "pondering"
        return Reply(body=body)

    def _result(self, request: Request) -> Reply:
        job = self._find(request)
        if job is None or job.state is not State.DONE:
            return self._no_job(request)
        return Reply(body=job.result)

    def _counts(self, request: Request) -> Reply:
        job = self._find(request)
        if job is None or job.state is not State.DONE:
            return self._no_job(request)
        return Reply(body=[_counted(readings) for readings in job.result])

    def _payload(self, request: Request) -> Reply:
        job = self._find(request)
        return self._no_job(request) if job is None else Reply(body=job.payload.definition)

    def _cancel(self, request: Request) -> Reply:
        job = self._find(request)
        if job is None:
            return self._no_job(request)
        self.cancel(job)
        return Reply(body=self._shown(job))

    # -- what they find -----------------------------------------------------------------------
    def _device(self, request: Request) -> _Device | None:
        name = request.names["qc"]
        return next((d for alias, d in self._devices.items() if name in (alias, str(d.id))), None)

    def _calibration(self, request: Request) -> _Calibration | None:
        device, wanted = self._device(request), request.names["set"]
        if device is None:
            return None
        with self.lock:
            if wanted == "default":
                return device.sets[-1]
            return next((one for one in device.sets if str(one.id) == wanted), None)

    def _find(self, request: Request) -> VendorJob | None:
        job = self.find(request.names["id"])
        if job is not None and request.fault is Fault.VANISHED:
            job.forgotten = True
            return None
        return job

    def _no_machine(self, request: Request) -> Reply:
        return self.refuse(404, f"there is no quantum computer {request.names['qc']}")

    def _no_set(self, request: Request) -> Reply:
        return self.refuse(404, f"there is no calibration set {request.names['set']}")

    def _no_job(self, request: Request) -> Reply:
        return self.refuse(404, f"there is no such job or artifact: {request.names['id']}")

    def _shown(self, job: VendorJob) -> dict[str, Any]:
        order: _Order = job.payload
        device = self._devices[order.machine]
        chosen = order.calibration
        with self.lock:
            state, started, ended, error = job.state, job.started_at, job.ended_at, job.error
        timeline = [
            ("iqm-server", "created", job.created_at),
            ("iqm-station-control", "execution_started", started),
            ("iqm-station-control", "execution_ended", ended if started else None),
            ("iqm-server", _STATUSES[state], ended),
        ]
        kinds = ("measurements", "measurement_counts") if state is State.DONE else ()
        return {
            "id": job.id,
            "type": "circuit",
            "status": _STATUSES[state],
            "qc": {"id": str(device.id), "alias": order.machine},
            "tag": order.tag,
            "compilation": {
                "calibration_set_id": None if chosen is None else str(chosen.id),
            },
            "execution": {"progress": {}},
            "messages": [],
            "errors": []
            if error is None
            else [{"message": error, "error_code": "job_failed", "source": "iqm-station-control"}],
            "queue_position": self.ahead(job) if state is State.QUEUED else None,
            "timeline": [
                {"source": source, "status": status, "timestamp": at.isoformat()}
                for source, status, at in timeline
                if at is not None
            ],
            "artifacts": [{"type": kind} for kind in kinds],
        }


def _observation_set(
    kind: str, found: _Calibration, id: UUID, describes: UUID | None, observations: list[Any]
) -> dict[str, Any]:
    return {
        "observation_set_type": kind,
        "observation_set_id": str(id),
        "describes_id": None if describes is None else str(describes),
        "invalid": False,
        "dut_label": found.machine.chip,
        "created_timestamp": found.at.isoformat(),
        "end_timestamp": found.at.isoformat(),
        "observations": observations,
    }


def _key(circuits: Sequence[Any]) -> str | None:
    """What a client's own name of its first circuit begins with."""
    name = circuits[0].get("name") if isinstance(circuits[0], dict) else None
    return name.partition("/")[0] if isinstance(name, str) else None


def _on(circuit: Any, mapping: Sequence[Mapping[str, str]] | None) -> Any:
    """A circuit on physical qubits."""
    if not mapping:
        return circuit
    names = {one["logical_name"]: one["physical_name"] for one in mapping}
    return {
        **circuit,
        "instructions": [
            {**one, "locus": [names.get(name, name) for name in one["locus"]]}
            for one in circuit["instructions"]
        ],
    }


def _counted(readings: Readings) -> dict[str, Any]:
    keys = list(readings)
    counts: dict[str, int] = {}
    for shot in zip(*readings.values(), strict=True):
        text = "".join(str(bit) for bits in shot for bit in bits)
        counts[text] = counts.get(text, 0) + 1
    return {"measurement_keys": keys, "counts": counts}
