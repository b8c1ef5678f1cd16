"""The tables of the catalogue, the same on SQLite and PostgreSQL.

Times are microseconds since 1970 (UTC) and JSON is kept as text, so that rows travel in and out
of either database without conversion. ``rank`` is minus the priority: one ascending index then
gives the order in which tasks are taken.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_QUEUED = text("state = 'queued'")
_UNDER_CLAIM = text("claim_id IS NOT NULL")
_ENDED = text("result_key IS NOT NULL")
_BUSY = text("state IN ('claimed', 'executing')")
_UNANSWERED = text("job_id IS NULL AND problem IS NULL")
_ASKED_ONCE = text("request_key IS NOT NULL")
_SENT = text("provider_job_id IS NOT NULL")
_IN_GROUP = text("group_id IS NOT NULL")
_BEGUN = text("begun")
_DUE = text("due_at IS NOT NULL")
_OPEN = text("state IN ('submitting', 'submitted', 'running', 'stranded')")

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Sorted by its bytes, so that a prefix is a range.
    Column("name", Text().with_variant(Text(collation="C"), "postgresql")),
    Column("tags", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("pubs", BigInteger),
    Column("shots", BigInteger),
    Column("tasks", Integer, nullable=False),
    Column("spec_key", Text, nullable=False),
    Column("spec_offset", BigInteger, nullable=False),
    Column("spec_length", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("problem", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("estimate_s", Float(53), nullable=False),
    Column("group_id", Text),
    Column("position", BigInteger),
    Column("blocked", Boolean, nullable=False, server_default=false()),
    # Others come after it: its end gives them their turn.
    Column("followed", Boolean, nullable=False, server_default=false()),
    # JSON of where it was imported from; NULL: it was submitted here.
    Column("imported", Text),
    Index("ix_jobs_spec", "spec_key"),
    Index("ix_jobs_newest", "created_at", "id"),
    Index("ix_jobs_account", "account", "created_at", "id"),
    Index("ix_jobs_resource", "account", "resource", "created_at", "id"),
    Index("ix_jobs_kind", "account", "kind", "created_at", "id"),
    Index(
        "ix_jobs_name",
        "account",
        "name",
        "created_at",
        "id",
        sqlite_where=text("name IS NOT NULL"),
        postgresql_where=text("name IS NOT NULL"),
    ),
    Index(
        "ix_jobs_group",
        "group_id",
        "position",
        sqlite_where=_IN_GROUP,
        postgresql_where=_IN_GROUP,
    ),
    # No index on what changes: PostgreSQL then updates a row within its page (a HOT update),
    # if there is room, and leaves all these indexes alone.
    postgresql_with={"fillfactor": 60},
)

job_states = Table(
    "job_states",
    metadata,
    Column("account", Text, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("created_at", BigInteger, primary_key=True),
    Column("job_id", Text, primary_key=True),
)
"""An index of jobs by state, kept by hand beside them (see :data:`jobs`)."""

job_tags = Table(
    "job_tags",
    metadata,
    Column("account", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("created_at", BigInteger, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
)

requests = Table(
    "requests",
    metadata,
    Column("account", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("job_ids", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("shots_from", BigInteger, nullable=False),
    Column("shots", BigInteger, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("estimate_s", Float(53), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("solo", Boolean, nullable=False),
    Column("ready_at", BigInteger),
    Column("claim_id", Text),
    Column("execution_id", Text),
    Column("result_key", Text),
    Column("result_offset", BigInteger),
    Column("result_length", BigInteger),
    Column("problem", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("queued_at", BigInteger),
    # When its turn came, where it had to wait for its group, for other jobs or for its release.
    Column("turn_at", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Index("ix_tasks_job", "job_id"),
    Index(
        "ix_tasks_queue",
        "resource",
        "account",
        "rank",
        "ready_at",
        "id",
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    ),
    Index(
        "ix_tasks_ready",
        "ready_at",
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    ),
    Index("ix_tasks_busy", "resource", sqlite_where=_BUSY, postgresql_where=_BUSY),
    Index("ix_tasks_result", "result_key", sqlite_where=_ENDED, postgresql_where=_ENDED),
    Index("ix_tasks_claim", "claim_id", sqlite_where=_UNDER_CLAIM, postgresql_where=_UNDER_CLAIM),
)

executions = Table(
    "executions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("tasks", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("claim_id", Text),
    Column("provider_job_id", Text),
    Column("searches", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("due_in", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("usage", Text, nullable=False),
    Column("problem", Text),
    Column("stop_requested", Boolean, nullable=False),
    Column("stop_seen", Boolean, nullable=False),
    Column("calibration", Text),
    Column("target", Text),
    Column("fingerprint", Text),
    Column("record_key", Text),
    Column("record_offset", BigInteger),
    Column("record_length", BigInteger),
    Column("adopted", Boolean, nullable=False, server_default=false()),
    Index(
        "ix_executions_vendor",
        "provider",
        "provider_job_id",
        sqlite_where=_SENT,
        postgresql_where=_SENT,
    ),
    Index("ix_executions_due", "provider", "due_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("ix_executions_lanes", "device", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index(
        "ix_executions_claim", "claim_id", sqlite_where=_UNDER_CLAIM, postgresql_where=_UNDER_CLAIM
    ),
)

claims = Table(
    "claims",
    metadata,
    Column("id", Text, primary_key=True),
    Column("worker", Text, nullable=False),
    Column("resource", Text),
    Column("device", Text),
    Column("expires_at", BigInteger, nullable=False),
    Column("ttl_us", BigInteger, nullable=False),
    Index("ix_claims_worker", "worker"),
    Index("ix_claims_device", "device"),
)

resources = Table(
    "resources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("lanes", Integer),
    Column("device", Text),
    # Names in JSON; NULL: all of the device.
    Column("part", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("operated", Boolean, nullable=False),
    # Who registered it; NULL: a provider's own.
    Column("owner", Text),
    # Accounts in JSON that it serves; NULL: all.
    Column("accounts", Text),
    Column("capabilities", Text, nullable=False),
)

registrations = Table(
    "registrations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("lanes", Integer, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ttl_us", BigInteger, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("name", Text, primary_key=True),
    # Whether a resource is a part of it: a claim looks for overlaps on no other device.
    Column("parted", Boolean, nullable=False, server_default=false()),
    # The resource of its parts that could not start while others ran on what it needs: since when
    # it waits, and when it last tried.
    Column("wanted_by", Text),
    Column("wanted_at", BigInteger),
    Column("tried_at", BigInteger),
)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("ttl_us", BigInteger, nullable=False),
    Column("retired", Boolean, nullable=False),
    Index("ix_workers_resource", "resource"),
)

usage = Table(
    "usage",
    metadata,
    Column("device", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("seconds", Float(53), nullable=False),
    Column("at", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("tx", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("actor", Text, nullable=False),
    Column("account", Text),
    Column("job_id", Text),
    Column("data", Text, nullable=False),
    Index("ix_events_order", "tx", "seq"),
    Index("ix_events_account", "account", "tx", "seq"),
    Index("ix_events_job", "job_id", "tx", "seq"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("label", Text, nullable=False),
)

adoptions = Table(
    "adoptions",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("provider_job_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("name", Text),
    Column("tags", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("job_id", Text),
    Column("problem", Text),
    Index("ix_adoptions_open", "provider", sqlite_where=_UNANSWERED, postgresql_where=_UNANSWERED),
)
"""Jobs of vendors that are to be taken over, or were."""

calibrations = Table(
    "calibrations",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("asked_at", BigInteger),
    Column("published", Boolean),
    Column("problem", Text),
    Column("due_at", BigInteger, nullable=False),
    Column("due_in", BigInteger, nullable=False),
)
"""What is known of each resource's calibration, and when its provider is to be asked again."""

sightings = Table(
    "sightings",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("seen_from", BigInteger, primary_key=True),
    Column("seen_until", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("metrics", BigInteger, nullable=False),
    Column("calibrated_at", BigInteger),
    Column("vendor_id", Text),
    Column("pack", Text, nullable=False),
    Column("raw_offset", BigInteger, nullable=False),
    Column("raw_length", BigInteger, nullable=False),
    Column("normal_offset", BigInteger, nullable=False),
    Column("normal_length", BigInteger, nullable=False),
    # Who had registered the resource then; NULL: a provider's own.
    Column("owner", Text),
    Index("ix_sightings_digest", "digest"),
    Index("ix_sightings_pack", "pack"),
)

told_snapshots = Table(
    "told_snapshots",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("seen_from", BigInteger, nullable=False),
    Column("seen_until", BigInteger, nullable=False),
    Column("format", Text, nullable=False),
    Column("metrics", BigInteger, nullable=False),
    Column("calibrated_at", BigInteger),
    Column("vendor_id", Text),
    Column("pack", Text, nullable=False),
    Column("raw_offset", BigInteger, nullable=False),
    Column("raw_length", BigInteger, nullable=False),
    Column("normal_offset", BigInteger, nullable=False),
    Column("normal_length", BigInteger, nullable=False),
    Column("owner", Text),
    Index("ix_told_snapshots_pack", "pack"),
)
"""Snapshots that receipts tell of: found by their digest, and no sign of how a resource stands."""

calibration_waits = Table(
    "calibration_waits",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("resource", Text, nullable=False),
    Column("most_us", BigInteger, nullable=False),
    Index("ix_calibration_waits_resource", "resource"),
)
"""Tasks that wait for a calibration of their resource that is younger than so long."""

groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("name", Text().with_variant(Text(collation="C"), "postgresql"), nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("policy", Text, nullable=False),
    Column("resource", Text),
    Column("size", BigInteger, nullable=False),
    Column("usage", Text, nullable=False),
    Column("completed", BigInteger, nullable=False, server_default=text("0")),
    Column("failures", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    # When it was revised or cancelled last: later each time, whatever the clock says.
    Column("changed_at", BigInteger),
    # When the last of its jobs began.
    Column("begun_at", BigInteger),
    # What is left to do of one that begins nothing more.
    Column("closing", Text),
    # When it is looked at next, and how long after the last look that is.
    Column("due_at", BigInteger),
    Column("due_in", BigInteger),
    Index("ix_groups_name", "account", "name", unique=True),
    Index("ix_groups_newest", "account", "created_at", "id"),
    Index("ix_groups_all", "created_at", "id"),
    Index("ix_groups_due", "due_at", sqlite_where=_DUE, postgresql_where=_DUE),
)

group_places = Table(
    "group_places",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("begun", Boolean, nullable=False),
    # Its job has ended, and its place is free from then on.
    Column("free_at", BigInteger),
    Index("ix_group_places_begun", "group_id", sqlite_where=_BEGUN, postgresql_where=_BEGUN),
)
"""The jobs of groups that have not ended, or whose places are not free yet."""

turns = Table(
    "turns",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("group_id", Text),
    Column("position", BigInteger),
    sqlite_autoincrement=True,
)
"""Jobs that ended, or are new: something of their groups, or what comes after them, may begin."""

unarchived = Table(
    "unarchived",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("job_id", Text, nullable=False),
    sqlite_autoincrement=True,
)
"""Jobs that a step of groups cancelled or failed, until the archive has been told."""

followers = Table(
    "followers",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("after_id", Text, primary_key=True),
    Column("on_failure", Text, nullable=False),
    Index("ix_followers_after", "after_id"),
)
"""Which jobs come after which."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("url", Text, nullable=False),
    # Patterns in JSON.
    Column("kinds", Text, nullable=False),
    Column("job_id", Text),
    Column("group_id", Text),
    Column("label", Text, nullable=False),
    Column("request_key", Text),
    Column("request_digest", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("tx", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rotated_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("next_at", BigInteger),
    Column("problem", Text),
    Column("paused", Boolean, nullable=False),
    Column("reason", Text),
    Column("claim_id", Text),
    Column("claimed_until", BigInteger),
    Index("ix_webhooks_account", "account"),
    Index(
        "ix_webhooks_request",
        "account",
        "request_key",
        unique=True,
        sqlite_where=_ASKED_ONCE,
        postgresql_where=_ASKED_ONCE,
    ),
)
"""Where accounts are told of events; the secrets that sign are made, and kept nowhere."""
