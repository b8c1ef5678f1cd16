"""What accounts have used of devices: charged by estimate when work starts, settled at its end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import Float, column, update

from quanopy.storage import schema
from quanopy.storage.queue import decay
from quanopy.storage.rows import document, rows_of
from quanopy.storage.statements import insert_rows
from quanopy.storage.transaction import Transaction

_usage = schema.usage
_rows = rows_of(_usage.c.device, _usage.c.account, _usage.c.seconds)
_SETTLE = (
    update(_usage)
    .where(_usage.c.device == _rows.c.device, _usage.c.account == _rows.c.account)
    .values(seconds=_usage.c.seconds + _rows.c.seconds)
)
_aged = rows_of(
    _usage.c.device, _usage.c.account, _usage.c.seconds, column("factor", Float(53)), _usage.c.at
)
_CHARGE = (
    update(_usage)
    .where(_usage.c.device == _aged.c.device, _usage.c.account == _aged.c.account)
    .values(seconds=_usage.c.seconds * _aged.c.factor + _aged.c.seconds, at=_aged.c.at)
)


def charge(
    connection: Transaction,
    device: str,
    estimates: Iterable[tuple[str, float]],
    known: Mapping[str, int],
    *,
    now: int,
) -> None:
    """Charge accounts (account, seconds) for work that starts, under the device's lock.

    ``known``: when each account was last charged.
    """
    totals: dict[str, float] = defaultdict(float)
    for account, seconds in estimates:
        totals[account] += seconds
    insert_rows(
        connection,
        _usage,
        [
            {"device": device, "account": account, "seconds": seconds, "at": now}
            for account, seconds in totals.items()
            if account not in known
        ],
    )
    aged = [
        {
            "device": device,
            "account": account,
            "seconds": seconds,
            "factor": decay(known[account], now),
            "at": now,
        }
        for account, seconds in totals.items()
        if account in known
    ]
    if aged:
        connection.later(_CHARGE, {"r": document(aged)})


def settle(connection: Transaction, uses: Iterable[tuple[str, str, float]]) -> None:
    """Correct charges by (device, account, seconds more or less)."""
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for device, account, seconds in uses:
        totals[device, account] += seconds
    rows = [
        {"device": device, "account": account, "seconds": seconds}
        for (device, account), seconds in sorted(totals.items())
        if seconds
    ]
    if rows:
        connection.later(_SETTLE, {"r": document(rows)})
