"""imapfilter: rules in Lua that sort a mailbox, run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.daemon import Daemon
from tests.peers.mailboxes import flags_of, looking
from tests.peers.needs import needed
from tests.peers.programs import private, run

pytestmark = pytest.mark.peers

RULES = """
options.timeout = 20
options.starttls = false
options.create = true
options.subscribe = true
account = IMAP { server = "127.0.0.1", port = %d, username = "%s", password = "pass" }
mail = account["INBOX"]
found = mail:contain_subject("letter 1") + mail:contain_body("body 2")
found:move_messages(account["Sorted/Mail"])
mail:contain_from("sender3"):mark_flagged()
found = mail:is_unseen() * mail:contain_field("Message-ID", "letter4")
found:copy_messages(account["Archive"])
mail:match_header("Subject: letter [56]"):delete_messages()
"""


def test_rules_sort_a_mailbox_once(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    rules = private(tmp_path / "rules.lua", RULES % (daemon.ports["imap"], letters_user))
    imapfilter = needed("imapfilter")
    run(imapfilter, "-c", rules, home=tmp_path)
    with looking(daemon.ports["imap"], letters_user) as client:
        inbox = flags_of(client, "INBOX")
        assert set(inbox) == {b"<letter%d@123.com>" % number for number in (3, 4, 7, 8)}
        assert b"\\Flagged" in inbox[b"<letter3@123.com>"]
        assert set(flags_of(client, "Sorted/Mail")) == {b"<letter1@123.com>", b"<letter2@123.com>"}
        assert set(flags_of(client, "Archive")) == {b"<letter4@123.com>"}
        assert "Sorted/Mail" in [name for _, _, name in client.list_sub_folders()]
        uidnext = client.folder_status("Sorted/Mail", ["UIDNEXT"])
    run(imapfilter, "-c", rules, home=tmp_path)
    with looking(daemon.ports["imap"], letters_user) as client:
        assert client.folder_status("Sorted/Mail", ["UIDNEXT"]) == uidnext
