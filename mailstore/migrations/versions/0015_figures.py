"""Figures of all accounts that are kept, and indexes for every order and filter of their lists."""

import sqlalchemy as sa
from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ATTENTION = sa.text("(reason <> '' OR state = 'blocked' OR password_state = 'rejected')")
PAUSED = sa.text("paused = 1")
NAMED = sa.text("legacy_login <> ''")

# As they were in this revision, whatever `mailstore.counters` says by now.
FILL = (
    """
    INSERT INTO figures (domain, department, state, slot, accounts, attention, known, messages_done,
    messages_listed, bytes_done, bytes_listed) SELECT domain, department, state, 0, sum(1), sum(CASE WHEN
    accounts.reason <> '' OR accounts.state = 'blocked' OR accounts.password_state = 'rejected' THEN 1 ELSE 0
    END), sum(CASE WHEN accounts.messages_total > 0 OR accounts.refreshed IS NOT NULL THEN 1 ELSE 0 END),
    sum(accounts.messages_done), sum(accounts.messages_total), sum(accounts.bytes_done),
    sum(accounts.bytes_total) FROM accounts GROUP BY domain, department, state
    """,
)
SQLITE = (
    """
    CREATE TRIGGER accounts_figures_insert AFTER INSERT ON accounts BEGIN INSERT INTO figures (domain,
    department, state, slot, accounts, attention, known, messages_done, messages_listed, bytes_done,
    bytes_listed) VALUES (new.domain, new.department, new.state, 0, (1), (CASE WHEN new.reason <> '' OR
    new.state = 'blocked' OR new.password_state = 'rejected' THEN 1 ELSE 0 END), (CASE WHEN new.messages_total >
    0 OR new.refreshed IS NOT NULL THEN 1 ELSE 0 END), (new.messages_done), (new.messages_total),
    (new.bytes_done), (new.bytes_total)) ON CONFLICT (domain, department, state, slot) DO UPDATE SET accounts =
    figures.accounts + excluded.accounts, attention = figures.attention + excluded.attention, known =
    figures.known + excluded.known, messages_done = figures.messages_done + excluded.messages_done,
    messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done = figures.bytes_done +
    excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed; END
    """,
    """
    CREATE TRIGGER accounts_figures_delete AFTER DELETE ON accounts BEGIN INSERT INTO figures (domain,
    department, state, slot, accounts, attention, known, messages_done, messages_listed, bytes_done,
    bytes_listed) VALUES (old.domain, old.department, old.state, 0, -(1), -(CASE WHEN old.reason <> '' OR
    old.state = 'blocked' OR old.password_state = 'rejected' THEN 1 ELSE 0 END), -(CASE WHEN old.messages_total
    > 0 OR old.refreshed IS NOT NULL THEN 1 ELSE 0 END), -(old.messages_done), -(old.messages_total),
    -(old.bytes_done), -(old.bytes_total)) ON CONFLICT (domain, department, state, slot) DO UPDATE SET accounts
    = figures.accounts + excluded.accounts, attention = figures.attention + excluded.attention, known =
    figures.known + excluded.known, messages_done = figures.messages_done + excluded.messages_done,
    messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done = figures.bytes_done +
    excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed; END
    """,
    """
    CREATE TRIGGER accounts_figures_update AFTER UPDATE OF domain, department, state, reason, password_state,
    refreshed, messages_done, messages_total, bytes_done, bytes_total ON accounts WHEN old.domain <> new.domain
    OR old.department <> new.department OR old.state <> new.state OR (CASE WHEN old.reason <> '' OR old.state =
    'blocked' OR old.password_state = 'rejected' THEN 1 ELSE 0 END) <> (CASE WHEN new.reason <> '' OR new.state
    = 'blocked' OR new.password_state = 'rejected' THEN 1 ELSE 0 END) OR (CASE WHEN old.messages_total > 0 OR
    old.refreshed IS NOT NULL THEN 1 ELSE 0 END) <> (CASE WHEN new.messages_total > 0 OR new.refreshed IS NOT
    NULL THEN 1 ELSE 0 END) OR (old.messages_done) <> (new.messages_done) OR (old.messages_total) <>
    (new.messages_total) OR (old.bytes_done) <> (new.bytes_done) OR (old.bytes_total) <> (new.bytes_total) BEGIN
    INSERT INTO figures (domain, department, state, slot, accounts, attention, known, messages_done,
    messages_listed, bytes_done, bytes_listed) VALUES (old.domain, old.department, old.state, 0, -(1), -(CASE
    WHEN old.reason <> '' OR old.state = 'blocked' OR old.password_state = 'rejected' THEN 1 ELSE 0 END), -(CASE
    WHEN old.messages_total > 0 OR old.refreshed IS NOT NULL THEN 1 ELSE 0 END), -(old.messages_done),
    -(old.messages_total), -(old.bytes_done), -(old.bytes_total)) ON CONFLICT (domain, department, state, slot)
    DO UPDATE SET accounts = figures.accounts + excluded.accounts, attention = figures.attention +
    excluded.attention, known = figures.known + excluded.known, messages_done = figures.messages_done +
    excluded.messages_done, messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done =
    figures.bytes_done + excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed;
    INSERT INTO figures (domain, department, state, slot, accounts, attention, known, messages_done,
    messages_listed, bytes_done, bytes_listed) VALUES (new.domain, new.department, new.state, 0, (1), (CASE WHEN
    new.reason <> '' OR new.state = 'blocked' OR new.password_state = 'rejected' THEN 1 ELSE 0 END), (CASE WHEN
    new.messages_total > 0 OR new.refreshed IS NOT NULL THEN 1 ELSE 0 END), (new.messages_done),
    (new.messages_total), (new.bytes_done), (new.bytes_total)) ON CONFLICT (domain, department, state, slot) DO
    UPDATE SET accounts = figures.accounts + excluded.accounts, attention = figures.attention +
    excluded.attention, known = figures.known + excluded.known, messages_done = figures.messages_done +
    excluded.messages_done, messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done =
    figures.bytes_done + excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed; END
    """,
)
POSTGRES = (
    """
    CREATE FUNCTION accounts_figures_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO figures
    (domain, department, state, slot, accounts, attention, known, messages_done, messages_listed, bytes_done,
    bytes_listed) SELECT domain, department, state, pg_backend_pid(), sum(accounts), sum(attention), sum(known),
    sum(messages_done), sum(messages_listed), sum(bytes_done), sum(bytes_listed) FROM (SELECT domain,
    department, state, (1) AS accounts, (CASE WHEN became.reason <> '' OR became.state = 'blocked' OR
    became.password_state = 'rejected' THEN 1 ELSE 0 END) AS attention, (CASE WHEN became.messages_total > 0 OR
    became.refreshed IS NOT NULL THEN 1 ELSE 0 END) AS known, (became.messages_done) AS messages_done,
    (became.messages_total) AS messages_listed, (became.bytes_done) AS bytes_done, (became.bytes_total) AS
    bytes_listed FROM became) AS changes GROUP BY domain, department, state HAVING sum(accounts) <> 0 OR
    sum(attention) <> 0 OR sum(known) <> 0 OR sum(messages_done) <> 0 OR sum(messages_listed) <> 0 OR
    sum(bytes_done) <> 0 OR sum(bytes_listed) <> 0 ON CONFLICT (domain, department, state, slot) DO UPDATE SET
    accounts = figures.accounts + excluded.accounts, attention = figures.attention + excluded.attention, known =
    figures.known + excluded.known, messages_done = figures.messages_done + excluded.messages_done,
    messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done = figures.bytes_done +
    excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed; RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION accounts_figures_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO figures
    (domain, department, state, slot, accounts, attention, known, messages_done, messages_listed, bytes_done,
    bytes_listed) SELECT domain, department, state, pg_backend_pid(), sum(accounts), sum(attention), sum(known),
    sum(messages_done), sum(messages_listed), sum(bytes_done), sum(bytes_listed) FROM (SELECT domain,
    department, state, -(1) AS accounts, -(CASE WHEN was.reason <> '' OR was.state = 'blocked' OR
    was.password_state = 'rejected' THEN 1 ELSE 0 END) AS attention, -(CASE WHEN was.messages_total > 0 OR
    was.refreshed IS NOT NULL THEN 1 ELSE 0 END) AS known, -(was.messages_done) AS messages_done,
    -(was.messages_total) AS messages_listed, -(was.bytes_done) AS bytes_done, -(was.bytes_total) AS
    bytes_listed FROM was) AS changes GROUP BY domain, department, state HAVING sum(accounts) <> 0 OR
    sum(attention) <> 0 OR sum(known) <> 0 OR sum(messages_done) <> 0 OR sum(messages_listed) <> 0 OR
    sum(bytes_done) <> 0 OR sum(bytes_listed) <> 0 ON CONFLICT (domain, department, state, slot) DO UPDATE SET
    accounts = figures.accounts + excluded.accounts, attention = figures.attention + excluded.attention, known =
    figures.known + excluded.known, messages_done = figures.messages_done + excluded.messages_done,
    messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done = figures.bytes_done +
    excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed; RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION accounts_figures_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO figures
    (domain, department, state, slot, accounts, attention, known, messages_done, messages_listed, bytes_done,
    bytes_listed) SELECT domain, department, state, pg_backend_pid(), sum(accounts), sum(attention), sum(known),
    sum(messages_done), sum(messages_listed), sum(bytes_done), sum(bytes_listed) FROM (SELECT domain,
    department, state, -(1) AS accounts, -(CASE WHEN was.reason <> '' OR was.state = 'blocked' OR
    was.password_state = 'rejected' THEN 1 ELSE 0 END) AS attention, -(CASE WHEN was.messages_total > 0 OR
    was.refreshed IS NOT NULL THEN 1 ELSE 0 END) AS known, -(was.messages_done) AS messages_done,
    -(was.messages_total) AS messages_listed, -(was.bytes_done) AS bytes_done, -(was.bytes_total) AS
    bytes_listed FROM was UNION ALL SELECT domain, department, state, (1) AS accounts, (CASE WHEN became.reason
    <> '' OR became.state = 'blocked' OR became.password_state = 'rejected' THEN 1 ELSE 0 END) AS attention,
    (CASE WHEN became.messages_total > 0 OR became.refreshed IS NOT NULL THEN 1 ELSE 0 END) AS known,
    (became.messages_done) AS messages_done, (became.messages_total) AS messages_listed, (became.bytes_done) AS
    bytes_done, (became.bytes_total) AS bytes_listed FROM became) AS changes GROUP BY domain, department, state
    HAVING sum(accounts) <> 0 OR sum(attention) <> 0 OR sum(known) <> 0 OR sum(messages_done) <> 0 OR
    sum(messages_listed) <> 0 OR sum(bytes_done) <> 0 OR sum(bytes_listed) <> 0 ON CONFLICT (domain, department,
    state, slot) DO UPDATE SET accounts = figures.accounts + excluded.accounts, attention = figures.attention +
    excluded.attention, known = figures.known + excluded.known, messages_done = figures.messages_done +
    excluded.messages_done, messages_listed = figures.messages_listed + excluded.messages_listed, bytes_done =
    figures.bytes_done + excluded.bytes_done, bytes_listed = figures.bytes_listed + excluded.bytes_listed;
    RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER accounts_figures_insert AFTER insert ON accounts REFERENCING NEW TABLE AS became FOR EACH
    STATEMENT EXECUTE FUNCTION accounts_figures_insert()
    """,
    """
    CREATE TRIGGER accounts_figures_delete AFTER delete ON accounts REFERENCING OLD TABLE AS was FOR EACH
    STATEMENT EXECUTE FUNCTION accounts_figures_delete()
    """,
    """
    CREATE TRIGGER accounts_figures_update AFTER update ON accounts REFERENCING OLD TABLE AS was NEW TABLE AS
    became FOR EACH STATEMENT EXECUTE FUNCTION accounts_figures_update()
    """,
)


def _text(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Compared octet by octet (see `mailstore.schema`)."""
    kind = sa.Text if length is None else sa.String
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


def upgrade() -> None:
    if context.config.attributes["scope"] == "mailbox":
        return
    bind = op.get_bind()
    op.create_table(
        "figures",
        sa.Column("domain", _text(255), primary_key=True),
        sa.Column("department", _text(), primary_key=True),
        sa.Column("state", _text(16), primary_key=True),
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("accounts", sa.BigInteger, nullable=False),
        sa.Column("attention", sa.BigInteger, nullable=False),
        sa.Column("known", sa.BigInteger, nullable=False),
        sa.Column("messages_done", sa.BigInteger, nullable=False),
        sa.Column("messages_listed", sa.BigInteger, nullable=False),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("bytes_listed", sa.BigInteger, nullable=False),
    )
    last_login, size = sa.text("coalesce(last_login, 0) DESC"), sa.text("bytes_total DESC")
    op.create_index("accounts_last_login", "accounts", ["domain", "state", last_login, "local"])
    op.create_index("accounts_size", "accounts", ["domain", "state", size, "local"])
    for name, columns, where in (
        ("accounts_attention", ["domain", "local"], ATTENTION),
        ("accounts_paused", ["domain", "local"], PAUSED),
        ("accounts_legacy_login", ["legacy_login"], NAMED),
    ):
        op.create_index(name, "accounts", columns, sqlite_where=where, postgresql_where=where)
    for statement in (*FILL, *(POSTGRES if bind.dialect.name == "postgresql" else SQLITE)):
        bind.exec_driver_sql(statement)
