"""Models that are being fetched or failed, and what the files of a model tell of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "catalog0002"
down_revision = "catalog0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was listed before is available."""
    with op.batch_alter_table("models") as table:
        table.add_column(sa.Column("state", sa.String(), nullable=False, server_default="available"))
        table.add_column(sa.Column("error", sa.String(), nullable=True))
        table.add_column(sa.Column("figures", sa.LargeBinary(), nullable=True))
