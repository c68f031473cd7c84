"""`mailferry adopt` of what a real Dovecot and a real Courier have served: clients see the same, and fetch nothing."""

from __future__ import annotations

import imaplib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient

from mailstore.secrets import hash_password
from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.legacy.imap_servers import CourierImap, fill_folders
from tests.legacy.threaded import Relay
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import write_letters
from tests.peers.needs import needed, needed_root
from tests.peers.programs import private
from tests.peers.taking_over import Mbsync, assert_same, seen
from tests.peers.test_peers_left_on_server import Fetchmail, Getmail

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


def adopted(daemon: Daemon, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """The status of `adopt`, and its JSON."""
    command = [sys.executable, "-m", "proxy.cli.main", "adopt", *map(str, arguments), "--json"]
    ran = subprocess.run(
        [*command, "--config", str(daemon.config)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_dovecot(legacy: Dovecot, either_daemon: Daemon, ground: Path, tmp_path: Path) -> None:
    daemon = either_daemon
    user = f"inherited-{daemon.root.name}"
    write_letters(legacy, user, 6)
    with IMAPClient("127.0.0.1", legacy.imap, ssl=False, timeout=60) as client:
        client.login(user, PASSWORD)
        client.select_folder("INBOX")
        client.add_flags([1, 3], [b"\\Seen", "$Forwarded", "personal"])
        client.delete_messages([2])
        client.expunge([2])
        for name in ("Entwürfe/Übung", "R&D"):
            client.create_folder(name)
            client.append(name, letter(50), [b"\\Flagged", "personal"])
        client.subscribe_folder("Entwürfe/Übung")
        client.append("INBOX", letter(51))
    home = ground / f"clients-of-{user}"
    for name in ("fetchmail", "getmail"):
        (home / name).mkdir(parents=True)
    fetchmail, getmail = Fetchmail(home / "fetchmail"), Getmail(home / "getmail")
    users = private(tmp_path / "users", f"{user}@123.com:{{ARGON2ID}}{hash_password(PASSWORD.encode())}::::::\n")
    with Relay(legacy.pop3) as pop3, Relay(legacy.imap) as imap:
        mbsync = Mbsync(tmp_path / "mbsync", imap.port, user)
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (6, 6, 8)
        before = seen(imap.port, pop3.port, user)
        files = {path: path.read_bytes() for path in legacy.maildir(user).rglob("*") if path.is_file()}

        status, found = adopted(daemon, legacy.maildir(user), "--account", f"{user}@123.com", "--passwords", users)
        (one,) = found["accounts"]
        assert (status, one["messages"], one["unnumbered"], one["remarks"]) == (0, 8, 0, []), found
        assert {path: path.read_bytes() for path in legacy.maildir(user).rglob("*") if path.is_file()} == files

        pop3.target, imap.target = daemon.ports["pop3"], daemon.ports["imap"]
        after = seen(imap.port, pop3.port, user)
        for name in set(after.folders) - set(before.folders):  # the special ones, which every account has
            del after.folders[name]
            after.uses.pop(name, None)
            after.subscribed.discard(name)
        before.uses.clear()
        after.uses.clear()
        assert_same(before, after)
        assert (fetchmail.fetch(pop3.port, user), getmail.fetch(pop3.port, user), mbsync.pull()) == (0, 0, 0)
    status, found = adopted(daemon, legacy.maildir(user), "--account", f"{user}@123.com")
    assert status == 1 and "it is final; adopt into a new one" in found["accounts"][0]["why"]


@dataclass(frozen=True, slots=True)
class Heirloom:
    """A mailbox that Courier has served, what its clients know of it, and a client who has fetched all of it."""

    maildir: Path
    numbers: Mapping[str, tuple[int, int, list[int]]]  # UIDVALIDITY, UIDNEXT, UIDs
    flags: Mapping[str, Mapping[int, set[str]]]
    fetchmail: Fetchmail
    pop3: Relay


HEIR = "heirloom"
FOLDERS = {"INBOX": "INBOX", "aäb": '"INBOX.a&AOQ-b"', "R&D/sub": '"INBOX.R&-D.sub"'}  # as they are called there


@pytest.fixture(scope="module")
def heirloom(ground: Path) -> Iterator[Heirloom]:
    """Courier takes a second and more for most commands."""
    needed_root("courier")
    needed("fetchmail")
    server = CourierImap(ground / "courier-adopted")
    server.enrol(HEIR)
    fill_folders(server, HEIR, {"INBOX.a&AOQ-b": letter(61), "INBOX.R&-D.sub": letter(62)})
    with imaplib.IMAP4("127.0.0.1", server.imap, timeout=120) as session:
        session.login(HEIR, PASSWORD)
        for number in range(4):
            session.append("INBOX", r"(\Seen)" if number else "", '"14-Nov-2023 22:13:20 +0000"', letter(70 + number))
        session.select("INBOX")
        session.store("2", "+FLAGS.SILENT", r"(\Deleted)")
        session.expunge()
        session.subscribe('"INBOX.a&AOQ-b"')
        session.store("1", "+FLAGS.SILENT", "(personal urgent)")
        session.store("2:3", "+FLAGS.SILENT", "(personal)")
        for name in ('"INBOX.a&AOQ-b"', '"INBOX.R&-D.sub"'):  # what it never opened for writing has no UIDVALIDITY
            session.select(name)
            session.store("1", "+FLAGS.SILENT", "($Forwarded personal)")
            session.store("1", "-FLAGS.SILENT", "(personal)")
        numbers = {name: _numbers(session, name) for name in FOLDERS.values()}
        flags = {name: _flags(session, name) for name in FOLDERS.values()}
        name = FOLDERS["R&D/sub"]
        session.close()
        session.append(name, r"(\Seen late)", '"14-Nov-2023 22:13:20 +0000"', letter(80))  # which nobody looks at there
        numbers[name] = (numbers[name][0], 3, [1, 2])
        flags[name] |= {2: {"\\Seen", "late"}}
    (ground / "courier-client").mkdir()
    fetchmail = Fetchmail(ground / "courier-client")
    with Relay(server.pop3) as pop3:
        assert fetchmail.fetch(pop3.port, HEIR) == 3
        server.stop()
        yield Heirloom(server.maildir(HEIR), numbers, flags, fetchmail, pop3)


def test_courier(heirloom: Heirloom, either_daemon: Daemon, tmp_path: Path) -> None:
    assert heirloom.flags["INBOX"][1] == {"personal", "urgent"}
    assert heirloom.flags['"INBOX.R&-D.sub"'][1] == {"\\Seen", "\\Flagged", "$Forwarded"}
    users = private(tmp_path / "users", f"{HEIR}@123.com:{{PLAIN}}{PASSWORD}\n")
    status, found = adopted(either_daemon, heirloom.maildir, "--account", HEIR, "--passwords", users)
    (one,) = found["accounts"]
    assert (status, one["messages"], one["unnumbered"], one["password"]) == (0, 6, 0, True), found
    heirloom.pop3.target = either_daemon.ports["pop3"]
    assert heirloom.fetchmail.fetch(heirloom.pop3.port, HEIR) == 0
    with IMAPClient("127.0.0.1", either_daemon.ports["imap"], ssl=False, timeout=60) as client:
        client.login(HEIR, PASSWORD)
        for name, there in FOLDERS.items():
            told = client.folder_status(name, ["UIDVALIDITY", "UIDNEXT"])
            client.select_folder(name, readonly=True)
            uids = client.search()
            assert (told[b"UIDVALIDITY"], told[b"UIDNEXT"], uids) == heirloom.numbers[there]
            kept = {uid: {flag.decode() for flag in each} for uid, each in client.get_flags(uids).items()}
            assert {uid: each - {"\\Recent"} for uid, each in kept.items()} == heirloom.flags[there]
        assert "aäb" in {folder for _, _, folder in client.list_sub_folders()}


def _flags(session: imaplib.IMAP4, name: str) -> dict[int, set[str]]:
    session.select(name, readonly=True)
    _, lines = session.uid("FETCH", "1:*", "(FLAGS)")
    found = {}
    for line in lines:
        number = re.search(rb"UID (\d+)", line)
        assert number is not None
        found[int(number[1])] = {flag.decode() for flag in imaplib.ParseFlags(line)} - {"\\Recent"}
    return found


def _numbers(session: imaplib.IMAP4, name: str) -> tuple[int, int, list[int]]:
    _, data = session.status(name, "(UIDVALIDITY UIDNEXT)")
    assert data[0] is not None
    words = data[0].decode().rsplit("(", 1)[1].rstrip(")").split()
    session.select(name, readonly=True)
    _, found = session.uid("SEARCH", "ALL")
    values = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return values["UIDVALIDITY"], values["UIDNEXT"], [int(uid) for uid in found[0].split()]
