"""The real servers that the other tests stand on do what they are there for."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import obstore
import psycopg
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import S3Store

from tests.servers import FaultyS3Server, PgBouncer, PostgresServer, S3Server

ROOT = Path(__file__).parents[2]


def _store(bucket: str, config: Mapping[str, str], *, retries: int = 0) -> S3Store:
    return S3Store(
        bucket,
        config=dict(config),  # type: ignore[arg-type]
        client_options={"allow_http": True},
        retry_config={"max_retries": retries},
    )


def test_postgres_answers(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute("SHOW server_version_num").fetchone()
    assert row is not None
    assert int(row[0]) >= 150000


def test_each_test_gets_a_database_of_its_own(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE mine (id int)")
        with psycopg.connect(second) as connection:
            row = connection.execute("SELECT to_regclass('mine')").fetchone()
    assert row == (None,)


def test_a_database_can_be_copied(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as original:
        with psycopg.connect(original) as connection:
            connection.execute("CREATE TABLE mine AS SELECT 7 AS id")
        template = original.rpartition("/")[2]
        with (
            postgres_server.database(template=template) as copy,
            psycopg.connect(copy) as connection,
        ):
            assert connection.execute("SELECT id FROM mine").fetchone() == (7,)


def test_durable_postgres_syncs_and_survives_a_crash() -> None:
    with PostgresServer(durable=True) as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        server.kill()
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (1,)


def test_postgres_starts_again_though_a_process_of_the_crashed_one_is_slow_to_end() -> None:
    with PostgresServer() as server, psycopg.connect(server.dsn) as connection:
        stuck = connection.info.backend_pid
        os.kill(stuck, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (stuck, signal.SIGCONT)).start()
        server.kill()
        server.start()
        with psycopg.connect(server.dsn) as again:
            assert again.execute("SELECT 1").fetchone() == (1,)


def test_nothing_outlives_its_transaction_behind_the_pooler(
    postgres_dsn: str, pgbouncer: PgBouncer
) -> None:
    with psycopg.connect(pgbouncer.through(postgres_dsn), autocommit=True) as connection:
        connection.execute("SET statement_timeout = '7s'")
        row = connection.execute("SHOW statement_timeout").fetchone()
    assert row == ("0",)


def test_s3_gives_back_what_was_put(s3_server: S3Server) -> None:
    store = _store(s3_server.bucket, s3_server.config)
    obstore.put(store, "round/trip", b"bytes")
    assert bytes(obstore.get(store, "round/trip").bytes()) == b"bytes"


def test_s3_creates_an_object_once(s3_server: S3Server) -> None:
    store = _store(s3_server.bucket, s3_server.config)
    obstore.put(store, "once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "once", b"second", mode="create")
    assert bytes(obstore.get(store, "once").bytes()) == b"first"


@pytest.mark.parametrize("part", ["access_key_id", "secret_access_key"])
def test_s3_denies_a_wrong_key(s3_server: S3Server, part: str) -> None:
    store = _store(s3_server.bucket, {**s3_server.config, part: "wrong"})
    with pytest.raises(PermissionDeniedError):
        obstore.put(store, "denied", b"bytes")


def test_faulty_s3_refuses_as_often_as_told(faulty_s3_server: FaultyS3Server) -> None:
    store = _store(faulty_s3_server.bucket, faulty_s3_server.config)
    faulty_s3_server.refuse(1)
    with pytest.raises(BaseError):
        obstore.put(store, "key", b"bytes")
    obstore.put(store, "key", b"bytes")
    assert faulty_s3_server.requests == 2


def test_faulty_s3_does_the_work_whose_reply_it_loses(faulty_s3_server: FaultyS3Server) -> None:
    store = _store(faulty_s3_server.bucket, faulty_s3_server.config)
    faulty_s3_server.lose_replies(1)
    with pytest.raises(BaseError):
        obstore.put(store, "key", b"bytes")
    assert bytes(obstore.get(store, "key").bytes()) == b"bytes"


def test_what_cannot_be_installed_from_here_is_named_with_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.servers.install"],
        cwd=ROOT,
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "apt-get install -y curl jq\n" in ended.stderr


def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import os, signal; from tests.servers import PostgresServer, S3Server\n"
        "with PostgresServer() as postgres, S3Server() as s3:\n"
        "    print(postgres._process._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    pid = ended.stdout.strip()
    assert pid.isdigit(), ended.stderr
    assert _is_gone(pid)


def _is_gone(pid: str) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        stat = Path("/proc", pid, "stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
