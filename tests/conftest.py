"""Fixtures that every kind of test may use: real servers, started once a session and worker."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import FaultyS3Server, PgBouncer, PostgresServer, S3Server

# The same examples each time, however slow the machine is for a moment.
settings.register_profile(
    "steady",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

_OF_TERMINALS = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"}


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests start reads no `quanopy.toml` and no variable of whoever runs the tests, and
    shows what it shows anywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        ours = {name for name in os.environ if name.startswith("QUANOPY_")}
        for name in ours | _OF_TERMINALS:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; take `postgres_dsn` unless the server itself is what you test."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database of this test's own."""
    with postgres_server.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """A transaction pooler before the PostgreSQL server; `pgbouncer.through(dsn)` leads there."""
    with PgBouncer(postgres_server.dsn) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server with a bucket; tests that share it take keys of their own."""
    with S3Server() as server:
        yield server


@pytest.fixture
def faulty_s3_server() -> Iterator[FaultyS3Server]:
    """An S3 server that refuses requests or loses replies when told to."""
    with FaultyS3Server() as server:
        yield server
