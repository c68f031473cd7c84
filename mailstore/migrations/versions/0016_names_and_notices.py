"""Tails of names, by which an account is found by a part of them, and what accounts have had of notices, counted."""

import sqlalchemy as sa
from alembic import op

from mailstore.migrations import holds

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def _text(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Compared octet by octet (see `mailstore.schema`)."""
    kind = sa.Text if length is None else sa.String
    return kind(length).with_variant(kind(length, collation="C"), "postgresql")


_AT = f"SELECT 0 AS at UNION ALL VALUES {', '.join(f'({at})' for at in range(1, 65))}"

# As they were in this revision, whatever `mailstore.notice_counters` and `mailstore.name_tails` say by now.
FILL = (
    """
    INSERT INTO notice_standings (account_id, kind, domain, local, department, standing) SELECT accounts.id,
    had.kind, accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices
    WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN
    EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS
    NULL AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM
    notices) AS had JOIN accounts ON accounts.id = had.account_id WHERE accounts.state <> 'final' ON CONFLICT
    (account_id, kind) DO UPDATE SET standing = excluded.standing WHERE notice_standings.standing <>
    excluded.standing
    """,
    """
    INSERT INTO notice_figures (domain, department, kind, standing, slot, accounts) SELECT domain, department,
    kind, standing, 0, count(*) FROM notice_standings GROUP BY domain, department, kind, standing
    """,
    f"""
    INSERT INTO name_tails (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(names.name), places.at, 24) END, names.id FROM (SELECT id, local AS name FROM accounts UNION
    ALL SELECT id, full_name FROM accounts UNION ALL SELECT account_id, local FROM aliases) AS names CROSS JOIN
    ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND
    length(names.name) ORDER BY 1, 2 ON CONFLICT DO NOTHING
    """,  # noqa: S608
)
SQLITE = (
    """
    CREATE TRIGGER notices_standings_insert AFTER INSERT ON notices BEGIN INSERT INTO notice_standings
    (account_id, kind, domain, local, department, standing) SELECT accounts.id, had.kind, accounts.domain,
    accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices WHERE notices.account_id =
    accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS (SELECT 1 FROM notices
    WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NULL AND refusal = '') THEN
    'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM notices WHERE account_id =
    new.account_id AND kind = new.kind) AS had JOIN accounts ON accounts.id = had.account_id WHERE
    accounts.state <> 'final' ON CONFLICT (account_id, kind) DO UPDATE SET standing = excluded.standing WHERE
    notice_standings.standing <> excluded.standing; END
    """,
    """
    CREATE TRIGGER notices_standings_update AFTER UPDATE OF account_id, kind, sent, refusal ON notices BEGIN
    INSERT INTO notice_standings (account_id, kind, domain, local, department, standing) SELECT accounts.id,
    had.kind, accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices
    WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN
    EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS
    NULL AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM notices
    WHERE account_id = new.account_id AND kind = new.kind) AS had JOIN accounts ON accounts.id = had.account_id
    WHERE accounts.state <> 'final' ON CONFLICT (account_id, kind) DO UPDATE SET standing = excluded.standing
    WHERE notice_standings.standing <> excluded.standing; END
    """,
    """
    CREATE TRIGGER notices_standings_delete AFTER DELETE ON notices BEGIN DELETE FROM notice_standings WHERE
    account_id = old.account_id AND kind = old.kind; INSERT INTO notice_standings (account_id, kind, domain,
    local, department, standing) SELECT accounts.id, had.kind, accounts.domain, accounts.local,
    accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND
    notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS (SELECT 1 FROM notices WHERE
    notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NULL AND refusal = '') THEN
    'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM notices WHERE account_id =
    old.account_id AND kind = old.kind) AS had JOIN accounts ON accounts.id = had.account_id WHERE
    accounts.state <> 'final' ON CONFLICT (account_id, kind) DO UPDATE SET standing = excluded.standing WHERE
    notice_standings.standing <> excluded.standing; END
    """,
    """
    CREATE TRIGGER accounts_standings_update AFTER UPDATE OF domain, local, department, state ON accounts WHEN
    old.domain <> new.domain OR old.local <> new.local OR old.department <> new.department OR (old.state =
    'final') <> (new.state = 'final') BEGIN DELETE FROM notice_standings WHERE account_id = old.id; INSERT INTO
    notice_standings (account_id, kind, domain, local, department, standing) SELECT accounts.id, had.kind,
    accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices WHERE
    notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS
    (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NULL
    AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM notices
    WHERE account_id = new.id) AS had JOIN accounts ON accounts.id = had.account_id WHERE accounts.state <>
    'final' ON CONFLICT (account_id, kind) DO UPDATE SET standing = excluded.standing WHERE
    notice_standings.standing <> excluded.standing; END
    """,
    """
    CREATE TRIGGER accounts_standings_delete AFTER DELETE ON accounts BEGIN DELETE FROM notice_standings WHERE
    account_id = old.id; END
    """,
    """
    CREATE TRIGGER notice_standings_insert AFTER INSERT ON notice_standings BEGIN INSERT INTO notice_figures
    (domain, department, kind, standing, slot, accounts) VALUES (new.domain, new.department, new.kind,
    new.standing, 0, 1) ON CONFLICT (domain, department, kind, standing, slot) DO UPDATE SET accounts =
    notice_figures.accounts + excluded.accounts; END
    """,
    """
    CREATE TRIGGER notice_standings_delete AFTER DELETE ON notice_standings BEGIN INSERT INTO notice_figures
    (domain, department, kind, standing, slot, accounts) VALUES (old.domain, old.department, old.kind,
    old.standing, 0, -1) ON CONFLICT (domain, department, kind, standing, slot) DO UPDATE SET accounts =
    notice_figures.accounts + excluded.accounts; END
    """,
    """
    CREATE TRIGGER notice_standings_update AFTER UPDATE OF standing ON notice_standings BEGIN INSERT INTO
    notice_figures (domain, department, kind, standing, slot, accounts) VALUES (old.domain, old.department,
    old.kind, old.standing, 0, -1) ON CONFLICT (domain, department, kind, standing, slot) DO UPDATE SET accounts
    = notice_figures.accounts + excluded.accounts; INSERT INTO notice_figures (domain, department, kind,
    standing, slot, accounts) VALUES (new.domain, new.department, new.kind, new.standing, 0, 1) ON CONFLICT
    (domain, department, kind, standing, slot) DO UPDATE SET accounts = notice_figures.accounts +
    excluded.accounts; END
    """,
    f"""
    CREATE TRIGGER accounts_names_insert AFTER INSERT ON accounts BEGIN INSERT INTO name_tails (tail,
    account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id
    FROM (SELECT id, local AS name FROM accounts WHERE id = new.id UNION ALL SELECT id, full_name FROM accounts
    WHERE id = new.id UNION ALL SELECT account_id, local FROM aliases WHERE account_id = new.id) AS names CROSS
    JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND
    length(names.name) ON CONFLICT DO NOTHING; END
    """,  # noqa: S608
    f"""
    CREATE TRIGGER accounts_names_update AFTER UPDATE OF local, full_name ON accounts WHEN old.local <>
    new.local OR old.full_name <> new.full_name BEGIN DELETE FROM name_tails WHERE account_id = old.id AND tail
    IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local), places.at, 24) END FROM ({_AT}) AS
    places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0 ELSE 1 END AND length(old.local));
    DELETE FROM name_tails WHERE account_id = old.id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(old.full_name), places.at, 24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN
    length(old.full_name) > 64 THEN 0 ELSE 1 END AND length(old.full_name)); INSERT INTO name_tails (tail,
    account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id
    FROM (SELECT id, local AS name FROM accounts WHERE id = new.id UNION ALL SELECT id, full_name FROM accounts
    WHERE id = new.id UNION ALL SELECT account_id, local FROM aliases WHERE account_id = new.id) AS names CROSS
    JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND
    length(names.name) ON CONFLICT DO NOTHING; END
    """,  # noqa: S608
    f"""
    CREATE TRIGGER accounts_names_delete AFTER DELETE ON accounts BEGIN DELETE FROM name_tails WHERE account_id
    = old.id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local), places.at, 24) END
    FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0 ELSE 1 END AND
    length(old.local)); DELETE FROM name_tails WHERE account_id = old.id AND tail IN (SELECT CASE places.at WHEN
    0 THEN '' ELSE substr(lower(old.full_name), places.at, 24) END FROM ({_AT}) AS places WHERE places.at
    BETWEEN CASE WHEN length(old.full_name) > 64 THEN 0 ELSE 1 END AND length(old.full_name)); END
    """,  # noqa: S608
    f"""
    CREATE TRIGGER aliases_names_insert AFTER INSERT ON aliases BEGIN INSERT INTO name_tails (tail, account_id)
    SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id FROM
    (SELECT new.account_id AS id, new.local AS name) AS names CROSS JOIN ({_AT}) AS places WHERE places.at
    BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO NOTHING;
    END
    """,  # noqa: S608
    f"""
    CREATE TRIGGER aliases_names_update AFTER UPDATE OF local, account_id ON aliases WHEN old.local <> new.local
    OR old.account_id <> new.account_id BEGIN DELETE FROM name_tails WHERE account_id = old.account_id AND tail
    IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local), places.at, 24) END FROM ({_AT}) AS
    places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0 ELSE 1 END AND length(old.local));
    INSERT INTO name_tails (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(names.name), places.at, 24) END, names.id FROM (SELECT id, local AS name FROM accounts WHERE id
    = old.account_id UNION ALL SELECT id, full_name FROM accounts WHERE id = old.account_id UNION ALL SELECT
    account_id, local FROM aliases WHERE account_id = old.account_id) AS names CROSS JOIN ({_AT}) AS places
    WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON
    CONFLICT DO NOTHING; INSERT INTO name_tails (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(names.name), places.at, 24) END, names.id FROM (SELECT id, local AS name FROM accounts WHERE id
    = new.account_id UNION ALL SELECT id, full_name FROM accounts WHERE id = new.account_id UNION ALL SELECT
    account_id, local FROM aliases WHERE account_id = new.account_id) AS names CROSS JOIN ({_AT}) AS places
    WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON
    CONFLICT DO NOTHING; END
    """,  # noqa: S608
    f"""
    CREATE TRIGGER aliases_names_delete AFTER DELETE ON aliases BEGIN DELETE FROM name_tails WHERE account_id =
    old.account_id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local), places.at,
    24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0 ELSE 1 END
    AND length(old.local)); INSERT INTO name_tails (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(names.name), places.at, 24) END, names.id FROM (SELECT id, local AS name FROM accounts WHERE id
    = old.account_id UNION ALL SELECT id, full_name FROM accounts WHERE id = old.account_id UNION ALL SELECT
    account_id, local FROM aliases WHERE account_id = old.account_id) AS names CROSS JOIN ({_AT}) AS places
    WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON
    CONFLICT DO NOTHING; END
    """,  # noqa: S608
)
POSTGRES = (
    """
    CREATE FUNCTION notices_standings_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM
    accounts WHERE id IN (SELECT account_id FROM became) ORDER BY id FOR NO KEY UPDATE; INSERT INTO
    notice_standings (account_id, kind, domain, local, department, standing) SELECT accounts.id, had.kind,
    accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices WHERE
    notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS
    (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NULL
    AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM became) AS
    had JOIN accounts ON accounts.id = had.account_id WHERE accounts.state <> 'final' ON CONFLICT (account_id,
    kind) DO UPDATE SET standing = excluded.standing WHERE notice_standings.standing <> excluded.standing;
    RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION notices_standings_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM
    accounts WHERE id IN (SELECT account_id FROM became) ORDER BY id FOR NO KEY UPDATE; INSERT INTO
    notice_standings (account_id, kind, domain, local, department, standing) SELECT accounts.id, had.kind,
    accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM notices WHERE
    notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS
    (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NULL
    AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT account_id, kind FROM became) AS
    had JOIN accounts ON accounts.id = had.account_id WHERE accounts.state <> 'final' ON CONFLICT (account_id,
    kind) DO UPDATE SET standing = excluded.standing WHERE notice_standings.standing <> excluded.standing;
    RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION notices_standings_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM
    accounts WHERE id IN (SELECT account_id FROM was) ORDER BY id FOR NO KEY UPDATE; DELETE FROM
    notice_standings USING was WHERE notice_standings.account_id = was.account_id AND notice_standings.kind =
    was.kind; INSERT INTO notice_standings (account_id, kind, domain, local, department, standing) SELECT
    accounts.id, had.kind, accounts.domain, accounts.local, accounts.department, CASE WHEN EXISTS (SELECT 1 FROM
    notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND sent IS NOT NULL) THEN 'sent'
    WHEN EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind AND
    sent IS NULL AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM (SELECT DISTINCT notices.account_id,
    notices.kind FROM notices JOIN was ON was.account_id = notices.account_id AND was.kind = notices.kind) AS
    had JOIN accounts ON accounts.id = had.account_id WHERE accounts.state <> 'final' ON CONFLICT (account_id,
    kind) DO UPDATE SET standing = excluded.standing WHERE notice_standings.standing <> excluded.standing;
    RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION accounts_standings_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM
    notice_standings WHERE account_id = old.id; INSERT INTO notice_standings (account_id, kind, domain, local,
    department, standing) SELECT accounts.id, had.kind, accounts.domain, accounts.local, accounts.department,
    CASE WHEN EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id AND notices.kind = had.kind
    AND sent IS NOT NULL) THEN 'sent' WHEN EXISTS (SELECT 1 FROM notices WHERE notices.account_id = accounts.id
    AND notices.kind = had.kind AND sent IS NULL AND refusal = '') THEN 'unknown' ELSE 'refused' END FROM
    (SELECT DISTINCT account_id, kind FROM notices WHERE account_id = new.id) AS had JOIN accounts ON
    accounts.id = had.account_id WHERE accounts.state <> 'final' ON CONFLICT (account_id, kind) DO UPDATE SET
    standing = excluded.standing WHERE notice_standings.standing <> excluded.standing; RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION accounts_standings_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM
    notice_standings WHERE account_id = old.id; RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION notice_standings_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO
    notice_figures (domain, department, kind, standing, slot, accounts) SELECT domain, department, kind,
    standing, pg_backend_pid(), sum(number) FROM (SELECT domain, department, kind, standing, 1 AS number FROM
    became) AS changes GROUP BY domain, department, kind, standing HAVING sum(number) <> 0 ON CONFLICT (domain,
    department, kind, standing, slot) DO UPDATE SET accounts = notice_figures.accounts + excluded.accounts;
    RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION notice_standings_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO
    notice_figures (domain, department, kind, standing, slot, accounts) SELECT domain, department, kind,
    standing, pg_backend_pid(), sum(number) FROM (SELECT domain, department, kind, standing, -1 AS number FROM
    was) AS changes GROUP BY domain, department, kind, standing HAVING sum(number) <> 0 ON CONFLICT (domain,
    department, kind, standing, slot) DO UPDATE SET accounts = notice_figures.accounts + excluded.accounts;
    RETURN NULL; END $$
    """,
    """
    CREATE FUNCTION notice_standings_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO
    notice_figures (domain, department, kind, standing, slot, accounts) SELECT domain, department, kind,
    standing, pg_backend_pid(), sum(number) FROM (SELECT domain, department, kind, standing, -1 AS number FROM
    was UNION ALL SELECT domain, department, kind, standing, 1 AS number FROM became) AS changes GROUP BY
    domain, department, kind, standing HAVING sum(number) <> 0 ON CONFLICT (domain, department, kind, standing,
    slot) DO UPDATE SET accounts = notice_figures.accounts + excluded.accounts; RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER notices_standings_insert AFTER INSERT ON notices REFERENCING NEW TABLE AS became FOR EACH
    STATEMENT EXECUTE FUNCTION notices_standings_insert()
    """,
    """
    CREATE TRIGGER notices_standings_update AFTER UPDATE ON notices REFERENCING NEW TABLE AS became FOR EACH
    STATEMENT EXECUTE FUNCTION notices_standings_update()
    """,
    """
    CREATE TRIGGER notices_standings_delete AFTER DELETE ON notices REFERENCING OLD TABLE AS was FOR EACH
    STATEMENT EXECUTE FUNCTION notices_standings_delete()
    """,
    """
    CREATE TRIGGER accounts_standings_update AFTER UPDATE OF domain, local, department, state ON accounts FOR
    EACH ROW WHEN (old.domain <> new.domain OR old.local <> new.local OR old.department <> new.department OR
    (old.state = 'final') <> (new.state = 'final')) EXECUTE FUNCTION accounts_standings_update()
    """,
    """
    CREATE TRIGGER accounts_standings_delete AFTER DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION
    accounts_standings_delete()
    """,
    """
    CREATE TRIGGER notice_standings_insert AFTER INSERT ON notice_standings REFERENCING NEW TABLE AS became FOR
    EACH STATEMENT EXECUTE FUNCTION notice_standings_insert()
    """,
    """
    CREATE TRIGGER notice_standings_delete AFTER DELETE ON notice_standings REFERENCING OLD TABLE AS was FOR
    EACH STATEMENT EXECUTE FUNCTION notice_standings_delete()
    """,
    """
    CREATE TRIGGER notice_standings_update AFTER UPDATE ON notice_standings REFERENCING OLD TABLE AS was NEW
    TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION notice_standings_update()
    """,
    f"""
    CREATE FUNCTION accounts_names_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO name_tails
    (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END,
    names.id FROM (SELECT id, local AS name FROM accounts WHERE id = new.id UNION ALL SELECT id, full_name FROM
    accounts WHERE id = new.id UNION ALL SELECT account_id, local FROM aliases WHERE account_id = new.id) AS
    names CROSS JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1
    END AND length(names.name) ON CONFLICT DO NOTHING; RETURN NULL; END $$
    """,  # noqa: S608
    f"""
    CREATE FUNCTION accounts_names_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM name_tails
    WHERE account_id = old.id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local),
    places.at, 24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0
    ELSE 1 END AND length(old.local)); DELETE FROM name_tails WHERE account_id = old.id AND tail IN (SELECT CASE
    places.at WHEN 0 THEN '' ELSE substr(lower(old.full_name), places.at, 24) END FROM ({_AT}) AS places WHERE
    places.at BETWEEN CASE WHEN length(old.full_name) > 64 THEN 0 ELSE 1 END AND length(old.full_name)); INSERT
    INTO name_tails (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name),
    places.at, 24) END, names.id FROM (SELECT id, local AS name FROM accounts WHERE id = new.id UNION ALL SELECT
    id, full_name FROM accounts WHERE id = new.id UNION ALL SELECT account_id, local FROM aliases WHERE
    account_id = new.id) AS names CROSS JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN
    length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO NOTHING; RETURN NULL; END $$
    """,  # noqa: S608
    f"""
    CREATE FUNCTION accounts_names_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM name_tails
    WHERE account_id = old.id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(old.local),
    places.at, 24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(old.local) > 64 THEN 0
    ELSE 1 END AND length(old.local)); DELETE FROM name_tails WHERE account_id = old.id AND tail IN (SELECT CASE
    places.at WHEN 0 THEN '' ELSE substr(lower(old.full_name), places.at, 24) END FROM ({_AT}) AS places WHERE
    places.at BETWEEN CASE WHEN length(old.full_name) > 64 THEN 0 ELSE 1 END AND length(old.full_name)); RETURN
    NULL; END $$
    """,  # noqa: S608
    f"""
    CREATE FUNCTION aliases_names_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO name_tails
    (tail, account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END,
    names.id FROM (SELECT new.account_id AS id, new.local AS name) AS names CROSS JOIN ({_AT}) AS places WHERE
    places.at BETWEEN CASE WHEN length(names.name) > 64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO
    NOTHING; RETURN NULL; END $$
    """,  # noqa: S608
    f"""
    CREATE FUNCTION aliases_names_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM name_tails
    WHERE account_id = old.account_id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(old.local), places.at, 24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN
    length(old.local) > 64 THEN 0 ELSE 1 END AND length(old.local)); INSERT INTO name_tails (tail, account_id)
    SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id FROM
    (SELECT id, local AS name FROM accounts WHERE id = old.account_id UNION ALL SELECT id, full_name FROM
    accounts WHERE id = old.account_id UNION ALL SELECT account_id, local FROM aliases WHERE account_id =
    old.account_id) AS names CROSS JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) >
    64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO NOTHING; INSERT INTO name_tails (tail,
    account_id) SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id
    FROM (SELECT id, local AS name FROM accounts WHERE id = new.account_id UNION ALL SELECT id, full_name FROM
    accounts WHERE id = new.account_id UNION ALL SELECT account_id, local FROM aliases WHERE account_id =
    new.account_id) AS names CROSS JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) >
    64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO NOTHING; RETURN NULL; END $$
    """,  # noqa: S608
    f"""
    CREATE FUNCTION aliases_names_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM name_tails
    WHERE account_id = old.account_id AND tail IN (SELECT CASE places.at WHEN 0 THEN '' ELSE
    substr(lower(old.local), places.at, 24) END FROM ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN
    length(old.local) > 64 THEN 0 ELSE 1 END AND length(old.local)); INSERT INTO name_tails (tail, account_id)
    SELECT CASE places.at WHEN 0 THEN '' ELSE substr(lower(names.name), places.at, 24) END, names.id FROM
    (SELECT id, local AS name FROM accounts WHERE id = old.account_id UNION ALL SELECT id, full_name FROM
    accounts WHERE id = old.account_id UNION ALL SELECT account_id, local FROM aliases WHERE account_id =
    old.account_id) AS names CROSS JOIN ({_AT}) AS places WHERE places.at BETWEEN CASE WHEN length(names.name) >
    64 THEN 0 ELSE 1 END AND length(names.name) ON CONFLICT DO NOTHING; RETURN NULL; END $$
    """,  # noqa: S608
    """
    CREATE TRIGGER accounts_names_insert AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION
    accounts_names_insert()
    """,
    """
    CREATE TRIGGER accounts_names_update AFTER UPDATE OF local, full_name ON accounts FOR EACH ROW WHEN
    (old.local <> new.local OR old.full_name <> new.full_name) EXECUTE FUNCTION accounts_names_update()
    """,
    """
    CREATE TRIGGER accounts_names_delete AFTER DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION
    accounts_names_delete()
    """,
    """
    CREATE TRIGGER aliases_names_insert AFTER INSERT ON aliases FOR EACH ROW EXECUTE FUNCTION
    aliases_names_insert()
    """,
    """
    CREATE TRIGGER aliases_names_update AFTER UPDATE OF local, account_id ON aliases FOR EACH ROW WHEN
    (old.local <> new.local OR old.account_id <> new.account_id) EXECUTE FUNCTION aliases_names_update()
    """,
    """
    CREATE TRIGGER aliases_names_delete AFTER DELETE ON aliases FOR EACH ROW EXECUTE FUNCTION
    aliases_names_delete()
    """,
)


def upgrade() -> None:
    if not holds("accounts"):
        return
    bind = op.get_bind()
    op.create_table(
        "name_tails",
        sa.Column("tail", _text(), primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notice_standings",
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", _text(32), primary_key=True),
        sa.Column("domain", _text(255), nullable=False),
        sa.Column("local", _text(255), nullable=False),
        sa.Column("department", _text(), nullable=False),
        sa.Column("standing", _text(8), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("notice_standings_place", "notice_standings", ["kind", "standing", "domain", "local"])
    op.create_table(
        "notice_figures",
        sa.Column("domain", _text(255), primary_key=True),
        sa.Column("department", _text(), primary_key=True),
        sa.Column("kind", _text(32), primary_key=True),
        sa.Column("standing", _text(8), primary_key=True),
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("accounts", sa.BigInteger, nullable=False),
    )
    for statement in (*FILL, *(POSTGRES if bind.dialect.name == "postgresql" else SQLITE)):
        bind.exec_driver_sql(statement)
