"""Who has had which notice."""

from __future__ import annotations

import pytest

from mailstore import notices as module
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.notices import Choice, Notices, Recipient, Standing
from tests.postgres.accounts import BOTH

DATABASES = BOTH

NOW = 1_700_000_000
ALL = Choice("123.com")


class Rig:
    def __init__(self, database: AccountsDatabase) -> None:
        self.database = database
        self.accounts = Accounts(self.database)
        self.now = float(NOW)
        self.notices = Notices(self.database, lambda: self.now)
        self.id = self.accounts.add("li", "123.com").id

    def begin(self, known: int | None = None, kind: str = "notice") -> int | None:
        return self.notices.begin(self.id, kind, "li@123.com", self.notices.mark() if known is None else known)

    def certain(self) -> int:
        number = self.begin()
        assert number is not None
        return number

    def found(self, kind: str = "notice", since: int = 0) -> Recipient:
        (recipient,) = self.notices.recipients(ALL, kind, since)
        return recipient


@pytest.fixture
def rig(database: AccountsDatabase) -> Rig:
    return Rig(database)


def test_from_nothing_to_sent(rig: Rig) -> None:
    assert rig.found().standing is Standing.NONE
    number = rig.certain()
    assert rig.found().standing is Standing.UNKNOWN
    rig.now += 5
    rig.notices.sent(number)
    assert (rig.found().standing, rig.found().sent) == (Standing.SENT, NOW + 5)
    assert rig.found("reminder").standing is Standing.NONE
    assert rig.found(since=NOW + 1).standing is Standing.NONE


def test_a_refusal_has_the_last_words_and_a_later_success_outweighs_it(rig: Rig) -> None:
    rig.notices.refused(rig.certain(), "550 no")
    rig.notices.refused(rig.certain(), "")
    assert (rig.found().standing, rig.found().refusal) == (Standing.REFUSED, "no reason is known")
    rig.notices.sent(rig.certain())
    assert (rig.found().standing, rig.found().refusal) == (Standing.SENT, "")


def test_an_unknown_end_stays_one_behind_a_refusal(rig: Rig) -> None:
    rig.certain()
    rig.notices.refused(rig.certain(), "550 no")
    assert rig.found().standing is Standing.UNKNOWN


def test_what_another_run_has_begun_since_is_not_begun_again(rig: Rig) -> None:
    known = rig.notices.mark()
    other = rig.certain()
    assert rig.begin(known) is None
    rig.notices.refused(other, "451 later")
    assert rig.begin(known) is not None
    assert rig.begin(known, kind="reminder") is not None


def test_all_pages_in_order_by_department_and_name(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for name in ("anna", "zoe", "wang", "bob"):
        rig.accounts.add(name, "123.com")
    rig.accounts.add("anna", "456.com")
    names = [one.account.local for one in rig.notices.recipients(ALL, "notice")]
    assert names == ["anna", "bob", "li", "wang", "zoe"]
    chosen = Choice("123.com", names=["zoe", "anna", "nobody"])
    assert [one.account.local for one in rig.notices.recipients(chosen, "notice")] == ["anna", "zoe"]
    rig.accounts.logged_in(rig.id)
    assert len(list(rig.notices.recipients(Choice("123.com", newcomers=True), "notice"))) == 4
