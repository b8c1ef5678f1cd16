"""Real servers for tests and benchmarks, each a context manager that leaves nothing behind."""

from tests.servers.certificates import Authority
from tests.servers.faulty_s3 import FaultyS3Server
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerUnavailable
from tests.servers.s3 import S3Server

__all__ = [
    "Authority",
    "FaultyS3Server",
    "PgBouncer",
    "PostgresServer",
    "S3Server",
    "ServerUnavailable",
]
