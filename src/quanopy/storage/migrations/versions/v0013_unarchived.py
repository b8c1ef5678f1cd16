"""What steps of groups have cancelled, and of which the archive does not know yet."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add what is new."""
    op.create_table(
        "unarchived",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
        ),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_unarchived"),
        sqlite_autoincrement=True,
    )
