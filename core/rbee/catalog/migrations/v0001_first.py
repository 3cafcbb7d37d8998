"""Models; data bases from before there were migrations have this table already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "catalog0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is not there."""
    op.create_table(
        "models",
        sa.Column("model_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("vendor", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("variant", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_models_name", "models", ["name"], if_not_exists=True)
