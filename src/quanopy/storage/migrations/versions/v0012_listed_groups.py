"""An index of all accounts' groups, for operators who list them."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add what is new."""
    op.create_index("ix_groups_all", "groups", ["created_at", "id"], unique=False)
