"""What every catalogue must do: subclass, override ``make_store``, and run."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from quanopy.domain.accounts import Scope, Token
from quanopy.domain.errors import NotFound
from quanopy.domain.ids import new_id
from quanopy.domain.states import JobState, ResourceState, TaskState
from quanopy.ports.claims import Offer
from quanopy.ports.events import EventQuery
from quanopy.ports.store import Store
from quanopy.testing.accepting_contract import AcceptingContract
from quanopy.testing.adoptions_contract import AdoptionsContract
from quanopy.testing.calibration_contract import CalibrationContract
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.claims_contract import ClaimsContract
from quanopy.testing.executions_contract import ExecutionsContract
from quanopy.testing.followers_contract import FollowersContract
from quanopy.testing.groups_contract import GroupsContract
from quanopy.testing.jobs_contract import JobsContract
from quanopy.testing.parts_contract import PartsContract
from quanopy.testing.registrations_contract import RegistrationsContract
from quanopy.testing.store_cases import AER, QPU, TTL, MakeStore, kinds, take
from quanopy.testing.submissions_contract import SubmissionsContract, replayed
from quanopy.testing.told_contract import ToldContract
from quanopy.testing.turns_contract import TurnsContract
from quanopy.testing.webhooks_contract import WebhooksContract


class StoreContract(
    SubmissionsContract,
    ClaimsContract,
    JobsContract,
    ExecutionsContract,
    AdoptionsContract,
    AcceptingContract,
    PartsContract,
    RegistrationsContract,
    CalibrationContract,
    GroupsContract,
    TurnsContract,
    FollowersContract,
    WebhooksContract,
    ToldContract,
):
    """Cases over a fresh, empty catalogue each."""

    # -- events -------------------------------------------------------------------------------
    def test_events_of_one_account_or_of_jobs(self, store: Store) -> None:
        (mine,) = self.submit(store, job("alice"))
        (also,) = self.submit(store, job("alice"))
        self.submit(store, job("bob"))
        by_account = store.events(EventQuery(account="alice")).events
        assert [event.subject for event in by_account] == [mine.id, also.id]
        by_job = store.events(EventQuery(job_ids=[also.id])).events
        assert [event.subject for event in by_job] == [also.id]
        assert store.events(EventQuery(account="bob", job_ids=[also.id])).events == []

    def test_following_from_the_horizon_sees_only_what_comes_later(self, store: Store) -> None:
        self.submit(store, job())
        after = store.horizon()
        (one,) = self.submit(store, job())
        page = store.events(EventQuery(after=after))
        assert one.id in [event.subject for event in page.events]
        assert store.events(EventQuery(after=page.position)).events == []

    def test_a_follower_misses_nothing_of_many_writers(self, store: Store) -> None:
        with ThreadPoolExecutor(6) as pool:
            writes = [pool.submit(self.submit, store, job()) for _ in range(120)]
            seen: list[str] = []
            after = EventQuery().after
            while True:
                over = all(write.done() for write in writes)
                page = store.events(EventQuery(after=after, limit=7))
                seen += [event.subject for event in page.events]
                after = page.position
                if over and not page.events and not page.held_back:
                    break
        assert sorted(seen) == sorted(write.result()[0].id for write in writes)

    # -- resources ----------------------------------------------------------------------------
    def test_a_resource_tells_its_queue_and_its_live_workers(
        self, store: Store, clock: MovableClock
    ) -> None:
        store.register("worker_2", [AER], ttl_s=TTL)
        self.submit(store, *[job(estimate_s=2.0) for _ in range(5)])
        store.claim("worker_1", [Offer(resource="aer", tasks=1)], ttl_s=TTL)
        aer, qpu = store.resources()
        assert (aer.resource, aer.queued, aer.active, aer.workers) == (AER, 4, 1, 2)
        assert aer.wait_s == pytest.approx(5.0)
        assert (qpu.resource, qpu.queued, qpu.wait_s, qpu.workers) == (QPU, 0, 0.0, 1)
        assert qpu.seen_at == clock()
        clock.move(TTL + 1)
        store.register("worker_2", [AER], ttl_s=TTL)
        assert [status.workers for status in store.resources()] == [1, 0]

    def test_an_operators_word_outlasts_the_workers(self, store: Store) -> None:
        after = store.set_resource_state("qpu", ResourceState.OFFLINE, "broken", actor="op")
        assert (after.state, after.reason) == (ResourceState.OFFLINE, "broken")
        store.register("worker_1", [replace(QPU, description="new")], ttl_s=TTL)
        _, qpu = store.resources()
        assert (qpu.resource.state, qpu.resource.reason) == (ResourceState.OFFLINE, "broken")
        assert qpu.resource.description == "new"
        with pytest.raises(NotFound):
            store.set_resource_state("none", ResourceState.OFFLINE, None, actor="op")

    # -- tokens -------------------------------------------------------------------------------
    def test_a_token_is_found_by_its_digest_until_revoked(self, store: Store) -> None:
        token = Token(
            id=new_id("token"),
            account="alice",
            scope=Scope.USER,
            digest="d" * 64,
            created_at=datetime.now(UTC),
        )
        store.add_token(token)
        assert store.token(token.digest) == token
        assert store.token("other") is None
        assert store.tokens() == [token]
        revoked = store.revoke_token(token.id)
        assert revoked.revoked_at is not None
        assert store.token(token.digest) == revoked
        with pytest.raises(NotFound):
            store.revoke_token("token_none")

    # -- archive ------------------------------------------------------------------------------
    def test_restoring_twice_changes_nothing(self, store: Store) -> None:
        one, (task,) = job(held=True, tags=("t",))
        given = submission((one, [replace(task, ready_at=None)]), key="k", digest="d")
        assert store.restore([given], []) == 1
        assert store.restore([given], []) == 0
        assert store.jobs([one.id]) == [one]
        assert store.claim("worker_1", [Offer(resource="aer")], ttl_s=TTL) == []
        assert replayed(store, "alice", "k", "d") == [one]
        assert kinds(store.events(EventQuery()).events, one.id) == ["job.held"]
        (after,) = store.retry([one.id], actor="alice")
        assert not after.held
        assert len(take(store).tasks) == 1

    def test_an_older_catalogue_learns_what_has_ended_since(self, store: Store) -> None:
        one, (task,) = job()
        self.submit(store, (one, [task]))
        ended = replace(task, state=TaskState.COMPLETED, ended_at=datetime.now(UTC))
        assert store.restore([submission((one, [ended]))], []) == 0
        assert store.jobs([one.id])[0].state is JobState.COMPLETED

    def test_it_tells_which_objects_are_named(self, store: Store) -> None:
        (one,) = self.submit(store, job())
        claim = take(store)
        end = ending(execution(claim))
        store.finish(claim.id, [end])
        result = store.tasks([one.id])[0].result
        assert result is not None
        named = {one.spec.key, result.key}
        assert store.referenced([*named, "pending/orphan.pack"]) == named

    # -- life ---------------------------------------------------------------------------------
    def test_what_was_written_is_there_when_opened_again(
        self, store: Store, make_store: MakeStore, clock: MovableClock
    ) -> None:
        (one,) = self.submit(store, job())
        store.check()
        store.close()
        store.close()
        again = make_store(clock)
        assert again.jobs([one.id]) == [one]
        again.close()
