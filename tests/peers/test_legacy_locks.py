"""Mailboxes that are not to be had just now, at the real servers that have such a thing, and what a user is told.

    server       when                                           it says
    ------       ----                                           -------
    popa3d       somebody holds the file's lock                 nothing: PASS waits
    Cyrus        somebody holds the mailbox's lock              the same
    solid-pop3d  the same; or there is a lock file beside it    nothing; after 5 s -ERR can't lock mailbox file
                 the last login was less than a minute ago      -ERR [LOGIN-DELAY] Logins must be at least 1 minute…
    Courier      too many connections from one address          nothing: it hangs up

Sessions of their own do not keep each other out at any of the five.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from tests.dialogues.fixtures import letter
from tests.legacy.courier import Courier
from tests.legacy.cyrus import Cyrus
from tests.legacy.mbox_servers import MboxPeer
from tests.legacy.peer import Peer
from tests.peers.crossing import Crossing
from tests.peers.mailboxes import over_imap
from tests.peers.needs import needed_root

pytestmark = pytest.mark.peers
LETTERS = [letter(number) for number in range(1, 4)]


class FewAtOnce(Courier):
    per_address = 4


def login(user: str) -> bytes:
    return f"a LOGIN {user}@123.com pass".encode()


@pytest.mark.parametrize("server", ["cyrus", "solid-pop3d", "popa3d"])
def test_a_login_waits_while_mail_is_delivered_at_the_old_server(
    make_crossing: Callable[[str], Crossing], server: str
) -> None:
    crossing = make_crossing(server)
    peer = cast(MboxPeer | Cyrus, crossing.peer)
    user, other = crossing.new_user(), crossing.new_user()
    peer.deliver(user, LETTERS)
    sessions = len(crossing.tap.sessions)
    asked = b"APOP" if server == "cyrus" else b"PASS"
    answers: list[list[bytes]] = []

    def log_in() -> None:
        answers.append(crossing.daemon.ask("imap", login(user)))

    waiting = threading.Thread(target=log_in)
    with peer.being_delivered_to(user):
        waiting.start()
        crossing.tap.wait(lambda heard: any(asked in session.verbs for session in heard[sessions:]))
        assert crossing.daemon.ask("imap", login(other))[1].startswith(b"a OK")
        assert answers == []
    waiting.join(60)
    assert answers[0][1].startswith(b"a OK")
    assert len(over_imap(crossing.daemon, user)) == len(LETTERS)


def test_a_lock_file_is_said_to_be_in_use_and_the_login_works_without_it(
    make_crossing: Callable[[str], Crossing],
) -> None:
    crossing = make_crossing("solid-pop3d")
    peer = cast(MboxPeer, crossing.peer)
    user = crossing.new_user()
    peer.deliver(user, LETTERS)
    with peer.locked_beside(user):
        assert crossing.daemon.ask("imap", login(user))[1].startswith(b"a NO [INUSE]")
    assert len(over_imap(crossing.daemon, user)) == len(LETTERS)


def test_a_server_that_wants_a_minute_between_logins_keeps_nobody_out_who_is_here(
    make_crossing: Callable[[str], Crossing],
) -> None:
    crossing = make_crossing("cyrus")
    peer = cast(Cyrus, crossing.peer)
    here, new = crossing.new_user(), crossing.new_user()
    peer.deliver(here, LETTERS)
    assert len(over_imap(crossing.daemon, here)) == len(LETTERS)

    crossing.tap.wait(lambda heard: all(session.over for session in heard))
    crossing.tap.target = peer.impatient
    sessions = len(crossing.tap.sessions)
    try:
        with socket.create_connection(crossing.daemon.imap, timeout=60) as held:
            held.sendall(login(new) + b"\r\n")  # who has just logged in at the old server
            crossing.tap.wait(
                lambda heard: any(b"APOP" in session.verbs and session.over for session in heard[sessions:])
            )
            assert len(over_imap(crossing.daemon, here)) == len(LETTERS)
            assert b"a NO" not in held.recv(10_000, socket.MSG_DONTWAIT)
    finally:
        crossing.tap.target = peer.pop3


@pytest.fixture(scope="module")
def few(ground: Path) -> Iterator[Crossing]:
    """A Courier that takes four connections from one address, as it does unless an administrator has raised MAXPERIP,
    and a mailferry that keeps well below: couriertcpd counts a connection until its process has ended."""
    needed_root("courier")
    peer = FewAtOnce(ground / "few")
    crossing = Crossing.build(peer, ground / "to-few", "connections = 2")
    yield crossing
    crossing.close()
    peer.stop()


def test_first_logins_at_once_keep_within_what_courier_allows_one_address(few: Crossing) -> None:
    users = [few.new_user() for _ in range(12)]
    for user in users:
        few.peer.deliver(user, LETTERS)
    with ThreadPoolExecutor(len(users)) as pool:
        found = list(pool.map(lambda user: over_imap(few.daemon, user), users))
    assert [len(mail) for mail in found] == [len(LETTERS)] * len(users)


def test_what_courier_does_to_the_fifth_connection_is_told_with_its_remedy(few: Crossing) -> None:
    user = few.new_user()
    few.tap.wait(lambda sessions: all(session.over for session in sessions))
    with ExitStack() as others:
        for _ in range(FewAtOnce.per_address):
            others.enter_context(socket.create_connection(("127.0.0.1", few.peer.pop3))).recv(100)
        assert few.daemon.ask("imap", login(user))[1].startswith(b"a NO [UNAVAILABLE]")
    assert "while it owed its greeting" in few.daemon.log
    assert "`connections`" in few.daemon.log


def test_what_courier_announces_between_two_logins_is_kept(few: Crossing) -> None:
    """LOGIN-DELAY 10 (RFC 2449 6.5): the second look at the mailbox comes ten seconds after the first."""
    user = few.new_user()
    few.peer.deliver(user, LETTERS[:1])
    few.tap.hidden = b""
    assert len(over_imap(few.daemon, user)) == 1
    few.wait_for_moves(user, 1)
    began = time.monotonic()
    few.log_in(user)
    assert time.monotonic() - began > 5


def test_a_stamp_without_a_secret_behind_it_is_tried_once(ground: Path, make_peer: Callable[[str], Peer]) -> None:
    """solid-pop3d greets everybody with one. Each APOP is a failed login in its log, a second, and a connection."""
    crossing = Crossing.build(make_peer("solid-pop3d"), ground / "stamped")
    try:
        for _ in range(3):
            user = crossing.new_user()
            crossing.peer.deliver(user, LETTERS)
            assert len(over_imap(crossing.daemon, user)) == len(LETTERS)
        assert (crossing.tap.asked(b"APOP"), crossing.tap.asked(b"PASS")) == (1, 3)
    finally:
        crossing.close()
