"""A database that goes away, fills up or turns read-only is ``Unavailable``, and comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.ports.events import EventQuery
from quanopy.ports.jobs import JobQuery
from quanopy.storage.filesystem import refuse_network
from quanopy.storage.store import SqlStore, open_store
from quanopy.testing.catalogue import job, submission
from quanopy.testing.store_cases import accepted
from tests.servers import PostgresServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, SqlStore)
    yield store
    store.close()


def test_a_full_disk_is_unavailable_and_loses_nothing_before(store: SqlStore) -> None:
    accepted(store.submit([submission(job())])[0])
    pages = store._database.alter(lambda c: c.scalar(text("PRAGMA page_count")))
    store._database.alter(lambda c: c.execute(text(f"PRAGMA max_page_count = {pages}")))
    with pytest.raises(Unavailable, match="full"):
        store.submit([submission(*[job() for _ in range(500)])])
    assert len(store.list_jobs(JobQuery())) == 1
    store._database.alter(lambda c: c.execute(text("PRAGMA max_page_count = 1000000")))
    accepted(store.submit([submission(job())])[0])


def test_a_read_only_database_is_unavailable_to_writers_alone(store: SqlStore) -> None:
    accepted(store.submit([submission(job())])[0])
    with store._database.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(Unavailable):
        store.submit([submission(job())])
    assert len(store.list_jobs(JobQuery())) == 1


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{tmp_path / 'none' / 'catalogue.db'}")


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "nonsense", "sqlite:///:memory:"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        open_store(url)


@pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("ext4", False)])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str, refused: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/root / ext4 rw 0 0\nserver:/export {tmp_path} {kind} rw 0 0\n")
    if not refused:
        assert refuse_network(tmp_path / "x.db", mounts=mounts) == tmp_path / "x.db"
        return
    with pytest.raises(Invalid, match="network"):
        refuse_network(tmp_path / "x.db", mounts=mounts)


@pytest.mark.parametrize("name", ["nul \0 in it", "half a pair \ud800"])
@pytest.mark.postgres
def test_text_that_postgres_cannot_keep_is_the_submissions_own_fault(
    postgres_dsn: str, name: str
) -> None:
    store = open_store(postgres_dsn)
    good, bad = submission(job()), submission(job(name=name))
    answers = store.submit([good, bad])
    assert len(accepted(answers[0])) == 1
    assert isinstance(answers[1], Invalid)
    store.close()


@pytest.mark.postgres
def test_a_postgres_that_was_killed_and_restarted_works_again_at_once() -> None:
    with PostgresServer(settings={"synchronous_commit": "on"}) as server:
        store = open_store(server.dsn)
        accepted(store.submit([submission(job())])[0])
        store.events(EventQuery())
        server.kill()
        with pytest.raises(Unavailable):
            store.submit([submission(job())])
        with pytest.raises(Unavailable):
            store.check()
        server.start()
        accepted(store.submit([submission(job())])[0])
        assert len(store.list_jobs(JobQuery())) == 2
        store.close()
