"""Which way a machine is to be reached, and where its tunnel leads back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "beehives0003"
down_revision = "beehives0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("reach", "reach_wanted"):
        op.add_column("beehives", sa.Column(name, sa.String(), nullable=True))
    op.add_column("beehives", sa.Column("tunnel_port", sa.Integer(), nullable=True))
