"""What the accounts of a filter have had, counted and listed by the database: the same as account by account."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Choice, Notices, Standing
from mailstore.overview import Wanted
from mailstore.schema import accounts
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


def test_those_of_a_standing_page_by_page(rig: Rig) -> None:
    def names(standing: Standing, limit: int = 10, behind: tuple[str, str] = ("", "")) -> list[tuple[str, str]]:
        found = rig.told.page(ALL, "notice", standing, limit, behind=behind)
        return [(one.account.local, one.refusal) for one in found]

    assert names(Standing.REFUSED) == [("c", "550 last")]
    assert names(Standing.UNKNOWN) == [("d", "")]
    assert names(Standing.SENT, 2) == [("a", ""), ("b", "")]
    assert names(Standing.SENT, 2, ("123.com", "b")) == [("e", "")]
    assert [one.sent for one in rig.told.page(ALL, "notice", Standing.SENT, 1)] == [1_000]
