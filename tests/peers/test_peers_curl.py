"""curl over IMAP and POP3: what a script does with a mailbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import original
from tests.peers.needs import needed
from tests.peers.programs import run

pytestmark = pytest.mark.peers


class Curl:
    """curl as one user at one listener. Each call is a connection of its own."""

    def __init__(self, daemon: Daemon, scheme: str, user: str, home: Path, *options: str) -> None:
        self._home = home
        self._address = f"{scheme}://localhost:{daemon.ports[scheme]}/"
        self._command = [needed("curl"), "-sS", "--user", f"{user}@123.com:pass", "--cacert", str(daemon.ca), *options]

    def __call__(self, path: str, *options: str) -> bytes:
        return run(*self._command, *options, self._address + path, home=self._home).stdout

    def upload(self, folder: str, message: bytes) -> None:
        file = self._home / "message"
        file.write_bytes(message)
        self(folder, "--upload-file", str(file))

    def say(self, path: str, command: str) -> bytes:
        return self(path, "-X", command)


@pytest.mark.parametrize("way", ["imap", "imaps", "starttls"])
def test_over_imap(legacy: Dovecot, daemon: Daemon, user: str, tmp_path: Path, way: str) -> None:
    old = original(legacy, user)
    options = ["--ssl-reqd"] if way == "starttls" else []
    curl = Curl(daemon, "imaps" if way == "imaps" else "imap", user, tmp_path, *options)
    for number in (1, 9, len(old)):
        assert curl(f"INBOX;MAILINDEX={number}") == old[number - 1].raw
    listed = curl.say("INBOX", "SEARCH ALL")
    assert listed.split() == [b"*", b"SEARCH", *(b"%d" % n for n in range(1, len(old) + 1))]


@pytest.mark.parametrize("options", [["--sasl-ir"], ["--login-options", "AUTH=LOGIN"]], ids=["plain", "login"])
@pytest.mark.parametrize("scheme", ["imap", "pop3"])
def test_each_way_to_log_in(daemon: Daemon, letters_user: str, tmp_path: Path, scheme: str, options: list[str]) -> None:
    curl = Curl(daemon, scheme, letters_user, tmp_path, *options)
    assert curl("INBOX;MAILINDEX=1" if scheme == "imap" else "1") == letter(1)


def test_sections_and_pieces(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    curl = Curl(daemon, "imap", letters_user, tmp_path)
    head, _, body = letter(3).partition(b"\r\n\r\n")
    assert curl("INBOX;UID=3;SECTION=HEADER") == head + b"\r\n\r\n"
    assert curl("INBOX;UID=3;SECTION=TEXT") == body
    assert curl("INBOX;UID=3;SECTION=HEADER.FIELDS%20(SUBJECT)") == b"Subject: letter 3\r\n\r\n"
    assert curl("INBOX;MAILINDEX=3;PARTIAL=6.9") == letter(3)[6:15]
    validity = curl.say("", "STATUS INBOX (UIDVALIDITY)").rstrip().rstrip(b")").split()[-1].decode()
    assert curl(f"INBOX;UIDVALIDITY={validity};UID=8") == letter(8)


def test_search_by_query(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    curl = Curl(daemon, "imap", letters_user, tmp_path)
    assert curl("INBOX?SUBJECT%20%22letter%204%22") == b"* SEARCH 4\r\n"
    assert curl("INBOX?OR%20BODY%20%22body%202%22%20FROM%20sender7") == b"* SEARCH 2 7\r\n"
    assert curl.say("INBOX", "UID SEARCH RETURN (COUNT) UNSEEN").startswith(b"* ESEARCH (TAG ")


def test_upload_then_everything_with_it(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    curl = Curl(daemon, "imap", letters_user, tmp_path)
    new = "Subject: 新消息\r\nMessage-ID: <new@123.com>\r\n\r\n内容\r\n".encode()
    curl.upload("Drafts", new)
    curl.upload("Drafts", new * 20_000)  # 1 MB, in pieces
    assert curl("Drafts;UID=1") == new
    assert curl("Drafts;UID=2") == new * 20_000
    assert curl.say("", "STATUS Drafts (MESSAGES UNSEEN)") == b"* STATUS Drafts (MESSAGES 2 UNSEEN 0)\r\n"
    assert b"\\Drafts" in curl.say("", 'LIST "" Drafts')
    assert b"\\Flagged" in curl.say("Drafts", "STORE 1 +FLAGS (\\Flagged)")
    curl.say("Drafts", "COPY 1 Archive")
    curl.say("Drafts", "STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert curl.say("Drafts", "EXPUNGE") == b"* 1 EXPUNGE\r\n"
    assert curl("Archive;UID=1") == new
    curl.say("", "CREATE Projects")
    curl.say("", "DELETE Projects")
    listed = curl("").splitlines()
    assert sorted(line.split()[-1] for line in listed) == [b"Archive", b"Drafts", b"INBOX", b"Junk", b"Sent", b"Trash"]


@pytest.mark.parametrize("way", ["pop3", "pop3s", "stls"])
def test_over_pop3(legacy: Dovecot, daemon: Daemon, user: str, tmp_path: Path, way: str) -> None:
    old = original(legacy, user)
    options = ["--ssl-reqd"] if way == "stls" else []
    curl = Curl(daemon, "pop3s" if way == "pop3s" else "pop3", user, tmp_path, *options)
    for number in (1, 9, len(old)):
        assert curl(f"{number}") == old[number - 1].raw
    listed = curl.say("", "UIDL")
    assert [line.split()[1].decode() for line in listed.splitlines()] == [mail.uidl for mail in old]


def test_pop3_commands(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    curl = Curl(daemon, "pop3", letters_user, tmp_path)
    sizes = [line.split()[1] for line in curl("").splitlines()]
    assert sizes == [b"%d" % len(letter(number)) for number in range(1, 9)]
    head, _, _ = letter(2).partition(b"\r\n\r\n")
    assert curl.say("", "TOP 2 0") == head + b"\r\n\r\n"
    curl("3", "-X", "DELE", "--head")
    assert len(curl("").splitlines()) == 7
