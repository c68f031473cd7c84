"""What an administrator's list changes here, and what it never touches."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview, Wanted
from mailstore.people import People
from mailstore.roster import FIELDS, Clashes, Comparison, Entry, Roster
from mailstore.schema import accounts
from mailstore.secrets import KEY_OCTETS, Sealer
from tests.postgres.accounts import BOTH

DATABASES = BOTH

NOW = 1_700_000_000
SEALER = Sealer(b"k" * KEY_OCTETS)


class Store:
    """A database, and short ways to what is in it."""

    def __init__(self, database: AccountsDatabase) -> None:
        self.database = database
        self.accounts = Accounts(self.database, clock=lambda: NOW)
        self.roster = Roster(self.database, lambda local, _domain: local, SEALER, clock=lambda: NOW)
        self.people = People(self.database)

    def enrol(self, *entries: Entry, fields: tuple[str, ...] = FIELDS) -> Comparison:
        return self.roster.enrol({entry.address: entry for entry in entries}, fields)

    def compare(self, *entries: Entry, fields: tuple[str, ...] = FIELDS) -> Comparison:
        return self.roster.compare({entry.address: entry for entry in entries}, fields)

    def account(self, local: str, domain: str = "123.com") -> Account:
        found = self.accounts.find(local, domain)
        assert found is not None
        return found

    def password(self, local: str) -> bytes | None:
        account = self.account(local)
        return None if account.sealed_password is None else SEALER.open(account.name, account.sealed_password)


@pytest.fixture
def store(database: AccountsDatabase) -> Store:
    return Store(database)


ZHANG = Entry("zhang", "123.com", "张伟", "研发部/前端", 500, "w.zhang", (("boss", "123.com"),), b"geheim")
LI = Entry("li", "123.com", "李娜")


def test_new_accounts_wait_with_all_that_the_list_says(store: Store) -> None:
    found = store.enrol(ZHANG, LI)
    assert (found.new, found.changed, found.same) == ([ZHANG, LI], [], [])
    zhang = store.account("zhang")
    assert (zhang.state, zhang.full_name, zhang.department, zhang.quota, zhang.legacy_login, zhang.enrolled) == (
        State.WAITING,
        "张伟",
        "研发部/前端",
        500,
        "w.zhang",
        NOW,
    )
    assert (store.password("zhang"), zhang.password_state) == (b"geheim", PasswordState.UNTRIED)
    assert (store.password("li"), store.account("li").password_state) == (None, PasswordState.KNOWN)
    assert store.people.aliases(zhang.id) == ("boss@123.com",)
    assert (store.accounts.owner("boss", "123.com"), store.accounts.owner("li", "123.com")) == (
        ("zhang", "123.com"),
        None,
    )
    assert b"geheim" not in repr(ZHANG).encode()


def test_the_same_list_again_changes_nothing(store: Store) -> None:
    store.enrol(ZHANG, LI)
    found = store.enrol(ZHANG, LI)
    assert (found.new, found.changed, len(found.same)) == ([], [], 2)


def test_only_what_differs_is_changed(store: Store) -> None:
    store.enrol(ZHANG, LI)
    later = Entry("zhang", "123.com", "张伟", "市场部", None, "w.zhang", (("zw", "123.com"),))
    shown = store.compare(later, LI)
    assert store.account("zhang").department == "研发部/前端"
    done = store.enrol(later, LI)
    assert done == shown
    (changed,) = done.changed
    assert [(d.field, d.before, d.now) for d in changed.differences] == [
        ("department", "研发部/前端", "市场部"),
        ("quota", 500, None),
        ("aliases", (("boss", "123.com"),), (("zw", "123.com"),)),
    ]
    zhang = store.account("zhang")
    assert (zhang.department, zhang.quota, store.people.aliases(zhang.id)) == ("市场部", None, ("zw@123.com",))
    assert store.password("zhang") == b"geheim"  # the list gave none


def test_what_the_list_has_no_column_for_stays(store: Store) -> None:
    store.enrol(ZHANG)
    found = store.enrol(Entry("zhang", "123.com", "张大伟"), fields=("full_name",))
    assert [d.field for d in found.changed[0].differences] == ["full_name"]
    zhang = store.account("zhang")
    assert (zhang.full_name, zhang.department, zhang.quota) == ("张大伟", "研发部/前端", 500)
    assert store.people.aliases(zhang.id) == ("boss@123.com",)


def test_states_and_passwords_that_the_legacy_server_took_stay(store: Store) -> None:
    sealed = SEALER.seal("zhang@123.com", b"the user's")
    account = store.accounts.admit("zhang", "123.com", sealed, "hash")
    store.accounts.moved(account.id)
    before = store.account("zhang")
    found = store.enrol(ZHANG)
    assert found.passwords_kept == 1
    after = store.account("zhang")
    assert (after.state, after.password_hash, after.refreshed) == (State.MOVED, "hash", before.refreshed)
    assert (store.password("zhang"), after.password_state) == (b"the user's", PasswordState.KNOWN)
    assert after.department == "研发部/前端"


def test_a_password_that_was_refused_is_not_given_a_second_time_but_another_one_is(store: Store) -> None:
    store.enrol(ZHANG)
    number = store.account("zhang").id
    store.accounts.password_rejected(number, "no")
    assert store.enrol(ZHANG).changed == []
    assert store.account("zhang").password_state is PasswordState.REJECTED
    other = Entry("zhang", "123.com", "张伟", "研发部/前端", 500, "w.zhang", (("boss", "123.com"),), b"another")
    assert [d.field for d in store.enrol(other).changed[0].differences] == ["password"]
    assert (store.password("zhang"), store.account("zhang").password_state) == (b"another", PasswordState.UNTRIED)


def test_those_who_are_not_in_the_list_are_told_of_and_left(store: Store) -> None:
    store.enrol(LI)
    store.accounts.add("came", "123.com")
    store.accounts.add("other", "456.com")
    found = store.enrol(ZHANG)
    assert [(a.name, a.state, a.enrolled) for a in found.absent] == [
        ("came@123.com", State.WAITING, False),
        ("li@123.com", State.WAITING, True),
    ]
    assert store.account("li").full_name == "李娜"


def test_many_pages(store: Store) -> None:
    many = [Entry(f"u{number:04}", "123.com", aliases=((f"a{number:04}", "123.com"),)) for number in range(2_345)]
    assert len(store.enrol(*many).new) == 2_345
    assert len(store.enrol(*many[:-1]).same) == 2_344
    assert [a.name for a in store.compare(*many[:-1]).absent] == ["u2344@123.com"]
    assert [p.account.local for p in store.people.each(Wanted())] == [entry.local for entry in many]


def test_aliases_may_go_from_one_account_to_another(store: Store) -> None:
    a, b = ("a", "123.com"), ("b", "123.com")
    store.enrol(Entry("x", "123.com", aliases=(a,)), Entry("y", "123.com", aliases=(b,)))
    store.enrol(Entry("x", "123.com", aliases=(b,)), Entry("y", "123.com"), Entry("z", "123.com", aliases=(a,)))
    assert (store.accounts.owner(*a), store.accounts.owner(*b)) == (("z", "123.com"), ("x", "123.com"))


@pytest.mark.parametrize(
    ("entry", "fields", "why"),
    [
        (Entry("new", "123.com", aliases=(("li", "123.com"),)), FIELDS, "li is an account here"),
        (Entry("new", "123.com", aliases=(("boss", "123.com"),)), FIELDS, "boss is an alias of zhang@123.com here"),
        (Entry("boss", "123.com"), FIELDS, "boss is an alias of zhang@123.com here"),
        (Entry("boss", "123.com"), ("full_name",), "boss is an alias of zhang@123.com here"),
        (
            Entry("new", "123.com", legacy_login="W.Zhang"),
            FIELDS,
            'new is called "W.Zhang" at the legacy server, as zhang@123.com is here',
        ),
    ],
)
def test_a_name_is_never_two_accounts(store: Store, entry: Entry, fields: tuple[str, ...], why: str) -> None:
    store.enrol(ZHANG, LI)
    assert [f"{clash.address[0]} {clash.why}" for clash in store.compare(entry, fields=fields).clashes] == [why]
    with pytest.raises(Clashes):
        store.enrol(Entry("innocent", "123.com"), entry, fields=fields)
    assert store.accounts.find("innocent", "123.com") is None


def test_an_account_s_name_counts_before_an_alias_that_is_the_same(store: Store) -> None:
    store.enrol(ZHANG)
    store.accounts.add("boss", "123.com")  # by a login, before aliases were asked for
    assert store.accounts.owner("boss", "123.com") is None


def test_an_administrator_may_name_an_account_by_its_alias(store: Store) -> None:
    store.enrol(ZHANG, LI)
    for local, expected in (("zhang", "zhang@123.com"), ("boss", "zhang@123.com"), ("nobody", None)):
        found = store.accounts.known_as(local, "123.com")
        assert (None if found is None else found.name) == expected


def test_whom_an_administrator_looks_for(store: Store) -> None:
    store.enrol(ZHANG, LI, Entry("wang", "456.com", "Wang 100%", "研发部"), Entry("chen", "123.com", "", "研发部二"))

    def names(**sought: object) -> list[str]:
        wanted = Wanted(**sought)  # type: ignore[arg-type]
        found = [person.account.local for person in store.people.each(wanted)]
        assert Overview(store.database).count(wanted) == len(found)
        return found

    assert names() == ["chen", "li", "zhang", "wang"]
    assert names(domain="123.com") == ["chen", "li", "zhang"]
    assert names(department="研发部") == ["zhang", "wang"]
    assert names(department="") == ["li"]
    assert names(state=State.MOVED) == []
    assert names(words="BOSS") == ["zhang"]
    assert names(words="研发 wang") == ["wang"]
    assert names(words="100%") == ["wang"]
    assert names(words="_") == []


def test_departments_with_their_counts(store: Store) -> None:
    store.enrol(ZHANG, LI)
    store.accounts.moved(store.accounts.admit("zhang", "123.com", b"sealed").id)
    departments = Overview(store.database).departments("123.com")
    found = [("123.com", path, d.accounts, d.waiting, d.moved + d.final) for path, d in sorted(departments.items())]
    assert found == [("123.com", "", 1, 1, 0), ("123.com", "研发部/前端", 1, 0, 1)]
    assert Overview(store.database).departments("456.com") == {}


def test_what_is_asked_at_each_login(store: Store) -> None:
    store.enrol(ZHANG, LI, Entry("big", "123.com", quota=0))
    assert store.accounts.legacy_login("zhang", "123.com") == "w.zhang"
    assert (store.accounts.legacy_login("li", "123.com"), store.accounts.legacy_login("nobody", "123.com")) == ("", "")
    quotas = [store.accounts.quota(name, "123.com") for name in ("zhang", "li", "big", "nobody")]
    assert quotas == [500, None, 0, None]


def test_a_password_that_an_administrator_gives(store: Store) -> None:
    account = store.accounts.admit("zhang", "123.com", b"sealed", "hash")
    store.accounts.moved(account.id)
    store.accounts.password_rejected(account.id, "the legacy server no longer takes the password")
    store.accounts.password_given(account.id, b"another")
    after = store.account("zhang")
    assert (after.sealed_password, after.password_state, after.reason, after.due) == (
        b"another",
        PasswordState.UNTRIED,
        "",
        NOW,
    )
    waiting = store.accounts.add("li", "123.com")
    store.accounts.password_given(waiting.id, b"sealed")
    assert store.account("li").due is None


def test_a_final_account_gets_no_sealed_password(store: Store) -> None:
    from sqlalchemy import update

    from mailstore.schema import accounts

    store.accounts.add("zhang", "123.com")
    with store.database.write() as connection:
        connection.execute(update(accounts).values(state=State.FINAL))
    assert store.enrol(ZHANG).passwords_kept == 1
    store.accounts.password_given(store.account("zhang").id, b"sealed")
    assert store.account("zhang").sealed_password is None


def test_two_accounts_are_not_one_at_the_legacy_server(store: Store) -> None:
    """What an account is called there by itself is its legacy login as well."""
    store.enrol(Entry("li", "123.com"), Entry("na", "123.com", legacy_login="na.li"))
    by_form = store.compare(Entry("wang", "123.com", legacy_login="LI"))
    assert [(c.address, c.why) for c in by_form.clashes] == [
        (("wang", "123.com"), 'is called "LI" at the legacy server, as li@123.com is here')
    ]
    of_its_own = store.compare(Entry("na.li", "123.com"), fields=("full_name",))
    assert [c.why for c in of_its_own.clashes] == ['is called "na.li" at the legacy server, as na@123.com is here']
    both_new = store.compare(Entry("zhao", "123.com"), Entry("chen", "123.com", legacy_login="zhao"))
    assert [c.address[0] for c in both_new.clashes] == ["chen"]
    with pytest.raises(Clashes):
        store.enrol(Entry("wang", "123.com", legacy_login="li"))


def test_legacy_logins_may_change_places(store: Store) -> None:
    store.enrol(Entry("li", "123.com", legacy_login="x"), Entry("na", "123.com", legacy_login="y"))
    assert not store.compare(Entry("li", "123.com", legacy_login="y"), Entry("na", "123.com", legacy_login="x")).clashes
    assert not store.compare(
        Entry("li", "123.com", legacy_login="z"), Entry("wang", "123.com", legacy_login="x")
    ).clashes


def test_two_that_are_one_already_are_left_so(store: Store) -> None:
    store.enrol(Entry("li", "123.com"))
    store.enrol(Entry("na", "123.com", legacy_login="x"))
    with store.database.write() as connection:
        connection.execute(update(accounts).where(accounts.c.local == "na").values(legacy_login="li"))
    same = Entry("li", "123.com", "Li"), Entry("na", "123.com", "Na", legacy_login="li")
    assert not store.compare(*same).clashes
