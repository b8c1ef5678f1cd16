"""What an execution ran: the account at the vendor, the target, the compiled programs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what is new."""
    for column in (
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("record_key", sa.Text(), nullable=True),
        sa.Column("record_offset", sa.BigInteger(), nullable=True),
        sa.Column("record_length", sa.BigInteger(), nullable=True),
        sa.Column("adopted", sa.Boolean(), server_default=sa.false(), nullable=False),
    ):
        op.add_column("executions", column)
    op.create_index(
        "ix_executions_vendor",
        "executions",
        ["provider", "provider_job_id"],
        unique=False,
        sqlite_where=sa.text("provider_job_id IS NOT NULL"),
        postgresql_where=sa.text("provider_job_id IS NOT NULL"),
    )
    op.create_table(
        "adoptions",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_job_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "provider_job_id", name="pk_adoptions"),
    )
    op.create_index(
        "ix_adoptions_open",
        "adoptions",
        ["provider"],
        unique=False,
        sqlite_where=sa.text("job_id IS NULL AND problem IS NULL"),
        postgresql_where=sa.text("job_id IS NULL AND problem IS NULL"),
    )
