"""Work on claims that are still to be committed."""

from typing import Any, cast

from quanopy.ports.claims import Claim
from quanopy.services.dispatch import Commit, LocalDispatch
from quanopy.services.hints import JobHints
from quanopy.services.holding import Holding
from quanopy.testing.catalogue import job
from quanopy.testing.fake_local import FakeEmulator


class Counting:
    """Prepares nothing, and counts how often it is asked to."""

    asked = 0

    def prepare(self, *_: object) -> list[object]:
        self.asked += 1
        return []


def test_work_whose_commit_failed_before_it_began_is_not_begun() -> None:
    emulator, preparing = FakeEmulator(), Counting()
    dispatch = LocalDispatch(
        emulator,
        preparing=cast(Any, preparing),
        endings=cast(Any, None),
        holding=Holding(cast(Any, None), "worker_1", ttl_s=1.0),
        hints=JobHints(),
        calibrations=cast(Any, None),
    )
    commit = Commit()
    commit.tell(False)
    claim = Claim(id="claim_1", resource="noop", tasks=job()[1])
    dispatch.run(claim, emulator.resources()[0], commit)
    assert (preparing.asked, dict(emulator.ran)) == (0, {})
