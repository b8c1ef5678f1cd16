"""A worker that a machine stops between two steps, and that goes on when others did its work."""

from threading import Event
from typing import Any, cast

from quanopy.domain.states import JobState
from quanopy.ports.store import Store
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import BRIEF, PATIENCE_S, Workplace, hurried, task_ids
from tests.servers.vendor import FakeVendorServer


class Stopping:
    """A store whose worker is stopped once it wrote down what it is about to send."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.stopped, self.goes_on = Event(), Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def begin(self, *given: Any, **how: Any) -> None:
        """As it is; the first time the answer comes late."""
        self._real.begin(*given, **how)
        if not self.stopped.is_set():
            self.stopped.set()
            self.goes_on.wait()

    def renew(self, worker: str, *, ttl_s: float) -> set[str]:
        """Not while it is stopped."""
        if self.stopped.is_set():
            self.goes_on.wait()
        renewed: set[str] = self._real.renew(worker, ttl_s=ttl_s)
        return renewed


def test_what_was_about_to_be_sent_is_not_sent_after_another_has(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(idempotent=False)
    store = Stopping(place.store)
    late = place.worker(searching(vendor), store=cast("Store", store), rhythm=BRIEF)
    ids = place.submit(1, "fake")
    try:
        assert store.stopped.wait(20)
        place.worker(searching(vendor))
        assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    finally:
        store.goes_on.set()
    late.stop()  # It has done what it would.
    (task,) = task_ids(place, ids)
    assert vendor.counts()["accepted"] == {task: 1}


def searching(vendor: FakeVendorServer) -> FakeProvider:
    """Of a vendor that knows no keys, and can be searched."""
    return hurried(
        FakeProvider(vendor.url, token=TOKEN, mode="searchable", request_timeout_s=PATIENCE_S)
    )
