"""Whether a job may be final, as a worker tells those who wait beside it."""

from collections.abc import Collection

from quanopy.ports.claims import Claim
from quanopy.services.hints import JobHints, Told
from quanopy.testing.catalogue import job


class Waiting:
    """Wants every job, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def waits_for(self, job_ids: Collection[str]) -> set[str]:
        return set(job_ids)

    def tell(self, told: Told) -> None:
        self.told.append(told)


def test_a_job_is_held_while_any_claim_has_a_task_of_it() -> None:
    hints = JobHints()
    one, tasks = job(parts=2)
    other, more = job()
    hints.hold(Claim(id="claim_1", resource="aer", tasks=[tasks[0], *more]))
    hints.hold(Claim(id="claim_2", resource="aer", tasks=[tasks[1]]))
    assert hints.let_go("claim_1") == {one.id, other.id}
    assert hints.holds(one.id, "alice")
    assert not hints.holds(other.id, "alice")
    assert not hints.holds(one.id, "bob")
    assert hints.let_go("claim_2") == {one.id}
    assert not hints.holds(one.id, "alice")


def test_of_a_claim_that_is_given_up_those_who_wait_are_told_once() -> None:
    hints, waiting = JobHints(), Waiting()
    hints.listen(waiting)
    one, tasks = job()
    hints.hold(Claim(id="claim_1", resource="aer", tasks=tasks))
    hints.give_up("claim_1")
    hints.give_up("claim_1")
    assert waiting.told == [{one.id: None}]
