"""notebooks that have to run before a commit is green."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward; there is no way back, but a backup."""
    with op.batch_alter_table("builds", schema=None) as batch_op:
        # Those that were made before have nothing to run; a version that does not know of it writes none.
        batch_op.add_column(sa.Column("awaits_check", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "notebook_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=4000), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=True),
        sa.Column("session_id", sa.String(length=40), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=8), nullable=True),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.Column("executed", sa.LargeBinary(), nullable=True),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("notebook_runs", schema=None) as batch_op:
        batch_op.create_index("ix_notebook_runs_build", ["build_id"], unique=False)
        batch_op.create_index("ix_notebook_runs_finished", ["finished_at"], unique=False)
        batch_op.create_index("ix_notebook_runs_key", ["key"], unique=False)
