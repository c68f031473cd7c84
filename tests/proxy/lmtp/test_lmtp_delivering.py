"""Who takes mail, who does not, and what is said; and mail that comes before, during and after a move."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import update
from twisted.internet.defer import Deferred

from mailstore import schema
from mailstore.custody import Note, Step, end_note, write_note
from mailstore.errors import DiskFull, StorageFailed
from mailstore.mailhome import MailHome
from mailstore.overview import Overview
from tests.proxy.lmtp.lmtp_rig import Desk, answers, ask, mail

UTF8 = b"MAIL FROM:<> SMTPUTF8"


def told(desk: Desk, address: str, sender: bytes = UTF8) -> bytes:
    said = ask(desk.ready(), sender, f"RCPT TO:{address}".encode())
    return said[-1]


def text(message: bytes) -> bytes:
    return message.partition(b"+0000\r\n")[2]


@pytest.mark.parametrize(
    "address",
    [
        "<anna@123.com>", "<ANNA@123.Com>", '<"anna"@123.com>', "<anna@123.com.>", "<@old.com:anna@123.com>",
        "<o'neil@123.com>", "<用户@邮局.com>", "<用户@xn--nyqx52g.com>", "<li@open.com>", "<li+x@open.com>",
        "<anna+Lists@123.com>", "<anna+@123.com>", "<a+b@123.com>", "<a+b+c@123.com>", "<boss@123.com>",
        "<boss+x@123.com>",
    ],
)  # fmt: skip
def test_who_takes_mail(desk: Desk, address: str) -> None:
    desk.alias("boss@123.com", "bob@123.com")
    said = told(desk, address)
    if "a+b+c" in address:  # the account a+b is not the user a
        assert said.startswith(b"550 5.1.1")
    elif "xn--" in address and desk.config.domains["邮局.com"].ascii_name != "xn--nyqx52g.com":
        assert told(desk, f"<用户@{desk.config.domains['邮局.com'].ascii_name}>") == b"250 2.1.5 ok"
    else:
        assert said == b"250 2.1.5 ok"


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("<nobody@123.com>", b"550 5.1.1"),
        ("<+anna@123.com>", b"550 5.1.1"),
        ("<nobody+anna@123.com>", b"550 5.1.1"),
        ("<a@123.com>", b"550 5.1.1"),
        ('<""@123.com>', b"550 5.1.1"),
        ('<"an na"@123.com>', b"550 5.1.1"),
        ('<"../anna"@123.com>', b"550 5.1.1"),
        ("<postmaster>", b"550 5.1.1"),
        ("<nobody@open.com>", b"450 4.2.1"),
        ("<anna@other.com>", b"550 5.1.2"),
        ("<anna@[127.0.0.1]>", b"550 5.1.2"),
        ("<anna@mail.123.com>", b"550 5.1.2"),
        ("<anna@123.com.example>", b"550 5.1.2"),
    ],
)
def test_who_does_not(desk: Desk, address: str, reply: bytes) -> None:
    before = Overview(desk.database).domains()
    assert told(desk, address).startswith(reply)
    assert Overview(desk.database).domains() == before  # nothing is made for a name that a stranger writes
    assert not list(desk.config.state.glob("mail/**"))


def test_postmaster(desk: Desk) -> None:
    desk.alias("postmaster@123.com", "bob@123.com")
    channel = desk.ready()
    said = ask(channel, b"MAIL FROM:<>", b"RCPT TO:<POSTMASTER>", b"DATA", b"help\r\n.")
    assert said[-1].startswith(b"250 ")
    assert len(desk.inbox("bob@123.com")) == 1


def test_before_the_move_it_is_hidden_and_afterwards_there_at_once(desk: Desk) -> None:
    channel = desk.ready()
    channel.send(mail(b"before\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")
    home = desk.home("anna@123.com")
    assert home.select("INBOX", writable=False).uids.tolist() == []
    assert [each for each in desk.told if each[1]] == []
    home.carried_over()
    desk.accounts.moved(desk.account("anna@123.com").id)
    channel.send(mail(b"after\r\n", "anna@123.com"))
    assert home.select("INBOX", writable=False).uids.tolist() == [1, 2]
    home.close()
    assert [each for each in desk.told if each[1]] == [(desk.account("anna@123.com").id, 1)]
    assert [text(each) for each in desk.inbox("anna@123.com")] == [b"before\r\n", b"after\r\n"]
    assert desk.arrivals() == {("123.com", "stored"): 2}


def test_whatever_the_accounts_state(desk: Desk) -> None:
    anna, bob = desk.account("anna@123.com"), desk.account("bob@123.com")
    desk.accounts.moved(anna.id)
    table = schema.accounts
    with desk.database.write() as connection:
        connection.execute(update(table).where(table.c.id == anna.id).values(state="blocked"))
        connection.execute(update(table).where(table.c.id == bob.id).values(state="final", paused=1))
    desk.ready().send(mail(b"x\r\n", "anna@123.com", "bob@123.com"))
    for name in ("anna@123.com", "bob@123.com"):
        home = desk.home(name)
        assert len(home.select("INBOX", writable=False).uids) == 1  # nobody had to look
        home.close()


def test_folders(desk: Desk) -> None:
    desk.moved()
    home = desk.home("anna@123.com")
    home.create("Lists")
    home.close()
    channel = desk.ready()
    channel.send(mail(b"x\r\n", "anna+lists@123.com", "anna+nothing@123.com", "anna+LISTS@123.com", "anna@123.com"))
    assert [line[:3] for line in answers(channel)[-4:]] == [b"250"] * 4
    assert len(desk.inbox("anna@123.com", "Lists")) == 2
    assert len(desk.inbox("anna@123.com")) == 2
    channel.send(mail(b"once\r\n", "bob@123.com", "BOB@123.com", '"bob"@123.com'))
    assert [line[:3] for line in answers(channel)[-3:]] == [b"250"] * 3
    assert len(desk.inbox("bob@123.com")) == 1


def test_a_quota_refuses_for_now_at_rcpt_and_behind_the_message(desk: Desk) -> None:
    """The domain 邮局.com has 1 MB for each; the message limit is 200,000 octets."""
    desk.moved()
    channel = desk.ready()
    whole = mail(b"x" * 190_000, "用户@邮局.com", sender="<> SMTPUTF8")
    for _ in range(5):
        channel.send(whole)
        assert answers(channel)[-1].startswith(b"250 ")
    channel.send(whole)
    assert answers(channel)[-1] == b"452 4.2.2 the mailbox is full"
    assert told(desk, "<用户@邮局.com>", UTF8 + b" SIZE=190000") == b"452 4.2.2 the mailbox is full"
    assert told(desk, "<用户@邮局.com>", UTF8 + b" SIZE=1000") == b"250 2.1.5 ok"
    assert len(desk.inbox("用户@邮局.com")) == 5
    assert desk.arrivals() == {("邮局.com", "stored"): 5, ("邮局.com", "over-quota"): 2}


def test_what_comes_at_the_same_moment_is_stored_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.moved()
    calls: list[int] = []
    lay = MailHome.lay

    def counted(home: MailHome, arrivals: list[object], *, whole: bool) -> object:
        calls.append(len(arrivals))
        return lay(home, arrivals, whole=whole)  # type: ignore[arg-type]

    monkeypatch.setattr(MailHome, "lay", counted)
    desk.counter.gate = Deferred()
    channels = [desk.ready() for _ in range(6)]
    for n, channel in enumerate(channels):
        channel.send(mail(b"%d\r\n" % n, "anna@123.com"))
        assert answers(channel)[-1].startswith(b"354")
    gate, desk.counter.gate = desk.counter.gate, None
    gate.callback(None)
    for channel in channels:
        channel.settle()
        assert answers(channel)[0].startswith(b"250 ")
    assert calls == [1, 5]
    assert [text(each) for each in desk.inbox("anna@123.com")] == [b"%d\r\n" % n for n in range(6)]


@pytest.mark.parametrize("step", ["lay", "show_laid"])
@pytest.mark.parametrize(
    ("trouble", "reply"),
    [(DiskFull("the disk refused"), b"452 4.3.1"), (StorageFailed("the database refused"), b"451 4.3.0")],
)
def test_what_the_disk_refuses_stays_with_the_sender(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, trouble: Exception, reply: bytes, step: str
) -> None:
    desk.moved()

    def refuse(*_: object, **__: object) -> None:
        raise trouble

    channel = desk.ready()
    with monkeypatch.context() as patch:
        patch.setattr(MailHome, step, refuse)
        channel.send(mail(b"x\r\n", "anna@123.com"))
        assert answers(channel)[-1].startswith(reply)
    channel.send(mail(b"x\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")
    assert len(desk.inbox("anna@123.com")) == 1
    assert desk.arrivals() == {("123.com", "failed"): 1, ("123.com", "stored"): 1}


def test_an_accounts_database_that_cannot_be_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageFailed("the database refused: database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(desk.accounts, "known_as", refuse)
        assert told(desk, "<anna@123.com>") == b"451 4.3.0 the mailbox cannot be written to now"
    assert told(desk, "<anna@123.com>") == b"250 2.1.5 ok"


def test_an_account_that_goes_between_its_name_and_the_message(desk: Desk) -> None:
    channel = desk.ready()
    ask(channel, b"MAIL FROM:<>", b"RCPT TO:<anna@123.com>", b"RCPT TO:<bob@123.com>", b"DATA")
    with sqlite3.connect(desk.config.accounts_file) as connection:
        connection.execute("DELETE FROM accounts WHERE local = 'anna'")
    connection.close()
    assert [line[:9] for line in ask(channel, b"x", b".")] == [b"451 4.3.0", b"250 2.0.0"]


def test_who_was_handed_over_to_another_server(desk: Desk) -> None:
    """Mail for him is not lost where Postfix has not been told yet: it comes again."""
    maildir, channel = desk.config.maildir_for("anna", "123.com"), desk.ready()
    maildir.parent.mkdir(parents=True)
    write_note(maildir, Note(Step.GONE, 1, "final", ""))
    channel.send(mail(b"x\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"451 4.3.0")
    assert not maildir.exists()
    end_note(maildir)
    channel.send(mail(b"x\r\n", "anna@123.com"))
    assert answers(channel)[-1].startswith(b"250 ")
