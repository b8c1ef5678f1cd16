"""Adoptions: jobs that were made at a vendor by somebody else, and are taken over."""

from dataclasses import dataclass
from datetime import datetime

from quanopy.domain.jobs import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """That a vendor's job is to be taken over, and what became of it."""

    provider: str
    provider_job_id: str
    account: str
    """Whose job it is to be."""
    name: str | None
    tags: tuple[str, ...]
    actor: str
    """Who asked for it."""
    asked_at: datetime
    job_id: str | None = None
    """The job that it has become; ``None`` until its provider has been asked."""
    problem: Problem | None = None
    """Why it is none."""

    @property
    def open(self) -> bool:
        """Whether its provider is still to be asked."""
        return self.job_id is None and self.problem is None
