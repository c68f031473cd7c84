"""`[storage]`: the database's address, its password, and what is said of a wrong one, which never is the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proxy.config.examples import DESIGN, accepted, refused

SQLITE = 'database = "sqlite"'


def with_storage(lines: str) -> str:
    assert SQLITE in DESIGN
    return DESIGN.replace(SQLITE, lines)


def of(address: str) -> str:
    return with_storage(f"database = '{address}'")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg://mailferry@db.123.com/mailferry", "postgresql+psycopg://mailferry@db.123.com/mailferry"),
        ("postgresql+psycopg://m:geheim@[::1]:5433/m", "postgresql+psycopg://m@[::1]:5433/m"),
        ("postgresql+psycopg://m:p%40ss%3A@db/m?sslmode=require", "postgresql+psycopg://m@db/m?sslmode=require"),
        ("postgresql+psycopg:///m?host=/run/postgresql", "postgresql+psycopg:///m?host=/run/postgresql"),
        (
            "postgresql+psycopg://m@/m?host=a:5432&host=b:5432&target_session_attrs=read-write",
            "postgresql+psycopg://m@/m?host=a:5432&host=b:5432&target_session_attrs=read-write",
        ),
    ],
)
def test_addresses(address: str, shown: str) -> None:
    config = accepted(of(address))
    assert (config.storage.server, config.storage.shown, config.accounts_place) == (True, shown, shown)
    assert config.storage.connections == 10
    assert "geheim" not in repr(config) + str(config)


def test_the_rest_of_the_table() -> None:
    lines = "database = 'postgresql+psycopg://m@db/m'\npassword_file = '{state}/secret'\nconnections = 2"
    storage = accepted(with_storage(lines)).storage
    assert (storage.password_file, storage.connections) == (Path("/var/lib/mailferry/secret"), 2)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgres://m:geheim@db/m", 'must begin with "postgresql+psycopg://", not with "postgres://"'),
        ("postgresql://m:geheim@db/m", "must begin with"),
        ("mysql://m:geheim@db/m", '"mysql://" is no database that mailferry uses'),
        ("sqlit", 'did you mean "sqlite"?'),
        ("m:geheim@db", "this is no database that mailferry uses"),
        ("postgresql+psycopg://m:geheim@db", "must end with the name of a database"),
        ("postgresql+psycopg://m:geheim@/m", "has no host"),
        ("postgresql+psycopg://m:geheim@db:port/m", "cannot be taken apart"),
        ("postgresql+psycopg://m:gehe/im@db/m", "cannot be taken apart"),
        ("postgresql+psycopg://m:gehe@im@db/m", "is ambiguous"),
        ("postgresql+psycopg://m:gehe#im@db/m", "cannot be taken apart"),
        ("postgresql+psycopg://m:gehe im@db/m", "has a space"),
        ("postgresql+psycopg://m@db/m?password=geheim", "storage.password_file"),
        ("postgresql+psycopg://m@db/m?ssl_mode=require", 'did you mean "sslmode"?'),
        ("postgresql+psycopg://m@db/m?sslmode=yes", "?sslmode= must be one of disable"),
    ],
)
def test_what_no_address_is(address: str, said: str) -> None:
    found = refused(of(address))
    assert list(found) == ["storage.database"]
    assert said in found["storage.database"]
    assert "gehe" not in found["storage.database"]


@pytest.mark.parametrize(
    ("lines", "key", "said"),
    [
        (f"{SQLITE}\nconnections = 5", "storage.connections", 'is of no use with database = "sqlite"'),
        (f"{SQLITE}\npassword_file = '/x'", "storage.password_file", 'is of no use with database = "sqlite"'),
        (
            "database = 'postgresql+psycopg://m:geheim@db/m'\npassword_file = '/x'",
            "storage.password_file",
            "storage.database has a password already",
        ),
        ("database = 'postgresql+psycopg://m@db/m'\nconnections = 1", "storage.connections", "must be at least 2"),
        ("database = 'postgresql+psycopg://m@db/m'\npasswordfile = '/x'", "storage.passwordfile", "password_file"),
        ("database = 'postgresql+psycopg://m@db/m'\npassword_file = 'x'", "storage.password_file", "is not absolute"),
    ],
)
def test_what_does_not_fit_together(lines: str, key: str, said: str) -> None:
    found = refused(with_storage(lines))
    assert list(found) == [key]
    assert said in found[key]
    assert "geheim" not in found[key]
