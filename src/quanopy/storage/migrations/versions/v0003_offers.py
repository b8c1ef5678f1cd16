"""Which part of a device a resource is."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("resources", sa.Column("part", sa.Text()))
    op.add_column(
        "devices",
        sa.Column("parted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("devices", sa.Column("wanted_by", sa.Text()))
    op.add_column("devices", sa.Column("wanted_at", sa.BigInteger()))
    op.add_column("devices", sa.Column("tried_at", sa.BigInteger()))
