"""Submissions: how jobs come into the catalogue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import Job, Task
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.executions import Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request that asks to be accepted; its jobs have no places in the archive yet."""

    account: str
    job_ids: Sequence[str]
    idempotency_key: str | None = None
    request_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What one request submits: its jobs with their tasks, all or nothing."""

    account: str
    jobs: Sequence[Job]
    tasks: Sequence[Task]
    idempotency_key: str | None = None
    request_digest: str = ""
    """Digest of the request's body: the same key with another digest is a ``Conflict``."""
    group_id: str | None = None
    """The group that gets these jobs, at its end."""

    @property
    def entry(self) -> Entry:
        """The request alone."""
        return Entry(
            account=self.account,
            job_ids=[job.id for job in self.jobs],
            idempotency_key=self.idempotency_key,
            request_digest=self.request_digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A request that may have been made before, by its idempotency key and body's digest."""

    account: str
    idempotency_key: str
    request_digest: str


Ended = Mapping[str, Sequence[Ending]]
"""By claim, how its work came to its end: every task of it completed, and its results are in the
archive."""


def _nothing(*_: object) -> None:
    pass


def _none(*_: object) -> Ended:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A worker that is free, and what it would take at once."""

    worker: str
    offer: Offer
    ttl_s: float
    begin: Callable[[Sequence[Claim]], None] = _nothing
    """Told what is about to be claimed of what is new, before it is kept: work that harms nobody
    may begin. Only what is answered was claimed; told again if the transaction is begun again."""
    kept: Callable[[], None] = _nothing
    """Told once the archive has what was begun on: only then may it have how that ended."""
    ended: Callable[[Sequence[Claim]], Ended] = _none
    """Asked of these, once they are kept, which have come to their end already: their jobs are
    inserted as they ended, and nothing is left to do under their claims, which never were."""


Make = Callable[[Sequence[int]], Sequence[Submission]]
"""Told which of some entries are new, by their indices: what to insert for each of these. Called
within the transaction, and again if that is begun again."""


class SubmissionStore(Protocol):
    """Takes submissions into the catalogue."""

    def submit(self, submissions: Sequence[Submission]) -> list[Sequence[Job] | QuanopyError]:
        """Insert these in one commit, each all or nothing; one answer each, in order. A
        repeated idempotency key gives the jobs of the first time, or ``Conflict``."""

    def accept(
        self,
        entries: Sequence[Entry],
        make: Make,
        offering: Offering | None,
        *,
        keep: Callable[[], object] = _nothing,
    ) -> tuple[list[Sequence[Job] | QuanopyError], list[Claim]]:
        """:meth:`submit` what is made of these; and in the same commit claim on an
        offering: of all that waits, not only of this. ``keep`` puts into the archive what was
        last made, before the commit: so the archive comes to hold nothing but what is accepted."""

    def replay(self, requests: Sequence[Repeat]) -> list[Sequence[Job] | QuanopyError | None]:
        """For each of these the jobs that its key already stands for, ``Conflict`` where it was
        used with another digest, or ``None``: the key is new."""

    def requested(self, account: str, key: str) -> list[Job]:
        """The jobs that this idempotency key stands for, in the order they were asked for; none,
        where the key is new."""
