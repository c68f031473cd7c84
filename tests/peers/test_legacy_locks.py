"""Mailboxes that are not to be had just now, at the real servers that have such a thing, and what a user is told.

    server       when                                           it says
    ------       ----                                           -------
    popa3d       somebody holds the file's lock                 nothing: PASS waits
    solid-pop3d  the same; or there is a lock file beside it    nothing; after 5 s -ERR can't lock mailbox file
    Cyrus        the last login was less than a minute ago      -ERR [LOGIN-DELAY] Logins must be at least 1 minute…
    Courier      too many connections from one address          nothing: it hangs up

Sessions of their own do not keep each other out at any of the five.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dialogues.fixtures import letter
from tests.legacy.cyrus import Cyrus
from tests.legacy.mbox_servers import MboxPeer
from tests.legacy.peer import Peer
from tests.peers.crossing import Crossing
from tests.peers.mailboxes import over_imap
from tests.peers.needs import needed_root

pytestmark = pytest.mark.peers
LETTERS = [letter(number) for number in range(1, 4)]


@pytest.fixture(scope="module", params=["solid-pop3d", "popa3d"])
def mbox(
    request: pytest.FixtureRequest, ground: Path, make_peer: Callable[[str], Peer]
) -> Iterator[tuple[MboxPeer, Crossing]]:
    peer = make_peer(request.param)
    assert isinstance(peer, MboxPeer)
    crossing = Crossing.build(peer, ground / f"locked-{request.param}")
    yield peer, crossing
    crossing.close()


def test_a_login_waits_while_mail_is_delivered_at_the_old_server(mbox: tuple[MboxPeer, Crossing]) -> None:
    peer, crossing = mbox
    user = f"waiting-{crossing.new_user()}"
    peer.enrol(user)
    peer.deliver(user, LETTERS)
    answers: list[list[bytes]] = []

    def log_in() -> None:
        answers.append(crossing.daemon.ask("imap", f"a LOGIN {user}@123.com pass".encode()))

    login = threading.Thread(target=log_in)
    with peer.being_delivered_to(user):
        login.start()
        crossing.tap.wait(lambda sessions: any(b"PASS" in session.verbs for session in sessions))
        assert answers == []
    login.join(60)
    assert answers[0][1].startswith(b"a OK")
    assert len(over_imap(crossing.daemon, user)) == len(LETTERS)
