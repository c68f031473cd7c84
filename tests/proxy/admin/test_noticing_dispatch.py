"""Notices and reminders that are sent in the background: each once, whoever asks twice, whatever ends in the middle."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Notices
from mailstore.overview import Overview, Wanted
from mailstore.schema import accounts, notices
from proxy.admin.noticing.dispatch import Busy, Dispatch
from proxy.admin.noticing.orders import Order
from proxy.admin.noticing.planning import Plan, foresee, missing, plan
from proxy.admin.noticing.texts import Kind
from proxy.config import Config, parse
from tests.proxy.admin.relay import Relay

NAMES = ("anna", "bo", "chen")


class Rig:
    """Three who have not logged in, one who has, one who is final."""

    def __init__(self, root: Path, relay: Relay) -> None:
        self.root = root
        self.relay = relay
        self.config = self.configured()
        self.database = AccountsDatabase(root / "accounts.db")
        self.lines: list[dict[str, Any]] = []
        with self.database.write() as connection:
            for local in (*NAMES, "seen", "over"):
                values = {"domain": "123.com", "local": local, "state": State.WAITING, "created": 1}
                values |= {"last_login": 5} if local == "seen" else {}
                values |= {"state": State.FINAL} if local == "over" else {}
                connection.execute(insert(accounts).values(**values))
        self.dispatch = self.daemon()

    def configured(self, *, complete: bool = True, templates: Path | None = None) -> Config:
        notices_ = f'[notices]\nrelay = "{self.relay.address}"\nrate = 100000\n'
        notices_ += 'sender = "help@123.com"\n' if complete else ""
        notices_ += f'templates = "{templates}"\n' if templates is not None else ""
        contact = 'contact = "the help desk"' if complete else ""
        return parse(
            f'hostname = "mail.123.com"\nstate = "{self.root}"\n[listen]\nimap = ["tcp:143"]\n{notices_}'
            f'[domain."123.com"]\n{contact}\n[domain."123.com".legacy]\nhost = "old.123.com"\n'.encode()
        )

    def daemon(self) -> Dispatch:
        """As after a start."""
        return Dispatch(self.config, self.database, lambda event, **about: self.lines.append({"event": event, **about}))

    def people(self) -> list[Account]:
        return list(Overview(self.database).each(Wanted("123.com")))

    def plan(self, *, kind: Kind = "reminder", since: int = 0, again: bool = False) -> Plan:
        return plan(self.config, self.database, self.people(), kind=kind, since=since, again=again)

    def order(self, found: Plan | None = None, **more: Any) -> Order:
        found = found or self.plan()
        usual: dict[str, Any] = {"by": "anna", "languages": ("en",), "date": "", "since": 0, "again": False}
        return Order(accounts=found.numbers, mark=found.mark, **(usual | more))

    def run(self, order: Order) -> None:
        self.dispatch.begin(order)
        self.wait()

    def wait(self) -> None:
        thread = self.dispatch._thread
        assert thread is not None
        thread.join(30)
        assert not self.dispatch.under_way

    def reached(self) -> list[str]:
        return [address.partition("@")[0] for address in self.relay.recipients]

    def rows(self) -> Sequence[Any]:
        with self.database.read() as connection:
            return connection.execute(select(notices).order_by(notices.c.id)).all()

    @property
    def file(self) -> Path:
        return self.root / "reminders.json"


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path, relay: Relay) -> Iterator[Rig]:
    made = Rig(tmp_path, relay)
    yield made
    made.dispatch.end()
    relay.go.set()
    made.dispatch.ended()
    made.database.close()


def test_those_who_have_not_logged_in_are_reminded_once(rig: Rig) -> None:
    found = rig.plan()
    assert [one.local for one in found.first] == list(NAMES)
    assert found.passed_over == 2
    rig.run(rig.order(found))
    assert rig.reached() == list(NAMES)
    progress = rig.dispatch.progress
    assert progress is not None
    assert (progress.wanted, progress.sent, progress.left, progress.why) == (3, 3, 0, "")
    assert progress.ended is not None and not rig.file.exists()
    assert rig.lines == [
        {"event": "reminders", "by": "anna", "sent": 3, "refused": 0, "unknown": 0, "left": 0, "stopped": ""}
    ]
    assert {row.kind for row in rig.rows()} == {"reminder"}
    assert rig.plan().numbers == [] and rig.plan().had == 3


def test_the_same_order_given_twice_reaches_nobody_twice(rig: Rig) -> None:
    order = rig.order(again=True)
    rig.run(order)
    rig.run(order)
    assert rig.reached() == list(NAMES)
    assert rig.dispatch.progress is not None
    assert (rig.dispatch.progress.sent, rig.dispatch.progress.wanted) == (0, 0)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_foreseen_of_a_domain_is_what_is_planned(
    rig: Rig, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some who have had it, one of whom that is not known, one who was refused, and one who is final."""
    kept, sent = Notices(rig.database), {}
    for person in rig.people():
        sent[person.local] = kept.begin(person.id, "notice", person.name, 0)
    for local in ("anna", "over"):
        kept.sent(sent[local] or 0)
    kept.refused(sent["bo"] or 0, "550 no")
    for looked_at in (500, 1):  # and where those are not among the first accounts
        monkeypatch.setattr("proxy.admin.noticing.planning._LOOKED_AT", looked_at)
        for wanted in (Wanted("123.com"), Wanted("123.com", department="")):
            planned = rig.plan(kind="notice", again=again)
            assert planned.count == len(planned.numbers) == (4 if again else 1)
            foreseen = foresee(rig.database, wanted, again=again)
            if looked_at == 500:
                assert foreseen == replace(planned, numbers=[])
            else:
                assert replace(foreseen, first=[], domains=set()) == replace(
                    planned, numbers=[], first=[], domains=set()
                )
    assert foresee(rig.database, Wanted("123.com", department="Sales"), again=again).count == 0


def test_again_is_for_those_who_have_had_it(rig: Rig) -> None:
    rig.run(rig.order())
    found = rig.plan(again=True)
    assert len(found.numbers) == 3
    rig.run(rig.order(found, again=True))
    assert rig.reached() == [*NAMES, *NAMES]


def test_what_was_sent_long_ago_does_not_count(rig: Rig) -> None:
    rig.run(rig.order())
    with rig.database.write() as connection:
        connection.execute(update(notices).values(begun=1_000, sent=1_000))
    found = rig.plan(since=2_000)
    assert len(found.numbers) == 3
    rig.run(rig.order(found, since=2_000))
    assert rig.reached() == [*NAMES, *NAMES]


def test_one_order_at_a_time(rig: Rig, relay: Relay) -> None:
    relay.say("DATA", "hold")
    order = rig.order()
    rig.dispatch.begin(order)
    assert relay.held.wait(30)
    with pytest.raises(Busy):
        rig.dispatch.begin(order)
    relay.go.set()
    rig.wait()
    assert sorted(rig.reached()) == sorted(NAMES)


def test_an_order_is_in_a_file_that_nobody_else_may_read(rig: Rig, relay: Relay) -> None:
    relay.say("DATA", "hold")
    rig.dispatch.begin(rig.order(date="2999-12-05"))
    assert relay.held.wait(30)
    assert stat.S_IMODE(rig.file.stat().st_mode) == 0o600
    assert json.loads(rig.file.read_text())["date"] == "2999-12-05"
    relay.go.set()
    rig.wait()


def test_a_daemon_that_stops_goes_on_when_it_starts(rig: Rig, relay: Relay) -> None:
    relay.say("bo@123.com", "hold")
    rig.dispatch.begin(rig.order(again=True))
    assert relay.held.wait(30)
    rig.dispatch.end()
    relay.go.set()
    rig.dispatch.ended()
    assert rig.reached() == ["anna"] and rig.file.exists()
    rig.dispatch = rig.daemon()
    rig.dispatch.resume()
    rig.wait()
    assert rig.reached() == list(NAMES)
    assert rig.dispatch.progress is not None and rig.dispatch.progress.resumed
    assert not rig.file.exists()
    rig.daemon().resume()
    assert rig.reached() == list(NAMES)


def test_a_daemon_that_was_killed_leaves_the_message_under_way_to_a_person(rig: Rig, relay: Relay) -> None:
    order = rig.order(again=True)
    rig.dispatch.begin(order)
    rig.wait()
    with rig.database.write() as connection:  # as if it had been killed behind the second message
        connection.execute(update(notices).where(notices.c.id == 2).values(sent=None))
        connection.execute(notices.delete().where(notices.c.id == 3))
    rig.file.write_text(json.dumps({**vars_of(order), "accounts": list(order.accounts)}))
    rig.dispatch = rig.daemon()
    rig.dispatch.resume()
    rig.wait()
    assert rig.reached() == [*NAMES, "chen"]
    assert [row.sent is None for row in rig.rows()] == [False, True, False]


def vars_of(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__slots__}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"by": 1}', "\0"])
def test_an_order_that_cannot_be_read_is_none(rig: Rig, text: str) -> None:
    rig.file.write_text(text)
    rig.dispatch.resume()
    assert rig.dispatch.progress is None


def test_the_administrator_stops_it(rig: Rig, relay: Relay) -> None:
    relay.say("DATA", "hold")
    rig.dispatch.begin(rig.order())
    assert relay.held.wait(30)
    rig.dispatch.stop()
    relay.go.set()
    rig.wait()
    progress = rig.dispatch.progress
    assert progress is not None and progress.why and progress.left >= 2
    assert not rig.file.exists()  # nor does it go on by itself


def test_what_the_relay_refuses_is_told(rig: Rig, relay: Relay) -> None:
    relay.say("bo@123.com", "550 no such user \x1b[31m")
    rig.run(rig.order())
    progress = rig.dispatch.progress
    assert progress is not None and (progress.sent, progress.refused) == (2, 1)
    assert list(progress.troubles) == [("bo@123.com", "refused", "550 no such user  [31m")]


def test_nobody_is_sent_what_cannot_be_rendered(rig: Rig, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "reminder.en.txt").write_text("Subject: x\n\n{{ user.nothing }}\n")
    rig.config = rig.configured(templates=own)
    rig.dispatch = rig.daemon()
    rig.run(rig.order())
    assert rig.dispatch.progress is not None and "nothing" in rig.dispatch.progress.why
    assert rig.reached() == []


def test_no_relay(rig: Rig, relay: Relay) -> None:
    relay.close()
    rig.run(rig.order())
    assert rig.dispatch.progress is not None and rig.dispatch.progress.why
    assert rig.plan().numbers == rig.order().accounts  # they can be reminded later


def test_who_logs_in_meanwhile_is_left_alone(rig: Rig) -> None:
    order = rig.order()
    with rig.database.write() as connection:
        connection.execute(update(accounts).where(accounts.c.local == "bo").values(last_login=7))
    rig.run(order)
    assert rig.reached() == ["anna", "chen"]


def test_who_logs_in_while_others_are_reminded_is_left_alone(rig: Rig, relay: Relay, monkeypatch: Any) -> None:
    monkeypatch.setattr("mailstore.queue.BATCH", 1)  # accounts are read when their turn comes
    relay.say("anna@123.com", "hold")
    rig.dispatch.begin(rig.order())
    assert relay.held.wait(30)
    with rig.database.write() as connection:
        connection.execute(update(accounts).where(accounts.c.local == "chen").values(last_login=7))
    relay.go.set()
    rig.wait()
    assert rig.reached()[-1] == "bo" and "chen" not in rig.reached()
    progress = rig.dispatch.progress
    assert progress is not None and (progress.wanted, progress.left) == (2, 0)


def test_what_the_configuration_lacks(rig: Rig) -> None:
    assert missing(rig.config, ["123.com"]) == []
    assert [str(lack) for lack in missing(rig.configured(complete=False), ["123.com"])] == [
        "[notices] sender",
        '[domain."123.com"] contact',
    ]


def test_what_an_account_was_sent(rig: Rig) -> None:
    rig.run(rig.order())
    (account,) = [one for one in rig.people() if one.local == "bo"]
    (sent,) = Notices(rig.database).history(account.id, 10)
    assert (sent.kind, sent.address, sent.refusal) == ("reminder", "bo@123.com", "") and sent.sent
    assert Notices(rig.database).history(account.id, 0) == []


def test_nothing_is_begun_any_more_when_the_daemon_ends(rig: Rig) -> None:
    rig.dispatch.end()
    with pytest.raises(Busy):
        rig.dispatch.begin(rig.order())
    assert threading.active_count() >= 1 and rig.reached() == []


# Notices


def notice(rig: Rig, **more: Any) -> Order:
    return rig.order(rig.plan(kind="notice"), **{"kind": "notice", "domain": "123.com", "date": "2999-12-05", **more})


def test_a_notice_is_for_all_but_those_that_are_final(rig: Rig) -> None:
    rig.run(rig.order())
    rig.run(notice(rig))
    assert rig.reached() == [*NAMES, *NAMES, "seen"]
    assert [row.kind for row in rig.rows()] == ["reminder"] * 3 + ["notice"] * 4
    assert rig.lines[-1] | {"event": "notices", "sent": 4} == rig.lines[-1]
    first, second = rig.dispatch.of("reminder"), rig.dispatch.of("notice", "123.com")
    assert first is not None and second is not None and rig.dispatch.progress is second
    assert (first.sent, second.sent, rig.dispatch.of("notice", "456.com")) == (3, 4, None)
    assert "Thursday, 5 December 2999" in rig.relay.taken[-1].message["Subject"]


def test_whether_names_stay_is_in_the_order(rig: Rig) -> None:
    rig.run(notice(rig, same_names=True))
    assert all("Nothing that you would have to set" in one.message.get_content() for one in rig.relay.taken)


def test_a_notice_and_reminders_are_not_sent_at_the_same_time(rig: Rig, relay: Relay) -> None:
    relay.say("DATA", "hold")
    rig.dispatch.begin(rig.order())
    assert relay.held.wait(30)
    with pytest.raises(Busy):
        rig.dispatch.begin(notice(rig))
    relay.go.set()
    rig.wait()


def test_a_daemon_goes_on_with_a_notice_and_with_what_an_older_one_left(rig: Rig) -> None:
    rig.file.write_text(json.dumps(vars_of(notice(rig))))
    rig.dispatch.resume()
    rig.wait()
    assert [row.kind for row in rig.rows()] == ["notice"] * 4
    old = {name: value for name, value in vars_of(rig.order()).items() if name not in {"kind", "domain", "same_names"}}
    rig.file.write_text(json.dumps(old))
    rig.dispatch = rig.daemon()
    rig.dispatch.resume()
    rig.wait()
    assert [row.kind for row in rig.rows()][4:] == ["reminder"] * 3


def test_a_notice_whose_day_is_over_is_not_gone_on_with(rig: Rig) -> None:
    rig.file.write_text(json.dumps(vars_of(notice(rig, date="2020-12-05 20:00"))))
    rig.dispatch.resume()
    rig.wait()
    progress = rig.dispatch.progress
    assert progress is not None and progress.why == "2020-12-05 20:00 is over"
    assert rig.reached() == [] and not rig.file.exists()


def test_an_account_that_has_gone_is_left_out(rig: Rig, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstore.queue.BATCH", 1)
    relay.say("anna@123.com", "hold")
    rig.dispatch.begin(notice(rig))
    assert relay.held.wait(30)
    with rig.database.write() as connection:
        connection.execute(accounts.delete().where(accounts.c.local == "bo"))
    relay.go.set()
    rig.wait()
    progress = rig.dispatch.progress
    assert progress is not None and (progress.wanted, progress.left, progress.why) == (3, 0, "")


def test_nobody_is_left_who_was_ordered(rig: Rig) -> None:
    order = notice(rig)
    with rig.database.write() as connection:
        connection.execute(accounts.delete())
    rig.run(order)
    assert rig.dispatch.progress is not None and rig.dispatch.progress.why == ""


@pytest.mark.parametrize("values", [{"kind": "party"}, {"accounts": "all"}, {"more": 1}])
def test_an_order_of_another_kind_is_none(rig: Rig, values: dict[str, Any]) -> None:
    rig.file.write_text(json.dumps(vars_of(notice(rig)) | values))
    rig.dispatch.resume()
    assert rig.dispatch.progress is None
