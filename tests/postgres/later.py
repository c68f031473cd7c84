"""The next version of mailferry, as far as the tables go: today's, with one revision more, which it uses.

The revision is of the kind that `mailstore.migrations` allows: what is added is not needed by a node that does not know
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mailstore import schema, server_schema, sqlite
from mailstore.migrations import carry

NEXT: Final = f"{int(schema.HEAD) + 1:04}"

_REVISION: Final = f"""
import sqlalchemy as sa
from alembic import op
from mailstore.migrations import holds

revision = '{NEXT}'
down_revision = '{schema.HEAD}'
branch_labels = None
depends_on = None


def upgrade():
    if holds('accounts'):
        op.add_column('accounts', sa.Column('nickname', sa.Text, nullable=False, server_default=''))
        op.add_column('nodes', sa.Column('address', sa.Text))
    if holds('mailbox'):
        op.create_table('later', sa.Column('account_id', sa.BigInteger, primary_key=True))
        op.add_column('messages', sa.Column('mood', sa.BigInteger))
        op.create_index('messages_mood', 'messages', ['account_id', 'mood'])
"""


def write_revisions(directory: Path) -> None:
    """All that there are, and one behind the last."""
    (directory / "versions").mkdir(parents=True)
    real = Path(carry.__file__).parent
    for name in ("env.py", "script.py.mako"):
        (directory / name).symlink_to(real / name)
    for file in (real / "versions").glob("0*.py"):
        (directory / "versions" / file.name).symlink_to(file)
    (directory / "versions" / f"{NEXT}_next.py").write_text(_REVISION)


def with_revisions(directory: Path) -> Any:
    """Alembic's settings, as `mailstore.migrations.carry` makes them, for the revisions that are there."""
    before = carry.configuration

    def configuration(connection: Any, metadata: Any) -> Any:
        config = before(connection, metadata)
        config.set_main_option("script_location", str(directory))
        return config

    return configuration


HEADS: Final = (schema, server_schema, sqlite)  # who knows which revision is the last
