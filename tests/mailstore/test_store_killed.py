"""A real SIGKILL: what was acknowledged is there, what was not is there whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.mailstore.store_rig import bodies, check_whole, debris, open_home

APPENDING = """
import io, sys
from pathlib import Path
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome

home = MailHome(MailboxEngine(), 7, Path(sys.argv[1]) / "Maildir")
number = 0
while True:
    number += 1
    text = b"Subject: %d\\r\\n\\r\\n" % number + b"%d " % number * 5000
    uid = home.append("INBOX", io.BytesIO(text), [], None).uid
    print(number, uid, flush=True)
"""


def text(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + b"%d " % number * 5000


def run_and_kill(path: Path, after: int) -> int:
    """Let a process append until it has said so of `after` messages, kill it, and give back the last that it told."""
    process = subprocess.Popen([sys.executable, "-c", APPENDING, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        told = int(line.split()[0])
        if told >= after:
            break
    process.kill()
    for line in process.stdout:  # said before it died
        told = int(line.split()[0])
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return told


def test_every_acknowledged_append_is_there(tmp_path: Path) -> None:
    expected: list[bytes] = []
    for after in (1, 7, 40):
        told = run_and_kill(tmp_path, after)
        home = open_home(tmp_path)
        there = list(bodies(home).values())
        new = there[len(expected) :]
        assert there[: len(expected)] == expected
        assert len(new) in {told, told + 1}  # one may have been durable and not yet told
        assert new == [text(n) for n in range(1, len(new) + 1)]
        check_whole(home)
        assert [row.uid for row in home.maildrop()] == list(range(1, len(there) + 1))
        assert len(debris(home)) <= 3  # at most one file for each death, known to nobody
        expected = there
        home.close()
