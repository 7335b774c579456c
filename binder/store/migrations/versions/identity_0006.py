"""a name of the service's own, which its replicas share."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward; there is no way back, but a backup."""
    identity = op.create_table(
        "identity", sa.Column("instance", sa.String(length=8), nullable=False), sa.PrimaryKeyConstraint("instance")
    )
    op.bulk_insert(identity, [{"instance": secrets.token_hex(4)}])
