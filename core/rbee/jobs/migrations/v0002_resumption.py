"""When a job began, and how often it was begun again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "jobs0002"
down_revision = "jobs0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns."""
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("resumed", sa.Integer(), nullable=False, server_default="0"))
