"""`mailstore.counters`: whatever is written to accounts, by whomever, the figures are what would be counted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update

from mailstore.accounts import Accounts, PasswordState, State
from mailstore.counters import FILL, SUMS
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview, Sort, Wanted, conditions
from mailstore.paging import key_of
from mailstore.samples import Samples
from mailstore.schema import accounts, figures
from tests.mailstore.store_rig import directory_in_memory
from tests.postgres.accounts import BOTH, Emptied

ROWS = st.fixed_dictionaries(
    {
        "domain": st.sampled_from(["123.com", "b.com"]),
        "department": st.sampled_from(["", "Sales", "Sales/North", "Sales-Old", "R&D"]),
        "state": st.sampled_from([state.value for state in State]),
        "reason": st.sampled_from(["", "locked"]),
        "password_state": st.sampled_from([state.value for state in PasswordState]),
        "refreshed": st.sampled_from([None, 7]),
        "messages_done": st.integers(0, 3),
        "messages_total": st.integers(0, 3),
        "bytes_done": st.integers(0, 2**50),
        "bytes_total": st.integers(0, 5),
        "last_login": st.sampled_from([None, 0, 1, 2]),
        "paused": st.integers(0, 1),
    }
)
ONE = {**dict.fromkeys(SUMS, 0), "accounts": 1}  # figures of one account without mail
STEPS = st.lists(
    st.tuples(st.sampled_from(["insert", "update", "delete", "all"]), st.integers(0, 9), ROWS), max_size=25
)


def kept(database: AccountsDatabase) -> list[tuple[Any, ...]]:
    f = figures.c
    sums = [func.sum(f[name]) for name in SUMS]
    wanted = select(f.domain, f.department, f.state, *sums).group_by(f.domain, f.department, f.state)
    with database.read() as connection:
        return sorted(tuple(row) for row in connection.execute(wanted.having(func.sum(f.accounts) > 0)))


@pytest.fixture(scope="module", params=BOTH)
def both(request: pytest.FixtureRequest) -> Iterator[AccountsDatabase]:
    """One for all examples."""
    with directory_in_memory() as directory:
        if request.param == "file":
            made = AccountsDatabase(directory / "accounts.db")
        else:
            made = request.getfixturevalue("of_accounts").opened()
        yield made
        made.close()


def play(database: AccountsDatabase, steps: list[tuple[str, int, dict[str, Any]]]) -> None:
    with database.write() as connection:
        connection.execute(delete(accounts))
        connection.execute(delete(figures))
        for what, number, row in steps:
            local = f"u{number}"
            match what:
                case "insert":
                    connection.execute(delete(accounts).where(accounts.c.local == local))
                    connection.execute(insert(accounts).values(local=local, created=1, **row))
                case "update":
                    connection.execute(update(accounts).where(accounts.c.local == local).values(**row))
                case "all":
                    connection.execute(update(accounts).values(state=row["state"], messages_done=row["messages_done"]))
                case _:
                    connection.execute(delete(accounts).where(accounts.c.local == local))


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_figures_are_what_would_be_counted(both: AccountsDatabase, steps: Any) -> None:
    database = both
    play(database, steps)
    before = kept(database)
    with database.write() as connection:
        connection.execute(delete(figures))
        connection.exec_driver_sql(FILL)
    assert kept(database) == before
    overview = Overview(database)
    for domain in (None, "123.com"):
        for wanted in (Wanted(domain), Wanted(domain, attention=True), Wanted(domain, state=State.MOVED)):
            with database.read() as connection:
                found = select(func.count()).select_from(accounts).where(*conditions(wanted))
                assert overview.exactly(wanted) == connection.execute(found).scalar_one()


WANTED = st.builds(
    Wanted,
    domain=st.sampled_from([None, "123.com"]),
    department=st.sampled_from([None, "", "Sales"]),
    state=st.sampled_from([None, *State]),
    attention=st.booleans(),
    troubled=st.booleans(),
    paused=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(STEPS, WANTED, st.sampled_from(list(Sort)), st.integers(1, 4))
def test_pages_are_the_whole_list_in_its_order_either_way(
    both: AccountsDatabase, steps: Any, wanted: Wanted, sort: Sort, size: int
) -> None:
    database = both
    play(database, steps)
    with database.read() as connection:
        expected = list(connection.scalars(select(accounts.c.local).where(*conditions(wanted))))
    overview = Overview(database)
    found = list(overview.each(wanted, sort=sort))
    assert sorted(account.local for account in found) == sorted(expected)

    def place(account: Any) -> Any:
        key = key_of(account, sort)
        return (-int(key[0]), *key[1:]) if sort in {Sort.LAST_LOGIN, Sort.SIZE} else key

    assert found == sorted(found, key=place)
    seen = [account for some in overview.batches(wanted, size, sort=sort) for account in some]
    assert seen == found
    if found:
        back, page = [found[-1]], overview.page(wanted, size, sort=sort, before=key_of(found[-1], sort))
        while page.accounts:
            back = [*page.accounts, *back]
            if not page.before:
                break
            page = overview.page(wanted, size, sort=sort, before=key_of(page.accounts[0], sort))
        assert back == found


def test_what_is_rolled_back_was_never_counted(both: AccountsDatabase) -> None:
    play(both, [])
    with pytest.raises(KeyboardInterrupt), both.write() as connection:
        connection.execute(insert(accounts).values(domain="a", local="b", state="moved", created=1))
        raise KeyboardInterrupt
    assert Overview(both).domains() == {}


def test_what_connections_entered_is_joined(of_accounts: Emptied) -> None:
    """Of those that are gone and of those that go on, but where somebody is just writing."""
    database = of_accounts.opened()
    play(database, [("insert", n, {"domain": "a", "state": "moved", "messages_done": 5}) for n in range(3)])
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO figures SELECT domain, department, state, -2, 1, 0, 0, 0, 0, 0, 0 FROM figures"
        )
    kept = select(figures.c.slot, figures.c.accounts, figures.c.messages_done).order_by(figures.c.slot)
    with database.write() as writing:
        writing.execute(update(accounts).values(messages_done=7))
        Samples(database).thin()
    with database.read() as connection:
        (joined, *written) = [tuple(row) for row in connection.execute(kept)]
    assert joined[0] == 0
    assert [sum(row[at] for row in (joined, *written)) for at in (1, 2)] == [4, 21]
    assert len(written) == 1
    Samples(database).thin()
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(kept)] == [(0, 4, 21)]
    database.close()


def test_figures_are_right_while_they_are_joined(of_accounts: Emptied, monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as a sample is taken, where they are many."""
    monkeypatch.setattr("mailstore.samples.SCATTERED", 1)
    database = of_accounts.opened()
    with ThreadPoolExecutor(3) as threads:
        for some in range(3):
            threads.submit(_add, database, range(some * 40, some * 40 + 40))
        for _ in range(20):
            Samples(database).take()
    assert Overview(database).domains()["a"].accounts == 120
    Samples(database).take()
    with database.read() as connection:
        assert connection.execute(select(func.count()).where(figures.c.slot != 0)).scalar_one() <= 3
    database.close()


def _add(database: AccountsDatabase, numbers: range) -> None:
    for number in numbers:
        Accounts(database).add(f"u{number}", "a")
