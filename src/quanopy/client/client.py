"""``Client``: submit quantum programs to a broker, and find them again."""

import json
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from urllib.parse import quote

from quanopy.client import drafts, settings
from quanopy.client.calibrations import Calibration
from quanopy.client.choices import chosen
from quanopy.client.drafts import Circuit, Draft, How, PubLike
from quanopy.client.expecting import Expected
from quanopy.client.handles import Job, checked_id
from quanopy.client.http import Http
from quanopy.client.polling import rounds
from quanopy.client.replays import Replay, compare, distributions, replayed
from quanopy.client.results import Result, result_of
from quanopy.client.streams import follow
from quanopy.domain.errors import Conflict, Invalid, NotFound, NotReady, Rejected, TaskFailed
from quanopy.domain.jobs import JobKind
from quanopy.domain.resources import Target
from quanopy.domain.states import FINAL_JOB_STATES, JobState, ResourceState, WayOut
from quanopy.wire.calibrations import CalibrationOut, SnapshotOut, SnapshotsOut
from quanopy.wire.jobs import (
    CancelIn,
    JobIn,
    JobOut,
    JobPage,
    JobsIn,
    JobsOut,
    ResultOut,
    ResultsIn,
    ResultsOut,
)
from quanopy.wire.matching import MatchIn, MatchOut, RequirementsIn
from quanopy.wire.refusals import checked
from quanopy.wire.service import (
    AccessIn,
    AdoptIn,
    AdoptionOut,
    EventOut,
    HealthOut,
    HeartbeatIn,
    RegistrationIn,
    RegistrationOut,
    ResourceOut,
    ResourcesOut,
    ResourceStateIn,
    StrandedListOut,
    StrandedOut,
    TokenIn,
    TokenOut,
    TokensOut,
    WayOutIn,
)

if TYPE_CHECKING:
    from quanopy.client.embedded import EmbeddedClient

_ADOPTING_S = 0.25
AT_ONCE = 10_000
"""Ids in one request, at most."""
T = TypeVar("T")


class Client:
    """A broker, as one account sees it. Threads may share it; close it, or use it in ``with``.

    ``url`` and ``token`` are by default found in the environment (``QUANOPY_URL``,
    ``QUANOPY_TOKEN``, ``QUANOPY_CA``), in ``~/.config/quanopy/config.toml``, or at the broker
    that runs on this machine. Jobs that name no resource run on ``QUANOPY_RESOURCE``, or on the
    emulator ``aer``.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        """Find the broker; nothing is sent yet.

        Raises:
            Unavailable: no broker is named anywhere and none runs here.
            Denied: a file with a token could be read by others.
        """
        self.settings = settings.find(url, token)
        self._http = Http(self.settings)

    @classmethod
    def embedded(cls, path: Path | str, **settings: Any) -> "EmbeddedClient":
        """A client with a whole broker of its own in this process, its data under ``path``.

        ``settings`` are the server's own, such as ``emulator_processes=2``.
        """
        from quanopy.client.embedded import EmbeddedClient

        return EmbeddedClient(Path(path), **settings)

    # -- submitting ---------------------------------------------------------------------------
    def sample(self, pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Job:
        """Submit one job that counts measured bitstrings.

        ``pubs`` is a circuit or pub, or several: what Qiskit's samplers take, or the text or path
        of OpenQASM and QPY programs. The options are those of :class:`How`.
        """
        return self.submit_many([drafts.sample(pubs, resource=resource, **how)])[0]

    def estimate(self, pubs: PubLike, *, resource: str | None = None, **how: Unpack[How]) -> Job:
        """Submit one job of expectation values.

        ``pubs`` is one pub ``(circuit, observables, parameter values, precision)`` or several, as
        Qiskit's estimators take them. The options are those of :class:`How`.
        """
        return self.submit_many([drafts.estimate(pubs, resource=resource, **how)])[0]

    def submit(
        self,
        programs: Circuit | Iterable[Circuit],
        *,
        kind: JobKind | str | None = None,
        resource: str | None = None,
        **how: Unpack[How],
    ) -> Job:
        """Submit whole programs as one job: circuits, text, paths or payloads.

        ``kind`` is by default what a QRMI payload says, else ``sample``.
        """
        draft = drafts.programs(programs, kind=kind, resource=resource, **how)
        return self.submit_many([draft])[0]

    def match(
        self,
        requires: Mapping[str, Any] | None = None,
        *,
        kind: JobKind | str | None = None,
        formats: Sequence[str] = (),
        shots: int | None = None,
    ) -> MatchOut:
        """All resources, those that fit ``requires`` first, the best before all; the others with
        the reasons why they do not. The fields are those of
        :class:`~quanopy.wire.matching.RequirementsIn`; ``shots`` are of all pubs, for the cost.
        """
        asked = {
            "requires": checked(RequirementsIn, dict(requires or {}), within="requires"),
            "kind": chosen(JobKind, kind, "kind") if kind else None,
            "formats": list(formats),
            "shots": shots,
        }
        return self._http.post(MatchOut, "/match", checked(MatchIn, asked))

    def submit_many(self, jobs: Iterable[Draft]) -> list[Job]:
        """Submit many jobs (see :mod:`quanopy.client.drafts`) in one request: all, or none."""
        requests = [draft.to_wire(self.settings.resource) for draft in jobs]
        if not requests:
            return []
        return [Job(self._http, answer.id) for answer in self._send(requests)]

    def _send(self, jobs: list[JobIn]) -> Sequence[JobOut]:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        if len(jobs) == 1:
            return [self._http.post(JobOut, "/jobs", jobs[0], headers=key)]
        return self._http.post(JobsOut, "/jobs/batch", JobsIn(jobs=jobs), headers=key).jobs

    # -- finding ------------------------------------------------------------------------------
    def job(self, id: str, *, expect: Expected | None = None) -> Job:
        """A handle on a job by its id; nothing is asked yet.

        With ``expect``, an earlier :meth:`Job.identity` or parts of one (``resource``,
        ``provider``, ``target``, ``fingerprint``), it is asked at once whether the job is what it
        is taken for: :class:`ResourceMismatch` says what differs.
        """
        job = Job(self._http, id)
        return job.expect(expect) if expect else job

    def jobs(self, **filters: Any) -> Iterator[Job]:
        """Handles on jobs, newest first; the filters are those of :meth:`listing`."""
        return (self.job(found.id) for found in self.listing(**filters))

    def listing(self, *, limit: int | None = None, **filters: Any) -> Iterator[JobOut]:
        """Jobs as the broker lists them, newest first, page by page as they are taken.

        Filters: ``state`` (one or several), ``resource``, ``kind``, ``tag``, ``name``,
        ``name_prefix``, ``account``, ``created_from`` and ``created_to`` (aware datetimes);
        ``limit`` jobs at most.
        """
        params = _filters(filters)
        left, cursor = limit, None
        while left is None or left > 0:
            size = 100 if left is None else min(left, 100)
            page = self._http.get(
                JobPage, "/jobs", params=params | {"limit": size, "cursor": cursor}
            )
            yield from page.jobs
            left = None if left is None else left - len(page.jobs)
            cursor = page.next
            if cursor is None:
                return

    def states(self, jobs: Iterable[Job | str], wait_s: float = 0.0) -> list[JobOut]:
        """What the broker says of many jobs: once all are final, or after ``wait_s`` seconds
        (60 at most)."""
        return self._in_bulk("/jobs/wait", jobs, wait_s)

    def as_completed(
        self, jobs: Iterable[Job | str], timeout: float | None = None
    ) -> Iterator[Job]:
        """Jobs as they end, in whatever state, the first first.

        Raises:
            NotReady: some have not ended after ``timeout`` seconds.
        """
        pending = set(_ids(jobs))
        ends_at = None if timeout is None else time.monotonic() + timeout
        while pending:
            left = None if ends_at is None else max(0.0, ends_at - time.monotonic())
            for job_id in self._first_to_end(pending, left):
                pending.discard(job_id)
                yield self.job(job_id)

    def _first_to_end(self, ids: Collection[str], timeout: float | None) -> list[str]:
        for wait_s in rounds(timeout):
            said = self._in_bulk("/jobs/wait", ids, wait_s, first=True)
            if ended := [job.id for job in said if job.state in FINAL_JOB_STATES]:
                return ended
        raise NotReady(f"{len(ids)} jobs have not ended")

    def results(
        self, jobs: Iterable[Job | str], timeout: float | None = None, *, partial: bool = False
    ) -> list[Result[Any]]:
        """Results of many jobs, in order, in one request for as many as are done.

        With ``partial``, what is there now, also of failed jobs.

        Raises:
            TaskFailed: one of the jobs failed; ``where`` says which.
            NotReady: not all are done after ``timeout`` seconds.
        """
        ids = _ids(jobs)
        found: dict[str, Result[Any]] = {}
        for wait_s in rounds(0.0 if partial and timeout is None else timeout):
            missing = [job_id for job_id in dict.fromkeys(ids) if job_id not in found]
            for chunk in _chunks(missing):
                found |= self._results(chunk, wait_s, partial)
            if len(found) == len(set(ids)):
                return [found[job_id] for job_id in ids]
        raise NotReady(f"{len(set(ids)) - len(found)} of {len(set(ids))} jobs are not done")

    def cancel(self, jobs: Iterable[Job | str]) -> list[JobOut]:
        """Ask for the end of many jobs in one request; what the broker says of them after."""
        return self._in_bulk("/jobs/cancel", jobs)

    def events(
        self, jobs: Iterable[Job | str] = (), *, after: str | None = None
    ) -> Iterator[EventOut]:
        """Follow events as they happen, of these jobs or of all the account's, without end.

        ``after`` is an event's ``id`` to go on from; broken connections are taken up again.
        """
        return follow(self._http, _ids(jobs), after)

    # -- resources and access -----------------------------------------------------------------
    def resources(self) -> list[ResourceOut]:
        """Every resource, and how busy it is."""
        return self._http.get(ResourcesOut, "/resources").resources

    def resource(self, name: str) -> ResourceOut:
        """One resource; raises :class:`NotFound`."""
        return self._http.get(ResourceOut, f"/resources/{quote(name, safe='')}")

    def target(self, name: str) -> Target:
        """The machine that programs are compiled for on a resource, to be read with
        ``quanopy.codecs.targets.decode_target``; raises :class:`NotFound` where the broker
        cannot tell."""
        path = f"/resources/{quote(name, safe='')}/target"
        return Target(data=self._http.request("GET", path))

    def calibration(self, resource: str) -> Calibration | None:
        """How a resource is calibrated, as it was seen last; ``None`` where it publishes nothing,
        or nothing was seen yet. Raises :class:`NotFound`."""
        found = self.calibration_of(resource).snapshot
        return None if found is None else Calibration(self._http, found.digest, found)

    def calibration_of(self, resource: str, *, metrics: Sequence[str] = ()) -> CalibrationOut:
        """How a resource's calibration stands: when it was asked for, why there is none, and the
        snapshot with these ``metrics`` (by default all)."""
        path = f"/resources/{quote(resource, safe='')}/calibration"
        return self._http.get(CalibrationOut, path, params={"metric": list(metrics)})

    def calibrations(
        self,
        resource: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        metrics: Sequence[str] = (),
        limit: int = 100,
    ) -> list[SnapshotOut]:
        """Snapshots of a resource that were seen in a time (aware datetimes), newest first, with
        these ``metrics``; at most 1000."""
        params = {
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "metric": list(metrics),
            "limit": limit,
        }
        path = f"/resources/{quote(resource, safe='')}/calibrations"
        return self._http.get(SnapshotsOut, path, params=params).snapshots

    def snapshot(self, digest: str) -> Calibration:
        """A snapshot by its digest; nothing is asked yet."""
        return Calibration(self._http, digest)

    def set_resource_state(
        self, name: str, state: ResourceState | str, reason: str | None = None
    ) -> ResourceOut:
        """Take a resource in or out of service; needs the operator's scope."""
        asked = chosen(ResourceState, state, "state")
        body = checked(ResourceStateIn, {"state": asked, "reason": reason})
        path = f"/resources/{quote(name, safe='')}/state"
        return self._http.read(ResourceOut, self._http.request("PUT", path, body=body))

    def register_resource(
        self,
        name: str,
        url: str,
        target: Target,
        *,
        description: str = "",
        lanes: int = 1,
    ) -> RegistrationOut:
        """Put a virtual QPU that answers at ``url`` into the broker's catalogue, for this account;
        raises :class:`Conflict` where the name is another's, :class:`Forbidden` where the url is
        neither this machine's nor one the operator allows."""
        body = checked(
            RegistrationIn,
            {
                "name": name,
                "url": url,
                "target": json.loads(target.data),
                "description": description,
                "lanes": lanes,
            },
        )
        return self._http.post(RegistrationOut, "/resources", body)

    def heartbeat(self, name: str, registration_id: str, *, leaving: bool = False) -> ResourceOut:
        """Say that a registered resource lives; ``leaving``: and takes no new work. Raises
        :class:`NotFound` once the registration does not stand any more."""
        body = checked(HeartbeatIn, {"id": registration_id, "leaving": leaving})
        path = f"/resources/{quote(name, safe='')}/heartbeat"
        return self._http.read(ResourceOut, self._http.request("PUT", path, body=body))

    def remove_resource(self, name: str, registration_id: str | None = None) -> None:
        """Take a resource that registered itself out of the catalogue (only this registration of
        it, if one is given): one's own, or anybody's with the operator's scope."""
        params = {"id": registration_id} if registration_id is not None else None
        self._http.request("DELETE", f"/resources/{quote(name, safe='')}", params=params)

    def open_resource(self, name: str, accounts: Sequence[str] | None) -> ResourceOut:
        """Have a resource serve these accounts and its owner (``None``: everybody); needs the
        operator's scope."""
        body = checked(AccessIn, {"accounts": None if accounts is None else list(accounts)})
        path = f"/resources/{quote(name, safe='')}/accounts"
        return self._http.read(ResourceOut, self._http.request("PUT", path, body=body))

    def stranded(self) -> list[StrandedOut]:
        """Executions of all accounts that may have been billed and nobody can tell of, the oldest
        first; needs the operator's scope."""
        return self._http.get(StrandedListOut, "/stranded", params={"limit": 500}).executions

    def settle(
        self, id: str, way: WayOut | str, reason: str, *, provider_job_id: str | None = None
    ) -> StrandedOut:
        """Say what became of a stranded execution: ``found`` (at the provider, perhaps under
        ``provider_job_id``), ``resend`` (only where the provider never had it), ``give-up``, or
        ``look`` (have a worker ask the provider once more). Needs the operator's scope."""
        body = checked(
            WayOutIn,
            {
                "way": chosen(WayOut, way, "way"),
                "reason": reason,
                "provider_job_id": provider_job_id,
            },
        )
        path = f"/stranded/{quote(id, safe='')}"
        return self._http.post(StrandedOut, path, body, repeatable=False)

    def adopt(
        self,
        provider: str,
        id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] = (),
        account: str | None = None,
        timeout: float = 60.0,
    ) -> Job:
        """Take over a vendor's job that was made elsewhere: a job here, which is followed to its
        end and whose result is kept. The same one is taken over once. Needs the operator's scope.

        Raises:
            Conflict: it was sent from here; the message names its job.
            Rejected: the vendor does not have it, or does not give it away.
            NotReady: no worker has asked the vendor within ``timeout`` seconds.
        """
        asked = {"provider": provider, "id": id, "name": name, "tags": list(tags)}
        body = checked(AdoptIn, {**asked, "account": account})
        found = self._http.post(AdoptionOut, "/adoptions", body)
        ends_at = time.monotonic() + timeout
        while found.job_id is None and found.problem is None:
            if time.monotonic() > ends_at:
                raise NotReady(
                    f"{provider} has not been asked for {id} yet",
                    hint="Adopt it again to see what became of it.",
                )
            time.sleep(_ADOPTING_S)  # A worker asks a vendor meanwhile.
            params = {"provider": provider, "id": id}
            found = self._http.get(AdoptionOut, "/adoptions", params=params)
        if found.problem is not None:
            kind = Conflict if found.problem.type == "Conflict" else Rejected
            raise kind(found.problem.message, where=id, hint=found.problem.hint)
        return Job(self._http, found.job_id or "")

    def replay(
        self,
        job: Job | str,
        *,
        emulator: str | None = None,
        shots: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Replay:
        """Run what really ran of a job again on an emulator whose noise is made from the snapshot
        that the job ran under, and compare the two distributions. ``emulator`` is by default
        ``aer``, for Perceval's experiments ``perceval-slos``, for Pulser's sequences
        ``pulser-qutip``.

        Raises:
            NotFound: it is not known what calibration it ran under.
            ResourceMismatch: it was no sampling of circuits, or the emulator takes no noise.
            NotReady: it is not done after ``timeout`` seconds; the replay is a job, and goes on.
        """
        of = self.job(job) if isinstance(job, str) else job
        draft, snapshot, label = replayed(of, emulator, shots=shots, seed=seed)
        try:
            (again,) = self._send([draft])
        except NotFound as error:
            raise NotFound(
                error.message,
                where=error.where,
                hint="A replay wants an emulator that takes noise: name one here, or have the "
                "broker serve this one.",
            ) from error
        other = Job(self._http, again.id)
        pairs = zip(of.result(0.0), other.result(timeout), strict=True)
        return Replay(
            job=of,
            replay=other,
            calibration=snapshot,
            label=label,
            compared=[
                compare(pub, at, ran, emulated)
                for pub, (was, now) in enumerate(pairs)
                for at, (ran, emulated) in enumerate(
                    zip(distributions(was), distributions(now), strict=True)
                )
            ],
        )

    def create_token(self, token: TokenIn) -> TokenOut:
        """Make a token; its ``secret`` is shown this once. Needs the admin's scope."""
        return self._http.post(TokenOut, "/tokens", token, repeatable=False)

    def tokens(self) -> list[TokenOut]:
        """All tokens, without their secrets; needs the admin's scope."""
        return self._http.get(TokensOut, "/tokens").tokens

    def revoke_token(self, id: str) -> None:
        """Make a token worthless from now on; needs the admin's scope."""
        self._http.request("DELETE", f"/tokens/{quote(id, safe='')}")

    def health(self) -> HealthOut:
        """Whether the broker stands, and its version."""
        return self._http.get(HealthOut, "/health")

    def close(self) -> None:
        """Close the connections; handles of this client are of no use afterwards."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.settings.url!r})"

    def _in_bulk(
        self, path: str, jobs: Iterable[Job | str], wait_s: float = 0.0, *, first: bool = False
    ) -> list[JobOut]:
        return [
            answer
            for chunk in _chunks(_ids(jobs))
            for answer in self._http.post(
                JobsOut,
                path,
                CancelIn(ids=chunk),
                params={"wait": wait_s or None, "first": first or None},
                wait_s=wait_s,
            ).jobs
        ]

    def _results(self, ids: Sequence[str], wait_s: float, partial: bool) -> dict[str, Result[Any]]:
        answers = self._http.post(
            ResultsOut,
            "/results",
            ResultsIn(ids=list(ids), partial=partial),
            params={"wait": wait_s},
            wait_s=wait_s,
        ).results
        present = [answer for answer in answers if answer is not None]
        if not partial:
            for answer in present:
                _raise_failure(answer)
        return {answer.job_id: result_of(answer) for answer in present}


def _raise_failure(answer: ResultOut) -> None:
    if answer.state in (JobState.FAILED, JobState.CANCELLED):
        problem = answer.problem
        raise TaskFailed(
            problem.message if problem else f"it was {answer.state}",
            where=answer.job_id,
            hint=problem.hint if problem else None,
        )


def _filters(filters: dict[str, Any]) -> dict[str, Any]:
    known = {
        *("state", "resource", "kind", "tag", "name", "name_prefix"),
        *("account", "created_from", "created_to"),
    }
    if unknown := filters.keys() - known:
        raise Invalid(f"there is no filter {min(unknown)}", hint=f"Known: {sorted(known)}.")
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in filters.items()
        if value is not None
    }


def _ids(jobs: Iterable[Job | str]) -> list[str]:
    given = [jobs] if isinstance(jobs, Job | str) else jobs
    return [job.id if isinstance(job, Job) else checked_id(job) for job in given]


def _chunks(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE))
