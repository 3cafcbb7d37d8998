"""Speeds of workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "speeds0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "speeds",
        sa.Column("model_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("engine", sa.String(), primary_key=True, nullable=False),
        sa.Column("hive_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("device", sa.String(), primary_key=True, nullable=False),
        sa.Column("slots", sa.Integer(), primary_key=True, nullable=False, autoincrement=False),
        sa.Column("streams", sa.Integer(), primary_key=True, nullable=False, autoincrement=False),
        sa.Column("tok_s", sa.Float(), nullable=False),
        sa.Column("measurements", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
