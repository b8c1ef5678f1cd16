"""What every catalogue must do with what is submitted. Part of
:class:`~quanopy.testing.store_contract.StoreContract`."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from quanopy.domain.errors import Conflict, Invalid, QuanopyError
from quanopy.ports.events import EventQuery
from quanopy.ports.jobs import JobQuery
from quanopy.ports.store import Store
from quanopy.ports.submissions import Repeat
from quanopy.testing.catalogue import job, submission
from quanopy.testing.store_cases import StoreCases, accepted


def repeat(account: str, key: str, digest: str) -> Repeat:
    """A request that may have been made before."""
    return Repeat(account=account, idempotency_key=key, request_digest=digest)


def replayed(store: Store, account: str, key: str, digest: str) -> object:
    """What a repeated request is answered."""
    (found,) = store.replay([repeat(account, key, digest)])
    return found


class SubmissionsContract(StoreCases):
    """Cases over the ``store`` of the contract."""

    def test_a_submitted_job_reads_back_as_it_was(self, store: Store) -> None:
        one, tasks = job(name="bell", tags=("x", "y"), priority=3, parts=2)
        self.submit(store, (one, tasks))
        assert store.jobs([one.id]) == [one]
        assert store.tasks([one.id]) == tasks

    def test_an_account_does_not_see_anothers_job(self, store: Store) -> None:
        (one,) = self.submit(store, job("alice"))
        assert store.jobs([one.id], account="bob") == []
        assert store.jobs([one.id], account="alice") == [one]

    def test_a_repeated_key_gives_the_first_jobs(self, store: Store) -> None:
        first, again = job(), job()
        answers = store.submit([submission(first, key="k", digest="d")])
        answers += store.submit([submission(again, key="k", digest="d")])
        assert [accepted(a)[0].id for a in answers] == [first[0].id, first[0].id]
        assert store.jobs([again[0].id]) == []
        assert replayed(store, "alice", "k", "d") == [first[0]]

    def test_a_key_repeated_within_one_batch_counts_once(self, store: Store) -> None:
        made = [submission(job(), key="k", digest="d") for _ in range(3)]
        ids = [[one.id for one in accepted(answer)] for answer in store.submit(made)]
        assert ids[0] == ids[1] == ids[2]
        assert len(store.list_jobs(JobQuery())) == 1

    def test_a_key_with_another_body_is_a_conflict(self, store: Store) -> None:
        store.submit([submission(job(), key="k", digest="one")])
        (answer,) = store.submit([submission(job(), key="k", digest="two")])
        assert isinstance(answer, Conflict)
        assert isinstance(replayed(store, "alice", "k", "two"), Conflict)

    def test_a_key_tells_what_it_stands_for(self, store: Store) -> None:
        made = submission(job(), job(), key="k", digest="one")
        store.submit([made])
        assert [one.id for one in store.requested("alice", "k")] == [one.id for one in made.jobs]
        assert store.requested("alice", "other") == store.requested("bob", "k") == []

    def test_a_key_is_its_accounts_own(self, store: Store) -> None:
        store.submit([submission(job("alice"), key="k", digest="one")])
        (answer,) = store.submit([submission(job("bob"), key="k", digest="two")])
        assert len(accepted(answer)) == 1
        assert replayed(store, "carol", "k", "one") is None

    def test_many_keys_are_asked_for_together(self, store: Store) -> None:
        one, two = job(), job("bob")
        store.submit([submission(one, key="k", digest="d"), submission(two, key="k", digest="e")])
        asked = [("bob", "k", "e"), ("alice", "new", "d"), ("alice", "k", "e"), ("alice", "k", "d")]
        found = store.replay([repeat(*of) for of in asked])
        assert (found[0], found[1], found[3]) == ([two[0]], None, [one[0]])
        assert isinstance(found[2], Conflict)

    def test_a_submission_is_kept_whole_or_not_at_all(self, store: Store) -> None:
        twin, other = job(), job()
        (answer,) = store.submit([submission(other, twin, twin, key="k")])
        assert isinstance(answer, Conflict)
        assert store.list_jobs(JobQuery()) == []
        assert store.events(EventQuery()).events == []
        assert replayed(store, "alice", "k", "") is None

    def test_a_bad_submission_does_not_touch_its_neighbours(self, store: Store) -> None:
        twin = job()
        good, bad, also = submission(job()), submission(twin, twin), submission(job())
        answers = store.submit([good, bad, also])
        assert isinstance(answers[1], Conflict)
        assert store.jobs([good.jobs[0].id, also.jobs[0].id]) == [good.jobs[0], also.jobs[0]]

    def test_many_jobs_read_back_as_they_were_whatever_their_text(self, store: Store) -> None:
        odd = ["tab\there", "line\nbreak\r", "\\N", "\\.", 'quote\'s "x"', "é✓ 𝛙", "{,}", "%s", ""]
        made = [job(name=f"{odd[i % len(odd)]}{i}", tags=(odd[i % len(odd)],)) for i in range(300)]
        self.submit(store, *made)
        found = {one.id: one for one in store.jobs([one.id for one, _ in made])}
        assert found == {one.id: one for one, _ in made}
        events = store.events(EventQuery(account="alice", limit=1000)).events
        assert [event.job_id for event in events] == [one.id for one, _ in made]

    @pytest.mark.parametrize("text", ["half a \ud800 pair", "nul \x00"])
    def test_of_many_jobs_the_one_that_cannot_be_kept_harms_no_other(
        self, store: Store, text: str
    ) -> None:
        many = submission(*[job() for _ in range(200)])
        bad, good = submission(job(name=text), *[job() for _ in range(200)]), submission(job())
        first, refused, last = store.submit([many, bad, good])
        assert (len(accepted(first)), len(accepted(last))) == (200, 1)
        if isinstance(refused, QuanopyError):
            assert isinstance(refused, Invalid)
            assert store.jobs([one.id for one in bad.jobs]) == []

    def test_the_same_key_from_many_threads_makes_one_job(self, store: Store) -> None:
        def send(_: int) -> str:
            (answer,) = store.submit([submission(job(), key="k", digest="d")])
            return accepted(answer)[0].id

        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(send, range(16)))
        assert len(ids) == 1
