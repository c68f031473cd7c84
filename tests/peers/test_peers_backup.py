"""`mailferry backup` beside a daemon that serves and moves, everything lost, and `mailferry restore`."""

from __future__ import annotations

import json
import poplib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from imaplib import IMAP4
from pathlib import Path

import pytest

from tests.browser.old_server import OldServer, letters
from tests.peers.daemon import Daemon

ROOT = Path(__file__).parents[2]
GIVEN = 1_100  # messages of a move when the backup is made: one barrier, and some behind it
MOVED, MOVING = letters(30), letters(1_300, 200)


def run(daemon: Daemon, *arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy.cli.main", *map(str, arguments), "--config", str(daemon.config)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == status, ran.stderr
    return ran


@contextmanager
def client(daemon: Daemon, user: str) -> Iterator[IMAP4]:
    """Logged in; by and by, where the machine is so busy that a move takes longer than a login is held."""
    while daemon.ask("imap", f"a LOGIN {user}@123.com pass".encode())[1].startswith(b"a NO [UNAVAILABLE]"):
        pass
    with IMAP4(*daemon.imap) as imap:
        imap.login(f"{user}@123.com", "pass")
        yield imap


def picture(daemon: Daemon, user: str) -> tuple[bytes, dict[bytes, bytes], list[bytes]]:
    """UIDVALIDITY, what IMAP tells of each message by its UID, and POP3's names."""
    with client(daemon, user) as imap:
        imap.select()
        validity = imap.response("UIDVALIDITY")[1][0]
        told = imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1]
    seen = {}
    for item in told:
        if isinstance(item, tuple):
            seen[item[0].partition(b" ")[2]] = item[1]
    with closing(poplib.POP3("127.0.0.1", daemon.ports["pop3"], timeout=60)) as pop3:
        pop3.user(f"{user}@123.com")
        pop3.pass_("pass")
        return validity, seen, [line.partition(b" ")[2] for line in pop3.uidl()[1]]


@pytest.fixture
def old() -> Iterator[OldServer]:
    with OldServer({"wang": ("pass", MOVED), "li": ("pass", MOVING)}) as server:
        yield server


@pytest.fixture
def daemon(tmp_path: Path, old: OldServer) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, f'port = {old.port}\ntls = "none"\n', 'refresh = "0s"\nhold_limit = "1s"', workers=1)
    daemon.start()
    yield daemon
    daemon.kill()


def test_everything_lost_and_brought_back(daemon: Daemon, old: OldServer, tmp_path: Path) -> None:
    shelf = tmp_path / "backups"
    with client(daemon, "wang") as imap:
        imap.select()
        imap.uid("STORE", "3:5", "+FLAGS", r"(\Flagged $Label)")
        imap.uid("STORE", "7", "+FLAGS", r"(\Deleted)")
        imap.expunge()
    before = picture(daemon, "wang")
    old.hold()
    old.give(GIVEN)
    assert daemon.ask("imap", b"a LOGIN li@123.com pass")[1].startswith(b"a NO [UNAVAILABLE]")  # held, and moving
    while not any((daemon.maildir("li") / "cur").iterdir()):
        pass
    run(daemon, "restore", tmp_path, status=1)  # no backup yet
    told = json.loads(run(daemon, "backup", shelf, "--json").stdout)
    assert (told["accounts"], told["mailboxes"], told["missing"], told["damaged"]) == (2, 2, {}, [])
    assert 29 < told["messages"] <= 29 + GIVEN
    assert "another mailferry serve" in run(daemon, "restore", shelf, status=1).stderr
    old.release()
    with client(daemon, "wang") as imap:  # is lost
        imap.append("INBOX", "", None, b"Subject: since then\r\n\r\n")
    daemon.kill()
    shutil.rmtree(tmp_path / "state")

    assert "2 accounts" in run(daemon, "restore", shelf).stdout
    assert "is not empty" in run(daemon, "restore", shelf, status=1).stderr
    checks = json.loads(run(daemon, "check", "--json").stdout)["checks"]
    assert [row for row in checks if row["result"] == "fail"] == []
    old.commands.clear()
    daemon.start()
    assert picture(daemon, "wang") == before
    while daemon.ask("imap", b"a LOGIN li@123.com pass")[1].startswith(b"a NO [UNAVAILABLE]"):
        pass
    assert old.commands.count("RETR") == len(MOVING) - (told["messages"] - 29)
    _, seen, uidls = picture(daemon, "li")
    assert list(seen.values()) == MOVING
    assert len(set(uidls)) == len(MOVING)
    verified = run(daemon, "verify", "123.com", "--full").stdout
    assert "FAULT" not in verified


def test_killed_at_any_file_the_next_one_is_whole(daemon: Daemon, tmp_path: Path) -> None:
    """While the daemon, and a backup before it, are there."""
    shelf = tmp_path / "backups"
    with client(daemon, "wang"):
        pass
    first = json.loads(run(daemon, "backup", shelf, "--json").stdout)["backup"]
    command = [sys.executable, "-m", "proxy.cli.main", "backup", str(shelf), "--config", str(daemon.config)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (shelf / "unfinished").exists() and process.poll() is None:
        pass
    process.kill()
    assert process.wait() in {-signal.SIGKILL, 0}
    assert Path(first).is_dir()
    run(daemon, "backup", shelf, "--check")
    told = json.loads(run(daemon, "backup", shelf, "--json", "--keep", "1").stdout)
    assert told["messages"] == len(MOVED)
    assert [path.name for path in shelf.iterdir()] == [Path(told["backup"]).name]
