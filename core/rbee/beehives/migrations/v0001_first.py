"""Beehives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "beehives0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "beehives",
        sa.Column("node_name", sa.String(), primary_key=True, nullable=False),
        sa.Column("ssh_host", sa.String(), nullable=True),
        sa.Column("ssh_port", sa.Integer(), nullable=True),
        sa.Column("ssh_user", sa.String(), nullable=True),
        sa.Column("ssh_key_path", sa.String(), nullable=True),
        sa.Column("git_repo_url", sa.String(), nullable=True),
        sa.Column("git_branch", sa.String(), nullable=True),
        sa.Column("install_path", sa.String(), nullable=True),
        sa.Column("hive_port", sa.Integer(), nullable=True),
        sa.Column("labels", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("host_key_fingerprint", sa.String(), nullable=True),
        sa.Column("last_connected_unix", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("backends", sa.String(), nullable=True),
        sa.Column("devices", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
