"""From which version of an engine something was learned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "memory0002"
down_revision = "memory0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("learned") as table:
        table.add_column(sa.Column("engine_version", sa.String(), nullable=True))
