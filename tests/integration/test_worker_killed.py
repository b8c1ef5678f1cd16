"""A worker killed between any two steps loses nothing, and repeats nothing that was billed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quanopy.domain.states import JobState
from quanopy.testing.fake_local import FakeEmulator
from tests.integration.doomed_worker import remote, work_until
from tests.integration.workplace import Workplace, task_ids
from tests.servers.vendor import FakeVendorServer

MOST_STEPS = 60


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with Workplace(f"sqlite:///{tmp_path / 'catalogue.db'}", tmp_path / "objects") as place:
        yield place


def test_local_work_survives_a_kill_at_every_step(place: Workplace) -> None:
    steps = 0
    for step in range(1, MOST_STEPS):
        ids = place.submit(3)
        if not work_until(step, place.database, place.folder):
            break
        steps += 1
        rescuer = place.worker(FakeEmulator())
        assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
        assert all(len(place.result(job)) == 1 for job in ids)
        assert all(place.history(job).count("job.completed") == 1 for job in ids)
        rescuer.stop()
    assert steps >= 8


@pytest.mark.parametrize("mode", ["idempotent", "searchable"])
def test_remote_work_survives_a_kill_at_every_step_and_is_never_sent_twice(
    place: Workplace, mode: str
) -> None:
    steps = 0
    with FakeVendorServer(idempotent=mode == "idempotent") as vendor:
        for step in range(1, MOST_STEPS):
            ids = place.submit(2, "fake")
            if not work_until(step, place.database, place.folder, vendor.url, mode):
                break
            steps += 1
            rescuer = place.worker(remote(vendor.url, mode))
            assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
            accepted = vendor.counts()["accepted"]
            assert [accepted[task] for task in task_ids(place, ids)] == [1, 1]
            rescuer.stop()
    assert steps >= 12
