"""The same mailboxes at every real legacy server there is, and what becomes of them at mailferry.

The measure is what the server itself gives out: each keeps some of what is odd and mends the rest, in its own way.

    server       order         UIDL                                         what it does to odd messages
    ------       -----         ----                                         ----------------------------
    Dovecot      file names    UIDVALIDITY and UID, kept in its index       ends the last line; bare LF becomes CRLF
    Courier      file names    a number kept in the Maildir                 the same; LIST does not count that line end
    Cyrus        UID           UIDVALIDITY.UID                              cuts lines off at NUL; keeps bare LF
    solid-pop3d  in the file   digest of the header: twins share one        a blank line more at the end of each
    popa3d       in the file   digest of a few header lines: twins share    a message without its blank line loses one
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from proxy.cli.demo_clients import Mail, differences
from proxy.cli.demo_mail import samples
from tests.dialogues.fixtures import letter
from tests.legacy.reading import by_lines, delete, octets
from tests.peers.crossing import Crossing
from tests.peers.mailboxes import over_imap, over_pop3

pytestmark = pytest.mark.peers
LETTERS = 6
HEADER = b"From: a@example.cn\r\nSubject: %b\r\nMessage-ID: <%b@example.cn>\r\n\r\n"
# What `proxy.wire.stuffing` changes on its way out over POP3: a dot alone behind a bare LF, a last line without CRLF.
CHANGED_OVER_POP3 = re.compile(rb"(?<!\r)\n\.\r?\n|(?<!\r)\n\Z")


def odd(subject: bytes, body: bytes) -> bytes:
    return HEADER % (subject, subject) + body


TWIN = odd(b"twin", b"the same\r\n")
LARGER = b"From: a@example.cn\r\nSubject: number %d\r\nMessage-ID: <%d@example.cn>\r\n\r\n%b\r\n"
MANY = 500
ODD = [
    odd(b"dots", b".\r\n..\r\n.x\r\nx.\r\n.\r\n"),
    odd(b"nothing", b""),
    odd(b"eight-bit", bytes(range(128, 256)) + b"\r\n"),
    odd(b"nul", b"a\0b\r\n\0\0\r\n"),
    odd(b"no-end", b"the last line is not ended"),
    odd(b"cr", b"one\rtwo\r\r\nthree\r\n"),
    odd(b"bare-lf", b"one\ntwo\r\n.\n..\n.three\n"),
    odd(b"long-line", b"x" * 70_000 + b"\r\n." + b"y" * 70_000 + b"\r\n"),
    odd(b"large", (b"z" * 75 + b"\r\n") * 20_000),
    odd(b"large-dots", b".\r\n" * 50_000),
    odd(b"from", b"From here on\r\n\r\nFrom there\r\n>From nowhere\r\n"),
    odd(b"blank", b"\r\n\r\n\r\n"),
    TWIN,
    TWIN,
    b"Subject: =?gb18030?B?y8S8vrvh0uk=?= \xcb\xc4\xbc\xbe\r\n\r\n8-bit in the header\r\n",
]


def letters(first: int, last: int) -> list[bytes]:
    return [letter(number) for number in range(first, last + 1)]


def subjects(mail: list[Mail]) -> list[int]:
    """The numbers of letters, in order."""
    found = [re.search(rb"^Subject: letter (\d+)\r?$", message.raw, re.MULTILINE) for message in mail]
    return [int(number[1]) for number in found if number is not None]


def test_the_first_login_brings_every_byte_in_order_under_its_uidl(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, [sample.raw for sample in samples(46)] + ODD)
    old, before = octets(peer.pop3, user), peer.stored(user)
    assert len(old) == 46 + len(ODD)

    imap, pop3 = over_imap(crossing.daemon, user), over_pop3(crossing.daemon, user)

    assert differences(old, imap) == (len(old), [])
    assert len({mail.uidl for mail in pop3}) == len(old)
    seen: set[str] = set()
    for number, (was, now) in enumerate(zip(old, pop3, strict=True), 1):
        # Of several with one UIDL the first keeps it: no client here is shown one twice.
        assert (was.uidl == now.uidl) == (was.uidl not in seen), number
        seen.add(was.uidl)
        assert was.raw == now.raw or CHANGED_OVER_POP3.search(was.raw), number
    assert peer.stored(user) == before
    assert crossing.tap.asked(b"DELE") == 0


def test_what_poplib_reads_is_what_a_client_reads_here(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, ODD)
    lines = by_lines(peer.pop3, user)
    here = [re.split(rb"\r?\n", mail.raw)[:-1] for mail in over_imap(crossing.daemon, user)]
    assert here == lines


def test_dates_are_those_at_which_the_old_server_received_the_mail(crossing: Crossing) -> None:
    user = crossing.new_user()
    mail = samples(46)
    crossing.peer.deliver(user, [sample.raw for sample in mail])
    with crossing.imap(user) as client:
        client.select_folder("INBOX", readonly=True)
        client.normalise_times = False
        found = client.fetch(client.search(), ["INTERNALDATE"])
    dates = [found[uid][b"INTERNALDATE"] for uid in sorted(found)]
    start = datetime(2011, 3, 1, 8, 30, 41, tzinfo=UTC)
    for number, (sample, date) in enumerate(zip(mail, dates, strict=True), 1):
        if sample.kind not in {"odd_date", "no_header"}:
            assert date == start + timedelta(hours=7 * number), sample.kind


def test_a_later_login_fetches_only_what_is_new(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, letters(1, LETTERS))
    crossing.log_in(user)
    sessions = len(crossing.tap.sessions)

    peer.deliver(user, letters(LETTERS + 1, LETTERS + 2))
    crossing.log_in(user)

    assert crossing.tap.asked(b"RETR", since=sessions) == 2
    old = octets(peer.pop3, user)
    assert subjects(old) == list(range(1, LETTERS + 3))
    assert differences(old, over_imap(crossing.daemon, user)) == (len(old), [])
    assert differences(old, over_pop3(crossing.daemon, user)) == (len(old), [])


def test_a_later_login_to_an_unchanged_mailbox_fetches_nothing(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, [*letters(1, LETTERS), *ODD])
    crossing.log_in(user)
    sessions = len(crossing.tap.sessions)
    crossing.log_in(user)
    crossing.log_in(user)
    assert crossing.tap.asked(b"RETR", since=sessions) == 0
    assert len(over_imap(crossing.daemon, user)) == LETTERS + len(ODD)


def test_what_was_deleted_on_either_side_is_neither_doubled_nor_revived(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, letters(1, LETTERS))
    with crossing.imap(user) as client:
        client.select_folder("INBOX")
        client.delete_messages(client.search(["SUBJECT", "letter 3"]))
        client.expunge()
    delete(peer.pop3, user, octets(peer.pop3, user)[1].uidl)
    peer.deliver(user, letters(LETTERS + 1, LETTERS + 1))
    crossing.wait_for_moves(user, 1)

    crossing.log_in(user)
    crossing.log_in(user)

    assert subjects(octets(peer.pop3, user)) == [1, 3, 4, 5, 6, 7]
    assert subjects(over_imap(crossing.daemon, user)) == [1, 2, 4, 5, 6, 7]
    assert crossing.tap.asked(b"DELE") == 0


def test_twins_stay_two_and_one_that_is_deleted_here_stays_deleted(crossing: Crossing) -> None:
    """Two messages with the same octets; at the mbox servers with the same UIDL as well, which RFC 1939 7 allows."""
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, [TWIN, *letters(1, 2), TWIN])
    uidls = [mail.uidl for mail in octets(peer.pop3, user)]
    assert (uidls[0] == uidls[3]) == (peer.name in {"solid-pop3d", "popa3d"})

    with crossing.imap(user) as client:
        client.select_folder("INBOX")
        twins = client.search(["SUBJECT", "twin"])
        assert len(twins) == 2
        client.delete_messages(twins[:1])
        client.expunge()
    crossing.wait_for_moves(user, 1)
    sessions = len(crossing.tap.sessions)
    crossing.log_in(user)
    peer.deliver(user, letters(3, 3))
    crossing.log_in(user)

    assert crossing.tap.asked(b"RETR", since=sessions) == 1
    with crossing.imap(user) as client:
        client.select_folder("INBOX", readonly=True)
        assert client.search(["SUBJECT", "twin"]) == twins[1:]
        assert len(client.search()) == 4


def test_a_larger_mailbox_is_asked_for_once(crossing: Crossing) -> None:
    """Whatever each server makes of RETRs that are sent ahead of their answers."""
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, [LARGER % (number, number, b"x" * (number % 79) * 40) for number in range(1, MANY + 1)])
    old = octets(peer.pop3, user)
    sessions = len(crossing.tap.sessions)
    assert differences(old, over_imap(crossing.daemon, user)) == (MANY, [])
    assert crossing.tap.asked(b"RETR", since=sessions) == MANY


def test_a_wrong_password_is_the_old_servers_word(crossing: Crossing) -> None:
    user = crossing.new_user()
    login = f"a LOGIN {user}@123.com guess".encode()
    assert crossing.daemon.ask("imap", login)[1].startswith(b"a NO [AUTHENTICATIONFAILED]")


def test_the_server_may_go_away_between_logins(crossing: Crossing) -> None:
    peer, user = crossing.peer, crossing.new_user()
    peer.deliver(user, letters(1, LETTERS))
    crossing.log_in(user)
    peer.stop()
    try:
        assert subjects(over_imap(crossing.daemon, user)) == list(range(1, LETTERS + 1))
    finally:
        peer.start()
    peer.deliver(user, letters(LETTERS + 1, LETTERS + 1))
    crossing.log_in(user)
    assert subjects(over_imap(crossing.daemon, user)) == list(range(1, LETTERS + 2))
