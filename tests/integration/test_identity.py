"""What an execution was sent with and to: kept before it is sent, and held to ever after."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from quanopy.domain.errors import ProviderError, QuanopyError
from quanopy.domain.programs import digest_of
from quanopy.domain.resources import Resource
from quanopy.domain.states import ExecutionState, JobState, WayOut
from quanopy.ports.programs import Compilation, Compiled
from quanopy.ports.providers import Order, Outcome, Work
from quanopy.ports.wakeups import Topic
from quanopy.services.ran import all_as_run
from quanopy.services.rebuild import rebuild
from quanopy.services.settling import Settlement, settle
from quanopy.storage.store import open_store
from quanopy.testing.fake_provider import FakeProvider
from quanopy.testing.fake_vendor import TOKEN
from tests.integration.workplace import Workplace
from tests.servers.vendor import FakeVendorServer


class Watched(FakeProvider):
    """Notes which programs it is given; its resource compiles everything."""

    account = "ann"

    def __init__(self, vendor: FakeVendorServer) -> None:
        super().__init__(
            vendor.url,
            token=TOKEN,
            request_timeout_s=20.0,
            visibility_delay_s=0.1,
            poll_interval_s=0.05,
        )
        self.sent: list[Sequence[bytes]] = []
        self.told: list[Sequence[bytes]] = []

    def fingerprint(self) -> str:
        """Of the account that it is told to have."""
        return digest_of(self.account.encode())

    def resources(self) -> Sequence[Resource]:
        """One of which only the target can tell what fits."""
        (found,) = super().resources()
        return [replace(found, capabilities=replace(found.capabilities, gates=None))]

    def start(self, orders: Sequence[Order]) -> list[str | ProviderError]:
        """Note it."""
        self.sent += [work.circuits for order in orders for work in order.works]
        return super().start(orders)

    def result(self, id: str, works: Callable[[], Sequence[Work]] | None) -> list[Outcome]:
        """Ask for what was sent, as a provider does that cannot read the answer without."""
        if works is not None:
            self.told += [work.circuits for work in works()]
        return super().result(id, works)


class NeverTheSame:
    """Compiles differently each time, as after the target has changed."""

    def __init__(self) -> None:
        self.times = 0

    def compile(self, requests: Sequence[Compilation]) -> list[Compiled | QuanopyError]:
        self.times += len(requests)
        return [
            Compiled(circuits=b"QISKIT\x0f\x02\x06\x02 of time %d" % self.times, changed=True)
            for _ in requests
        ]

    def close(self) -> None:
        """Nothing is open."""


def test_what_is_sent_again_and_asked_for_later_is_what_was_sent(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"start": ["lost", "busy"]})
    provider = Watched(vendor)
    place.worker(provider, compiler=NeverTheSame())
    ids = place.submit(1, "fake")
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    assert len(provider.sent) == 3
    assert len({tuple(circuits) for circuits in (*provider.sent, *provider.told)}) == 1
    assert provider.told
    (execution,) = place.store.executions(ids[0])
    assert execution.target == provider.target("fake").digest
    assert execution.fingerprint == provider.fingerprint()
    _, (ran,) = all_as_run(
        place.objects, place.store.jobs(ids)[0], place.store.tasks(ids), [execution]
    )
    assert (ran.data,) == tuple(provider.sent[0])
    assert ran.ran is not None
    assert ran.ran.level == 1


def test_a_rebuild_knows_what_ran_and_where(
    place: Workplace, vendor: FakeVendorServer, tmp_path: Path
) -> None:
    provider = Watched(vendor)
    place.worker(provider, compiler=NeverTheSame())
    ids = place.submit(1, "fake")
    place.wait(ids)
    (before,) = place.store.executions(ids[0])
    store = open_store(f"sqlite:///{tmp_path / 'rebuilt.db'}")
    try:
        rebuild(place.objects, store)
        (after,) = store.executions(ids[0])
        for name in ("provider", "provider_job_id", "target", "fingerprint", "record", "usage"):
            assert getattr(after, name) == getattr(before, name), name
        _, (ran,) = all_as_run(place.objects, store.jobs(ids)[0], store.tasks(ids), [after])
        assert (ran.data,) == tuple(provider.sent[0])
    finally:
        store.close()


def test_what_was_sent_under_another_account_is_not_asked_for_as_if_it_were_ours(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(queue_s=3600.0)
    provider = Watched(vendor)
    place.worker(provider, compiler=NeverTheSame())
    ids = place.submit(1, "fake")
    place.wait_for(
        lambda: place.store.executions(ids[0]),
        lambda found: [e.state for e in found] == [ExecutionState.SUBMITTED],
    )
    provider.account = "bob"
    (stranded,) = place.wait_for(
        lambda: place.store.executions(ids[0]),
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED],
    )
    assert stranded.problem is not None
    assert stranded.problem.type == "ResourceMismatch"
    assert "another account" in stranded.problem.message
    assert place.states(ids) == {JobState.RUNNING}
    vendor.script()
    # Whoever has looked it up says that this account has it after all (its name changed).
    settle(
        place.store,
        place.objects,
        stranded.id,
        Settlement(way=WayOut.FOUND, reason="the same account, renamed"),
        actor="olga",
    )
    place.wakeups.notify(Topic.WORK, Topic.EVENTS)
    assert {job.state for job in place.wait(ids)} == {JobState.COMPLETED}
    (execution,) = place.store.executions(ids[0])
    assert execution.fingerprint == provider.fingerprint()


def test_a_key_of_another_account_is_not_used_to_send_again(
    place: Workplace, vendor: FakeVendorServer
) -> None:
    vendor.script(next={"start": ["lost"]})
    provider = Watched(vendor)
    lost = provider.start

    def start_and_change(orders: Sequence[Order]) -> list[str | ProviderError]:
        answers = lost(orders)
        provider.account = "bob"
        return answers

    provider.start = start_and_change  # type: ignore[method-assign]
    place.worker(provider, compiler=NeverTheSame())
    ids = place.submit(1, "fake")
    place.wait_for(
        lambda: place.store.executions(ids[0]),
        lambda found: [e.state for e in found] == [ExecutionState.STRANDED],
    )
    assert len(provider.sent) == 1
