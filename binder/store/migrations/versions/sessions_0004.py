"""indexes for what the loops ask at each change."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward; there is no way back, but a backup."""
    with op.batch_alter_table("builds", schema=None) as batch_op:
        batch_op.create_index("ix_builds_preview", ["preview_id", "state"], unique=False)
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index("ix_sessions_state")
        batch_op.create_index("ix_sessions_state", ["state", "ended_at"], unique=False)
        batch_op.create_index("ix_sessions_image", ["image", "state"], unique=False)
        batch_op.create_index("ix_sessions_opened", ["opened_at"], unique=False)
