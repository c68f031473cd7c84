"""What the accounts of a filter have had, counted and listed by the database: the same as account by account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update

from mailstore import notice_counters
from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Choice, Notices, Standing
from mailstore.overview import Overview, Wanted
from mailstore.schema import accounts, notice_figures, notice_standings, notices
from mailstore.told import Tally, Told
from tests.postgres.accounts import BOTH

DATABASES = BOTH

ALL = Wanted("123.com")


class Rig:
    """Ten accounts: each has had something else."""

    def __init__(self, database: AccountsDatabase) -> None:
        self.database = database
        self.now = 1_000.0
        self.notices = Notices(self.database, lambda: self.now)
        self.told = Told(self.database)
        self.numbers = {name: Accounts(self.database).add(name, "123.com").id for name in "abcdefghij"}
        Accounts(self.database).add("other", "456.com")
        for name in "ab":
            self.had(name, "sent")
        self.had("c", "550 first", "550 last")
        self.had("d", "550 no", "unknown")
        self.had("e", "unknown", "550 no", "sent")
        self.had("f", "550 no")
        with self.database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.local == "f").values(state=State.FINAL))
            connection.execute(
                update(accounts).where(accounts.c.local.in_(["c", "g"])).values(department="Sales/North")
            )

    def had(self, name: str, *ends: str, kind: str = "notice") -> None:
        for end in ends:
            number = self.notices.begin(self.numbers[name], kind, f"{name}@123.com", 10**9)
            assert number is not None
            if end == "sent":
                self.notices.sent(number)
            elif end != "unknown":
                self.notices.refused(number, end)


@pytest.fixture
def rig(database: AccountsDatabase) -> Rig:
    return Rig(database)


def test_all_are_counted_as_they_stand(rig: Rig) -> None:
    found = rig.told.tally(ALL, "notice")
    assert found == Tally(none=4, sent=3, refused=1, unknown=1, final=1)
    assert found.accounts == 9
    one_by_one = [one.standing for one in rig.notices.recipients(Choice("123.com"), "notice")]
    assert {s: one_by_one.count(s) for s in Standing} == {s: getattr(found, s.value) for s in Standing}
    assert rig.told.tally(ALL, "reminder") == Tally(none=9, final=1)
    assert rig.told.tally(Wanted("789.com"), "notice") == Tally()


def test_filters_numbers_and_what_was_long_ago(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rig.told.tally(Wanted("123.com", department="Sales"), "notice") == Tally(none=1, refused=1)
    monkeypatch.setattr("mailstore.told._IN_ONE", 2)
    picked = [rig.numbers[name] for name in "acfgj"]
    assert rig.told.tally(ALL, "notice", numbers=picked) == Tally(none=2, sent=1, refused=1, final=1)
    assert rig.told.tally(Wanted("456.com"), "notice", numbers=picked) == Tally()
    assert rig.told.tally(ALL, "notice", since=1_001) == Tally(none=9, final=1)
    assert rig.told.tally(Wanted("123.com", state=State.WAITING), "notice") == Tally(
        none=4, sent=3, refused=1, unknown=1
    )


def test_of_a_filter_that_many_meet_as_many_are_counted_as_are_looked_at(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted("123.com", state=State.WAITING)  # a, b, c, d, …
    exactly = rig.told.tally(wanted, "notice")
    assert exactly == Tally(none=4, sent=3, refused=1, unknown=1)
    monkeypatch.setattr("mailstore.told.MOST", 4)
    assert rig.told.tally(wanted, "notice") == Tally(sent=2, refused=1, unknown=1, more=True)
    assert rig.told.tally(ALL, "notice", since=1) == Tally(sent=2, refused=1, unknown=1, more=True)
    assert rig.told.tally(Wanted("123.com", text="a"), "notice") == Tally(sent=1)
    monkeypatch.setattr("mailstore.told.MOST", 9)
    assert rig.told.tally(wanted, "notice") == exactly


def test_those_of_a_standing_page_by_page(rig: Rig) -> None:
    def names(standing: Standing, limit: int = 10, behind: tuple[str, str] = ("", "")) -> list[tuple[str, str]]:
        found = rig.told.page(ALL, "notice", standing, limit, behind=behind)
        return [(one.account.local, one.refusal) for one in found]

    assert names(Standing.REFUSED) == [("c", "550 last")]
    assert names(Standing.UNKNOWN) == [("d", "")]
    assert names(Standing.SENT, 2) == [("a", ""), ("b", "")]
    assert names(Standing.SENT, 2, ("123.com", "b")) == [("e", "")]
    assert [one.sent for one in rig.told.page(ALL, "notice", Standing.SENT, 1)] == [1_000]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "sent", "refused", "gone", "state", "department", "name", "account"]),
        st.integers(0, 4),
        st.sampled_from(["notice", "reminder"]),
        st.sampled_from(["", "Sales", "Sales/North"]),
        st.sampled_from([State.WAITING.value, State.FINAL.value]),
    ),
    max_size=20,
)


@pytest.fixture(scope="module", params=BOTH)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountsDatabase]:
    """One for all examples."""
    if request.param == "file":
        made = AccountsDatabase(tmp_path_factory.mktemp("told") / "accounts.db")
    else:
        made = request.getfixturevalue("of_accounts").opened()
    yield made
    made.close()


def play(database: AccountsDatabase, steps: list[tuple[str, int, str, str, str]]) -> None:
    a, n = accounts.c, notices.c
    with database.write() as connection:
        connection.execute(delete(notices))
        connection.execute(delete(accounts))
        for number in range(5):
            connection.execute(
                insert(accounts).values(id=number, domain="123.com", local=f"u{number}", state="waiting", created=1)
            )
        for what, number, kind, department, state in steps:
            mine, open_ = (n.account_id == number, n.kind == kind), (n.sent.is_(None), n.refusal == "")
            match what:
                case "begin":
                    about = {"account_id": number, "kind": kind, "begun": 1, "address": "a@123.com"}
                    connection.execute(insert(notices).values(**about))
                case "sent":
                    connection.execute(update(notices).where(*mine, *open_).values(sent=2))
                case "refused":
                    connection.execute(update(notices).where(*mine, *open_).values(refusal=f"550 {number}"))
                case "gone":
                    connection.execute(delete(notices).where(*mine))
                case "state":
                    connection.execute(update(accounts).where(a.id == number).values(state=state))
                case "department":
                    connection.execute(update(accounts).where(a.id >= number).values(department=department))
                case "name":
                    connection.execute(update(accounts).where(a.id == number).values(local=f"v{number}"))
                case _:
                    connection.execute(delete(accounts).where(a.id == number))


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_would_be_counted(both: AccountsDatabase, steps: Any) -> None:
    play(both, steps)
    told = Told(both)
    for kind in ("notice", "reminder"):
        for wanted in (ALL, Wanted(), Wanted("123.com", department="Sales"), Wanted("123.com", department="")):
            numbers = [one.id for one in Overview(both).each(wanted)]
            counted = told.tally(wanted, kind, since=1)  # all of them, and of what was noted
            assert told.tally(wanted, kind) == counted
            assert told.tally(wanted, kind, numbers=numbers or [-1]) == counted
            for standing in (Standing.SENT, Standing.UNKNOWN, Standing.REFUSED):
                found = told.page(wanted, kind, standing, 10)
                assert len(found) == getattr(counted, standing.value)
                each = {one.account.id: one for one in Notices(both).of([one.account for one in found], kind)}
                assert all(each[one.account.id] == one for one in found)
                assert [one.account.local for one in found] == sorted(one.account.local for one in found)
                if found:
                    last = (found[0].account.domain, found[0].account.local)
                    assert told.page(wanted, kind, standing, 10, behind=last) == found[1:]


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_a_migration_makes(both: AccountsDatabase, steps: Any) -> None:
    play(both, steps)
    f = notice_figures.c
    names = (f.domain, f.department, f.kind, f.standing)
    figures = select(*names, func.sum(f.accounts)).group_by(*names).having(func.sum(f.accounts) != 0)
    with both.write() as connection:
        before = [set(connection.execute(each).all()) for each in (select(notice_standings), figures)]
        connection.execute(delete(notice_standings))
        connection.execute(delete(notice_figures))
        connection.exec_driver_sql(notice_counters.FILL[0])
        connection.execute(delete(notice_figures))
        connection.exec_driver_sql(notice_counters.FILL[1])
        assert [set(connection.execute(each).all()) for each in (select(notice_standings), figures)] == before
