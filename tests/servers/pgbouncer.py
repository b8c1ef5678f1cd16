"""A real transaction pooler of one's own: PgBouncer on a free port of 127.0.0.1."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psycopg

from tests.servers.process import (
    KeptPort,
    ScratchDirectory,
    ServerProcess,
    program,
    unprivileged_user,
)

# Transactions may or may not meet on one of the server's connections; here each finds it as new,
# so that whatever wants to outlive its transaction is missed at once.
_SETTINGS = """\
[databases]
* = host={host} port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = 6
server_reset_query = DISCARD ALL
server_reset_query_always = 1
max_client_conn = 500
"""


class PgBouncer:
    """PgBouncer in transaction mode before the PostgreSQL server at `dsn`, gone when the block
    ends.

    Raises:
        ServerUnavailable: it is not installed, or did not start.
    """

    def __init__(self, dsn: str) -> None:
        self.port = 0
        self._server = dsn
        self._cleanup = ExitStack()

    def through(self, dsn: str) -> str:
        """Return the address by which a database of the server is reached through the pooler."""
        server = urlsplit(dsn)
        netloc = f"{server.netloc.rpartition(':')[0]}:{self.port}"
        return server._replace(netloc=netloc).geturl()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._binary, self._user = program("pgbouncer"), unprivileged_user()
            self._scratch = ScratchDirectory("pgbouncer")
            cleanup.callback(self._scratch.remove)
            self.port = cleanup.enter_context(KeptPort()).number
            cleanup.callback(self._launch().stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _launch(self) -> ServerProcess:
        server, folder = urlsplit(self._server), self._scratch.path
        users, settings = folder / "users", folder / "settings"
        users.touch(mode=0o600)
        users.write_text(f'"{server.username}" "{server.password}"\n')
        settings.write_text(
            _SETTINGS.format(
                host=server.hostname, server_port=server.port, port=self.port, users=users
            )
        )
        self._scratch.hand_over(self._user)
        process = ServerProcess([self._binary, settings], log=folder / "log", user=self._user)
        return process.wait_until(self._accepts)

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.through(self._server), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
