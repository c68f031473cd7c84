"""Who is found by a part of a name: the same by the names' tails as account by account, whatever was changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from mailstore import name_tails
from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.name_tails import LONGEST
from mailstore.naming import Looking
from mailstore.overview import Overview, Sort, Wanted, conditions
from mailstore.paging import key_of
from mailstore.schema import accounts, aliases
from mailstore.schema import name_tails as kept
from tests.postgres.accounts import BOTH

LONG = "x" * (name_tails.POSITIONS + 3) + "Huber"
LOCALS = st.sampled_from(["anna", "hanna.huber", "a%b", "user.0012345", "王伟", "x" * 40 + "y"])
NAMES = st.sampled_from(["", "Anna Huber", "王伟", "ÄRGER", "a_b", LONG])
ROWS = st.fixed_dictionaries(
    {
        "domain": st.sampled_from(["123.com", "b.com"]),
        "local": LOCALS,
        "full_name": NAMES,
        "department": st.sampled_from(["", "Sales/Huber", "R&D"]),
        "state": st.sampled_from([State.WAITING.value, State.MOVING.value]),
        "last_login": st.sampled_from([None, 1, 2]),
        "reason": st.sampled_from(["", "locked"]),
        "paused": st.integers(0, 1),
    }
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["insert", "update", "delete", "alias", "no alias"]), st.integers(1, 6), ROWS),
    max_size=14,
)
SEARCHED = st.sampled_from(
    [
        "anna",
        "Huber",
        "伟",
        "%",
        "_",
        "ärger",
        "ÄRGER",
        "0012345@123.com",
        "a@",
        "huber@b",
        "b.com",
        "n@nowhere",
        "@b.com",
        "com",
        "123",
        "nobody",
        "x" * 30,
        "r&d",
    ]
)
WANTED = st.builds(
    Wanted,
    domain=st.sampled_from([None, "123.com"]),
    state=st.sampled_from([None, State.MOVING]),
    department=st.sampled_from([None, "Sales"]),
    attention=st.booleans(),
    paused=st.booleans(),
    troubled=st.booleans(),
    text=st.one_of(st.just(""), SEARCHED),
    words=st.lists(SEARCHED, max_size=3).map(" ".join),
)


PLAIN = [
    Wanted(),
    Wanted(attention=True),
    Wanted(paused=True),
    Wanted(state=State.MOVING),
    Wanted(attention=True, state=State.MOVING),
    Wanted(paused=True, department="Sales"),
]


def spot_of(account: Account, sort: Sort) -> tuple[int | str, ...]:
    """Where it stands in an order that ascends."""
    first, *rest = key_of(account, sort)
    return (-first if isinstance(first, int) else first, *rest)


@pytest.fixture(scope="module", params=BOTH)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountsDatabase]:
    """One for all examples."""
    if request.param == "file":
        made = AccountsDatabase(tmp_path_factory.mktemp("naming") / "accounts.db")
    else:
        made = request.getfixturevalue("of_accounts").opened()
    yield made
    made.close()


def play(database: AccountsDatabase, steps: list[tuple[str, int, dict[str, Any]]]) -> None:
    a = accounts.c
    with database.write() as connection:
        connection.execute(delete(accounts))
        connection.execute(delete(aliases))
        for what, number, row in steps:
            taken = connection.execute(
                select(a.id).where(a.domain == row["domain"], a.local == row["local"], a.id != number)
            ).first()
            match what:
                case "alias":
                    connection.execute(delete(aliases).where(aliases.c.local == row["local"]))
                    connection.execute(
                        insert(aliases).values(domain=row["domain"], local=row["local"], account_id=number)
                    )
                case "no alias":
                    connection.execute(delete(aliases).where(aliases.c.account_id == number))
                case "update" if taken is None:
                    connection.execute(update(accounts).where(a.id == number).values(**row))
                case "insert" if taken is None:
                    connection.execute(delete(accounts).where(a.id == number))
                    connection.execute(insert(accounts).values(id=number, created=1, **row))
                case "delete":
                    connection.execute(delete(accounts).where(a.id == number))


@settings(max_examples=40, deadline=None)
@given(
    STEPS,
    st.one_of(WANTED, st.sampled_from(PLAIN)),
    st.sampled_from(list(Sort)),
    st.integers(0, 2),
    st.sampled_from([0, 1, 20_000]),
)
def test_who_is_found_is_who_would_be_found_one_by_one(
    both: AccountsDatabase, steps: Any, wanted: Wanted, sort: Sort, most: int, together: int
) -> None:
    play(both, steps)
    overview = Overview(both)
    with both.read() as connection:
        expected = set(connection.scalars(select(accounts.c.id).where(*conditions(wanted))))
    with pytest.MonkeyPatch.context() as patch:
        for limit, in_order in ((most, 0), (most, 5_000), (2_000, 0)):  # many, as it were; and few
            patch.setattr("mailstore.naming.FEW", limit)
            patch.setattr("mailstore.naming.PER_PAGE", 0)
            patch.setattr("mailstore.paging._IN_ORDER", in_order)
            patch.setattr("mailstore.paging._MANY", limit)
            patch.setattr("mailstore.naming.SEVERAL", limit)
            patch.setattr("mailstore.naming.TOGETHER", together)
            patch.setattr("mailstore.overview.MOST_FOUND", most)
            found = list(overview.each(wanted, sort=sort))
            assert {account.id for account in found} == expected
            assert found == sorted(found, key=lambda account: spot_of(account, sort))
            assert overview.exactly(wanted) == len(expected)
            if found:
                key = key_of(found[-1], sort)
                assert list(overview.page(wanted, 9, sort=sort, before=key).accounts) == found[:-1]
                assert not overview.page(wanted, 9, sort=sort, behind=key).accounts
            for number in (1, 9):
                page, count = overview.page_and_count(wanted, number, sort=sort)
                assert list(page.accounts) == found[:number]
                assert count == (min(len(found), most + 1) if wanted.text or wanted.words else len(found))
    if wanted.text == "nobody":
        with both.read() as connection:
            assert Looking(connection, wanted).found() is not None


@pytest.mark.parametrize("most", range(1, 7))
def test_who_has_a_text_twice_in_a_name_keeps_nobody_from_being_found(
    both: AccountsDatabase, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("mailstore.naming.FEW", most)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    rows = [{"domain": "123.com", "local": f"u{n}", "full_name": "Anna Banana", "state": "waiting"} for n in range(3)]
    play(both, [("insert", n, row) for n, row in enumerate(rows, 1)])
    assert Overview(both).exactly(Wanted(text="an")) == 3
    assert len(list(Overview(both).each(Wanted(words="an")))) == 3


def test_who_has_two_names_that_many_have_each(both: AccountsDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is walked past, where nobody has both."""
    monkeypatch.setattr("mailstore.naming.FEW", 2)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    people = [f"{first} {last}" for first in ("Anna", "Ben", "王") for last in ("Huber", "Meyer", "Kim")]
    rows = [{"domain": "123.com", "local": f"u{n}", "full_name": name} for n, name in enumerate(people, 1)]
    play(both, [("insert", n, {"state": "waiting", **row}) for n, row in enumerate(rows, 1)])
    with both.read() as connection:
        for words, numbers in (("huber meyer", set()), ("ANNA huber", {1}), ("n 王", set()), ("Kim 王 u", {9})):
            found = Looking(connection, Wanted("123.com", words=words)).found()
            assert found is not None
            assert set(found) == numbers
        assert Looking(connection, Wanted(words="huber u")).found() is None  # three have both
        assert Looking(connection, Wanted(words="huber u"), ordered=True).found() == {1, 4, 7}
        assert Looking(connection, Wanted(text="kim", words="anna")).found() == {3}
        assert Looking(connection, Wanted(words="huber")).found() is None
        assert Looking(connection, Wanted(words="huber com")).found() is None  # a domain's
        monkeypatch.setattr("mailstore.naming.TOGETHER", 2)
        assert Looking(connection, Wanted(words="huber u"), ordered=True).found() is None
        monkeypatch.setattr("mailstore.naming.COMMON", 2)
        monkeypatch.setattr("mailstore.naming._guessed", lambda _connection, _way: 3)
        assert Looking(connection, Wanted(words="huber meyer")).found() is None


@pytest.mark.parametrize("together", [0, 3, 22, 20_000])
@pytest.mark.parametrize("sort", [Sort.SIZE, Sort.LAST_LOGIN])
def test_who_has_two_names_is_put_in_order(
    both: AccountsDatabase, monkeypatch: pytest.MonkeyPatch, sort: Sort, together: int
) -> None:
    """Also where they are more than are put in order at once, and where not all that are found have both."""
    monkeypatch.setattr("mailstore.naming.FEW", 2)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    monkeypatch.setattr("mailstore.naming.TOGETHER", together)
    monkeypatch.setattr("mailstore.paging._IN_ORDER", 0)
    name = "x" * LONGEST + "huber u"  # of which the tails do not tell all
    people = ["Anna Huber", "Huber Ben", *[f"{name} {n}" for n in range(20)], "Ute Kim", "Kim Huber"]
    rows = [{"domain": "123.com", "local": f"u{n:02}", "full_name": each} for n, each in enumerate(people)]
    for n, row in enumerate(rows):
        row |= {"state": "moved" if n % 3 else "waiting", "bytes_total": n % 7, "last_login": n % 5 or None}
    play(both, [("insert", n, row) for n, row in enumerate(rows, 1)])
    overview = Overview(both)
    wanted = Wanted("123.com", words="hube u")
    with both.read() as connection:
        expected = set(connection.scalars(select(accounts.c.id).where(*conditions(wanted))))
    assert len(expected) == 23
    found = [account.id for page in overview.batches(wanted, 1, sort=sort) for account in page]
    assert found == [account.id for account in overview.page(wanted, 50, sort=sort).accounts]
    assert set(found) == expected
    last = key_of(overview.page(wanted, 50, sort=sort).accounts[-1], sort)
    before = overview.page(wanted, 22, sort=sort, before=last)
    assert [account.id for account in before.accounts] == found[:-1]


@pytest.mark.parametrize("sort", [Sort.SIZE, Sort.LAST_LOGIN])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(words="Anna HUBER"), 11),
        (Wanted("123.com", words="anna huber"), 9),
        (Wanted("123.com", words="anna 123 huber"), 9),  # all of the domain have "123"
        (Wanted(words="anna 123 huber"), 9),  # … of others nobody
        (Wanted("123.com", state=State.MOVED, text="Huber", words="anna"), 4),
        (Wanted(words="Özgür Ayşe"), 5),
        (Wanted("123.com", department="Sales", words="anna sales"), 3),
        (Wanted("123.com", words="anna xx"), 1),  # behind what tails tell of a name
        (Wanted("123.com", words="r@ anna"), 4),  # not of those whose full names end in "r"
        (Wanted("123.com", words=f"{'y' * LONGEST}1 meyer"), 3),  # longer than a tail
        (Wanted(words="u0 anna huber"), 9),  # more have the first than are gone through
    ],
    ids=str,
)
def test_a_page_of_who_has_several_names_is_counted(
    both: AccountsDatabase, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, found: int, sort: Sort
) -> None:
    """Where each of the names is one that many have, wherever the page is."""
    monkeypatch.setattr("mailstore.naming.FEW", 2)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    monkeypatch.setattr("mailstore.paging._IN_ORDER", 0)
    monkeypatch.setattr(
        "mailstore.naming._guessed", lambda _, way: 2**30 if "u0" in way.compile().params.values() else 9
    )
    far = "x" * (name_tails.POSITIONS + 1)
    people = [*["Anna Huber"] * 8, f"{far} Huber Anna", far, *["Özgür Ayşe"] * 5, *["Ayşe özgür"] * 4, *["Huber"] * 3]
    people += [f"{'y' * LONGEST}{n % 2} Meyer" for n in range(6)]
    rows = [{"domain": "123.com", "local": f"u{n:02}", "full_name": each} for n, each in enumerate(people)]
    rows += [{"domain": "b.com", "local": f"b{n}", "full_name": "Anna Huber"} for n in range(2)]
    for n, row in enumerate(rows):
        row |= {"state": "moved" if n % 2 else "waiting", "bytes_total": n % 7, "last_login": n % 5 or None}
        row["department"] = "Sales" if n < 3 else ""
        row["local"] += "r" if n < 4 else ""
    play(both, [("insert", n, row) for n, row in enumerate(rows, 1)])
    overview = Overview(both)
    everybody = list(overview.each(Wanted(), sort=sort))
    with both.read() as connection:
        holds = set(connection.scalars(select(accounts.c.id).where(*conditions(wanted))))
    assert len(holds) == found
    expected = [account for account in everybody if account.id in holds]
    for at in range(found + 1):
        behind = key_of(expected[at - 1], sort) if at else None
        page, count = overview.page_and_count(wanted, 2, sort=sort, behind=behind)
        assert (list(page.accounts), count, page.behind) == (expected[at : at + 2], found, at + 2 < found)
    for at in range(found):
        page, count = overview.page_and_count(wanted, 2, sort=sort, before=key_of(expected[at], sort))
        assert (list(page.accounts), count, page.before) == (expected[max(0, at - 2) : at], found, at > 2)
    monkeypatch.setattr("mailstore.overview.MOST_FOUND", found - 1)
    assert overview.page_and_count(wanted, 2, sort=sort)[1] == found
    monkeypatch.setattr("mailstore.overview.MOST_FOUND", 0)
    assert overview.page_and_count(wanted, 2, sort=sort)[1] == 1


@pytest.mark.parametrize("sort", [Sort.NAME, Sort.SIZE])
@pytest.mark.parametrize("few", [1, 3, 2_000])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(text="@b.com"), 7),  # two of another domain have aliases there
        (Wanted(text="o@b"), 7),
        (Wanted(text="o@b.co."), 1),
        (Wanted(text="nobody@b.com"), 0),
        (Wanted(text="info@nowhere"), 0),
        (Wanted(words="b.com"), 8),
        (Wanted(words="@b.com Huber"), 3),
        (Wanted(words="fo@b.c"), 3),
        (Wanted(words="com"), 11),
        (Wanted(words="info"), 5),
        (Wanted(words="info uk"), 2),
        (Wanted("123.com", words="b.com"), 3),
        (Wanted("123.com", text="info@b.com"), 1),
        (Wanted(state=State.MOVED, text="@b.com"), 4),
        (Wanted(troubled=True, words="b.com"), 4),
    ],
    ids=str,
)
def test_who_is_of_a_domain_that_is_searched_for(
    both: AccountsDatabase, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, found: int, few: int, sort: Sort
) -> None:
    """Or has an alias there, or the domain's name in the own one."""
    monkeypatch.setattr("mailstore.naming.FEW", few)
    monkeypatch.setattr("mailstore.naming.PER_PAGE", 0)
    people = [("123.com", f"o{n}", "Anna") for n in range(4)]
    people += [("123.com", "info", "of b.com"), *(("b.com", f"hello{n}", "Huber") for n in range(3))]
    people += [("b.com", "info", ""), ("b.com", "anna", ""), ("b.co.uk", "info", ""), ("c.com", "u", "Anna Huber")]
    people += [("c.co.uk", "u.info", "")]
    rows = [{"domain": each[0], "local": each[1], "full_name": each[2]} for each in people]
    for n, row in enumerate(rows):
        row |= {"state": "moved" if n % 2 else "moving", "bytes_total": n % 4, "department": f"D{n % 2}"}
    steps = [("insert", n, row) for n, row in enumerate(rows, 1)]
    aliases = [("alias", 1, {"domain": "b.com", "local": "info.one"}), ("alias", 2, {"domain": "b.com", "local": "fo"})]
    play(both, [*steps, *aliases])
    overview = Overview(both)
    with both.read() as connection:
        holds = set(connection.scalars(select(accounts.c.id).where(*conditions(wanted))))
    assert len(holds) == found
    expected = [account for account in overview.each(Wanted(), sort=sort) if account.id in holds]
    assert list(overview.each(wanted, sort=sort)) == expected
    page, count = overview.page_and_count(wanted, 2, sort=sort)
    assert (list(page.accounts), count) == (expected[:2], found)
    assert overview.exactly(wanted) == found
    if expected:
        before = overview.page(wanted, 2, sort=sort, before=key_of(expected[-1], sort))
        assert list(before.accounts) == expected[:-1][-2:]


@settings(max_examples=10, deadline=None)
@given(STEPS)
def test_tails_are_what_they_would_be_made_anew(both: AccountsDatabase, steps: Any) -> None:
    play(both, steps)
    there = select(kept.c.tail, kept.c.account_id).where(kept.c.account_id.in_(select(accounts.c.id)))
    with both.write() as connection:
        before = set(connection.execute(there).all())
        connection.execute(delete(kept))
        connection.exec_driver_sql(name_tails.FILL)
        assert set(connection.execute(there).all()) == before
