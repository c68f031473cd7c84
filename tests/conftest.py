"""How much hypothesis tries: the same examples in every run, or, with MAILFERRY_EXAMPLES, new ones.

What begins first where several processes share the tests. And the database that tests of accounts stand on."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings

from tests import forked, sharing
from tests.sharing import pytest_addoption

if TYPE_CHECKING:
    from mailstore.database import AccountsDatabase
    from tests.postgres.accounts import Emptied
    from tests.postgres.kept import Kept
    from tests.postgres.server import PostgresServer

__all__ = ["pytest_addoption"]

# No deadline: how long an example takes on a machine that does other things beside it says nothing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("new", derandomize=False, deadline=None)
settings.load_profile("new" if os.environ.get("MAILFERRY_EXAMPLES") else "same")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background: what is started here would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE: Final = 600.0  # seconds

# What begins first, since it takes longest; else one process would still be at it when the others have nothing to do.
LONG: Final = (
    "faults/test_faults_killed.py",
    "faults/test_fault_matrix.py",
    "proxy/cli/test_cli_migrate.py",
    "proxy/cli/test_cli_finalize.py",
    "peers/test_runbook.py",
    "peers/test_peers_moving.py",
    "peers/test_legacy_",
    "proxy/daemon/",
    "browser/",
    "proxy/web/",
    "peers/",
    "faults/",
    "proxy/cli/",
    "mailstore/test_store_crashes.py",
    "sessions/",
)


def pytest_configure(config: pytest.Config) -> None:
    """Commands are begun hundreds of times."""
    from tests import forked_twisted

    forked.begin()
    forked_twisted.begin()
    _be_patient()
    if sharing.is_wanted(config):
        forked.prepare()  # for all of them
        sharing.pytest_configure(config)


def _be_patient() -> None:
    """Trial's time-outs are there to end what hangs. What is only slow, on a machine that does other things beside it,
    is no mistake."""
    from twisted.trial.unittest import TestCase

    usual = TestCase.getTimeout
    TestCase.getTimeout = lambda case: max(usual(case) or 0, PATIENCE)  # type: ignore[method-assign]


def _look_once() -> None:
    """pytest asks before each test which version of Twisted is installed, and reads that from the disk: in all of them
    half a minute."""
    from _pytest import unittest

    unittest._get_twisted_version = cache(unittest._get_twisted_version)


def pytest_unconfigure() -> None:
    forked.end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if sharing.is_wanted(config):
        items.sort(key=lambda item: _turn(item.path.relative_to(Path(__file__).parent).as_posix()))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Thousands of tests stay till the end. To look through them for garbage again and again takes its time, and stops
    the process each time for tenths of a second, in which others' time-outs run."""
    if session.items:
        from tests import compiled

        _look_once()
        compiled.begin()
    gc.collect()
    gc.freeze()


def _turn(file: str) -> int:
    return next((turn for turn, long in enumerate(LONG) if file.startswith(long)), len(LONG))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A file that says `DATABASES = BOTH` (`tests.postgres.accounts`) has its tests of accounts made with each."""
    kinds = getattr(metafunc.module, "DATABASES", None)
    own = any(mark.args[0] == "database" for mark in metafunc.definition.iter_markers("parametrize"))
    if kinds and not own and "database" in metafunc.fixturenames:
        metafunc.parametrize("database", kinds, indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests of a process that ask for one."""
    from tests.postgres.server import PostgresServer

    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def of_accounts(postgres: PostgresServer) -> Iterator[Emptied]:
    """A database in it with mailferry's tables, for one test after the other."""
    from tests.postgres.accounts import Emptied

    emptied = Emptied(postgres)
    yield emptied
    emptied.close()


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AccountsDatabase]:
    """Of accounts, without any."""
    from mailstore.database import AccountsDatabase

    if getattr(request, "param", "file") == "file":
        made = AccountsDatabase(tmp_path / "accounts.db")
    else:
        made = request.getfixturevalue("of_accounts").opened()
    yield made
    made.close()


@pytest.fixture
def another(database: AccountsDatabase, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AccountsDatabase]:
    """The same, as another process has it open."""
    from mailstore.database import AccountsDatabase

    if database.engine is None:
        made = AccountsDatabase(tmp_path / "accounts.db")
    else:
        made = request.getfixturevalue("of_accounts").opened_again()
    yield made
    made.close()


@pytest.fixture(scope="session")
def kept_in_postgres(postgres: PostgresServer) -> Iterator[Kept]:
    """A database with the tables of mailboxes. Whoever uses it empties it before."""
    from tests.postgres.kept import Kept

    kept = Kept(postgres)
    yield kept
    kept.close()
