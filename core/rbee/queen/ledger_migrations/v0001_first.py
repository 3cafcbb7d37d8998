"""What workers needed of memory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "memory0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "learned",
        sa.Column("model_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("engine", sa.String(), primary_key=True, nullable=False),
        sa.Column("backend", sa.String(), primary_key=True, nullable=False),
        sa.Column("hive_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("reserve_bytes", sa.BigInteger(), nullable=False),
        sa.Column("basis_bytes", sa.BigInteger(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=False),
        sa.Column("estimate_bytes", sa.BigInteger(), nullable=True),
        sa.Column("context_length", sa.Integer(), nullable=True),
        sa.Column("slots", sa.Integer(), nullable=True),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
    )
