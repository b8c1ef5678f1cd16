"""Two servers over one database and one bucket, asked for the same at the same time."""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from threading import Event

import pytest

from quanopy.domain.errors import Conflict
from quanopy.domain.jobs import Job, JobKind, JobSpec
from quanopy.domain.programs import Program
from quanopy.ports.jobs import JobQuery
from quanopy.ports.objects import Objects
from quanopy.ports.store import Store
from quanopy.services.orphans import delete_orphans, find_orphans
from quanopy.services.submit import Answer, Request, Submit, Submitted
from quanopy.services.unpacking import load_jobs, load_programs
from quanopy.services.verify import verify
from quanopy.storage.objects import S3Access, open_objects
from quanopy.storage.store import open_store
from quanopy.storage.wakeups import open_wakeups
from tests.servers import S3Server
from tests.unit.server.service import AER, WORKER, PlainReader

pytestmark = [pytest.mark.postgres, pytest.mark.s3]
_numbers = itertools.count()
_EVERYTHING = timedelta(hours=-1)


class Server:
    """What of a server takes submissions; its reader waits until it is let go."""

    def __init__(self, dsn: str, bucket: str, access: S3Access, cleanup: ExitStack) -> None:
        self.store: Store = cleanup.enter_context(closing(open_store(dsn)))
        self.objects: Objects = open_objects(bucket, s3=access)
        self.reader = PlainReader()
        self.reader.hold = Event()
        wakeups = cleanup.enter_context(closing(open_wakeups(dsn)))
        self._submit = cleanup.enter_context(
            closing(
                Submit(store=self.store, objects=self.objects, wakeups=wakeups, reader=self.reader)
            )
        )

    def send(self, text: str, key: str) -> Future[Submitted]:
        """Submit one program under a key."""
        answer: Future[Submitted] = Future()

        def done(found: Answer) -> None:
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        program = Program(format="openqasm3", data=text.encode())
        specs = [JobSpec(kind=JobKind.SAMPLE, resource="aer", programs=[program])]
        request = Request(account="ada", specs=specs, idempotency_key=key, digest=text)
        self._submit.submit(request, done)
        return answer

    def let_go(self) -> None:
        """Read, and go on."""
        assert self.reader.hold is not None
        self.reader.hold.set()


@pytest.fixture
def servers(postgres_dsn: str, s3_server: S3Server) -> Iterator[tuple[Server, Server]]:
    access = S3Access(
        endpoint=s3_server.endpoint,
        region=s3_server.region,
        access_key_id=s3_server.access_key,
        secret_access_key=s3_server.secret_key,
    )
    bucket = f"s3://{s3_server.bucket}/two-servers/{next(_numbers)}"
    with ExitStack() as cleanup:
        one, other = (Server(postgres_dsn, bucket, access, cleanup) for _ in range(2))
        one.store.register(WORKER, [AER], ttl_s=60)
        yield one, other


def test_a_key_that_comes_to_both_at_once_makes_its_jobs_once(
    servers: tuple[Server, Server],
) -> None:
    same = [[server.send(f"same {n}", f"key {n}") for n in range(3)] for server in servers]
    own = [server.send(f"own {n}", f"own {n}") for n, server in enumerate(servers)]
    for server in servers:
        server.let_go()
    ids = [[answer.result(30).jobs[0].id for answer in answers] for answers in same]
    assert ids[0] == ids[1]
    all_ids = {*ids[0], *(answer.result(30).jobs[0].id for answer in own)}
    store, objects = servers[0].store, servers[0].objects
    jobs = store.list_jobs(JobQuery())
    assert {job.id for job in jobs} == all_ids
    assert len(store.tasks(all_ids)) == 2 * len(all_ids)
    assert verify(objects).damaged == ()
    delete_orphans(objects, list(find_orphans(objects, store, older_than=_EVERYTHING)))
    found = verify(objects)
    assert found.damaged == ()
    assert found.packs == len({job.spec.key for job in jobs})
    records = load_jobs(objects, [job.spec for job in jobs])
    assert [record.id for record in records] == [job.id for job in jobs]
    programs = load_programs(objects, [job.spec for job in jobs], records)
    assert {one.data for (one,) in programs} == {
        b"same 0",
        b"same 1",
        b"same 2",
        b"own 0",
        b"own 1",
    }


def test_a_key_that_comes_to_both_with_different_bodies_is_taken_once(
    servers: tuple[Server, Server],
) -> None:
    answers = [server.send(text, "k") for server, text in zip(servers, "ab", strict=True)]
    for server in servers:
        server.let_go()
    taken: list[Job] = []
    for answer in answers:
        with suppress(Conflict):
            taken += answer.result(30).jobs
    (job,) = taken
    assert servers[0].store.list_jobs(JobQuery()) == [job]
