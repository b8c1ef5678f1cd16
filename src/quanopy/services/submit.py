"""Submission: jobs that arrive together are read, packed and committed together.

One thread reads what comes, while another stores what has been read: all of it in one pack and one
commit, for what is paid once a batch (two syncs to disk) weighs most. Large programs are read and
stored by a thread of their own, so that they do not hold up others.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Protocol

from quanopy.domain.errors import Conflict, QuanopyError, Unavailable
from quanopy.domain.jobs import Job, JobSpec
from quanopy.domain.requirements import Requirements
from quanopy.ports.claims import Claim
from quanopy.ports.objects import Objects
from quanopy.ports.programs import Reader
from quanopy.ports.store import Store
from quanopy.ports.submissions import Offering, Repeat
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.services.accepting import Acceptance, Accepting, Candidate
from quanopy.services.batching import Batching
from quanopy.services.candidates import Candidates
from quanopy.services.catalogue import Catalogue
from quanopy.services.demands import Demands, Standings
from quanopy.services.drafting import Asking, Draft, demanding, draft

LARGE = 64 * 1024
_GATHER_S = 0.01
"""How long those who were answered together are waited for, at most, to come back together."""
_QUICK = 1024 * 1024
"""Bytes of programs that are packed and put in some ten milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Jobs that one caller submits: all are accepted, or none."""

    account: str
    specs: Sequence[JobSpec]
    requirements: Mapping[int, Requirements] = field(default_factory=dict)
    """By their index, what the resources of those jobs must be that name none."""
    idempotency_key: str | None = None
    digest: str = ""
    """Names the request's body: the same key with another digest is a ``Conflict``."""
    group_id: str | None = None
    """The group that gets these jobs."""

    @property
    def waits(self) -> bool:
        """Whether any of these jobs has to wait for its group, or for other jobs."""
        return self.group_id is not None or any(spec.after for spec in self.specs)

    @property
    def size(self) -> int:
        """Bytes of all programs."""
        return sum(len(program.data) for spec in self.specs for program in spec.programs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The jobs of a request, durable; ``replayed``: its key had made them before."""

    jobs: Sequence[Job]
    replayed: bool = False


Answer = Submitted | Exception
Done = Callable[[Answer], None]
"""Told the answer, on a thread of the service: must be quick."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Ticket:
    request: Request
    done: list[Done]
    size: int
    drafts: Sequence[Draft] = field(default=())


class Workplace(Protocol):
    """A worker of this process. While it is free it takes what is submitted in the commit that
    keeps it, with no wake-up and no transaction of its own between."""

    def offering(self, resource: str) -> AbstractContextManager[Offering | None]:
        """What it would take now of a resource; it takes nothing else in the block."""

    def take(self, claims: Sequence[Claim]) -> None:
        """Work on what was claimed on its offering."""


class Submit:
    """Takes submissions from many callers at once and answers each when it is durable."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        wakeups: Wakeups,
        reader: Reader,
        deadline_s: float = 5.0,
        most_waiting: int = 5_000,
        most_bytes: int = 256 * 1024 * 1024,
        first: Callable[[], None] | None = None,
        standings: Standings | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        """``deadline_s`` bounds reading: what takes longer is accepted and checked at dispatch.
        ``most_waiting`` requests and ``most_bytes`` of programs may wait. ``first`` is called
        when the first request has been taken, before it is read. ``standings`` are what jobs'
        demands of calibrations are held against. Jobs that name no resource are given to one of
        the ``candidates``."""
        self._store = store
        self._objects = objects
        self._wakeups = wakeups
        self._reader = reader
        self._catalogue = Catalogue(store)
        self._accepting = Accepting(store, objects)
        self._demands = Demands(store)
        self._standings = standings
        self._deadline_s = deadline_s
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._first = first
        self._candidates = candidates
        self._workplace: Workplace | None = None
        self._lock = Lock()
        self._closed = False
        self._waiting = 0
        self._bytes = 0
        self._keys: dict[tuple[str, str], _Ticket] = {}
        self._small = Batching("submit-read", self._read, failed=self._fail)
        self._storing = Batching(
            "submit-store", self._commit, failed=self._fail, gather_s=_GATHER_S
        )
        self._large = Batching("submit-read-large", self._read, failed=self._fail, most=8)

    def work_at(self, workplace: Workplace | None) -> None:
        """Hand what is submitted to a worker of this process, or no longer (``None``)."""
        self._workplace = workplace

    @property
    def waiting(self) -> int:
        """How many requests have not been answered yet."""
        return self._waiting

    def submit(self, request: Request, done: Done) -> None:
        """Take a request; ``done`` is told the answer. Never blocks.

        Raises :class:`Unavailable` when too much waits already. While a request with the same key
        and another body is under way, this one waits for what becomes of that.
        """
        ticket = _Ticket(request=request, done=[done], size=request.size)
        with self._lock:
            if self._join(ticket):
                return
            self._admit(ticket)
            first, self._first = self._first, None
        if first is not None:
            first()
        (self._large if ticket.size > LARGE else self._small).put(ticket)

    def close(self) -> None:
        """Answer what was taken, then stop; idempotent."""
        with self._lock:
            self._closed = True
        for stage in (self._small, self._large, self._storing):
            stage.close()

    def _join(self, ticket: _Ticket) -> bool:
        """Wait with an earlier request of the same key that is under way, if there is one."""
        key = ticket.request.idempotency_key
        earlier = self._keys.get((ticket.request.account, key)) if key is not None else None
        if earlier is None:
            return False
        if earlier.request.digest == ticket.request.digest:
            earlier.done += ticket.done
        else:
            earlier.done.append(partial(self._after, ticket))
        return True

    def _after(self, ticket: _Ticket, answer: Answer) -> None:
        """A request whose key another body had: refused, or new if nothing came of that."""
        for done in ticket.done:
            if isinstance(answer, Submitted):
                done(other_body())
                continue
            try:
                self.submit(ticket.request, done)
            except Unavailable as error:
                done(error)

    def _admit(self, ticket: _Ticket) -> None:
        if self._closed:
            raise Unavailable("the service stops", hint="Send it again when it is back.")
        full = self._waiting >= self._most_waiting
        if full or (self._waiting and self._bytes + ticket.size > self._most_bytes):
            raise Unavailable(
                "too many submissions wait to be stored",
                hint="Send it again in a moment.",
                retry_after_s=1.0,
            )
        self._waiting += 1
        self._bytes += ticket.size
        if ticket.request.idempotency_key is not None:
            self._keys[ticket.request.account, ticket.request.idempotency_key] = ticket

    def _read(self, tickets: Sequence[_Ticket]) -> None:
        fresh = tickets if self._objects.near else self._without_repeats(tickets)
        try:
            answers: Sequence[Sequence[Draft] | Exception] = self._draft(fresh)
        except Exception:
            # Something about one of them: alone, each meets only its own fate.
            if len(fresh) == 1:
                raise
            answers = [self._draft_alone(ticket) for ticket in fresh]
        good, bad = [], {}
        for ticket, answer in zip(fresh, answers, strict=True):
            if isinstance(answer, Exception):
                bad[ticket] = answer
            else:
                ticket.drafts = answer
                good.append(ticket)
        # What was accepted once stays so, even if it would be refused now.
        for ticket in self._without_repeats(list(bad)):
            self._answer(ticket, bad[ticket])
        if any(ticket.size > LARGE for ticket in good):
            self._commit(good)
            return
        for ticket in good:
            self._storing.put(ticket)

    def _draft(self, tickets: Sequence[_Ticket]) -> list[Sequence[Draft] | QuanopyError]:
        requests = [
            Asking(
                account=ticket.request.account,
                specs=ticket.request.specs,
                requirements=ticket.request.requirements,
            )
            for ticket in tickets
        ]
        answers = draft(requests, self._catalogue, self._reader, self._deadline_s, self._candidates)
        if self._standings is None:
            return answers
        return [demanding(one, self._demands, self._standings) for one in answers]

    def _draft_alone(self, ticket: _Ticket) -> Sequence[Draft] | Exception:
        try:
            return self._draft([ticket])[0]
        except Exception as error:  # noqa: BLE001 - its answer is the error; the route logs it
            return error

    def _without_repeats(self, tickets: Sequence[_Ticket]) -> list[_Ticket]:
        """Those that are new; a request whose key made jobs before is answered."""
        keyed = {
            ticket: Repeat(
                account=ticket.request.account,
                idempotency_key=ticket.request.idempotency_key,
                request_digest=ticket.request.digest,
            )
            for ticket in tickets
            if ticket.request.idempotency_key is not None
        }
        try:
            answers = self._store.replay(list(keyed.values())) if keyed else []
        except QuanopyError as error:
            answers = [error] * len(keyed)
        known = {t: found for t, found in zip(keyed, answers, strict=True) if found is not None}
        for ticket, found in known.items():
            self._answer(
                ticket,
                found if isinstance(found, QuanopyError) else Submitted(jobs=found, replayed=True),
            )
        return [ticket for ticket in tickets if ticket not in known]

    def _commit(self, tickets: Sequence[_Ticket]) -> None:
        try:
            done = self._accept(tickets)
        except Unavailable as error:
            self._fail(tickets, error)
            return
        except Exception as error:
            # Something about one of them: alone, each meets only its own fate.
            if len(tickets) > 1:
                for ticket in tickets:
                    self._commit_alone(ticket)
                return
            if not isinstance(error, QuanopyError):
                raise
            self._fail(tickets, error)
            return
        topics = [Topic.WORK, Topic.EVENTS] if done.waiting else [Topic.EVENTS]
        if any(ticket.request.waits for ticket in tickets):
            topics.append(Topic.TURNS)
        self._wakeups.notify(*topics)
        for ticket, answer, again in zip(tickets, done.answers, done.repeated, strict=True):
            if isinstance(answer, QuanopyError):
                self._answer(ticket, answer)
            else:
                self._answer(ticket, Submitted(jobs=answer, replayed=again))

    def _commit_alone(self, ticket: _Ticket) -> None:
        try:
            self._commit([ticket])
        except Exception as error:  # noqa: BLE001 - its answer is the error; the route logs it
            self._answer(ticket, error)

    def _accept(self, tickets: Sequence[_Ticket]) -> Acceptance:
        candidates = [
            Candidate(
                account=ticket.request.account,
                drafts=ticket.drafts,
                idempotency_key=ticket.request.idempotency_key,
                digest=ticket.request.digest,
                group_id=ticket.request.group_id,
            )
            for ticket in tickets
        ]
        workplace = self._workplace_for(tickets)
        if workplace is None:
            return self._accepting.accept(candidates, None)
        resource = tickets[0].request.specs[0].resource
        with workplace.offering(resource) as offering:
            done = self._accepting.accept(candidates, offering)
            workplace.take(done.claims)
        return done

    def _workplace_for(self, tickets: Sequence[_Ticket]) -> Workplace | None:
        """This process's worker, where all of these are for one resource and soon stored: while
        it offers, it claims nothing else."""
        resources = {spec.resource for ticket in tickets for spec in ticket.request.specs}
        quick = sum(ticket.size for ticket in tickets) <= _QUICK
        return self._workplace if quick and len(resources) == 1 else None

    def _fail(self, tickets: Sequence[_Ticket], error: Exception) -> None:
        for ticket in tickets:
            self._answer(ticket, error)

    def _answer(self, ticket: _Ticket, answer: Answer) -> None:
        """Tell everybody who waits for this request; a second time does nothing."""
        with self._lock:
            if not ticket.done:
                return
            first, *others = ticket.done
            ticket.done = []
            self._waiting -= 1
            self._bytes -= ticket.size
            if ticket.request.idempotency_key is not None:
                self._keys.pop((ticket.request.account, ticket.request.idempotency_key), None)
        first(answer)
        if isinstance(answer, Submitted):
            answer = Submitted(jobs=answer.jobs, replayed=True)
        for done in others:
            done(answer)


def other_body() -> Conflict:
    """The error of an idempotency key that came with another body before."""
    return Conflict(
        "this Idempotency-Key was used with another body",
        where="Idempotency-Key",
        hint="Use a new key for a new request.",
    )
