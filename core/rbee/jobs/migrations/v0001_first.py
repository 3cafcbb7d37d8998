"""Jobs and their events; data bases from before there were migrations have these tables already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "jobs0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make what is not there."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), primary_key=True, nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("correlation_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.String(), nullable=True),
        if_not_exists=True,
    )
    op.create_index("ix_jobs_operation", "jobs", ["operation"], if_not_exists=True)
    op.create_index("ix_jobs_state", "jobs", ["state"], if_not_exists=True)
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("seq", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        if_not_exists=True,
    )
