"""The vQPU provider: one resource a virtual QPU, each spoken to by itself."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from quanopy.domain.calibration import Snapshot
from quanopy.domain.errors import (
    Invalid,
    NotFound,
    ProviderError,
    QuanopyError,
    Transient,
)
from quanopy.domain.jobs import JobKind
from quanopy.domain.programs import digest_of
from quanopy.domain.resources import Resource, Target
from quanopy.domain.states import ExecutionState
from quanopy.ports.providers import Foreign, Order, Outcome, RemoteCapabilities, Report, Work
from quanopy.ports.registrations import Registrations
from quanopy.providers.vqpu.answers import answers_of, foreign_outcome
from quanopy.providers.vqpu.connection import MIB
from quanopy.providers.vqpu.deadline import connections
from quanopy.providers.vqpu.description import moment, snapshot
from quanopy.providers.vqpu.dialects import Dialect, Extended, Plain, fetch
from quanopy.providers.vqpu.errands import PATIENCE_S
from quanopy.providers.vqpu.fleet import Configured, Fleet, Vqpu, resource_of
from quanopy.providers.vqpu.following import Following
from quanopy.providers.vqpu.places import Place, place_of
from quanopy.providers.vqpu.recent import Recent, grouped
from quanopy.providers.vqpu.starting import Starting, circuits_for

_BATCH = 100
_SENDERS = 2
"""Of a worker's senders, those that one vQPU may keep waiting."""
_FOREIGN = 32 * MIB
"""Bytes that are read of a result of which nobody knows what to expect."""


class VqpuProvider:
    """See :func:`quanopy.providers.vqpu.create`."""

    def __init__(
        self,
        *,
        name: str,
        configured: Sequence[Configured],
        registrations: Registrations | None,
        account: str,
        plain: bool,
        request_timeout_s: float,
        poll_interval_s: float,
    ) -> None:
        self.name = name
        self.capabilities = RemoteCapabilities(
            idempotent=not plain,
            request_timeout_s=request_timeout_s,
            poll_interval_s=poll_interval_s,
            batch=_BATCH,
            senders_each=_SENDERS,
        )
        self._dialect: Dialect = Plain() if plain else Extended()
        # What cannot be asked for again is waited for.
        self._patience_s = None if plain else PATIENCE_S
        self._account = account
        self._pool = connections()
        self._fleet = Fleet(
            self._dialect,
            configured=configured,
            registrations=registrations,
            timeout_s=request_timeout_s,
            pool=self._pool,
        )
        self._threads = ThreadPoolExecutor(32, thread_name_prefix="vqpu")
        """Each is kept by one vQPU for no longer than an answer is waited for."""
        self._asking = ThreadPoolExecutor(8, thread_name_prefix="vqpu-asking")
        self._places = sorted((one.name, one.url) for one in configured)
        self._works: Recent[Sequence[Work]] = Recent()
        """What was sent lately."""
        self._starting = Starting(
            self._fleet, self._dialect, self._works, patience_s=self._patience_s
        )
        self._following = Following(self._fleet, self._dialect, patience_s=self._patience_s)

    def __repr__(self) -> str:
        return f"VqpuProvider({self.name!r}, {self._places!r})"

    # -- what it exposes ----------------------------------------------------------------------
    def resources(self) -> Sequence[Resource]:
        """One a vQPU; its description is asked for about once a minute."""
        due = self._fleet.due()
        wait([self._asking.submit(self._fleet.refresh, one) for one in due], PATIENCE_S)
        return [resource_of(one, self.name) for one in self._fleet.all().values()]

    def target(self, resource: str) -> Target:
        """Its native gates and connections: those of whoever has its name now."""
        return self._fleet.described(self._fleet.current(resource)).target

    def calibration(self, resource: str) -> Snapshot | None:
        """Its noise model's parameters; ``None`` where it has no noise. An answer of a vQPU whose
        name another has taken meanwhile is none: ``Transient``."""
        found = self._fleet.get(resource)
        if not self._dialect.extended:
            return None
        description = self._fleet.described(found, anew=True)
        self._fleet.check_current(found)
        try:
            return snapshot(resource, description.calibration)
        except Invalid as error:
            raise Transient(f"{resource} gave no calibration: {error.message}") from error

    def check(self, work: Work) -> None:
        """Refuse circuits that cannot be said in the vQPU's instructions."""
        found = self._fleet.get(work.resource)
        try:
            _check(work, found)
        except QuanopyError:
            # Perhaps it is another machine by now.
            current = self._fleet.current(work.resource)
            if current is found:
                raise
            _check(work, current)

    def fingerprint(self) -> str:
        """Of the account, or of the addresses in the settings."""
        return digest_of(repr((self._account, self._places)).encode())

    # -- executions ---------------------------------------------------------------------------
    def start(self, orders: Sequence[Order]) -> list[str | QuanopyError]:
        """A request an order; vQPUs are told side by side."""
        groups = grouped(orders, lambda one: one.resource).values()
        answers: dict[str, str | QuanopyError] = {}
        for told in self._threads.map(self._starting.tell, groups):
            answers |= told
        found = [answers[order.key] for order in orders]
        match found:
            case [QuanopyError() as refused] if not isinstance(refused, ProviderError):
                # Nothing was sent, and there is nothing else to answer.
                raise refused
        return found

    def poll(self, ids: Sequence[str]) -> dict[str, Report]:
        """A request a vQPU (a plain one: an execution). Where one does not answer, what is there
        is said to be as it last was; raises where none does."""
        places = {one: place for one in ids if (place := place_of(one)) is not None}
        groups = grouped(places, lambda one: places[one].vqpu)
        asked = self._threads.map(
            lambda name: self._following.poll(name, {one: places[one] for one in groups[name]}),
            groups,
        )
        reports: dict[str, Report] = {}
        errors: list[QuanopyError] = []
        for found, error in asked:
            reports |= found
            errors += [] if error is None else [error]
        if errors and len(errors) == len(groups):
            raise errors[0]
        self._following.note(reports)
        return reports

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Outcomes from counts, or from each shot's bits."""
        from quanopy.providers.vqpu.translation import Expected  # loads Qiskit

        vqpu, place = self._fleet.located(id)
        if works is None:
            answers, seconds = answers_of(vqpu.name, self._fetched(vqpu, place, _FOREIGN))
            return [foreign_outcome(vqpu.name, answers, seconds)]
        known = self._works.get(id)
        (work,) = known if known is not None else works()
        expected = Expected(work)
        most = expected.bytes(each_shot=self._dialect.tells_shots(work.options))
        document = self._fetched(vqpu, place, most)
        answers, seconds = answers_of(vqpu.name, document)
        shots = float(sum(pub.shots or 0 for pub in work.pubs))
        outcome = expected.outcome(answers, {"seconds": seconds, "shots": max(shots, 1.0)})
        return [
            Outcome(
                result=outcome.result,
                error=outcome.error,
                usage=outcome.usage,
                started_at=moment(document.get("started_at")),
                ended_at=moment(document.get("ended_at")),
            )
        ]

    def stop(self, ids: Sequence[str]) -> None:
        """Ask for an end; a plain vQPU cannot be asked, and goes on."""
        by_vqpu: dict[Vqpu, list[str]] = {}
        for each in ids:
            try:
                vqpu, place = self._fleet.located(each)
            except NotFound:
                continue
            by_vqpu.setdefault(vqpu, []).append(place.there)
        errors = [error for error in self._threads.map(self._stop, by_vqpu.items()) if error]
        if errors:
            raise errors[0]

    def logs(self, id: str) -> str:
        """It keeps none."""
        return ""

    def describe(self, id: str) -> Foreign:
        """Its resource and state."""
        vqpu, place = self._fleet.located(id)
        to, there = vqpu.connection, place.there
        report, (created_at, key) = vqpu.errands.run(
            f"describe {there}",
            lambda: (
                self._dialect.states(to, [there]).get(there),
                self._dialect.origin(to, there),
            ),
            patience_s=None,
        )
        if report is None:
            raise NotFound(f"{vqpu.name} has no circuit {there}")
        return Foreign(
            resource=vqpu.name,
            kind=JobKind.RUN,
            state=report.state or ExecutionState.SUBMITTED,
            created_at=created_at,
            key=key,
        )

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        """Keys are sent again instead."""
        return {}

    def close(self) -> None:
        """Close the connections."""
        for threads in (self._threads, self._asking):
            threads.shutdown(wait=False, cancel_futures=True)
        self._pool.clear()

    # -- requests -----------------------------------------------------------------------------
    def _fetched(self, vqpu: Vqpu, place: Place, most: int) -> Any:
        to = vqpu.connection
        return vqpu.errands.run(
            f"result {place.there}",
            lambda: fetch(to, place.there, most=most),
            patience_s=self._patience_s,
        )

    def _stop(self, group: tuple[Vqpu, Sequence[str]]) -> QuanopyError | None:
        vqpu, theirs = group
        name = f"stop {' '.join(sorted(theirs))}"
        try:
            vqpu.errands.run(name, lambda: self._dialect.stop(vqpu.connection, theirs))
        except QuanopyError as error:
            return error
        return None


def _check(work: Work, vqpu: Vqpu) -> None:
    if vqpu.description is not None:
        circuits_for(work, vqpu.description)
