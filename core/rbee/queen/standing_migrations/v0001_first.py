"""What was said of models that holds until something else is said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "standing0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "standing",
        sa.Column("model_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("keep_alive_s", sa.Float(), nullable=True),
    )
