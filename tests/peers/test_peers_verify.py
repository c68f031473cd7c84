"""`mailferry verify` of what a real Dovecot had: beside the daemon and without it, as mail comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import looking, original, over_imap, write_letters
from tests.peers.verifying import verify

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prompt(legacy: Dovecot, make_daemon: Callable[..., Daemon]) -> Daemon:
    """A daemon that asks for new mail at each login, over STLS."""
    lines = f'port = {legacy.pop3}\ntls = "starttls"\nca = "{legacy.certificate}"'
    return make_daemon(lines, 'refresh = "0s"')


def test_everything_odd_is_whole_beside_the_daemon_and_without_it(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], user: str
) -> None:
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    old = original(legacy, user)
    with looking(daemon.ports["imap"], f"{user}@123.com") as client:
        client.select_folder("INBOX")
        status, found = verify(daemon, f"{user}@123.com", "--full")
        (account,) = found["accounts"]
        # Dovecot's LIST does not count the line end that it gives to a message that has none at its end.
        assert (status, account["verdict"], set(account["counts"])) == (0, "whole with notes", {"octets-differ"})
        assert all(finding["what"].startswith("LIST said ") for finding in account["findings"])
        assert account["listed"] == account["contents"] == account["files"] == len(old)
        client.noop()
    assert daemon.stop() == 0
    before = {path: path.lstat().st_mtime_ns for path in sorted(daemon.maildir(user).parent.rglob("*"))}
    status, found = verify(daemon, "123.com")
    assert (status, found["verdict"]) == (0, "whole with notes")
    assert {path: path.lstat().st_mtime_ns for path in sorted(daemon.maildir(user).parent.rglob("*"))} == before


def test_what_came_since_is_missing_until_a_login_has_fetched_it(legacy: Dovecot, prompt: Daemon) -> None:
    user = "verified1"
    write_letters(legacy, user, 8)
    over_imap(prompt, user)
    new = legacy.maildir(user) / "cur" / "1900000000.M1P1.old:2,"
    new.write_bytes(b"Subject: since\n\n")
    (gone, *_) = sorted((legacy.maildir(user) / "cur").iterdir())
    gone.unlink()
    legacy.own()
    status, found = verify(prompt, f"{user}@123.com")
    assert (status, found["verdict"], found["counts"]) == (1, "incomplete", {"missing": 1, "no-longer-listed": 1})
    (missing,) = found["accounts"][0]["findings"]
    assert (missing["position"], missing["kind"]) == (8, "missing")
    over_imap(prompt, user)
    with looking(prompt.ports["imap"], f"{user}@123.com") as client:
        while client.select_folder("INBOX", readonly=True)[b"EXISTS"] < 9:
            client.noop()
    status, found = verify(prompt, f"{user}@123.com", "--full")
    assert (status, found["verdict"], found["counts"]) == (0, "whole", {"no-longer-listed": 1})


def test_what_a_user_does_here_is_fine_and_what_harms_a_file_is_not(legacy: Dovecot, prompt: Daemon) -> None:
    user = "verified2"
    write_letters(legacy, user, 8)
    over_imap(prompt, user)
    with looking(prompt.ports["imap"], f"{user}@123.com") as client:
        client.select_folder("INBOX")
        client.set_flags([1, 2, 3], [rb"\Seen"])
        client.move([2], "Archive")
        client.delete_messages([3])
        client.expunge([3])
    status, found = verify(prompt, f"{user}@123.com", "--full")
    assert (status, found["counts"]) == (0, {"deleted-here": 1, "moved-here": 1})
    files = sorted((prompt.maildir(user) / "cur").iterdir())
    files[-1].write_bytes(files[-1].read_bytes().replace(b"letter", b"LETTER"))
    status, found = verify(prompt, f"{user}@123.com")
    (altered,) = found["accounts"][0]["findings"]
    assert (status, altered["kind"], altered["position"]) == (1, "file-altered", 8)
    assert "the legacy server still gives it unchanged, as message 8" in altered["what"]


def test_a_mailbox_of_hundreds_to_the_last_byte(legacy: Dovecot, prompt: Daemon) -> None:
    user = "verified3"
    write_letters(legacy, user, 600)
    over_imap_login(prompt, user)
    status, found = verify(prompt, f"{user}@123.com", "--full")
    assert (status, found["verdict"]) == (0, "whole")
    assert found["accounts"][0]["contents"] == 600


def over_imap_login(daemon: Daemon, user: str) -> None:
    with looking(daemon.ports["imap"], f"{user}@123.com"):
        pass
