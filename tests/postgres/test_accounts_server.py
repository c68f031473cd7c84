"""Accounts in PostgreSQL where they differ from those in a file: many writers at once, and tables that several nodes
make, carry forward and serve."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from mailstore import roster, server_schema
from mailstore.accounts import Accounts, State
from mailstore.accounts_server import AccountsServer
from mailstore.administrators import Administrators
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.migrations import carry
from mailstore.notices import Notices
from mailstore.postgres import address, postgres_engine
from mailstore.queue import Queue
from mailstore.roster import FIELDS, Entry, Roster
from mailstore.schema import HEAD, accounts_metadata, mailbox_metadata
from mailstore.turns import Turn
from mailstore.web_sessions import MOST, WebSessions
from tests.postgres import later
from tests.postgres.accounts import Emptied
from tests.postgres.later import NEXT
from tests.postgres.server import PostgresServer, until

AT_ONCE: Final = 8
LONG: Final = 120.0


@pytest.fixture
def database(of_accounts: Emptied) -> Iterator[AccountsDatabase]:
    with closing(of_accounts.opened()) as made:
        yield made


@pytest.fixture
def empty(postgres: PostgresServer) -> str:
    """The URL of a database in which nothing is."""
    return postgres.url(postgres.make_database())


def engine_of(url: str) -> Engine:
    return postgres_engine(address(url), connections=2, name="test")


def opened(url: str) -> AccountsDatabase:
    return AccountsDatabase(AccountsServer(engine_of(url)))


def at_once(*works: Callable[[], object]) -> list[BaseException]:
    """All of them in threads that begin together; gives back what they raised."""
    raised: list[BaseException] = []
    begin = threading.Barrier(len(works))

    def work(function: Callable[[], object]) -> None:
        begin.wait(LONG)
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it is looked at by the test
            raised.append(error)

    threads = [threading.Thread(target=work, args=(function,)) for function in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    return raised


# Writers at once


def test_first_logins_of_one_account_make_one(database: AccountsDatabase) -> None:
    accounts = Accounts(database)
    assert at_once(*[lambda: accounts.admit("li", "123.com", b"x")] * AT_ONCE) == []
    assert [account.name for account in accounts.list()] == ["li@123.com"]


def test_what_is_due_is_taken_once(database: AccountsDatabase) -> None:
    accounts, queue = Accounts(database), Queue(database)
    numbers = [accounts.admit(f"user{n}", "123.com", b"x").id for n in range(40)]
    queue.ask(numbers)
    taken: list[int] = []

    def take() -> None:
        while some := queue.take(["123.com"], 3):
            taken.extend(account.id for account in some)

    assert at_once(*[take] * 5) == []
    assert sorted(taken) == numbers


def test_a_notice_is_begun_once(database: AccountsDatabase) -> None:
    account, notices = Accounts(database).add("li", "123.com"), Notices(database)
    known, begun = notices.mark(), []
    raised = at_once(*[lambda: begun.append(notices.begin(account.id, "notice", "li@123.com", known))] * AT_ONCE)
    assert raised == []
    assert sum(number is not None for number in begun) == 1


def test_administrators_and_sessions(database: AccountsDatabase) -> None:
    administrators, sessions, queue = Administrators(database), WebSessions(database), Queue(database)
    added: list[bool] = []
    works: list[Callable[[], object]] = [lambda: added.append(administrators.add("admin", "hash"))] * 4
    works += [lambda: [sessions.begin("console", "admin") for _ in range(MOST)]] * 2
    works += [lambda: queue.pause_domain("123.com", paused=True)] * 3
    assert at_once(*works) == []
    assert (sum(added), list(queue.paused_domains())) == (1, ["123.com"])
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM web_sessions")).scalar_one() == MOST


def test_writers_of_the_same_rows_in_different_orders_are_done_again(database: AccountsDatabase) -> None:
    """PostgreSQL ends one of two that wait for each other."""
    accounts = Accounts(database)
    first, second = (accounts.add(name, "123.com").id for name in ("li", "wang"))
    met = threading.Barrier(2)
    tries = itertools.count()

    def crossing(order: tuple[int, int]) -> None:
        def change(connection: Any) -> None:
            statement = text("UPDATE accounts SET tries = tries + 1 WHERE id = :i")
            connection.execute(statement, {"i": order[0]})
            if next(tries) < 2:
                met.wait(LONG)
            connection.execute(statement, {"i": order[1]})

        database.change(change)

    assert at_once(lambda: crossing((first, second)), lambda: crossing((second, first))) == []
    assert [account.tries for account in accounts.list()] == [2, 2]
    assert next(tries) >= 3, "one at least was done again: who waits long for the other is, too"


# An import beside logins


def test_users_log_in_while_a_list_is_taken_over(database: AccountsDatabase) -> None:
    """One that is in it for the first time at that moment too: the list is compared again."""
    accounts = Accounts(database)
    known = accounts.admit("known", "123.com", b"x")
    entries = [Entry(name, "123.com", full_name="Name") for name in ("known", "new", "other")]
    looks: list[int] = []

    def agreed(found: roster.Comparison) -> bool:
        looks.append(len(found.new))
        if len(looks) == 1:  # in the middle of it, and nobody waits for anybody
            accounts.logged_in(known.id)
            accounts.progress(known.id, (1, 2), (3, 4))
            accounts.admit("new", "123.com", b"theirs")
        return True

    enrolled = Roster(database, lambda local, _domain: local)
    enrolled.enrol({entry.address: entry for entry in entries}, ("full_name",), agreed)
    assert looks == [2, 1]
    new = accounts.find("new", "123.com")
    assert new is not None
    assert (new.state, new.sealed_password, new.full_name) == (State.MOVING, b"theirs", "Name")
    assert accounts.get(known.id).messages_done == 1


def test_a_password_that_was_taken_meanwhile_is_not_replaced_by_the_list(database: AccountsDatabase) -> None:
    accounts, sealer = Accounts(database), roster.Sealer(bytes(32))
    accounts.add("li", "123.com")
    entry = Entry("li", "123.com", password=b"of the list")

    def agreed(_found: roster.Comparison) -> bool:
        accounts.admit("li", "123.com", b"of the user")
        return True

    Roster(database, lambda local, _domain: local, sealer).enrol({entry.address: entry}, FIELDS, agreed)
    found = accounts.find("li", "123.com")
    assert found is not None
    assert found.sealed_password == b"of the user"


def test_a_key_changes_while_nobody_seals(database: AccountsDatabase) -> None:
    sealing, sealed = threading.Event(), threading.Event()
    order: list[str] = []

    def seal() -> bytes:
        sealing.set()
        sealed.wait(0.2)  # the other one is waiting by now, or not yet: it comes behind in either case
        order.append("sealed")
        return b"x"

    def replace() -> None:
        sealing.wait(LONG)
        with database.write(Turn.KEYS):
            order.append("replaced")

    assert at_once(lambda: Accounts(database).admit("li", "123.com", seal), replace) == []
    assert order == ["sealed", "replaced"]


# News


def test_what_another_has_not_committed_yet_is_news_again(database: AccountsDatabase, of_accounts: Emptied) -> None:
    with closing(of_accounts.opened_again()) as other:
        before = database.version()
        assert database.version() == before
        with other.write() as connection:
            connection.execute(text("INSERT INTO paused_domains VALUES ('123.com', 1)"))
            assert len({before, database.version(), database.version()}) == 3
        after = database.version()
        assert after not in {before, None}
        assert database.version() == after
        with other.read() as connection:
            connection.execute(text("SELECT 1"))
        assert database.version() == after


def test_words_that_no_text_of_postgresql_may_have(database: AccountsDatabase) -> None:
    accounts = Accounts(database)
    account = accounts.add("li", "123.com")
    accounts.set_reason(account.id, "said \0 and \ud800")
    assert accounts.get(account.id).reason == "said \ufffd and ?"


# A connection that broke


def test_a_connection_that_was_ended_is_not_met_by_a_statement(
    database: AccountsDatabase, postgres: PostgresServer
) -> None:
    accounts = Accounts(database)
    accounts.add("li", "123.com")
    postgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
    until(lambda: not postgres.admin("SELECT 1 FROM pg_stat_activity WHERE application_name = 'test'"))
    assert accounts.find("li", "123.com") is not None
    accounts.set_reason(1, "again")


def test_one_that_breaks_in_a_transaction_leaves_nothing(database: AccountsDatabase, postgres: PostgresServer) -> None:
    accounts = Accounts(database)
    with pytest.raises(StorageFailed):
        with database.write() as connection:
            connection.execute(text("INSERT INTO paused_domains VALUES ('123.com', 1)"))
            postgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
            connection.execute(text("SELECT 1"))
    assert Queue(database).paused_domains() == {}
    accounts.add("li", "123.com")


# The tables


def test_nodes_that_begin_at_once_make_the_tables_once(empty: str) -> None:
    assert at_once(*[lambda: opened(empty).close()] * 4) == []
    with closing(opened(empty)) as database:
        assert list(Accounts(database).list()) == []


def test_they_are_those_of_the_schema_and_compare_text_by_octets(empty: str) -> None:
    engine = engine_of(empty)
    server_schema.bring_up(engine)
    with engine.connect() as connection:
        for group in (accounts_metadata, mailbox_metadata):
            context = MigrationContext.configure(connection, opts={"include_name": _only(group)})
            assert compare_metadata(context, group) == []
        collated = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND "
                "data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'"
            )
        )
        assert [tuple(row) for row in collated] == [("alembic_version", "version_num")]
    engine.dispose()


def _only(group: Any) -> Callable[..., bool]:
    def include(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name in group.tables

    return include


@pytest.mark.parametrize(("later", "said"), [(1, None), (2, "install here the version that the other nodes have")])
def test_tables_of_a_later_version(empty: str, later: int, said: str | None) -> None:
    """One revision later they are served: so it is while nodes are upgraded one after the other."""
    opened(empty).close()
    engine = engine_of(empty)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{int(HEAD) + later:04}'"))
    if said is None:
        with closing(opened(empty)) as database:
            Accounts(database).add("li", "123.com")
    else:
        with pytest.raises(StorageFailed, match=said):
            opened(empty)
    engine.dispose()


def test_a_database_of_another_programme(empty: str) -> None:
    engine = engine_of(empty)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE accounts (id int)"))
    with pytest.raises(StorageFailed, match=r"not mailferry's \(accounts\): give it a database of its own"):
        opened(empty)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar() == 1
    engine.dispose()


def test_one_in_another_encoding(postgres: PostgresServer) -> None:
    postgres.admin("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(StorageFailed, match="keeps text as LATIN1: make it anew"):
        opened(postgres.url("latin"))


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A revision behind today's last, as the next version has it; gives back its number."""
    later.write_revisions(tmp_path / "migrations")
    monkeypatch.setattr(carry, "configuration", later.with_revisions(tmp_path / "migrations"))
    return NEXT


def _as_the_next_version(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in later.HEADS:
        monkeypatch.setattr(module, "HEAD", NEXT)


def test_the_next_revision_on_both(following: str, empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """… carries forward what is there; and a node of this version goes on serving beside the one that did."""
    file = tmp_path / "accounts.db"
    with closing(opened(empty)) as server, closing(AccountsDatabase(file)) as local:
        for database in (server, local):
            Accounts(database).add("li", "123.com")
        with monkeypatch.context() as later:
            _as_the_next_version(later)
            assert at_once(*[lambda: opened(empty).close()] * 3) == []
            AccountsDatabase(file).close()
        Accounts(server).add("wang", "123.com")  # it was open all the time
        with closing(opened(empty)) as restarted:
            assert [account.local for account in Accounts(restarted).list()] == ["li", "wang"]
    for engine in (engine_of(empty), create_engine(f"sqlite:///{file}")):
        with engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == following
            assert "nickname" in {column["name"] for column in inspect(connection).get_columns("accounts")}
            assert inspect(connection).has_table("later") is (engine.dialect.name == "postgresql")
        engine.dispose()


def _kept(engine: Engine) -> list[set[Any]]:
    """Triggers and functions, apart from spaces, and what they keep."""
    functions = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    triggers = "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
    with engine.connect() as connection:
        found: list[set[Any]] = [
            {(name, " ".join(body.split())) for name, body in connection.execute(text(statement))}
            for statement in (functions, triggers)
        ]
        for table in ("name_tails", "notice_standings"):
            found.append({tuple(row) for row in connection.execute(accounts_metadata.tables[table].select())})
        names = "domain, kind, standing"
        sums = f"SELECT {names}, sum(accounts) FROM notice_figures GROUP BY {names} HAVING sum(accounts) <> 0"
        found.append({tuple(row) for row in connection.execute(text(sums))})
    return found


def test_a_server_of_revision_0015_is_carried_forward(empty: str) -> None:
    """To the same triggers, and what they would have kept."""
    with closing(opened(empty)) as database:
        one = Accounts(database).add("li", "123.com")
        notices = Notices(database)
        sent, refused = (notices.begin(one.id, kind, "li@123.com", 0) for kind in ("notice", "reminder"))
        assert sent is not None and refused is not None
        notices.sent(sent)
        notices.refused(refused, "550 no")
    engine = engine_of(empty)
    before = _kept(engine)
    with engine.begin() as connection:
        for table in ("name_tails", "notice_standings", "notice_figures"):
            connection.execute(text(f"DROP TABLE {table}"))
        for name in [name for name, _ in before[0] if "_names_" in name or "_standings_" in name]:
            connection.execute(text(f"DROP FUNCTION {name} CASCADE"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0015'"))
    opened(empty).close()
    assert _kept(engine) == before
    engine.dispose()


def test_revisions_only_add(tmp_path: Path) -> None:
    """What a node of the version before relies on stays: from 0014 on, see `mailstore.migrations`."""
    script = carry.configuration(None, None).get_main_option("script_location")  # type: ignore[arg-type]
    assert script is not None
    forbidden = ("drop_", "rename_table", "alter_column", "batch_alter_table", "create_unique_constraint")
    for file in sorted(Path(script, "versions").glob("[0-9]*.py")):
        if int(file.name[:4]) >= 14:
            text_of = file.read_text()
            added = [line for line in text_of.splitlines() if "add_column" in line and "nullable=False" in line]
            assert not any(word in text_of for word in forbidden), file.name
            assert all("server_default" in line for line in added), file.name


def test_a_backend_that_hangs(of_accounts: Emptied, postgres: PostgresServer) -> None:
    """A process that is stopped answers nothing, and its machine acknowledges what is sent to it."""
    engine = postgres_engine(address(of_accounts.url), connections=2, name="hangs", silence=1.0)
    with closing(AccountsDatabase(AccountsServer(engine, check=False))) as database:
        accounts = Accounts(database)
        before = accounts.find("li", "123.com")
        ((pid,),) = postgres.admin("SELECT pid FROM pg_stat_activity WHERE application_name = 'hangs'")
        os.kill(pid, 19)
        try:
            with pytest.raises(StorageFailed, match="the connection to it is broken"):
                accounts.find("li", "123.com")
            assert accounts.find("li", "123.com") == before  # by another connection
        finally:
            os.kill(pid, 18)


def test_the_lock_of_changes_is_one_that_nobody_waits_for(database: AccountsDatabase) -> None:
    """Writers share it: two may be in the middle of it at once."""
    with database.write() as one, database.write() as two:
        one.execute(text("INSERT INTO paused_domains VALUES ('a.example', 1)"))
        two.execute(text("INSERT INTO paused_domains VALUES ('b.example', 1)"))
    assert sorted(Queue(database).paused_domains()) == ["a.example", "b.example"]
