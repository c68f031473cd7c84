"""`mailferry restore-legacy` into a real Dovecot: what arrived here goes back, once, also where it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient

from tests.dialogues.fixtures import letter
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.legacy.threaded import Relay
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import looking, write_letters

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]
ARRIVED = 40  # in the inbox: more than one APPEND has


class Deaf(Relay):
    """Does not pass on the server's answer to the second APPEND, which is done by then."""

    def __init__(self, target: int) -> None:
        self.stored = threading.Event()
        self._seen = 0
        super().__init__(target)

    def serve(self, client: Any) -> None:
        with self._held(self.reached()) as server:
            self.pass_on(client, server, down=self._listen)

    def _listen(self, data: bytes) -> bytes:
        self._seen += data.count(b"APPENDUID")
        if self._seen >= 2:
            self.stored.set()
            return b""
        return data


def restoring(daemon: Daemon, user: str, port: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "proxy.cli.main", "restore-legacy", user, "--port", str(port), "--json", *more]
    process = subprocess.Popen(
        [*command, "--password-stdin", "--config", str(daemon.config)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(PASSWORD + "\n")
    process.stdin.close()
    process.stdin = None
    return process


def restored(daemon: Daemon, user: str, port: int, *more: str) -> tuple[int, dict[str, Any]]:
    process = restoring(daemon, user, port, *more)
    out, err = process.communicate(timeout=240)
    assert out, err
    return process.returncode, json.loads(out)


def at(port: int, user: str) -> dict[str, Counter[tuple[bytes, frozenset[bytes], str]]]:
    """Message-IDs with flags and dates, by folder."""
    found = {}
    with IMAPClient("127.0.0.1", port, ssl=False, timeout=60) as client:
        client.login(user, PASSWORD)
        for attributes, _, name in client.list_folders():
            if b"\\Noselect" in attributes:
                continue
            client.select_folder(name, readonly=True)
            uids = client.search(["ALL"])
            told = client.fetch(uids, ["ENVELOPE", "FLAGS", "INTERNALDATE"]) if uids else {}
            found[name] = Counter(
                (
                    each[b"ENVELOPE"].message_id or each[b"ENVELOPE"].subject,
                    frozenset(flag for flag in each[b"FLAGS"] if flag != b"\\Recent"),
                    str(each[b"INTERNALDATE"]),
                )
                for each in told.values()
            )
    return found


def test_what_arrived_goes_back_once(legacy: Dovecot, either_daemon: Daemon) -> None:
    daemon = either_daemon
    user = f"returning-{daemon.root.name}"
    write_letters(legacy, user, 6)
    with looking(daemon.ports["imap"], user) as client:
        client.select_folder("INBOX")
        client.move([2], "Archive")  # which is there already, in the inbox
        for number in range(ARRIVED):
            client.append("INBOX", letter(100 + number), [b"\\Seen"] if number % 2 else [b"\\Flagged", "kw"])
        client.append("INBOX", b"Subject: without an id\r\n\r\n1\r\n", [b"\\Seen"])
        client.append("Sent", letter(200), [b"\\Seen", b"\\Answered"])
        client.create_folder("项目/a.b")
        client.append("项目/a.b", letter(201))
    before, here = at(legacy.imap, user), at(daemon.ports["imap"], user)
    count = ARRIVED + 3

    status, found = restored(daemon, user, legacy.imap, "--dry-run")
    assert (status, found["messages"], found["folders"]) == (0, count, {"INBOX": ARRIVED + 1, "Sent": 1, "项目/a.b": 1})
    assert at(legacy.imap, user) == before

    with Deaf(legacy.imap) as relay:
        process = restoring(daemon, user, relay.port)
        assert relay.stored.wait(240)
        process.kill()
        process.communicate()
    status, found = restored(daemon, user, legacy.imap)
    assert (status, found["messages"] + found["before"] + found["found"], found["refused"]) == (0, count, 0), found
    assert found["found"] == ARRIVED + 1 - 25  # the second APPEND, of which nobody had heard

    there = at(legacy.imap, user)
    old = {f"<letter{number}@123.com>".encode() for number in range(1, 7)}
    arrived = Counter({seen: times for seen, times in here["INBOX"].items() if seen[0] not in old})
    assert there["INBOX"] - before["INBOX"] == arrived
    assert set(there["INBOX"].values()) == {1}
    assert there["Sent"] == here["Sent"]
    (odd,) = [name for name in there if name.startswith("项目/")]
    assert there[odd] == here["项目/a.b"]
    assert "Archive" not in there

    status, found = restored(daemon, user, legacy.imap)
    assert (status, found["messages"], found["before"]) == (0, 0, count)
    assert at(legacy.imap, user) == there
