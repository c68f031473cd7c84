"""`mailferry finalize` of what a real Dovecot has: beside the daemon and without it, and the way back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import assert_identical, original, over_imap, write_letters

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


def mailferry(daemon: Daemon, *arguments: str | Path) -> tuple[int, str, str]:
    """Its status, and what it says."""
    command = [sys.executable, "-m", "proxy.cli.main", *map(str, arguments), "--config", str(daemon.config)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    return ran.returncode, ran.stdout, ran.stderr


def finalized(daemon: Daemon, *arguments: str) -> tuple[int, Any]:
    """The status of `finalize`, and its JSON."""
    status, out, err = mailferry(daemon, "finalize", "123.com", "--yes", "--json", *arguments)
    assert out, err
    return status, json.loads(out)


def logins(legacy: Dovecot, user: str) -> int:
    """How often the old server has let the user in."""
    return (legacy.root / "log").read_text(errors="replace").count(f"Login: user=<{user}>")


def kept(legacy: Dovecot, user: str) -> list[str]:
    """The old server's files, whatever it marks them as: POP3 makes them read."""
    return sorted(path.name.partition(":")[0] for path in legacy.maildir(user).glob("*/*") if path.is_file())


def test_to_the_end_and_back(legacy: Dovecot, make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    users = ["finished1", "finished2"]
    for user in users:
        write_letters(legacy, user, 5)
        over_imap(daemon, user)
    (legacy.maildir("finished2") / "cur" / "1900000000.M1P1.old:2,").write_bytes(b"Subject: since\n\n")
    legacy.own()
    files = kept(legacy, "finished2")

    status, found = finalized(daemon)
    assert (status, found["result"]) == (0, "final, and nothing is left behind")
    totals = {"accounts": 2, "final": 2, "final_before": 0, "left_behind": 0, "messages": 11}
    assert found["totals"] == {**totals, "bytes": found["totals"]["bytes"]}
    assert [account["legacy_messages"] for account in found["accounts"]] == [5, 6]
    before = [logins(legacy, user) for user in users]
    assert [len(over_imap(daemon, user)) for user in users] == [5, 6]
    assert [logins(legacy, user) for user in users] == before
    assert daemon.stop() == 0

    assert mailferry(daemon, "unfinalize", "finished2@123.com")[0] == 0
    status, found = finalized(daemon)
    assert (status, found["left_behind"]) == (1, {"password-unknown": 1})
    passwords = tmp_path / "passwords.csv"
    passwords.write_text(f"finished2@123.com,{PASSWORD}\n")
    passwords.chmod(0o600)
    assert mailferry(daemon, "migrate", "--force", "--passwords", passwords)[0] == 0
    status, found = finalized(daemon)
    assert (status, found["totals"]["final"], found["totals"]["final_before"]) == (0, 2, 1)
    assert kept(legacy, "finished2") == files
    daemon.start()
    for user in users:
        assert_identical(original(legacy, user), daemon, user)
