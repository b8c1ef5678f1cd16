"""Accepting: drafts become jobs in one transaction, and the archive holds exactly what it holds.

Which requests are new is known only within the transaction. So the pack is made and put there, of
the new ones alone: a crash between leaves an orphan, never a row that points to nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from quanopy.domain.errors import QuanopyError
from quanopy.domain.jobs import Job
from quanopy.ports.claims import Claim
from quanopy.ports.objects import Objects
from quanopy.ports.submissions import Entry, Offering, Submission, SubmissionStore
from quanopy.services.drafting import Draft, accept, pack
from quanopy.services.recording import Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A request whose jobs have been read and checked."""

    account: str
    drafts: Sequence[Draft]
    idempotency_key: str | None
    digest: str
    group_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What became of some candidates."""

    answers: Sequence[Sequence[Job] | QuanopyError]
    """One a candidate: its jobs, perhaps those that its key made before."""
    repeated: Sequence[bool]
    claims: Sequence[Claim]
    """What was claimed on the offering."""
    waiting: bool
    """Whether anything new is in no claim yet."""


class Accepting:
    """Makes jobs of candidates, many in one commit."""

    def __init__(self, store: SubmissionStore, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def accept(self, candidates: Sequence[Candidate], offering: Offering | None) -> Acceptance:
        """Accept these, and let who offers have of what waits; raises as the store and the
        object store do."""
        now = datetime.now(UTC)
        jobs = [
            accept(one.drafts, one.idempotency_key, one.digest, now, one.group_id)
            for one in candidates
        ]
        entries = [
            Entry(
                account=one.account,
                job_ids=[job.id for job in made],
                idempotency_key=one.idempotency_key,
                request_digest=one.digest,
            )
            for one, made in zip(candidates, jobs, strict=True)
        ]
        packing = _Packing(self._objects, jobs, now)
        if not self._objects.near:
            # No transaction stays open while a network is waited for.
            packing.make(range(len(jobs)))
            packing.keep()
        answers, claims = self._store.accept(entries, packing.make, offering, keep=packing.keep)
        claimed = {task.id for claim in claims for task in claim.tasks}
        repeated = [
            not isinstance(answer, QuanopyError)
            and [job.id for job in answer] != list(entry.job_ids)
            for answer, entry in zip(answers, entries, strict=True)
        ]
        new = [
            task.id
            for made, answer, again in zip(jobs, answers, repeated, strict=True)
            if not again and not isinstance(answer, QuanopyError)
            for job in made
            for task in job.tasks
        ]
        return Acceptance(
            answers=answers,
            repeated=repeated,
            claims=claims,
            waiting=not claimed.issuperset(new),
        )


class _Packing:
    """Packs of those that are new, each made once however often a transaction begins again."""

    def __init__(self, objects: Objects, jobs: Sequence[Sequence[Accepted]], now: datetime) -> None:
        self._objects = objects
        self._jobs = jobs
        self._now = now
        self._made: dict[tuple[int, ...], tuple[Mapping[str, bytes], Sequence[Submission]]] = {}
        self._unkept: Mapping[str, bytes] = {}
        self._kept: set[str] = set()

    def make(self, new: Sequence[int]) -> Sequence[Submission]:
        """The rows of these; their pack is at hand, and to be kept."""
        which = tuple(new)
        if which not in self._made:
            self._made[which] = self._pack(which)
        self._unkept, submissions = self._made[which]
        return submissions

    def keep(self) -> None:
        """Put the pack made last, unless that is done."""
        if not self._kept.issuperset(self._unkept):
            self._objects.put(self._unkept)
            self._kept.update(self._unkept)

    def _pack(self, which: tuple[int, ...]) -> tuple[Mapping[str, bytes], Sequence[Submission]]:
        if not which:
            return {}, []
        key, data, submissions = pack([self._jobs[index] for index in which], self._now)
        self._objects.remember({key: data})
        return {key: data}, submissions
