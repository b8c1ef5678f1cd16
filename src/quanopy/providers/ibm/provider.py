"""The IBM provider: jobs of the sampler and estimator, followed by their list and their tags."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    NotReady,
    OutcomeUnknown,
    ProviderError,
    QuanopyError,
    Rejected,
    Transient,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import QRMI_PAYLOAD, Program, digest_of
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.ibm.documents import time_of
from quanopy.providers.ibm.machines import Machines, slug
from quanopy.providers.ibm.sessions import Sessions
from quanopy.providers.ibm.watching import TAG, Watch, report_of
from quanopy.providers.keys import key_in
from quanopy.providers.secrets import Secret

if TYPE_CHECKING:
    from quanopy.providers.ibm.service import Service

_AT_ONCE = 8
"""Requests at the same time."""
_MOST_LOG = 1 << 20
_BATCH = 200


class IbmProvider:
    """The machines of one service instance."""

    def __init__(
        self,
        *,
        name: str,
        token: Secret,
        instance: str,
        url: str | None,
        iam_url: str | None,
        backends: Sequence[str] | None,
        mode: str,
        session_s: int,
        idle_s: float,
        lanes: int | None,
        tasks_per_execution: int,
        timeout_s: float,
        visibility_delay_s: float,
        poll_interval_s: float,
    ) -> None:
        """See :func:`quanopy.providers.ibm.create`."""
        self.name = name
        self.capabilities = RemoteCapabilities(
            searchable=True,
            visibility_delay_s=visibility_delay_s,
            request_timeout_s=timeout_s,
            poll_interval_s=poll_interval_s,
            batch=_BATCH,
            tasks_per_execution=tasks_per_execution,
        )
        self._token = token
        self._instance = instance
        self._url = url
        self._iam_url = iam_url
        self._timeout_s = timeout_s
        self._machines = Machines(name, backends=backends, lanes=lanes)
        self._sessions = Sessions(mode, most_s=session_s, idle_s=idle_s)
        self._watch = Watch(fresh_s=poll_interval_s)
        self._lock = Lock()
        self._service: Service | None = None
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix=f"{name}-request")

    def __repr__(self) -> str:
        return f"IbmProvider({self.name!r}, {self._token})"

    # -- machines -----------------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """The instance's machines."""
        return self._machines.resources(self._vendor())

    def target(self, resource: str) -> Target:
        """Gates and coupling, with the errors of the calibration that was fetched last."""
        return self._machines.target(self._vendor(), resource)

    def calibration(self, resource: str) -> Snapshot | None:
        """The backend's properties."""
        return self._machines.calibration(self._vendor(), resource)

    def check(self, work: Work) -> None:
        """Refuse what no machine gives: exact expectation values."""
        for index, pub in enumerate(work.pubs):
            if work.kind is JobKind.ESTIMATE and not pub.precision:
                raise Invalid(
                    "a machine gives no exact expectation values",
                    where=f"pubs[{work.first_pub + index}].precision",
                    hint="Ask for a precision above 0.",
                )

    def fingerprint(self) -> str:
        """Of the instance's CRN: the same whatever key is used."""
        return digest_of(self._instance.encode())

    # -- the way of a job ---------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> Sequence[str | QuanopyError]:
        """A job each, several at a time; what befalls one is no other's answer."""
        service = self._vendor()
        return list(self._pool.map(lambda order: self._start(service, order), orders))

    def _start(self, service: "Service", order: Order) -> str | QuanopyError:
        from quanopy.providers.ibm.pubs import parameters_of, program_of

        program = program_of(order.works[0].kind)
        try:
            backend = self._machines.backend(service, order.resource)
            params = parameters_of(order.works)
            return self._sessions.within(
                service,
                backend,
                lambda session: service.start(
                    program, backend, params, tags=[TAG, order.key], session=session
                ),
            )
        except QuanopyError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the others of the batch may be accepted
            return OutcomeUnknown(f"submitting to IBM broke: {type(error).__name__}: {error}")

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """States, by the list of jobs."""
        if not ids:
            return {}
        return self._watch.look(self._vendor(), ids)

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Outcomes of the works, whose pubs were sent one after another."""
        from quanopy.providers.ibm.outcomes import outcomes_of

        service = self._vendor()
        data = service.results(id)
        if not data:
            raise NotReady(f"IBM has no result of job {id} yet")
        try:
            return outcomes_of(data, works() if works is not None else None, service.metrics(id))
        except Invalid as error:
            raise self._without(service, id, error) from error

    def _without(self, service: "Service", id: str, error: Invalid) -> ProviderError:
        """Why there is no result: what a job that failed has instead is no JSON."""
        report = report_of(service.job(id))
        if report.state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            return Rejected(f"IBM's job {id} has {report.state}: {report.detail}")
        return Transient(f"IBM gave a result of job {id} that cannot be read: {error}")

    def stop(self, ids: Sequence[str]) -> None:
        """Cancel these."""
        service = self._vendor()
        failed = [error for error in self._pool.map(lambda one: _try(service, one), ids) if error]
        if failed:
            raise failed[0]

    def logs(self, id: str) -> str:
        """What the service logged."""
        try:
            return self._vendor().logs(id)[:_MOST_LOG]
        except NotFound:
            return ""

    def describe(self, id: str) -> Foreign:
        """A job as the service has it, with what was submitted."""
        job = self._vendor().job(id, whole=True)
        program = job.get("program")
        kind = program.get("id") if isinstance(program, dict) else None
        return Foreign(
            resource=slug(str(job.get("backend"))),
            kind=JobKind.ESTIMATE if kind == "estimator" else JobKind.SAMPLE,
            state=report_of(job).state or ExecutionState.SUBMITTED,
            created_at=time_of(job.get("created")),
            program=_program(kind, job.get("params")),
            shots=_shots(kind, job.get("params")),
            key=key_in(job.get("tags")),
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Ids of the jobs that are tagged with our keys."""
        service = self._vendor()
        found = {}
        for key in keys:
            for job in service.jobs(tags=[key]):
                if key in (job.get("tags") or ()) and isinstance(job.get("id"), str):
                    found[key] = job["id"]
        return found

    def close(self) -> None:
        """Close sessions and connections."""
        self._pool.shutdown(wait=True)
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            with suppress(ProviderError):
                self._sessions.close(service)
            service.close()

    def _vendor(self) -> "Service":
        with self._lock:
            if self._service is None:
                from quanopy.providers.ibm.service import Service

                self._service = Service(
                    key=self._token,
                    crn=self._instance,
                    url=self._url,
                    iam_url=self._iam_url,
                    timeout_s=self._timeout_s,
                )
            return self._service


def _try(service: "Service", id: str) -> QuanopyError | None:
    try:
        service.cancel(id)
    except QuanopyError as error:
        return error
    return None


def _program(kind: Any, params: Any) -> Program | None:
    """What was submitted, as the payload that IBM, QRMI and we have in common."""
    if kind not in ("sampler", "estimator") or not isinstance(params, dict):
        return None
    payload = {"program_id": kind, "parameters": params}
    data = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    return Program(format=QRMI_PAYLOAD, data=data)


def _shots(kind: Any, params: Any) -> int | None:
    """Shots of its pubs, where all have as many."""
    pubs = params.get("pubs") if kind == "sampler" and isinstance(params, dict) else None
    if not isinstance(pubs, list):
        return None
    found = {pub[2] if isinstance(pub, list) and len(pub) > 2 else None for pub in pubs}
    shots = found.pop() if len(found) == 1 else None
    return shots if type(shots) is int and shots > 0 else None
