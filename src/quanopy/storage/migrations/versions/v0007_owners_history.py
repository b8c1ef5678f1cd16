"""Whose resource it was that a snapshot was seen at: a name may pass from one owner to another."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add what is new; what is registered now had its history before, too."""
    op.add_column("sightings", sa.Column("owner", sa.Text(), nullable=True))
    op.execute(
        "UPDATE sightings SET owner = "
        "(SELECT owner FROM resources WHERE resources.name = sightings.resource)"
    )
