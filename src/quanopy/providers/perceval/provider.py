"""The provider of Quandela's cloud."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    NotFound,
    NotReady,
    ProviderError,
    QuanopyError,
    Rejected,
    ResourceMismatch,
    TaskFailed,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import PERCEVAL, digest_of
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import FINAL_EXECUTION_STATES, ExecutionState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.providers.kept import Kept
from quanopy.providers.perceval.answers import (
    WHO,
    document_of,
    outcome_of,
    report_of,
    request_of,
    text_of,
    time_of,
)
from quanopy.providers.perceval.platforms import (
    Platform,
    platform_of,
    resource_of,
    slug,
    snapshot_of,
)
from quanopy.providers.secrets import Secret
from quanopy.providers.several import Several

if TYPE_CHECKING:
    from quanopy.providers.perceval.cloud import Cloud

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class PercevalProvider:
    """Platforms of one account. The cloud knows no keys of ours: nothing can be sent twice, and
    nothing that was lost can be searched."""

    def __init__(
        self,
        *,
        name: str,
        token: Secret,
        platforms: tuple[str, ...],
        url: str,
        account: str | None,
        shots_per_sample: float,
        request_timeout_s: float,
    ) -> None:
        """See :func:`quanopy.providers.perceval.create`."""
        self.name = name
        self.capabilities = RemoteCapabilities(
            request_timeout_s=request_timeout_s, poll_interval_s=3.0, one_by_one=True
        )
        self._token = token
        self._url = url
        self._account = account
        self._spent = shots_per_sample
        self._timeout_s = request_timeout_s
        self._platforms = {slug(one): one for one in platforms}
        self._kept = {one: self._asked_for(one) for one in self._platforms}
        self._several = Several(f"{name}-ask")
        self._lock = threading.Lock()
        self._clouds: dict[str, Cloud] = {}
        self._close: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"PercevalProvider({self.name!r}, {self._url!r}, {self._token})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """The platforms that were named; what they say of themselves is a minute old at most."""
        names = list(self._platforms)
        self._several.each(names, lambda one: self._kept[one].said())
        return [self._resource(one) for one in names]

    def target(self, resource: str) -> Target:
        """Nothing is compiled for photons."""
        self._find(resource)
        raise ResourceMismatch(f"{resource} runs Perceval experiments as they stand")

    def calibration(self, resource: str) -> Snapshot | None:
        """Its performance as it is now."""
        return snapshot_of(self._find(resource).now())

    def check(self, work: Work) -> None:
        """The format and size; what is in an experiment is for the platform to read."""
        if work.native != PERCEVAL:
            raise ResourceMismatch(
                f"{work.resource} runs Perceval experiments alone",
                hint="Send what perceval.serialization.serialize(experiment) gives.",
            )
        if len(work.pubs) != 1:
            raise ResourceMismatch("a job of Quandela's cloud is one experiment")
        text_of(work)

    def fingerprint(self) -> str:
        """Of the cloud and the account; of the token where the account has no name here."""
        return digest_of(f"{self._url}\0{self._account or self._token.reveal()}".encode())

    # -- executions ---------------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """A job each: the cloud takes them one by one."""
        return self._several.start(orders, self._send)

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """A question each: the cloud has no list of jobs."""
        return self._several.poll(ids, lambda one: report_of(self._status(one)))

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """What was counted, with the cloud's own answer beside it."""
        from quanopy.providers.sessions import asking

        status = self._status(id)
        state = report_of(status).state
        if state in (ExecutionState.FAILED, ExecutionState.CANCELLED):
            return [Outcome(error=TaskFailed(report_of(status).detail))]
        if state is not ExecutionState.COMPLETED:
            raise NotReady(f"job {id} has not ended")
        with asking(WHO):
            results = self._any().get_job_results(id)["results"]
            if not isinstance(results, str | None):
                raise TypeError("results that are no text")
        if results is None:
            raise NotReady(f"the result of job {id} is not there yet")
        return [outcome_of(id, document_of(results), status, works)]

    def stop(self, ids: Sequence[str]) -> None:
        """Ask each to end."""
        for answer in self._several.each(ids, self._stop):
            if isinstance(answer, QuanopyError) and not isinstance(answer, NotFound):
                raise answer

    def logs(self, id: str) -> str:
        """What the cloud says of its progress, and why it failed."""
        status = self._status(id)
        told = (status.get("progress_message"), status.get("status_message"))
        return "\n".join(one for one in told if isinstance(one, str) and one)

    def describe(self, id: str) -> Foreign:
        """Its state and times; the cloud does not say which platform it ran on."""
        status = self._status(id)
        if len(self._platforms) > 1:
            raise ResourceMismatch(
                "Quandela's cloud does not say on which platform a job ran",
                hint="Name that platform alone in a provider, and adopt the job from it.",
            )
        return Foreign(
            resource=next(iter(self._platforms)),
            kind=JobKind.RUN,
            state=report_of(status).state or ExecutionState.SUBMITTED,
            created_at=time_of(status.get("creation_datetime")),
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Nothing: the cloud cannot be searched."""
        return {}

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._several.close()
        self._close()

    # -- one at a time ------------------------------------------------------------------------
    def _send(self, order: Order) -> str:
        from quanopy.providers.sessions import sending

        (work,) = order.works
        platform = self._find(order.resource).known()
        cloud = self._cloud(self._platforms[order.resource])
        request = request_of(order.key, work, platform, self._spent)
        with sending(WHO):
            job = cloud.create_job(request)
            if not isinstance(job, str) or not _ID.fullmatch(job):
                raise ValueError("a job without an id")
        return job

    def _status(self, id: str) -> Mapping[str, Any]:
        from quanopy.providers.sessions import asking

        if not _ID.fullmatch(id):
            raise NotFound(f"{self.name} has no job {id[:128]!r}")
        with asking(WHO):
            status = self._any().get_job_status(id)
            if not isinstance(status, dict) or not isinstance(status["status"], str):
                raise TypeError("a job without a status")
        return status

    def _stop(self, id: str) -> None:
        from quanopy.providers.sessions import asking

        if not _ID.fullmatch(id):
            return
        try:
            with asking(WHO):
                self._any().cancel_job(id)
        except (Rejected, NotReady):
            if report_of(self._status(id)).state not in FINAL_EXECUTION_STATES:
                raise

    # -- the client ---------------------------------------------------------------------------
    def _find(self, resource: str) -> Kept[Platform]:
        if resource not in self._kept:
            raise NotFound(f"{self.name} has no resource {resource!r}")
        return self._kept[resource]

    def _resource(self, resource: str) -> Resource:
        said = self._kept[resource].said()
        return resource_of(
            said.answer,
            name=self._platforms[resource],
            provider=self.name,
            problem=None if said.problem is None else str(said.problem),
            spent=self._spent,
        )

    def _asked_for(self, resource: str) -> Kept[Platform]:
        return Kept(lambda: self._details(self._platforms[resource]))

    def _details(self, platform: str) -> Platform:
        from quanopy.providers.sessions import asking

        with asking(WHO):
            return platform_of(platform, self._cloud(platform).fetch_platform_details())

    def _any(self) -> "Cloud":
        """The client of some platform: jobs are asked for by their ids alone."""
        return self._cloud(next(iter(self._platforms.values())))

    def _cloud(self, platform: str) -> "Cloud":
        with self._lock:
            if not self._clouds:
                self._connect()
            return self._clouds[platform]

    def _connect(self) -> None:
        from quanopy.providers.perceval.cloud import Cloud
        from quanopy.providers.sessions import VendorSession

        session = VendorSession(WHO, home=self._url, timeout_s=self._timeout_s)
        self._close = session.close
        self._clouds = {
            one: Cloud(one, url=self._url, token=self._token, session=session)
            for one in self._platforms.values()
        }
