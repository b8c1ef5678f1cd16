"""Adoptions: vendors' jobs that are to become jobs of this broker."""

from typing import Protocol

from quanopy.domain.adoptions import Adoption
from quanopy.domain.jobs import Execution, Problem
from quanopy.ports.submissions import Submission


class AdoptionStore(Protocol):
    """Adoptions in the catalogue."""

    def ask_adoption(self, asked: Adoption) -> Adoption:
        """Note that a vendor's job is to be taken over; what stands, where that was asked
        before: its job, or the open question (a refused one is asked anew). ``Conflict`` for one
        that was sent from here, which names its job."""

    def adoption(self, provider: str, provider_job_id: str) -> Adoption | None:
        """What stands of it."""

    def open_adoptions(
        self, provider: str, *, after: Adoption | None = None, limit: int
    ) -> list[Adoption]:
        """Those that this provider is still to be asked about, the oldest first; only those that
        come after one of them."""

    def adopt(self, asked: Adoption, submission: Submission, execution: Execution) -> None:
        """Insert the one job and task that a vendor's job has become, with its execution, due at
        once. Where somebody was quicker, theirs stands; where it turns out to be one of ours,
        the adoption is refused."""

    def refuse_adoption(self, asked: Adoption, problem: Problem) -> None:
        """Note why it cannot be taken over."""
