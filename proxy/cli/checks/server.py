"""The accounts database where it is PostgreSQL: reachable, new enough, ours, and with connections for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress

from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError, StorageFailed
from mailstore.refusals import in_detail
from mailstore.rotation import standing
from mailstore.schema import HEAD
from mailstore.secrets import read_keys
from mailstore.server_facts import ServerFacts, facts
from mailstore.server_schema import APART, OLDEST
from proxy.admin import databases
from proxy.admin.sealing import lost_words
from proxy.cli.checks.finding import Finding
from proxy.config import Config
from proxy.config.names import is_loopback

FOR_COMMANDS = 20  # connections beside those of the daemon's processes


def server_findings(config: Config) -> Iterator[Finding]:
    """Changes nothing; the tables are the daemon's to make."""
    shown = config.storage.shown
    try:
        engine = databases.server(config.storage, "mailferry check")
    except StorageFailed as error:
        yield Finding("database", "fail", shown, str(error), "see storage.password_file")
        return
    try:
        found = facts(engine)
    except StorageFailed as error:
        remedy = "look at the server, at storage.database and at storage.password_file"
        yield Finding("database", "fail", shown, in_detail(error), remedy)
    else:
        yield from judged(config, found)
        if found.revision is not None:
            with closing(AccountsDatabase(AccountsServer(engine, check=False))) as database:
                yield from _sealed(config, database)
    finally:
        engine.dispose()


def judged(config: Config, found: ServerFacts) -> Iterator[Finding]:
    """What is wrong with it, or that nothing is."""
    shown, wrong = config.storage.shown, list(_wrong(found))
    for text, remedy in wrong:
        yield Finding("database", "fail", shown, text, remedy)
    if not wrong:
        schema = f"schema {found.revision}" if found.revision else "no tables yet, will be made at the first start"
        if found.revision and int(found.revision) < int(HEAD):
            schema += f", will be carried forward to {HEAD}"
        yield Finding("database", "ok", shown, f"PostgreSQL {found.spelled}, UTF-8; {schema}")
    node = (config.worker_count + 1) * (config.storage.connections + 1)  # one to hear the others by
    if found.most < node + FOR_COMMANDS:
        yield Finding(
            "database",
            "warn",
            shown,
            f"it has {found.most} connections for everybody, and this node alone may want {node}, and commands some",
            f"raise max_connections above {node + FOR_COMMANDS} for each node, or lower storage.connections",
        )
    if not found.encrypted and not _is_near(config):
        text = "the connection is not encrypted: sealed passwords and hashes cross the network in it"
        yield Finding("database", "warn", shown, text, "add ?sslmode=verify-full to storage.database")


def _wrong(found: ServerFacts) -> Iterator[tuple[str, str]]:
    if found.number < OLDEST:
        yield f"PostgreSQL {found.spelled} is too old", f"mailferry needs {OLDEST // 10_000} or later"
    if found.encoding != "UTF8":
        yield f"it keeps text as {found.encoding}", "make it anew with ENCODING 'UTF8' TEMPLATE template0"
    if found.read_only:
        remedy = "is it a standby, or default_transaction_read_only set? name the primary"
        yield "it is read-only", remedy
    if found.revision is None and not found.may_create:
        yield "its user may make no tables", "make it the owner: ALTER DATABASE … OWNER TO …"
    if found.others:
        remedy = "give them to it: REASSIGN OWNED BY … TO …"
        yield f"{found.others} of its tables belong to another user than the one that logs in", remedy
    if found.copying:
        yield "the copy of an installation into it is not finished", "run mailferry storage copy again, to its end"
    if found.revision is not None and int(found.revision) > int(HEAD) + APART:
        yield f"schema {found.revision} is of a later version of mailferry", "install that version"


def _is_near(config: Config) -> bool:
    host = config.storage.shown.partition("://")[2].rpartition("@")[2].partition("/")[0]
    return not host or is_loopback(host.rpartition(":")[0].strip("[]") or host)


def _sealed(config: Config, database: AccountsDatabase) -> Iterator[Finding]:
    """Do the keys open what is sealed? What cannot be asked now is told of already."""
    with suppress(MailstoreError, OSError):
        if count := standing(database, read_keys(config.key_file)).lost:
            yield Finding("key", "warn", config.storage.shown, *lost_words(count))
