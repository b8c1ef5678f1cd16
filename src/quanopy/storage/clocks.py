"""The one clock that all who write into a catalogue share.

Workers on several machines have clocks of their own, minutes apart at worst. What must not be
judged too early is written and judged by the database's.
"""

from sqlalchemy import cast, func, select
from sqlalchemy.types import BigInteger

from quanopy.storage.transaction import Transaction

_NOW = select(cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger))


def shared_now(connection: Transaction, now: int) -> int:
    """What time it is by the database's clock; on SQLite, which is on this machine, ``now``."""
    if connection.dialect != "postgresql":
        return now
    return int(connection.scalar(_NOW))
