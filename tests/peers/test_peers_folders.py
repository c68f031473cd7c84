"""All folders of a real Dovecot, carried over its IMAP by a whole daemon: what a user finds, then and later."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from proxy.cli.demo_clients import Pop3Client
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon
from tests.peers.folder_trees import Seen, tree, write_folder
from tests.peers.mailboxes import looking
from tests.peers.verifying import verify

pytestmark = pytest.mark.peers
FOLDERS = ("Projects/2009/北京", "工作", "A & B 100%", "Sent Items", "Lost parent/child")
PARENTS = {"Projects", "Projects/2009", "Lost parent"}  # there only a part of names, here folders as any other
OURS = {"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"}
_numbers = count(1)


@pytest.fixture(scope="module")
def ferry(legacy: Dovecot, make_daemon: Callable[..., Daemon]) -> Daemon:
    lines = f'source = "imap"\nport = {legacy.pop3}\nimap_port = {legacy.imap}\ntls = "none"'
    return make_daemon(lines, 'refresh = "0s"')


@pytest.fixture
def owner(legacy: Dovecot) -> str:
    """A user with folders."""
    name = f"folders{next(_numbers)}"
    write_folder(legacy, name, "INBOX", 40)
    for folder in FOLDERS:
        write_folder(legacy, name, folder, 5)
    return name


def expected(old: dict[str, list[Seen]], parents: set[str] = PARENTS) -> dict[str, list[Seen]]:
    """What the old folders are here, besides the account's own."""
    renamed = {"Sent Items": "Sent"}
    return {name: [] for name in OURS | parents} | {renamed.get(name, name): mail for name, mail in old.items()}


def test_every_folder_with_bytes_flags_and_dates(legacy: Dovecot, ferry: Daemon, owner: str) -> None:
    old = tree(legacy.imap, owner)
    assert set(old) == {"INBOX", *FOLDERS}
    with looking(legacy.imap, owner) as client:
        client.subscribe_folder("工作")
        client.select_folder("工作")
        client.add_flags([2], ["$Forwarded", "Rechnung"])
    old = tree(legacy.imap, owner)
    here = tree(ferry.ports["imap"], owner)
    assert here == expected(old)
    assert {"$Forwarded", "Rechnung"} <= here["工作"][1].flags
    with looking(ferry.ports["imap"], owner) as client:
        subscribed = {name for _, _, name in client.list_sub_folders()}
        uses = {name: attributes for attributes, _, name in client.list_folders()}
    assert "工作" in subscribed
    assert "A & B 100%" not in subscribed
    assert b"\\Sent" in uses["Sent"]
    assert tree(legacy.imap, owner) == old  # nothing was changed there


def test_pop3_clients_that_left_mail_on_the_server_know_it_again(legacy: Dovecot, ferry: Daemon, owner: str) -> None:
    with Pop3Client(("127.0.0.1", legacy.pop3)) as client:
        client.login(owner, PASSWORD)
        old = client.inbox()
    with Pop3Client(ferry.pop3) as client:
        client.login(f"{owner}@123.com", PASSWORD)
        assert client.inbox() == old
    assert len(old) == 40


def test_what_arrives_later_comes_and_what_was_deleted_here_does_not(
    legacy: Dovecot, ferry: Daemon, owner: str
) -> None:
    tree(ferry.ports["imap"], owner)
    with looking(ferry.ports["imap"], owner) as client:
        client.select_folder("工作")
        client.delete_messages([1, 2])
        client.expunge()
        client.move([3], "Projects")
        client.delete_folder("A & B 100%")
        client.rename_folder("Projects/2009/北京", "Peking")
    write_folder(legacy, owner, "工作", 2, first=6)
    write_folder(legacy, owner, "Projects/2009/北京", 1, first=6)
    write_folder(legacy, owner, "New one", 3)
    here: dict[str, list[Seen]] = {}
    while len(here.get("New one", ())) < 3:  # each login asks for what is new
        here = tree(ferry.ports["imap"], owner)
    assert [subject(mail) for mail in here["工作"]] == ["4", "5", "6", "7"]
    assert [subject(mail) for mail in here["Projects"]] == ["3"]
    assert [subject(mail) for mail in here["Peking"]] == ["1", "2", "3", "4", "5", "6"]
    assert [subject(mail) for mail in here["New one"]] == ["1", "2", "3"]
    assert "A & B 100%" not in here
    assert "Projects/2009/北京" not in here
    assert len(here["INBOX"]) == 40


def subject(mail: Seen) -> str:
    return mail.raw.split(b"\r\n", 1)[0].removeprefix(b"Subject: ").decode()


def test_a_wrong_password_is_the_old_imap_servers_word(ferry: Daemon, owner: str) -> None:
    assert ferry.ask("imap", f"a LOGIN {owner} guess".encode())[1].startswith(b"a NO [AUTHENTICATIONFAILED]")
    assert ferry.ask("pop3", f"USER {owner}".encode(), b"PASS guess")[2].startswith(b"-ERR [AUTH]")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_encrypted(legacy: Dovecot, make_daemon: Callable[..., Daemon], owner: str, tls: str) -> None:
    ports = (legacy.pop3, legacy.imap) if tls == "starttls" else (legacy.pop3s, legacy.imaps)
    lines = f'source = "imap"\nport = {ports[0]}\nimap_port = {ports[1]}\ntls = "{tls}"\nca = "{legacy.certificate}"'
    daemon = make_daemon(lines)
    here = tree(daemon.ports["imap"], owner)
    assert here == expected(tree(legacy.imap, owner))
    assert daemon.stop() == 0


def test_without_pop3_there_are_no_uidls_and_nothing_else_is_missing(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], owner: str
) -> None:
    daemon = make_daemon(f'source = "imap"\nport = 1\nimap_port = {legacy.imap}\ntls = "none"')
    assert len(tree(daemon.ports["imap"], owner)["INBOX"]) == 40
    assert "no UIDLs from the legacy server" in daemon.log
    assert "refuses connections" in daemon.log
    assert daemon.stop() == 0


def test_killed_in_the_middle_of_a_folder_nothing_is_lost_and_nothing_doubled(
    legacy: Dovecot, make_daemon: Callable[..., Daemon]
) -> None:
    write_folder(legacy, "victims", "INBOX", 600)
    write_folder(legacy, "victims", "工作/2008", 600, size=5_000)
    slow = 'bandwidth = "200K"'  # 15 seconds: it is met in the middle, however late this looks
    daemon = make_daemon(f'source = "imap"\nport = {legacy.pop3}\nimap_port = {legacy.imap}\ntls = "none"\n{slow}')
    with socket.create_connection(daemon.imap, timeout=60) as client:
        client.recv(1_000)
        client.sendall(b"a LOGIN victims@123.com pass\r\n")
        while len(_files(daemon)) < 650 and not select.select([client], [], [], 0.01)[0]:
            pass
        daemon.kill()
    killed_at = len(_files(daemon))
    daemon.config.write_text(daemon.config.read_text().replace(slow, ""))
    daemon.start()
    here = tree(daemon.ports["imap"], "victims")
    assert here == expected(tree(legacy.imap, "victims"), {"工作"})
    assert len(_files(daemon)) == 1_200
    assert 600 < killed_at < 1_200
    assert daemon.stop() == 0


def _files(daemon: Daemon) -> list[Path]:
    root = daemon.maildir("victims")
    places = (root / "cur", root / "tmp", root / ".工作.2008" / "cur")
    return [file for place in places if place.is_dir() for file in place.iterdir()]


def test_verify_holds_every_folder_against_the_old_server(legacy: Dovecot, ferry: Daemon, owner: str) -> None:
    tree(ferry.ports["imap"], owner)
    status, found = verify(ferry, f"{owner}@123.com", "--full")
    (account,) = found["accounts"]
    assert (status, account["findings"]) == (0, [])
    assert account["listed"] == account["contents"] == account["files"] == 40 + 5 * len(FOLDERS)
    write_folder(legacy, owner, "工作", 1, first=6)
    status, found = verify(ferry, f"{owner}@123.com")
    (account,) = found["accounts"]
    assert status == 1
    assert [(finding["kind"], finding["folder"]) for finding in account["findings"]] == [("missing", "工作")]
    assert "arrived since the last move" in account["findings"][0]["what"]
