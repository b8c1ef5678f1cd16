"""When groups were changed last, so that the archive can tell which of its records holds."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add what is new."""
    op.add_column("groups", sa.Column("changed_at", sa.BigInteger(), nullable=True))
