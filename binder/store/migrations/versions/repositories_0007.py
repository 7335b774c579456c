"""an index for what a click asks of its repository."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward; there is no way back, but a backup."""
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index("ix_sessions_repository", ["repository_id", "state"], unique=False)
