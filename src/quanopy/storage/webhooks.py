"""Webhooks: kept, claimed to deliver for, and moved on as they are told of events."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.types import Text

from quanopy.domain.errors import Conflict, InvalidTransition, NotFound, QuotaExceeded
from quanopy.domain.events import Position
from quanopy.domain.webhooks import FURTHEST, MOST, PATIENCE, PING, Webhook, WebhookChange
from quanopy.ports.webhooks import Step, Taking
from quanopy.storage.compiled import Row
from quanopy.storage.events import History, here
from quanopy.storage.rows import id_rows
from quanopy.storage.schema import webhooks
from quanopy.storage.statements import insert_rows, read_ids, update_rows
from quanopy.storage.transaction import Transaction
from quanopy.storage.values import Values, moment, moment_or_none, span

_account = bindparam("of_account", type_=Text)
_wanted = id_rows()
_BY_ID = (
    select(webhooks)
    .select_from(_wanted.join(webhooks, webhooks.c.id == _wanted.c.id))
    .order_by(webhooks.c.id)
)
_LOCKED = _BY_ID.with_for_update(of=webhooks)
_NEWEST_FIRST = select(webhooks).order_by(webhooks.c.id.desc())
_ALL = {False: _NEWEST_FIRST, True: _NEWEST_FIRST.where(~webhooks.c.paused)}
_OF_ACCOUNT = {asked: all_.where(webhooks.c.account == _account) for asked, all_ in _ALL.items()}
_NUMBER = select(func.count()).select_from(webhooks).where(webhooks.c.account == _account)
_REPEATED = select(webhooks).where(
    webhooks.c.account == _account,
    webhooks.c.request_key == bindparam("key", type_=Text),
)
_DROP = delete(webhooks).where(webhooks.c.id == bindparam("of_id", type_=Text))
_PATIENCE = round(PATIENCE / timedelta(microseconds=1))
_FURTHEST = round(FURTHEST / timedelta(microseconds=1))


def add(
    connection: Transaction, webhook: Webhook, *, key: str | None, digest: str, now: int
) -> tuple[Webhook, bool]:
    """Keep a webhook, unless this request has made one before; raises ``Conflict``,
    ``QuotaExceeded``."""
    given = {"of_account": webhook.account, "key": key}
    there = connection.first(_REPEATED, given) if key is not None else None
    if there is not None:
        if there.request_digest != digest:
            raise Conflict(
                "this Idempotency-Key was used for another webhook",
                where="Idempotency-Key",
                hint="Take a new key for a new request.",
            )
        return _of(there), False
    if connection.scalar(_NUMBER, given) >= MOST:
        raise QuotaExceeded(
            f"{webhook.account} has {MOST} webhooks",
            where="webhooks",
            hint="Remove one: quanopy webhook remove ID.",
        )
    position = here(connection)
    row = _row(webhook) | {
        "request_key": key,
        "request_digest": digest,
        "created_at": now,
        "tx": position.tx,
        "seq": position.seq,
    }
    insert_rows(connection, webhooks, [row])
    _tell(connection, webhook.account, "webhook.created", webhook.id, webhook.account, now)
    return _of(_found(connection, webhook.id, None)), True


def listed(
    connection: Transaction,
    *,
    account: str | None,
    ids: Collection[str] | None,
    unpaused: bool,
) -> list[Webhook]:
    """Webhooks, the newest first."""
    if ids is not None:
        rows = sorted(read_ids(connection, _BY_ID, ids), key=lambda row: row.id, reverse=True)
        return [
            _of(row)
            for row in rows
            if account in (None, row.account) and not (unpaused and row.paused)
        ]
    if account is not None:
        return [
            _of(row) for row in connection.execute(_OF_ACCOUNT[unpaused], {"of_account": account})
        ]
    return [_of(row) for row in connection.execute(_ALL[unpaused])]


def change(
    connection: Transaction,
    id: str,
    asked: WebhookChange,
    *,
    account: str | None,
    actor: str,
    now: int,
) -> Webhook:
    """Pause, resume, try out, or give a new secret; raises ``NotFound``."""
    row = _found(connection, id, account)
    kind, changes = _changes(row, asked, actor, now)
    if changes is not None:
        update_rows(connection, webhooks, [{"id": id} | changes])
        _tell(connection, actor, kind, id, row.account, now)
    return _of(_found(connection, id, account))


def _changes(row: Row, asked: WebhookChange, actor: str, now: int) -> tuple[str, Values | None]:
    """The event, and what becomes of the row; ``None``: it is so already."""
    match asked:
        case WebhookChange.PAUSE:
            changes: Values = {"paused": True, "reason": f"{actor} paused it", "next_at": None}
            return "webhook.paused", None if row.paused else changes
        case WebhookChange.RESUME:
            well: Values = {"paused": False, "reason": None, "attempts": 0}
            well |= {"failing_since": None, "next_at": None, "problem": None}
            return "webhook.resumed", well if row.paused or row.attempts else None
        case WebhookChange.ROTATE:
            return "webhook.rotated", {"generation": row.generation + 1, "rotated_at": now}
        case WebhookChange.PING:
            if row.paused:
                raise InvalidTransition(
                    "it is paused, and is sent nothing",
                    where=row.id,
                    hint="Resume it first: quanopy webhook resume ID.",
                )
            return PING, {"next_at": None}


def remove(
    connection: Transaction, id: str, *, account: str | None, actor: str, now: int
) -> Webhook:
    """Forget a webhook; raises ``NotFound``."""
    row = _found(connection, id, account)
    connection.later(_DROP, {"of_id": id})
    _tell(connection, actor, "webhook.removed", id, row.account, now)
    return _of(row)


def claim(
    connection: Transaction,
    claim_id: str,
    wanted: Mapping[str, Position | None],
    *,
    ttl: int,
    now: int,
) -> list[Taking]:
    """Take those of these webhooks that are nobody's, due, and not past what is wanted."""
    takings = [
        _taking(row, wanted[row.id], ttl, now) for row in read_ids(connection, _LOCKED, wanted)
    ]
    held = {"claim_id": claim_id, "claimed_until": now + ttl}
    taken = [{"id": taking.webhook.id} | held for taking in takings if taking.taken]
    update_rows(connection, webhooks, taken)
    return takings


def _taking(row: Row, wanted: Position | None, ttl: int, now: int) -> Taking:
    webhook = _of(row)
    if row.paused or (wanted is not None and webhook.position >= wanted):
        return Taking(webhook=webhook, taken=False)
    held = row.claim_id is not None and _is_ahead(row.claimed_until, ttl, now)
    rests = _is_ahead(row.next_at, _FURTHEST, now)
    if held or rests:
        later = max(row.claimed_until if held else 0, row.next_at if rests else 0)
        return Taking(webhook=webhook, taken=False, look_at=moment(later))
    return Taking(webhook=webhook, taken=True)


def _is_ahead(at: int | None, furthest: int, now: int) -> bool:
    """Whether a time is still to come; one far beyond any that is set is from before the clock was
    set back. Not all that is a little beyond: whoever set it looked at another machine's clock, or
    at its own while this transaction waited for the row."""
    return at is not None and now < at <= now + 2 * furthest


def settle(
    connection: Transaction, claim_id: str, steps: Sequence[Step], *, ttl: int, now: int
) -> list[Webhook]:
    """Note what came of delivering for webhooks that are still under this claim."""
    by_id = {step.webhook_id: step for step in steps}
    rows = [row for row in read_ids(connection, _LOCKED, by_id) if row.claim_id == claim_id]
    after = [{"id": row.id} | _stepped(row, by_id[row.id], ttl, now) for row in rows]
    update_rows(connection, webhooks, after)
    for row, changed in zip(rows, after, strict=True):
        if changed["paused"] and not row.paused:
            data = {"reason": changed["reason"]}
            _tell(connection, "webhooks", "webhook.paused", row.id, row.account, now, data)
    return listed(connection, account=None, ids=[row.id for row in rows], unpaused=False)


def _stepped(row: Row, step: Step, ttl: int, now: int) -> Values:
    """All that a step may change, as it is afterwards."""
    position = step.position or Position(row.tx, row.seq)
    keep = step.keep and not row.paused
    changed: Values = {
        "tx": position.tx,
        "seq": position.seq,
        "claim_id": row.claim_id if keep else None,
        "claimed_until": now + ttl if keep else None,
    }
    changed |= {name: getattr(row, name) for name in _CONDITION}
    if step.delivered:
        changed |= {"delivered_at": now, "attempts": 0, "failing_since": None}
        changed |= {"next_at": None, "problem": None}
    if step.problem is not None:
        since = changed["failing_since"] or now
        changed |= {
            "attempts": changed["attempts"] + 1,
            "failing_since": since,
            "next_at": now + span(step.retry_in_s),
            "problem": step.problem,
        }
        if not row.paused and (step.gone or now - since >= _PATIENCE):
            days = f"it has failed for {PATIENCE.days} days: "
            changed |= {
                "paused": True,
                "reason": ("" if step.gone else days) + step.problem,
                "next_at": None,
            }
    return changed


_CONDITION = (
    *("delivered_at", "attempts", "failing_since", "next_at"),
    *("problem", "paused", "reason"),
)


def _found(connection: Transaction, id: str, account: str | None) -> Row:
    """A webhook's row, locked; raises ``NotFound`` alike for what is not there and another's."""
    rows = read_ids(connection, _LOCKED, [id])
    if not rows or account not in (None, rows[0].account):
        raise NotFound(
            f"there is no webhook {id[:60]!r}",
            where="id",
            hint="List yours: `quanopy webhook list`.",
        )
    return rows[0]


def _tell(
    connection: Transaction,
    actor: str,
    kind: str,
    id: str,
    account: str,
    now: int,
    data: Mapping[str, object] | None = None,
) -> None:
    history = History(actor, now)
    history.add(id, kind, account=account, data=data)
    history.write(connection)


def _row(webhook: Webhook) -> Values:
    return {
        "id": webhook.id,
        "account": webhook.account,
        "url": webhook.url,
        "kinds": json.dumps(webhook.kinds, separators=(",", ":")),
        "job_id": webhook.job_id,
        "group_id": webhook.group_id,
        "label": webhook.label,
        "generation": webhook.generation,
        "attempts": 0,
        "paused": False,
    }


def _of(row: Row) -> Webhook:
    return Webhook(
        id=row.id,
        account=row.account,
        url=row.url,
        kinds=tuple(json.loads(row.kinds)),
        job_id=row.job_id,
        group_id=row.group_id,
        label=row.label,
        created_at=moment(row.created_at),
        position=Position(row.tx, row.seq),
        generation=row.generation,
        rotated_at=moment_or_none(row.rotated_at),
        delivered_at=moment_or_none(row.delivered_at),
        attempts=row.attempts,
        failing_since=moment_or_none(row.failing_since),
        next_at=moment_or_none(row.next_at),
        problem=row.problem,
        paused=row.paused,
        reason=row.reason,
    )
