"""`mailferry handoff dovecot` with a real Dovecot, and back: what clients see, and what they fetch again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from mailstore.accounts import Accounts
from mailstore.finishing import Finish, Finishing
from proxy.admin.databases import accounts
from proxy.config import load
from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.legacy.threaded import Relay
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import looking, write_letters
from tests.peers.needs import needed, needed_root
from tests.peers.taking_over import OWNER, Heir, Mbsync, NewerHeir, assert_same, seen
from tests.peers.test_peers_left_on_server import Fetchmail, Getmail

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]
KEYWORDS = [f"kw{number:02}" for number in range(30)]
ODD = "a.b/100% sure"


def mailferry(daemon: Daemon, *arguments: str | Path) -> tuple[int, str, str]:
    """Its status, and what it says."""
    command = [sys.executable, "-m", "proxy.cli.main", *map(str, arguments), "--config", str(daemon.config)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    return ran.returncode, ran.stdout, ran.stderr


def finish(daemon: Daemon, user: str) -> None:
    """The account is final, as `mailferry finalize` makes it."""
    database = accounts(load(daemon.config))
    account = Accounts(database).find(user, "123.com")
    assert account is not None
    assert Finishing(database).finish([Finish(account, "", account.password_hash)]) == []
    database.close()


def furnish(port: int, user: str) -> None:
    """What a user makes of a mailbox."""
    with looking(port, user) as client:
        client.select_folder("INBOX")
        client.add_flags(1, [b"\\Seen", b"$Forwarded", *KEYWORDS])
        client.add_flags(2, [b"\\Flagged", b"\\Answered", "kw05"])
        client.delete_messages(3)
        client.expunge([3])
        for name in (ODD, "文件/合同", "~home"):
            client.create_folder(name)
            client.append(name, letter(20), [b"\\Seen", "kw01"])
        client.subscribe_folder(ODD)
        client.unsubscribe_folder("Junk")
        client.append("Sent", b"Subject: bare\n\nline feeds\n", [b"\\Seen"])
        client.append("INBOX", letter(21))
        client._imap.xatom("SETMETADATA", "INBOX", '(/private/comment "mine")')


@dataclass(frozen=True, slots=True)
class Stage:
    """Who hands over, to whom, and where what is written for him goes."""

    handing: Daemon
    heir: Heir
    to: Path


@pytest.fixture(scope="module", params=["2.3, from files", "2.4, from PostgreSQL"])
def stage(
    request: pytest.FixtureRequest, legacy: Dovecot, ground: Path, make_daemon: Callable[..., Daemon]
) -> Iterator[Stage]:
    """Dovecot is not started. The daemon's state is one that another user may go through."""
    version, _, kept = request.param.partition(", from ")
    shared = ground / f"shared-{version}"
    to = shared / "to"
    heir: Heir
    if version == "2.3":
        needed("dovecot")
        shared.mkdir()
        heir = Heir(ground / "heir", to)
    else:
        needed_root(NewerHeir.name)
        heir = NewerHeir(ground / "newer", shared, to)
    to.mkdir()
    to.chmod(0o755)
    storage = "" if kept == "files" else request.getfixturevalue("postgres").storage()
    handing = make_daemon(
        f'port = {legacy.pop3}\ntls = "none"',
        root=shared / "ferry",
        listen=storage,
        domain='quota = "1G"',
        program=("tests.postgres.quick_node",),
    )
    for path in (handing.root, handing.root / "state", handing.root / "state" / "mail"):
        path.mkdir(exist_ok=True)
        path.chmod(0o711)
    yield Stage(handing, heir, to)
    heir.stop()


def limit(port: int, user: str) -> list[tuple[str, int]]:
    """Of the inbox, in kilobytes."""
    with looking(port, user) as client:
        return [(quota.resource, quota.limit) for quota in client.get_quota("INBOX")]


def comment(port: int, user: str) -> bytes:
    """Of the inbox, and what is around it in the answer."""
    with looking(port, user) as client:
        client._imap.xatom("GETMETADATA", "INBOX", "/private/comment")
        _, said = client._imap.response("METADATA")
        return repr(said).encode()


def open_to_all(daemon: Daemon, user: str) -> None:
    """The directories above the Maildir."""
    place = daemon.maildir(user).parent
    for path in (place, place.parent):
        path.chmod(0o711)


def owner() -> list[str]:
    return ["--owner", OWNER] if os.geteuid() == 0 else []


def test_over_and_back(legacy: Dovecot, stage: Stage, tmp_path: Path) -> None:
    handing, heir, to = stage.handing, stage.heir, stage.to
    user = f"handed-{to.parent.name[-1]}"
    write_letters(legacy, user, 8)
    with IMAPClient("127.0.0.1", handing.ports["imap"], ssl=False, timeout=60) as client:
        client.login(user, PASSWORD)
    furnish(handing.ports["imap"], user)
    status, _, err = mailferry(handing, "handoff", "dovecot", user, "--to", to)
    assert (status, "it is not final" in err + _) == (1, True)
    finish(handing, user)
    open_to_all(handing, user)

    home = to.parent / "clients"
    for name in ("fetchmail", "getmail"):
        (home / name).mkdir(parents=True)
    fetchmail, getmail = Fetchmail(home / "fetchmail"), Getmail(home / "getmail")
    with Relay(handing.ports["pop3"]) as pop3, Relay(handing.ports["imap"]) as imap:
        mbsync = Mbsync(tmp_path / "mbsync", imap.port, user)
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (8, 8, 11)
        before = seen(imap.port, pop3.port, user)
        assert limit(imap.port, user) == [("STORAGE", 1024 * 1024)]

        # somebody is in
        with looking(handing.ports["imap"], user):
            status, out, err = mailferry(handing, "handoff", "dovecot", user, "--to", to, "--wait", "0", *owner())
            assert status == 1 and "has a session" in out
        with looking(handing.ports["imap"], user):
            pass

        listing = sorted(str(path) for path in handing.maildir(user).rglob("*"))
        status, out, err = mailferry(handing, "handoff", "dovecot", user, "--to", to, "--dry-run")
        assert status == 0 and "would be handed over: 11 folders, 12 messages" in out, out + err
        assert sorted(str(path) for path in handing.maildir(user).rglob("*")) == listing

        status, out, err = mailferry(handing, "handoff", "dovecot", user, "--to", to, *owner())
        assert status == 0, out + err
        with IMAPClient("127.0.0.1", handing.ports["imap"], ssl=False, timeout=60) as client:
            with pytest.raises(LoginError, match="handed over to another mail server"):
                client.login(user, PASSWORD)

        heir.start()
        heir.run(to / "after.sh")
        pop3.target, imap.target = heir.pop3, heir.imap
        there = seen(imap.port, pop3.port, user)
        assert_same(before, there)
        assert limit(imap.port, user) == [("STORAGE", 1024 * 1024)]
        assert b"mine" in comment(imap.port, user)
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (0, 0, 0)
        with looking(heir.imap, user) as client:
            client.select_folder("INBOX")
            client.append("INBOX", letter(31), [b"\\Flagged", "kw07"])
            client.append("INBOX", letter(32))
            client.remove_flags(2, [b"\\Flagged", "kw05"])
            client.delete_messages(4)
            client.expunge([4])
            client.create_folder("new.at/Dovecot")
            client.append("new.at/Dovecot", letter(33))
            client.subscribe_folder("new.at/Dovecot")
            client.delete_folder("~home")
            client.unsubscribe_folder("Trash")
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (2, 2, 3)
        there = seen(imap.port, pop3.port, user)
        assert not heir.complaints, "\n".join(heir.complaints)

        status, out, err = mailferry(
            handing, "handoff", "dovecot", user, "--to", to, "--undo", "--doveadm", heir.doveadm
        )
        assert status == 0 and "3 new, 1 removed, 1 changed" in out, out + err
        pop3.target, imap.target = handing.ports["pop3"], handing.ports["imap"]
        back = seen(imap.port, pop3.port, user)
        for name in there.folders:  # folders that are for something have no message, and are here anyway
            there.folders[name]["HIGHESTMODSEQ"] = 0
        assert_same(there, back)
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (0, 0, 0)
        assert user not in (to / "users").read_text()
