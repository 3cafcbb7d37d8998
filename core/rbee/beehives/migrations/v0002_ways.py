"""Ways to a machine: its name in the SSH configuration, and machines to go through."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "beehives0002"
down_revision = "beehives0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("ssh_alias", "ssh_jump"):
        op.add_column("beehives", sa.Column(name, sa.String(), nullable=True))
