"""A real PostgreSQL server of one's own, on a free port of 127.0.0.1."""

import itertools
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from tests.servers.process import (
    KeptPort,
    ScratchDirectory,
    ServerProcess,
    ServerUnavailable,
    unprivileged_user,
)

OLDEST_VERSION = 15
_SUPERUSER = "quanopy"
_FAST_BUT_FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Its transactions, in whatever database, hold back what readers may see of history.
    "autovacuum": "off",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def find_binaries() -> Path:
    """Return the directory of the newest installed PostgreSQL's programs.

    Raises:
        ServerUnavailable: there is none of version 15 or newer.
    """
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += Path("/usr/lib/postgresql").glob("*/bin")
    versions = {directory: _version(directory) for directory in candidates}
    newest = max(versions, key=lambda directory: versions[directory], default=None)
    if newest is None or versions[newest] < OLDEST_VERSION:
        raise ServerUnavailable(
            f"No PostgreSQL server of version {OLDEST_VERSION} or newer: run `make test`, "
            "which installs it, or tools/install-test-servers alone."
        )
    return newest


class PostgresServer:
    """A PostgreSQL server with a fresh data directory, gone when the block ends.

    With `durable` it syncs every commit to disk, as in production: benchmarks want that.
    Further `settings` are passed as they are (`{"max_connections": "500"}`). `directory` is
    where the data directory is made, by default the temporary directory.

    Raises:
        ServerUnavailable: it is not installed, or did not start.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.durable = durable
        self.port = 0
        self._settings = {"max_connections": "200"} | (_DURABLE if durable else _FAST_BUT_FORGETFUL)
        self._settings |= settings or {}
        self._parent = directory
        self._password = secrets.token_hex(16)
        self._numbers = itertools.count(1)
        self._cleanup = ExitStack()
        self._process: ServerProcess | None = None

    @property
    def dsn(self) -> str:
        """The address of the `postgres` database."""
        return self._dsn("postgres")

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            binaries = find_binaries()
            self._user = unprivileged_user()
            scratch = ScratchDirectory("postgres", parent=self._parent)
            cleanup.callback(scratch.remove)
            self._directory = scratch.path
            self._binaries = binaries
            password_file = scratch.path / "password"
            password_file.touch(mode=0o600)
            password_file.write_text(self._password)
            scratch.hand_over(self._user)
            self._initialise(password_file)
            self.port = cleanup.enter_context(KeptPort()).number
            self.start()
            cleanup.callback(self.stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def start(self) -> None:
        """Start the server, on the same port each time."""
        settings = self._settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._directory),
        }
        command: list[str | Path] = [self._binaries / "postgres", "-D", self._directory / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
        process = ServerProcess(
            command, log=self._directory / "log", user=self._user, stop_signal=signal.SIGINT
        )
        self._process = process.wait_until(self._accepts)

    def stop(self) -> None:
        """Shut the server down; its data stays until the block ends."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """End the postmaster as a crash would, and wait for what it had started, which finds out
        by itself: until then that serves whoever is connected, and nothing else can be started.
        `start` then recovers from the log."""
        if self._process:
            self._process.kill_and_outlive_children()

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """Yield the address of a new database, copied from `template`, and drop it afterwards."""
        name = f"quanopy_{next(self._numbers)}"
        self.create_database(name, template=template)
        try:
            yield self._dsn(name)
        finally:
            self.drop_database(name)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database and return its address."""
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return self._dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and the connections to it."""
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{_SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _initialise(self, password_file: Path) -> None:
        command: list[str | Path] = [
            self._binaries / "initdb",
            "--pgdata",
            self._directory / "data",
        ]
        command += ["--username", _SUPERUSER, "--pwfile", password_file]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        command += [] if self.durable else ["--no-sync"]
        done = subprocess.run(
            command,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise ServerUnavailable(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _accepts(self) -> bool:
        try:
            psycopg.connect(
                host="127.0.0.1",
                port=self.port,
                user=_SUPERUSER,
                password=self._password,
                dbname="postgres",
                connect_timeout=2,
            ).close()
        except psycopg.OperationalError:
            return False
        return True


def _version(directory: Path) -> int:
    if not (directory / "initdb").exists():
        return 0
    command = [str(directory / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"\d+", answer.stdout)
    return int(found[0]) if found else 0
