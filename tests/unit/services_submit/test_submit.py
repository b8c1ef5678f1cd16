"""The submit service on a real catalogue and a real folder."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from quanopy.codecs.packs import members
from quanopy.domain.errors import Conflict, Invalid, NotFound, Unavailable
from quanopy.domain.jobs import JobKind, JobSpec
from quanopy.domain.programs import Program
from quanopy.domain.states import JobState
from quanopy.ports.claims import Claim, Offer
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.ports.submissions import Offering
from quanopy.ports.wakeups import Topic
from quanopy.services.submit import Answer, Request, Submit, Submitted
from quanopy.services.unpacking import load_jobs, load_programs
from quanopy.storage.objects import open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups_sqlite import SqliteWakeups
from tests.catalogues import new_catalogue
from tests.unit.server.service import AER, PATIENCE_S, WORKER, PlainReader


class Heard(SqliteWakeups):
    """Notes what it is told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.topics: list[Topic] = []

    def notify(self, *topics: Topic) -> None:
        self.topics += topics
        super().notify(*topics)


class House:
    """A submit service and what it stands on."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(new_catalogue(folder / "quanopy.db"))
        self.store.register(WORKER, [AER], ttl_s=600)
        self.folder = folder / "objects"
        self.objects: Objects = open_objects(self.folder.as_uri())
        self.wakeups = Heard(folder / "quanopy.db")
        self.reader = PlainReader()
        self.submit = Submit(
            store=self.store,
            objects=self.objects,
            wakeups=self.wakeups,
            reader=self.reader,
            most_waiting=20,
        )

    def send(self, *texts: str, key: str | None = None, digest: str = "d") -> Future[Submitted]:
        """Submit one job a text."""
        answer: Future[Submitted] = Future()
        specs = [a_spec(text) for text in texts]
        request = Request(account="ada", specs=specs, idempotency_key=key, digest=digest)
        self.submit.submit(request, lambda found: settle(answer, found))
        return answer

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """The reader is busy."""
        self.reader.hold = Event()
        try:
            yield
        finally:
            self.reader.hold.set()

    def archived(self) -> list[str]:
        """The ids of all jobs in the archive."""
        packs = self.objects.get([found.key for found in self.objects.list("pending")])
        return [
            json.loads(line)["id"]
            for pack in packs
            for member in members(pack)
            if member.name == "jobs.jsonl"
            for line in member.data.splitlines()
        ]

    def packs(self) -> int:
        """How many objects there are."""
        return len(list(self.objects.list("")))


def settle(future: Future[Submitted], answer: Answer) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def a_spec(text: str, resource: str = "aer") -> JobSpec:
    program = Program(format="openqasm3", data=text.encode())
    return JobSpec(kind=JobKind.SAMPLE, resource=resource, programs=[program])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.submit.close()
    house.wakeups.close()
    house.store.close()


def test_a_job_is_durable_once_it_is_answered(house: House) -> None:
    (job,) = house.send("bell").result(PATIENCE_S).jobs
    (stored,) = house.store.jobs([job.id])
    assert (stored.state, stored.shots, stored.pubs) == (JobState.QUEUED, 1024, 1)
    records = load_jobs(house.objects, [stored.spec])
    assert load_programs(house.objects, [stored.spec], records)[0][0].data == b"bell"
    assert [task.slice.shots for task in house.store.tasks([job.id])] == [1000, 24]


def test_requests_that_wait_together_share_a_pack_and_a_commit(house: House) -> None:
    with house.holding():
        answers = [house.send(f"bell {n}") for n in range(10)]
    jobs = [answer.result(PATIENCE_S).jobs[0] for answer in answers]
    assert len({job.spec.key for job in jobs}) <= 2
    assert house.packs() <= 2


def test_a_bad_job_is_refused_and_its_neighbours_are_taken(house: House) -> None:
    with house.holding():
        answers = [house.send(text) for text in ("bell", "bad", "bell 2")]
    assert answers[0].result(PATIENCE_S).jobs
    assert answers[2].result(PATIENCE_S).jobs
    with pytest.raises(Invalid, match="no gate is called foo"):
        answers[1].result(PATIENCE_S)


def test_of_a_request_all_jobs_are_taken_or_none(house: House) -> None:
    with pytest.raises(Invalid) as raised:
        house.send("bell", "bad", "bell 2").result(PATIENCE_S)
    assert raised.value.where == "jobs[1].programs[0]"
    assert house.packs() == 0


def test_what_the_reader_cannot_read_in_time_is_taken_unread(house: House) -> None:
    (job,) = house.send("slow").result(PATIENCE_S).jobs
    assert job.pubs is None
    assert not load_jobs(house.objects, [job.spec])[0].read


def test_an_unknown_resource_is_refused_with_the_names_there_are(house: House) -> None:
    answer: Future[Submitted] = Future()
    request = Request(account="ada", specs=[a_spec("bell", resource="moon")])
    house.submit.submit(request, lambda found: settle(answer, found))
    with pytest.raises(NotFound, match="Known: aer"):
        answer.result(PATIENCE_S)


def test_a_key_seen_before_gives_the_same_job_and_stores_nothing(house: House) -> None:
    first = house.send("bell", key="k").result(PATIENCE_S)
    packs = house.packs()
    again = house.send("bell", key="k").result(PATIENCE_S)
    assert again.replayed
    assert [job.id for job in again.jobs] == [job.id for job in first.jobs]
    assert house.packs() == packs


def test_the_archive_holds_each_job_once_whoever_asks_again(house: House) -> None:
    first = [house.send(f"bell {n}", key=f"k{n}").result(PATIENCE_S) for n in range(3)]
    with house.holding():
        answers = [house.send(f"bell {n}", key=f"k{n}") for n in range(10)]
    found = [answer.result(PATIENCE_S) for answer in answers]
    assert [one.replayed for one in found] == [True] * 3 + [False] * 7
    assert [one.jobs for one in found[:3]] == [one.jobs for one in first]
    assert sorted(house.archived()) == sorted(one.jobs[0].id for one in found)


def test_what_was_accepted_once_stays_so_even_if_it_would_be_refused_now(house: House) -> None:
    first = house.send("bell", key="k").result(PATIENCE_S)
    house.reader.bad = b"bell"
    again = house.send("bell", key="k").result(PATIENCE_S)
    assert again.replayed
    assert [job.id for job in again.jobs] == [job.id for job in first.jobs]
    with pytest.raises(Invalid):
        house.send("bell", key="new").result(PATIENCE_S)


class Desk:
    """A worker that takes so many tasks in a claim, and notes what it was given."""

    def __init__(self, tasks: int = 500) -> None:
        self.tasks = tasks
        self.taken: list[Claim] = []
        self.asked: list[str] = []

    @contextlib.contextmanager
    def offering(self, resource: str) -> Iterator[Offering | None]:
        self.asked.append(resource)
        yield Offering(
            worker=WORKER, offer=Offer(resource=resource, tasks=self.tasks, seconds=1e9), ttl_s=600
        )

    def take(self, claims: Sequence[Claim]) -> None:
        self.taken += claims


def test_a_free_worker_has_a_job_in_the_commit_that_keeps_it(house: House) -> None:
    desk = Desk()
    house.submit.work_at(desk)
    (job,) = house.send("bell").result(PATIENCE_S).jobs
    (claim,) = desk.taken
    assert [task.job_id for task in claim.tasks] == [job.id] * job.tasks
    assert [found.state for found in house.store.jobs([job.id])] == [JobState.RUNNING]
    assert Topic.WORK not in house.wakeups.topics, "nobody else need look for it"
    house.submit.work_at(None)
    house.send("bell").result(PATIENCE_S)
    assert len(desk.taken) == 1
    assert Topic.WORK in house.wakeups.topics


def test_what_a_worker_leaves_is_announced(house: House) -> None:
    desk = Desk(tasks=1)
    house.submit.work_at(desk)
    jobs = house.send("bell", "bell 2").result(PATIENCE_S).jobs
    taken = [task.job_id for claim in desk.taken for task in claim.tasks]
    assert len(taken) == 1
    assert {job.id for job in jobs} > set(taken)
    assert Topic.WORK in house.wakeups.topics


def test_a_worker_is_not_asked_for_jobs_of_several_resources(house: House) -> None:
    desk = Desk()
    house.store.register(WORKER, [AER, replace(AER, name="moon")], ttl_s=600)
    house.submit.work_at(desk)
    answer: Future[Submitted] = Future()
    specs = [a_spec("bell"), a_spec("bell", resource="moon")]
    house.submit.submit(Request(account="ada", specs=specs), lambda found: settle(answer, found))
    assert len(answer.result(PATIENCE_S).jobs) == 2
    assert not desk.asked


def test_a_key_with_another_body_is_a_conflict(house: House) -> None:
    house.send("bell", key="k").result(PATIENCE_S)
    with pytest.raises(Conflict):
        house.send("other", key="k", digest="e").result(PATIENCE_S)


def test_the_same_key_at_the_same_time_makes_one_job(house: House) -> None:
    with house.holding():
        answers = [house.send("bell", key="k") for _ in range(5)]
        other = house.send("other", key="k", digest="e")
    found = [answer.result(PATIENCE_S) for answer in answers]
    assert len({one.jobs[0].id for one in found}) == 1
    assert [one.replayed for one in found] == [False, True, True, True, True]
    with pytest.raises(Conflict):
        other.result(PATIENCE_S)
    assert house.store.requested("ada", "k") == list(found[0].jobs)


def test_another_body_takes_the_key_of_one_that_came_to_nothing(house: House) -> None:
    with house.holding():
        refused = house.send("bug", key="k")
        others = [house.send("bell", key="k", digest="e") for _ in range(2)]
    with pytest.raises(RuntimeError):
        refused.result(PATIENCE_S)
    found = [one.result(PATIENCE_S) for one in others]
    assert sorted(one.replayed for one in found) == [False, True]
    assert found[0].jobs == found[1].jobs


def test_too_much_waiting_is_sent_away_for_a_while(house: House) -> None:
    with house.holding():
        answers = [house.send(f"bell {n}") for n in range(20)]
        with pytest.raises(Unavailable) as raised:
            house.send("one more")
    assert raised.value.retry_after_s
    assert all(answer.result(PATIENCE_S).jobs for answer in answers)
    assert house.send("one more").result(PATIENCE_S).jobs


def test_a_bug_answers_everybody_and_the_service_goes_on(house: House) -> None:
    with pytest.raises(RuntimeError):
        house.send("bug").result(PATIENCE_S)
    assert house.send("bell").result(PATIENCE_S).jobs


def test_a_bug_of_one_job_is_answered_to_its_sender_alone(house: House) -> None:
    with house.holding():
        house.send("first")
        answers = [house.send(text) for text in ("bell", "bug", "bell 2")]
    assert [str(answer.exception(PATIENCE_S)) for answer in answers] == [
        "None",
        "a secret of the reader",
        "None",
    ]


def test_those_who_wait_for_work_and_events_are_woken(house: House) -> None:
    woken = {topic: Event() for topic in (Topic.WORK, Topic.EVENTS)}
    for topic, event in woken.items():
        house.wakeups.subscribe(topic, event.set)
    house.send("bell").result(PATIENCE_S)
    assert all(event.wait(PATIENCE_S) for event in woken.values())


def test_what_was_taken_before_closing_is_still_answered(house: House) -> None:
    answers = [house.send(f"bell {n}") for n in range(5)]
    house.submit.close()
    assert all(answer.result(PATIENCE_S).jobs for answer in answers)


def test_a_request_that_takes_long_to_store_is_offered_to_nobody(house: House) -> None:
    desk = Desk()
    house.submit.work_at(desk)
    assert house.send("bell" * 300_000).result(PATIENCE_S).jobs
    assert not desk.asked
