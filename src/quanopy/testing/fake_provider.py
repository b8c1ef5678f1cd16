"""A remote provider for :mod:`quanopy.testing.fake_vendor`, written as one for a real vendor is.

Also an example to start from: every call has a time-out, and every failure a class.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from quanopy.domain.calibration import Metric, Snapshot
from quanopy.domain.errors import (
    NotFound,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.domain.jobs import JobKind, Pub
from quanopy.domain.programs import digest_of
from quanopy.domain.resources import Capabilities, Limits, Resource, Target
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.refusals import refusal, retry_after_s

_STATES = {
    "QUEUED": ExecutionState.SUBMITTED,
    "RUNNING": ExecutionState.RUNNING,
    "DONE": ExecutionState.COMPLETED,
    "ERROR": ExecutionState.FAILED,
    "CANCELLED": ExecutionState.CANCELLED,
}
_GATES = ("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "rx", "ry", "rz", "cx", "cz", "ccx")


class FakeProvider:
    """Speaks to a fake vendor; ``mode`` is what the vendor promises about keys:
    ``idempotent``, ``searchable`` or ``neither``."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        name: str = "fake",
        mode: str = "idempotent",
        lanes: int | None = None,
        qubits: int = 127,
        batch: int = 100,
        tasks_per_execution: int = 1,
        request_timeout_s: float = 5.0,
        visibility_delay_s: float = 0.0,
        poll_interval_s: float = 0.5,
    ) -> None:
        self.name = name
        self.capabilities = RemoteCapabilities(
            idempotent=mode == "idempotent",
            searchable=mode == "searchable",
            visibility_delay_s=visibility_delay_s,
            request_timeout_s=request_timeout_s,
            poll_interval_s=poll_interval_s,
            batch=batch,
            tasks_per_execution=tasks_per_execution,
        )
        self._keyed = mode != "neither"
        self._lanes = lanes
        self._qubits = qubits
        self._url = url.rstrip("/")
        self._http = PoolManager(
            headers={"Authorization": f"Bearer {token}"},
            timeout=request_timeout_s,
            retries=False,
            maxsize=32,
        )

    def __repr__(self) -> str:
        return f"FakeProvider({self.name!r}, {self._url!r})"

    def resources(self) -> Sequence[Resource]:
        """One machine, named as the provider."""
        return [
            Resource(
                name=self.name,
                provider=self.name,
                description="A scriptable machine that answers zeros",
                lanes=self._lanes,
                capabilities=Capabilities(limits=Limits(qubits=self._qubits), gates=_GATES),
            )
        ]

    def target(self, resource: str) -> Target:
        """All gates on all qubits."""
        if resource != self.name:
            raise NotFound(f"{self.name} has no resource {resource}")
        known = {"parameters": 0, "qubits": None}
        document = {
            "format": "quanopy.target/1",
            "qubits": self._qubits,
            "dt": None,
            "instructions": {
                gate: known | {"parameters": 1 if gate in ("rx", "ry", "rz") else 0}
                for gate in (*_GATES, "measure")
            },
        }
        return Target(data=json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def calibration(self, resource: str) -> Snapshot | None:
        """What the vendor's script publishes."""
        document = self._ask("calibration", "calibration", {"resource": resource})
        return None if document is None else _snapshot(resource, document)

    def check(self, work: Work) -> None:
        """It takes everything."""

    def fingerprint(self) -> str:
        """Of the service's address: it has one account."""
        return digest_of(self._url.encode())

    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """All in one request; where its reply is lost, nobody knows of any of them."""
        try:
            found = self._call("start", "answers", {"orders": [_order(order) for order in orders]})
        except ProviderError as error:
            return [error] * len(orders)
        return [answer["id"] if "id" in answer else Rejected(answer["error"]) for answer in found]

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """States by id."""
        reports = self._ask("poll", "reports", {"ids": list(ids)})
        return {
            known: Report(state=_STATES.get(status), detail=status)
            for known, status in reports.items()
        }

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """All zeros; the vendor's answer tells all."""
        outcomes = self._ask("result", "outcomes", {"id": id})
        return [
            Outcome(
                result=json.dumps(outcome["pubs"], separators=(",", ":")).encode(),
                usage=outcome["usage"],
                calibration=outcome.get("calibration"),
                started_at=_time(outcome.get("began")),
                ended_at=_time(outcome.get("ended")),
            )
            for outcome in outcomes
        ]

    def stop(self, ids: Sequence[str]) -> None:
        """Ask for an end."""
        self._ask("stop", None, {"ids": list(ids)})

    def logs(self, id: str) -> str:
        """It logs nothing."""
        return ""

    def describe(self, id: str) -> Foreign:
        """Its state is known, and with which key it was sent where the vendor does something
        with keys."""
        report = self.poll([id]).get(id)
        if report is None:
            raise NotFound(f"{self.name} has no job {id}")
        return Foreign(
            resource=self.name,
            kind=JobKind.SAMPLE,
            state=report.state or ExecutionState.SUBMITTED,
            key=self._ask("key", "key", {"id": id}) if self._keyed else None,
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Ids by key."""
        found: dict[str, str] = self._ask("find", "ids", {"keys": list(keys)})
        return found

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _ask(self, route: str, field: str | None, body: Mapping[str, object]) -> Any:
        """A call that may be repeated: a lost reply only means to ask again."""
        try:
            return self._call(route, field, body)
        except OutcomeUnknown as error:
            raise Transient(error.message) from error

    def _call(self, route: str, field: str | None, body: Mapping[str, object]) -> Any:
        """The field of the answer that is wanted, or all of it."""
        try:
            response = self._http.request("POST", f"{self._url}/{route}", json=body, redirect=False)
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise Unavailable(f"{self.name} cannot be reached: {error}") from error
        except HTTPError as error:
            raise OutcomeUnknown(f"{self.name} did not answer: {type(error).__name__}") from error
        if 200 <= response.status < 300:
            return self._read(response, field)
        raise refusal(
            response.status, self.name, retry_after_s=retry_after_s(dict(response.headers))
        )

    def _read(self, response: BaseHTTPResponse, field: str | None) -> Any:
        """What was done is not known where the answer cannot be read."""
        try:
            found = response.json()
            return found if field is None else found[field]
        except (ValueError, KeyError, TypeError) as error:
            said = f"{self.name} gave an answer that is none: {type(error).__name__}"
            raise OutcomeUnknown(said) from error


def _snapshot(resource: str, document: Mapping[str, Any]) -> Snapshot:
    """The vendor's answer, which may be anything."""
    try:
        at = document.get("at")
        return Snapshot(
            resource=resource,
            format="fake-calibration/1",
            raw=json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
            metrics=[
                Metric(name="T1", targets=(qubit,), value=float(value) * 1e-6, unit="s")
                for qubit, value in enumerate(document.get("t1_us", ()))
            ],
            calibrated_at=None if at is None else datetime.fromisoformat(at),
            fetched_at=datetime.now(UTC),
            vendor_id=document.get("id"),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise Rejected(f"the vendor's calibration is none: {error}") from error


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _order(order: Order) -> dict[str, object]:
    return {
        "key": order.key,
        "resource": order.resource,
        "works": [_work(work) for work in order.works],
    }


def _work(work: Work) -> dict[str, object]:
    return {
        "task": work.task_id,
        "kind": work.kind.value,
        "bytes": sum(len(circuits) for circuits in work.circuits),
        "pubs": [_pub(pub) for pub in work.pubs],
    }


def _pub(pub: Pub) -> dict[str, object]:
    return {"program": pub.program, "shots": pub.shots, "precision": pub.precision}
