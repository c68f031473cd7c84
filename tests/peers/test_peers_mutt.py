"""mutt over IMAP, and on the Maildir itself while an IMAP session looks on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import as_text, flags_of, looking, original, texts
from tests.peers.needs import needed
from tests.peers.programs import PATIENCE, on_a_terminal, private

pytestmark = pytest.mark.peers

SETTINGS = (
    "set mbox_type=Maildir confirmcreate=no confirmappend=no quit=yes delete=yes move=no mark_old=no\n"
    "set sleep_time=0 timeout=1 copy=no wait_key=no edit_headers=no fast_reply=yes\n"
    'unset record imap_passive help\nset from="user@123.com" realname="User" pager_stop=yes\n'
)


class Mutt:
    """Opens a mailbox and types: `keys` are mutt's functions in angle brackets, and text."""

    def __init__(self, home: Path, settings: str, where: str) -> None:
        self.home = home
        self._program = needed("mutt")
        self._where = where
        self._rc = private(home / "rc", settings + SETTINGS)

    def __call__(self, keys: str, *options: str) -> None:
        # mutt may lose the first prompt that is answered by push: the limit to all messages is there to be lost.
        typed = f"push '<limit>all<enter>{keys}<quit>'"
        on_a_terminal(self._program, "-n", "-F", self._rc, *options, "-f", self._where, "-e", typed, home=self.home)


def over_imap(daemon: Daemon, user: str, home: Path, *, more: str = "", folder: str = "INBOX") -> Mutt:
    server = f"imap://127.0.0.1:{daemon.ports['imap']}/"
    login = f'set imap_user="{user}@123.com" imap_pass="pass" ssl_starttls=no ssl_force_tls=no\n'
    return Mutt(home, f'{login}set folder="{server}"\n{more}', server + folder)


def on(pattern: str, function: str) -> str:
    """Do it with every message that matches."""
    return f"<untag-pattern>~A<enter><tag-pattern>{pattern}<enter><tag-prefix>{function}"


def numbers(client: IMAPClient, folder: str, flag: bytes | None = None) -> list[int]:
    """Which letters are in a folder, with the flag if one is named."""
    found = flags_of(client, folder)
    return sorted(int(re.sub(rb"\D", b"", name)[:-3]) for name, flags in found.items() if flag is None or flag in flags)


def test_copies_every_message(legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path) -> None:
    old = original(legacy, smooth_user)
    mutt = over_imap(daemon, smooth_user, tmp_path)
    mutt(f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{tmp_path}/mail<enter>", "-R")
    ids = sorted(_message_id(mail.raw) for mail in old)
    assert sorted(_message_id(text) for text in texts(tmp_path / "mail")) == ids


def _message_id(raw: bytes) -> bytes:
    lines = as_text(raw).partition(b"\r\n\r\n")[0].split(b"\r\n")
    return next((line for line in lines if line.lower().startswith(b"message-id:")), b"")


def test_reads_flags_deletes_and_saves(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    mutt = over_imap(daemon, letters_user, tmp_path)
    mutt(
        '<limit>~s "letter 2$"<enter><display-message><exit><limit>all<enter>'
        + on('~s "letter [36]$"', "<flag-message>")
        + on('~s "letter 4$"', "<delete-message>")
        + on('~s "letter [57]$"', "<save-message><kill-line>=Archive<enter>")
        + on('~s "letter 8$"', "<copy-message><kill-line>=Junk<enter>")
    )
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "INBOX") == [1, 2, 3, 6, 8]
        assert numbers(other, "INBOX", b"\\Flagged") == [3, 6]
        assert 2 in numbers(other, "INBOX", b"\\Seen")
        assert 1 not in numbers(other, "INBOX", b"\\Seen")
        assert numbers(other, "Archive") == [5, 7]
        assert numbers(other, "Junk") == [8]


def test_folders_are_made_filled_entered_and_emptied(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    over_imap(daemon, letters_user, tmp_path)(on('~s "letter [1-3]$"', "<save-message><kill-line>=Work/2024<enter>"))
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "Work/2024") == [1, 2, 3]
        assert numbers(other, "INBOX") == [4, 5, 6, 7, 8]
    over_imap(daemon, letters_user, tmp_path)(
        "<change-folder><kill-line>=Work/2024<enter>"
        + on('~s "letter 2$"', "<save-message><kill-line>=INBOX<enter>")
        + on('~s "letter 3$"', "<delete-message>")
        + "<sync-mailbox><change-folder><kill-line>=INBOX<enter>"
        + on('~s "letter 2$"', "<flag-message>")
    )
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "Work/2024") == [1]
        assert numbers(other, "INBOX", b"\\Flagged") == [2]


def test_searches_on_the_server(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    """`=b` and `=h` are SEARCH BODY and SEARCH HEADER: mutt itself has not read these texts."""
    over_imap(daemon, letters_user, tmp_path)(
        on('=b "body 6"', "<flag-message>") + on('=h "From: sender2"', "<flag-message>")
    )
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "INBOX", b"\\Flagged") == [2, 6]


@pytest.mark.parametrize("extension", ["imap_condstore", "imap_qresync"])
def test_comes_back_to_what_changed(daemon: Daemon, letters_user: str, tmp_path: Path, extension: str) -> None:
    """With a header cache it asks only for what changed since; what it shows is told by what it then deletes."""
    more = f'set header_cache="{tmp_path}/cache" {extension}=yes\n'
    over_imap(daemon, letters_user, tmp_path, more=more)("")
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("INBOX")
        other.add_flags([3, 5], [b"\\Flagged"])
        other.delete_messages([1, 4])
        other.expunge([1, 4])
        other.append("INBOX", letter(9), [b"\\Flagged"])
    over_imap(daemon, letters_user, tmp_path, more=more)(on("~F", "<delete-message>"))
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "INBOX") == [2, 6, 7, 8]


def test_puts_off_a_draft_and_recalls_it(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    more = 'set postponed="=Drafts" editor="sed -i s/^$/draft/" abort_nosubject=no abort_unmodified=no postpone=yes\n'
    mutt = over_imap(daemon, letters_user, tmp_path, more=more)
    mutt("<mail><kill-line>li@123.com<enter><kill-line>Plan<enter><postpone-message>")
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("Drafts", readonly=True)
        assert other.search(["DRAFT", "SUBJECT", "Plan"]) == [1]
    mutt("<recall-message><edit-subject><kill-line>Better plan<enter><postpone-message>")
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("Drafts", readonly=True)
        assert other.search(["UNDELETED", "SUBJECT", "Better plan"]) == [2]
        assert other.search(["UNDELETED"]) == [2]


def test_on_the_maildir_while_a_session_looks_on(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    with looking(daemon.ports["imap"], letters_user) as other:
        other.select_folder("INBOX")
        other.fetch(range(1, 9), ["FLAGS"])
        maildir = daemon.maildir(letters_user)
        other.idle()
        Mutt(tmp_path, f'set folder="{maildir}"\n', str(maildir))(
            on('~s "letter 3$"', "<flag-message>")
            + on('~s "letter 2$"', "<delete-message>")
            + on('~s "letter [56]$"', f"<save-message><kill-line>{maildir}/.Archive<enter>")
        )
        said: list[tuple[object, ...]] = []
        while sum(1 for each in said if b"EXPUNGE" in each) < 3:
            news = other.idle_check(timeout=PATIENCE)
            assert news, said
            said.extend(news)
        other.idle_done()
        flagged = [each for each in said if each[1] == b"FETCH"]
        assert any(b"\\Flagged" in each[2][each[2].index(b"FLAGS") + 1] for each in flagged)  # type: ignore[index]
        assert len(other.search(["ALL"])) == 5
        assert numbers(other, "INBOX", b"\\Flagged") == [3]
        assert numbers(other, "Archive") == [5, 6]
        other.select_folder("INBOX")
        other.append("INBOX", letter(9))
        other.add_flags([1], [b"\\Seen", b"\\Answered"])
    Mutt(tmp_path, f'set folder="{maildir}"\n', str(maildir))(
        on("~Q", "<delete-message>") + on('~s "letter 9$"', "<flag-message>")
    )
    with looking(daemon.ports["imap"], letters_user) as other:
        assert numbers(other, "INBOX") == [3, 4, 7, 8, 9]
        assert numbers(other, "INBOX", b"\\Flagged") == [3, 9]
