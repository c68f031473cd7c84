"""What is exported comes back as it was: imported again it changes nothing."""

from __future__ import annotations

import string
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from mailstore.database import AccountsDatabase
from mailstore.overview import Wanted
from mailstore.people import People
from mailstore.roster import Entry
from mailstore.schema import accounts, aliases
from proxy.admin import roster
from proxy.admin.spreadsheet import values
from proxy.admin.spreadsheet.writing import as_csv, as_xlsx
from tests.proxy.admin.test_roster_files import config

_LETTERS = "张伟李娜陳許功蓋 Zz'=+-@,;\"<>|（）\u3000．·é1"
_NAMES = st.text(_LETTERS, max_size=12).map(values.person)
_LEVELS = st.text("研发前端-–—=+'@ RD&1,;", min_size=1, max_size=8).map(values.words).filter(bool)
_LOCALS = st.text(string.ascii_lowercase + string.digits + "=+-.'_&%/!", min_size=1, max_size=12)
FIELDS = ("full_name", "department", "quota", "legacy_login", "aliases")
_QUOTAS = st.none() | st.just(0) | st.integers(1, 1 << 50)


@st.composite
def people(draw: st.DrawFn) -> dict[tuple[str, str], Entry]:
    names = draw(st.lists(_LOCALS, min_size=1, max_size=8, unique=True))
    locals_, others = names[: len(names) // 2 + 1], names[len(names) // 2 + 1 :]
    found = {}
    for local in locals_:
        mine, others = others[:2], others[2:]
        entry = Entry(
            local,
            "123.com",
            draw(_NAMES),
            "/".join(draw(st.lists(_LEVELS, max_size=3))),
            draw(_QUOTAS),
            draw(_NAMES.map(lambda login, local=local: login and f"{login}{local}")),
            tuple((alias, "123.com") for alias in mine),
        )
        found[entry.address] = entry
    return found


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountsDatabase]:
    made = AccountsDatabase(tmp_path_factory.mktemp("state") / "accounts.db")
    yield made
    made.close()


@given(entries=people())
@example(entries={("li", "123.com"): Entry("li", "123.com", aliases=(("'-", "123.com"), ("'", "123.com")))})
@example(entries={("'l", "123.com"): Entry("'l", "123.com", "'t Hart", legacy_login="'=_x0041_")})
@example(entries={("l", "123.com"): Entry("l", "123.com", "_x0041__x005F_x0042_", "_x000D_")})
@settings(derandomize=True, max_examples=50, deadline=None)
def test_export_and_import_change_nothing(database: AccountsDatabase, entries: dict[tuple[str, str], Entry]) -> None:
    with database.write() as connection:
        connection.execute(delete(accounts))
        connection.execute(delete(aliases))
    store = roster.kept(config("123.com"), database)
    store.enrol(entries, FIELDS)
    rows = list(roster.rows(People(database), Wanted()))
    text = "".join(as_csv(rows, mark=True)).encode()
    for data in (text, as_xlsx(rows, "accounts")):
        listing = roster.read(config("123.com"), data)
        found = roster.compare(store, listing)
        assert (found.new, found.changed, found.absent) == ([], [], [])
        assert len(found.same) == len(entries)
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(_QUOTAS)
@settings(derandomize=True, deadline=None)
def test_quotas_come_back(octets: int | None) -> None:
    assert values.quota(values.spelled_quota(octets)) == octets


@given(st.binary(max_size=300))
@settings(derandomize=True, deadline=None)
def test_whatever_the_file_is_it_is_understood_or_refused(data: bytes) -> None:
    for octets in (data, "邮箱,姓名\n".encode() + data, b"PK\x03\x04" + data):
        try:
            listing = roster.read(config("123.com"), octets)
        except roster.BadList as error:
            assert error.mistakes
        else:
            assert listing.entries
