"""A worker killed between any two steps loses nothing, and repeats nothing that was billed."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from quanopy.domain.states import JobState
from quanopy.ports.store import Store
from quanopy.storage.store import open_store
from quanopy.testing.fake_local import FakeEmulator
from tests.integration.doomed_worker import long_after, remote, work_until
from tests.integration.workplace import Workplace, task_ids
from tests.servers.vendor import FakeVendorServer

MOST_STEPS = 60
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def later(place: Workplace) -> Iterator[Store]:
    """The catalogue as those see it who come to the rescue."""
    with closing(open_store(place.database, clock=long_after)) as store:
        yield store


def test_local_work_survives_a_kill_at_every_step(place: Workplace, later: Store) -> None:
    steps = 0
    for step in range(1, MOST_STEPS):
        ids = place.submit(3)
        if not work_until(step, place.database, place.folder):
            break
        steps += 1
        rescuer = place.worker(FakeEmulator(), store=later)
        assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
        assert all(len(place.result(job)) == 1 for job in ids)
        assert all(place.history(job).count("job.completed") == 1 for job in ids)
        rescuer.stop()
    assert steps >= 8


@pytest.mark.parametrize("mode", ["idempotent", "searchable"])
def test_remote_work_survives_a_kill_at_every_step_and_is_never_sent_twice(
    place: Workplace, later: Store, mode: str
) -> None:
    steps = 0
    with FakeVendorServer(idempotent=mode == "idempotent") as vendor:
        for step in range(1, MOST_STEPS):
            ids = place.submit(2, "fake")
            if not work_until(step, place.database, place.folder, vendor.url, mode):
                break
            steps += 1
            rescuer = place.worker(remote(vendor.url, mode), store=later)
            assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
            accepted = vendor.counts()["accepted"]
            assert [accepted[task] for task in task_ids(place, ids)] == [1, 1]
            rescuer.stop()
    assert steps >= 12
