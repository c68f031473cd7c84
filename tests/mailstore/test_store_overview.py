"""`mailstore.overview`: figures, filters and pages, and that the database finds them by its indexes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Select, insert, select, text, update

from mailstore.accounts import Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.overview import Figures, Key, Overview, Sort, Wanted, conditions, is_key, key_of, most_counted
from mailstore.page_statements import Place, statement_of
from mailstore.schema import accounts, aliases
from tests.postgres.accounts import BOTH

DATABASES = BOTH

PEOPLE: list[dict[str, Any]] = [
    {"local": "anna", "full_name": "Anna Berg", "department": "Sales", "state": "moved", "last_login": 50},
    {"local": "bo", "full_name": "王伟", "department": "Sales/North", "state": "waiting"},
    {"local": "chen_1", "department": "Sales-Old", "state": "blocked", "reason": "locked there"},
    {"local": "chenx1", "department": "Sales2", "state": "moving", "messages_done": 3, "messages_total": 9},
    {"local": "dora", "department": "", "state": "moved", "reason": "3 messages", "last_login": 70, "bytes_total": 9},
    {"local": "emil", "department": "R&D/Mail/Tests", "state": "final", "password_state": "rejected"},
    {"local": "fu", "department": "R&D", "state": "moved", "paused": 1, "bytes_done": 5, "bytes_total": 5},
]


def filled(database: AccountsDatabase, rows: list[dict[str, Any]], domain: str = "123.com") -> AccountsDatabase:
    with database.write() as connection:
        for row in rows:
            connection.execute(insert(accounts).values(domain=domain, created=1, **row))
    return database


@pytest.fixture
def overview(database: AccountsDatabase) -> Overview:
    return Overview(filled(database, PEOPLE))


def names(overview: Overview, **wanted: Any) -> list[str]:
    return [account.local for account in overview.each(Wanted("123.com", **wanted))]


def test_a_domain_s_figures(overview: Overview) -> None:
    assert overview.domains() == {
        "123.com": Figures(
            accounts=7,
            waiting=1,
            moving=1,
            moved=3,
            final=1,
            blocked=1,
            attention=3,
            known=1,
            messages_done=3,
            messages_listed=9,
            bytes_done=5,
            bytes_listed=14,
        )
    }
    assert overview.figures(Wanted("123.com", state=State.MOVED)).accounts == 3
    assert overview.figures(Wanted("456.com")) == Figures()


def test_departments_are_counted_one_by_one(overview: Overview) -> None:
    found = overview.departments("123.com")
    assert {path: figures.accounts for path, figures in found.items()} == {person["department"]: 1 for person in PEOPLE}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["anna", "bo", "chen_1", "chenx1", "dora", "emil", "fu"]),
        ({"department": "Sales"}, ["anna", "bo"]),
        ({"department": "R&D"}, ["emil", "fu"]),
        ({"department": "R&D/Mail"}, ["emil"]),
        ({"department": "R"}, []),
        ({"department": ""}, ["dora"]),
        ({"state": State.MOVED}, ["anna", "dora", "fu"]),
        ({"attention": True}, ["chen_1", "dora", "emil"]),
        ({"troubled": True}, ["chen_1", "chenx1", "dora", "emil", "fu"]),
        ({"paused": True}, ["fu"]),
        ({"text": "CHEN"}, ["chen_1", "chenx1"]),
        ({"text": "chen_1"}, ["chen_1"]),  # no wildcard
        ({"text": "%"}, []),
        ({"text": "伟"}, ["bo"]),
        ({"text": "berg"}, ["anna"]),
        ({"text": "anna@1"}, ["anna"]),
        ({"text": "anna@9"}, []),
        ({"text": "ａｎｎａ"}, ["anna"]),  # full width
        ({"text": "' OR 1=1 --"}, []),
        ({"text": "a", "state": State.MOVED, "department": "Sales"}, ["anna"]),
    ],
)
def test_filters(overview: Overview, wanted: dict[str, Any], found: list[str]) -> None:
    assert names(overview, **wanted) == found
    assert overview.count(Wanted("123.com", **wanted)) == len(found)


def test_aliases_are_found(database: AccountsDatabase, overview: Overview) -> None:
    dora = Accounts(database).find("dora", "123.com")
    assert dora is not None
    with database.write() as connection:
        connection.execute(insert(aliases).values(domain="123.com", local="dodo", account_id=dora.id))
    assert names(overview, text="dodo") == names(overview, text="dodo@123") == ["dora"]
    assert names(overview, text="dodo@4") == []


def test_orders(overview: Overview) -> None:
    def order(sort: Sort) -> list[str]:
        return [account.local for account in overview.each(Wanted("123.com"), sort=sort)]

    assert order(Sort.DEPARTMENT) == ["dora", "fu", "emil", "anna", "chen_1", "bo", "chenx1"]
    assert order(Sort.LAST_LOGIN)[:2] == ["dora", "anna"]
    assert order(Sort.SIZE)[:2] == ["dora", "fu"]


def test_everybody_of_several_domains(database: AccountsDatabase) -> None:
    filled(database, [{"local": name, "state": "waiting"} for name in "ab"], "b.com")
    with database.write() as connection:
        connection.execute(insert(accounts).values(domain="a.com", local="c", state="waiting", created=1))
    overview = Overview(database)
    assert [account.name for account in overview.each(Wanted())] == ["c@a.com", "a@b.com", "b@b.com"]
    assert overview.count(Wanted()) == 3


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        Wanted(attention=True),
        Wanted(attention=True, words="anna"),
        Wanted(paused=True),
        Wanted(paused=True, state=State.MOVED, text="en"),
        Wanted(state=State.MOVED),
        Wanted(words="anna"),
    ],
    ids=str,
)
def test_pages_of_many_domains_in_an_order_by_number(
    database: AccountsDatabase, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    """… of which a page has fewer than there are domains and states."""
    rows = [
        {
            "local": f"u{number}",
            "state": list(State)[number % 5].value,
            "reason": "" if number % 3 else "why",
            "full_name": "Anna" if number % 2 else "Ben",
            "last_login": number % 4 * 7 or None,
            "bytes_total": number * 7 % 10,
            "paused": number // 3 % 2,
        }
        for number in range(24)
    ]
    for domain in ("a.com", "Z.com", "z.com", "ä.com", "b.com"):
        filled(database, rows, domain)
    monkeypatch.setattr("mailstore.naming.FEW", 1)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    overview = Overview(database)
    with database.read() as connection:
        holds = set(connection.scalars(select(accounts.c.id).where(*conditions(wanted))))
    for sort in (Sort.LAST_LOGIN, Sort.SIZE):
        every = [one for one in overview.each(Wanted()) if one.id in holds]
        every.sort(key=lambda one: (-int(key_of(one, sort)[0]), one.domain.encode(), one.local.encode()))
        assert len(every) >= 5
        for at in range(0, len(every), 3):
            behind, before = (key_of(every[at - 1], sort) if at else None), key_of(every[at], sort)
            assert list(overview.page(wanted, 3, sort=sort, behind=behind).accounts) == every[at : at + 3]
            assert list(overview.page(wanted, 3, sort=sort, before=before).accounts) == every[max(0, at - 3) : at]


def test_a_page_stays_where_it_is_while_accounts_come_and_go(database: AccountsDatabase, overview: Overview) -> None:
    wanted = Wanted("123.com")
    first = overview.page(wanted, 3)
    behind = key_of(first.accounts[-1], Sort.NAME)
    Accounts(database).add("aaron", "123.com")
    with database.write() as connection:
        connection.execute(text("DELETE FROM accounts WHERE local = 'chen_1'"))
    second = overview.page(wanted, 3, behind=behind)
    assert [account.local for account in second.accounts] == ["chenx1", "dora", "emil"]
    assert (second.before, second.behind) == (True, True)


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("wanted", [Wanted("123.com"), Wanted(), Wanted("123.com", department="Sales")])
def test_page_by_page_to_the_end_and_back_is_the_whole_list(overview: Overview, sort: Sort, wanted: Wanted) -> None:
    whole = [account.local for account in overview.each(wanted, sort=sort)]
    page = overview.page(wanted, 2, sort=sort)
    assert not page.before
    seen = [[account.local for account in page.accounts]]
    while page.behind:
        page = overview.page(wanted, 2, sort=sort, behind=key_of(page.accounts[-1], sort))
        assert page.before
        seen.append([account.local for account in page.accounts])
    assert [name for each in seen for name in each] == whole
    back = [seen.pop()]
    while page.before:
        page = overview.page(wanted, 2, sort=sort, before=key_of(page.accounts[0], sort))
        if not page.accounts:
            break
        back.insert(0, [account.local for account in page.accounts])
    assert [name for each in back for name in each] == whole


MOVED = Wanted("123.com", state=State.MOVED)


@pytest.mark.parametrize("database", ["file"], indirect=True)
@pytest.mark.parametrize(
    ("wanted", "sort", "index", "key"),
    [
        (Wanted("123.com"), Sort.NAME, "sqlite_autoindex_accounts", ("123.com", "m")),
        (MOVED, Sort.NAME, "accounts_state", ("123.com", "m")),
        (Wanted("123.com"), Sort.DEPARTMENT, "accounts_department", ("123.com", "Sales", "m")),
        (Wanted("123.com", department="Sales"), Sort.DEPARTMENT, "accounts_department", ("123.com", "Sales", "m")),
        (Wanted("123.com", attention=True), Sort.NAME, "accounts_attention", ("123.com", "m")),
        (Wanted("123.com", paused=True), Sort.NAME, "accounts_paused", ("123.com", "m")),
        (MOVED, Sort.LAST_LOGIN, "accounts_last_login", (50, "123.com", "m")),
        (MOVED, Sort.SIZE, "accounts_size", (50, "123.com", "m")),
        (Wanted("123.com", department="Sales", state=State.MOVED), Sort.SIZE, "accounts_size", (50, "123.com", "m")),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_a_page_is_a_walk_down_an_index(
    database: AccountsDatabase, wanted: Wanted, sort: Sort, index: str, key: Key, *, far: bool, backwards: bool
) -> None:
    """No page costs what is before it."""
    plan = plan_of(database, statement_of(wanted, sort, Place(key if far else None, backwards=backwards), 51, None))
    assert f"INDEX {index}" in plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
    if far:
        assert any(sign in plan for sign in (">?", "<?", ">(?", "<(?"))


@pytest.mark.parametrize("database", ["file"], indirect=True)
@pytest.mark.parametrize(
    ("wanted", "narrow", "index"),
    [
        (Wanted("123.com", department="Sales", state=State.MOVED), "department", "accounts_department"),
        (Wanted("123.com", department="Sales", state=State.MOVED), "state", "accounts_"),
        (Wanted("123.com", attention=True, state=State.MOVED), "attention", "accounts_attention"),
        (Wanted("123.com", paused=True, department="Sales"), "paused", "accounts_due (domain=? AND paused=?"),
    ],
)
@pytest.mark.parametrize("sort", list(Sort))
def test_what_few_are_wanted_of_is_fetched_by_its_narrow_index(
    database: AccountsDatabase, wanted: Wanted, narrow: str, index: str, sort: Sort
) -> None:
    plan = plan_of(database, statement_of(wanted, sort, Place(None), 51, narrow))
    assert f"INDEX {index}" in plan
    assert "accounts_due (domain=?)" not in plan and "sqlite_autoindex" not in plan


def plan_of(database: AccountsDatabase, statement: Select[Any]) -> str:
    with database.read() as connection:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return " | ".join(row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))


def test_a_filter_counts_to_the_end_of_what_it_may(
    database: AccountsDatabase, overview: Overview, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailstore.overview.MOST_COUNTED", 3)
    assert overview.count(Wanted("123.com")) == 4
    assert overview.count(Wanted()) == 4


@pytest.mark.parametrize("few", [0, 2_000])
def test_who_is_searched_for_is_counted_to_less(overview: Overview, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Whether they are looked up or walked to."""
    monkeypatch.setattr("mailstore.overview.MOST_FOUND", 3)
    monkeypatch.setattr("mailstore.naming.FEW", few)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    wanted = Wanted("123.com", text="n")  # anna, chen_1, chenx1, Anna Berg
    assert overview.count(wanted) == most_counted(wanted) == 3
    wanted = Wanted("123.com", words="a")
    assert (overview.count(wanted), overview.exactly(wanted)) == (4, 6)
    assert most_counted(Wanted("123.com")) > 3


def test_each_goes_over_several_batches(overview: Overview, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstore.overview.BATCH", 2)
    assert len(names(overview)) == 7


def test_a_rejected_password_alone_needs_attention(database: AccountsDatabase, overview: Overview) -> None:
    with database.write() as connection:
        changed = update(accounts).where(accounts.c.local == "bo")
        connection.execute(changed.values(password_state=PasswordState.REJECTED.value))
    assert "bo" in names(overview, attention=True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=6,
    ),
    st.sampled_from(list(Sort)),
)
def test_whatever_a_browser_sends_as_a_place_is_one_or_is_not(key: object, sort: Sort) -> None:
    if is_key(key, sort):
        assert isinstance(key, list)
        statement_of(Wanted("123.com"), sort, Place(tuple(key)), 1, None).compile()


def test_places_are_places(overview: Overview) -> None:
    for sort in Sort:
        for account in overview.each(Wanted()):
            assert is_key(list(key_of(account, sort)), sort)
    assert not is_key([2**63, "a", "b"], Sort.SIZE)
    assert not is_key([True, "a", "b"], Sort.SIZE)
    assert not is_key(["a"], Sort.NAME)
