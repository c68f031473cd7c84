"""Folders of Courier and Cyrus, whose names there begin with "INBOX.", with the UIDLs of their POP3 side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.cli.demo_clients import Pop3Client, differences
from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import PASSWORD
from tests.legacy.imap_servers import CourierImap, CyrusImap, fill_folders
from tests.peers.daemon import Daemon
from tests.peers.folder_trees import Seen, tree
from tests.peers.mailboxes import over_pop3
from tests.peers.needs import needed_root

pytestmark = pytest.mark.peers
IN_A_FOLDER = b"Subject: in a folder\r\n\r\nhello\r\n"
SEEN = [Seen(IN_A_FOLDER, frozenset({"\\Seen", "\\Flagged"}), 1_700_000_000)]


@pytest.mark.parametrize("server", [CourierImap, CyrusImap])
def test_every_folder_without_its_prefix(
    server: type[CourierImap | CyrusImap], ground: Path, make_daemon: Callable[..., Daemon]
) -> None:
    needed_root(server.name)
    peer = server(ground / f"folders-{server.name}")
    try:
        peer.enrol("joe")
        letters = [letter(number) for number in range(1, 41)]
        peer.deliver("joe", letters)
        fill_folders(peer, "joe", dict.fromkeys(("INBOX.Sent", "INBOX.Work.&XeVPXA-", "INBOX.a b"), IN_A_FOLDER))
        with Pop3Client(("127.0.0.1", peer.pop3)) as client:
            client.login("joe", PASSWORD)
            old = client.inbox()
        lines = f'source = "imap"\nport = {peer.pop3}\nimap_port = {peer.imap}\ntls = "none"'
        daemon = make_daemon(lines, 'refresh = "0s"')
        for _ in range(2):  # at the second login everything is known again
            here = tree(daemon.ports["imap"], "joe")
            assert [mail.raw for mail in here.pop("INBOX")] == letters
            assert {name: mail for name, mail in here.items() if mail} == {
                "Sent": SEEN,
                "Work/工作": SEEN,
                "a b": SEEN,
            }
        assert differences(old, over_pop3(daemon, "joe")) == (40, [])
        assert daemon.stop() == 0
        assert daemon.log.count('"messages": 43') >= 1
    finally:
        peer.stop()
