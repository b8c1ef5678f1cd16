"""Jobs read for many requests together: nobody's ids spoil another's answer."""

import asyncio
import contextlib
from collections.abc import Collection
from typing import cast

import pytest

from quanopy.domain.accounts import Identity, Scope
from quanopy.domain.errors import NotFound
from quanopy.domain.jobs import Job, Task
from quanopy.ports.jobs import JobStore
from quanopy.server.reads import JobReads

ADA = Identity(account="ada", scope=Scope.USER, token_id="token_ada")


class Picky:
    """A store that, as PostgreSQL does, fails a whole query for one text with NUL in it."""

    def jobs_with_tasks(
        self, ids: Collection[str], _: Collection[str]
    ) -> tuple[list[Job], list[Task]]:
        """No jobs."""
        if any("\0" in one for one in ids):
            raise ValueError("NUL")
        return [], []


@pytest.mark.parametrize("id", ["\0", "job_" + "\0" * 32, "x" * 1000, "job_" + "0" * 31 + "\n"])
def test_what_is_no_id_is_not_found_without_asking_the_store(id: str) -> None:
    async def ask() -> None:
        with contextlib.closing(JobReads(cast(JobStore, Picky()))) as reads:
            await reads.owned([id], ADA)

    with pytest.raises(NotFound):
        asyncio.run(ask())
