"""Programs that keep two mailboxes alike: mbsync and offlineimap with a Maildir, interimap and doveadm with a Dovecot.

Each runs several times while both sides change; the last run finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import as_text, flags_of, looking, original, texts
from tests.peers.needs import needed
from tests.peers.programs import private, run

pytestmark = pytest.mark.peers

FOLDERS = ("INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive")
Flags = dict[str, dict[bytes, set[bytes]]]


def name(number: int) -> bytes:
    """The Message-ID of a letter."""
    return b"<letter%d@123.com>" % number


def everything(port: int, user: str, folders: tuple[str, ...] = FOLDERS) -> Flags:
    """What is where, with which flags."""
    with looking(port, user) as client:
        return {folder: flags_of(client, folder) for folder in folders}


def modseqs(port: int, user: str) -> dict[str, object]:
    """Where each folder stands: any change at all would move it."""
    with looking(port, user) as client:
        items = ["HIGHESTMODSEQ", "UIDNEXT", "MESSAGES"]
        return {folder: client.folder_status(folder, items) for folder in FOLDERS}


def change_at(port: int, user: str) -> None:
    """Another client at this side: a flag, a message less, a new one, one answered and one moved away."""
    with looking(port, user) as client:
        client.select_folder("INBOX")
        (flagged,) = client.search(["SUBJECT", "letter 3"])
        (gone,) = client.search(["SUBJECT", "letter 4"])
        (moved,) = client.search(["SUBJECT", "letter 5"])
        client.add_flags(flagged, [b"\\Flagged", b"\\Answered"])
        client.delete_messages(gone)
        client.uid_expunge([gone])
        client.append("INBOX", letter(11), [b"\\Seen"])
        client.append("Sent", letter(12), [b"\\Seen"])
        client.move(moved, "Archive")


def assert_changed_there(found: Flags) -> None:
    assert {b"\\Flagged", b"\\Answered"} <= found["INBOX"][name(3)]
    assert not {name(4), name(5)} & set(found["INBOX"])
    assert b"\\Seen" in found["INBOX"][name(11)]
    assert b"\\Seen" in found["Sent"][name(12)]
    assert name(5) in found["Archive"]


# With a Maildir


class Maildirs:
    """The near side: a Maildir for each folder, below one directory. Letters are found by their Message-ID."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, number: int) -> Path:
        (file,) = [file for file in self._files() if name(number) in file.read_bytes()]
        return file

    def put(self, folder: str, number: int, letters: str) -> None:
        raw = letter(number).replace(b"\r\n", b"\n")
        (self.root / folder / "cur" / f"{number}.near.host:2,{letters}").write_bytes(raw)

    def flag(self, number: int, letters: str) -> None:
        """The file's name as a mail client would change it: letters in order, what else is in it kept."""
        file = self.find(number)
        base, _, known = file.name.partition(":2,")
        new = file.parent.parent / "cur" / f"{base}:2,{''.join(sorted(set(known + letters)))}"
        file.rename(new)

    def letters(self, folder: str) -> dict[int, str]:
        """Which letters are in a folder, with their flags."""
        found = {}
        for file in self._files(folder):
            head = file.read_bytes().partition(b"Message-ID: <letter")[2]
            found[int(head.partition(b"@")[0])] = file.name.partition(":2,")[2]
        return found

    def names(self) -> list[str]:
        return sorted(str(file) for file in self._files())

    def _files(self, folder: str = "*") -> list[Path]:
        return [*self.root.glob(f"{folder}/cur/*"), *self.root.glob(f"{folder}/new/*")]


def mbsync(daemon: Daemon, user: str, home: Path) -> Callable[[], None]:
    program = needed("mbsync")
    (home / "mail").mkdir()
    rc = private(
        home / "rc",
        f"IMAPAccount far\nHost 127.0.0.1\nPort {daemon.ports['imap']}\nUser {user}@123.com\nPass pass\n"
        "SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount far\n\n"
        f"MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\nSubFolders Verbatim\n\n"
        "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nRemove Both\nExpunge Both\nSync All\n"
        f"SyncState {home}/state-\n",
    )
    return lambda: run(program, "-c", rc, "all", home=home) and None


def offlineimap(daemon: Daemon, user: str, home: Path) -> Callable[[], None]:
    program = needed("offlineimap")
    (home / "mail").mkdir()
    rc = private(
        home / "rc",
        f"[general]\naccounts = a\nmetadata = {home}/state\nui = quiet\n\n"
        "[Account a]\nlocalrepository = near\nremoterepository = far\n\n"
        f"[Repository near]\ntype = Maildir\nlocalfolders = {home}/mail\nsync_deletes = yes\n\n"
        f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {daemon.ports['imap']}\n"
        f"remoteuser = {user}@123.com\nremotepass = pass\nssl = no\nstarttls = no\nauth_mechanisms = PLAIN\n",
    )
    return lambda: run(program, "-o", "-c", rc, home=home) and None


@pytest.mark.parametrize("program", [mbsync, offlineimap])
def test_a_maildir_and_mailferry_both_ways(
    daemon: Daemon, letters_user: str, tmp_path: Path, program: Callable[[Daemon, str, Path], Callable[[], None]]
) -> None:
    sync, port = program(daemon, letters_user, tmp_path), daemon.ports["imap"]
    near = Maildirs(tmp_path / "mail")
    sync()
    assert set(near.letters("INBOX")) == set(range(1, 9))
    assert {path.name for path in near.root.iterdir() if (path / "cur").is_dir()} == set(FOLDERS)

    change_at(port, letters_user)
    near.flag(1, "S")
    near.flag(2, "FS")
    near.find(7).unlink()
    near.put("INBOX", 21, "S")
    near.put("Drafts", 22, "DS")
    sync()
    sync()
    found = everything(port, letters_user)
    assert_changed_there(found)
    assert b"\\Seen" in found["INBOX"][name(1)]
    assert {b"\\Flagged", b"\\Seen"} <= found["INBOX"][name(2)]
    assert name(7) not in found["INBOX"]
    assert set(found["INBOX"]) == {name(number) for number in (1, 2, 3, 6, 8, 11, 21)}
    assert {b"\\Draft", b"\\Seen"} <= found["Drafts"][name(22)]
    inbox = near.letters("INBOX")
    assert set(inbox) == {1, 2, 3, 6, 8, 11, 21}
    assert set("FR") <= set(inbox[3])
    assert set(near.letters("Archive")) == {5}
    assert set(near.letters("Sent")) == {12}

    with looking(port, letters_user) as client:
        client.select_folder("Archive")
        client.delete_messages(client.search(["ALL"]))
        client.expunge()
    near.find(12).unlink()
    near.flag(6, "F")
    sync()
    assert everything(port, letters_user)["Sent"] == {}
    assert near.letters("Archive") == {}
    assert "F" in near.letters("INBOX")[6]

    before = near.names(), modseqs(port, letters_user)
    sync()
    assert (near.names(), modseqs(port, letters_user)) == before


def test_mbsync_has_every_message(legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path) -> None:
    old = original(legacy, smooth_user)
    sync = mbsync(daemon, smooth_user, tmp_path)
    for _ in range(2):
        sync()
        found = [_without_mark(text) for text in texts(tmp_path / "mail" / "INBOX")]
        assert sorted(found) == sorted(as_text(mail.raw) for mail in old)


def _without_mark(text: bytes) -> bytes:
    """mbsync marks what it has copied with a line of its own."""
    head, end, body = text.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"X-TUID: ")]
    return b"\r\n".join(lines) + end + body


# With another server


def interimap(legacy: Dovecot, daemon: Daemon, user: str, mirror: str, home: Path) -> Callable[[], None]:
    """Both sides are asked with QRESYNC, mailferry's also with COMPRESS."""
    program = needed("interimap")
    rc = private(
        home / "rc",
        f"database = {home}/state.db\nlist-mailbox = *\n\n"
        f"[local]\ntype = imap\nhost = 127.0.0.1\nport = {legacy.imap}\nSTARTTLS = NO\nusername = {mirror}\n"
        "password = pass\nauth = PLAIN\n\n"
        f"[remote]\ntype = imap\nhost = 127.0.0.1\nport = {daemon.ports['imap']}\nSTARTTLS = NO\n"
        f"username = {user}@123.com\npassword = pass\nauth = PLAIN\ncompress = YES\n",
    )
    return lambda: run(program, "--config", rc, home=home) and None


def test_interimap_keeps_a_dovecot_and_mailferry_alike(
    legacy: Dovecot, daemon: Daemon, letters_user: str, tmp_path: Path
) -> None:
    mirror, port = f"{letters_user}mirror", daemon.ports["imap"]
    legacy.maildir(mirror)
    legacy.own()
    sync = interimap(legacy, daemon, letters_user, mirror, tmp_path)
    sync()
    assert everything(legacy.imap, mirror) == everything(port, letters_user)

    change_at(port, letters_user)
    with looking(legacy.imap, mirror) as client:
        client.select_folder("INBOX")
        client.add_flags(client.search(["SUBJECT", "letter 1"]), [b"\\Seen", b"$Important"])
        gone = client.search(["SUBJECT", "letter 7"])
        client.delete_messages(gone)
        client.uid_expunge(gone)
        client.append("Drafts", letter(22), [b"\\Draft"])
        client.create_folder("Projects")
        client.append("Projects", letter(23))
    sync()
    folders = (*FOLDERS, "Projects")
    found = everything(port, letters_user, folders)
    assert found == everything(legacy.imap, mirror, folders)
    assert_changed_there(found)
    assert found["INBOX"][name(1)] == {b"\\Seen", b"$Important"}
    assert name(7) not in found["INBOX"]
    assert b"\\Draft" in found["Drafts"][name(22)]
    assert name(23) in found["Projects"]

    before = modseqs(port, letters_user), modseqs(legacy.imap, mirror)
    sync()
    assert (modseqs(port, letters_user), modseqs(legacy.imap, mirror)) == before


def test_doveadm_backs_mailferry_up(legacy: Dovecot, daemon: Daemon, user: str, tmp_path: Path) -> None:
    """`doveadm backup -R imapc:` makes a Dovecot account the same as ours, to the byte, and again after changes."""
    doveadm, copy, port = needed("doveadm"), f"{user}copy", daemon.ports["imap"]
    old = original(legacy, user)
    settings = {
        "imapc_host": "127.0.0.1",
        "imapc_port": str(port),
        "imapc_user": f"{user}@123.com",
        "imapc_password": "pass",
        "imapc_features": "rfc822.size fetch-headers search",
        "mail_fsync": "never",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def backup() -> None:
        run(doveadm, "-c", legacy.root / "dovecot.conf", *options, "backup", "-R", "-u", copy, "imapc:", home=tmp_path)

    backup()
    assert [mail.raw for mail in original(legacy, copy)] == [mail.raw for mail in old]
    with looking(port, user) as client:
        client.select_folder("INBOX")
        client.add_flags([1, 2], [b"\\Flagged"])
        client.delete_messages([3])
        client.uid_expunge([3])
        client.move([4], "Archive")
        client.append("Sent", letter(12), [b"\\Seen"])
    backup()
    with looking(port, user) as ours, looking(legacy.imap, copy) as theirs:
        for folder in FOLDERS:
            assert _uids(ours, folder) == _uids(theirs, folder)


def _uids(client: IMAPClient, folder: str) -> dict[int, set[bytes]]:
    client.select_folder(folder, readonly=True)
    found = client.fetch(client.search(["ALL"]), ["FLAGS"])
    return {uid: set(message[b"FLAGS"]) - {b"\\Recent"} for uid, message in found.items()}
