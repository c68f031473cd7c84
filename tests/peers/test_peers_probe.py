"""`mailferry probe` of a real Dovecot: over POP3 and IMAP, encrypted, and what its log has of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dialogues.fixtures import letter
from tests.legacy.certificates import fingerprint_of
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.legacy.peer import Peer
from tests.legacy.peers import PEERS
from tests.postgres.server import until

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


def probe(directory: Path, legacy: str, account: str, *arguments: str, password: str = PASSWORD) -> tuple[int, Any]:
    """Its status, and its JSON."""
    file = directory / "mailferry.toml"
    if not file.exists():
        file.write_text(
            f'hostname = "mail.123.com"\nstate = "{directory}/state"\n[listen]\nimap = ["tcp:10143"]\n'
            f'[domain."123.com".legacy]\nhost = "127.0.0.1"\n{legacy}\n'
        )
    command = [sys.executable, "-m", "proxy.cli.main", "probe", account, "--password-stdin", "--json", *arguments]
    ran = subprocess.run(
        [*command, "--config", str(file)],
        cwd=ROOT,
        input=f"{password}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def test_over_stls_with_its_certificate(legacy: Dovecot, tmp_path: Path, letters_user: str) -> None:
    before = {path: path.lstat().st_mtime_ns for path in sorted(legacy.maildir(letters_user).rglob("*.*"))}
    lines = f'port = {legacy.pop3}\nca = "{legacy.certificate}"'
    status, found = probe(tmp_path, lines, f"{letters_user}@123.com", "--lock")
    assert (status, found["trouble"], found["changes"]) == (0, "", {})
    assert (found["server"]["tls_version"], found["server"]["certificate"]["names"]) == (
        "TLSv1.3",
        ["localhost", "127.0.0.1"],
    )
    assert found["pop3"]["uidl"]["works"] and found["pop3"]["top"]["works"] and found["pop3"]["pipelining"]["works"]
    assert (found["pop3"]["last"], found["pop3"]["second_session"]) == (None, "shared")
    assert (found["mailbox"]["messages"], found["sample"]["messages"]) == (8, 8)
    assert [login["answer"] for login in found["logins"]] == ["accepted", "accepted"]
    after = {path: path.lstat().st_mtime_ns for path in sorted(legacy.maildir(letters_user).rglob("*.*"))}
    assert set(before) <= set(after)


def test_a_certificate_that_is_not_trusted_is_named_and_nobody_logs_in(
    legacy: Dovecot, tmp_path: Path, letters_user: str
) -> None:
    status, found = probe(tmp_path, f'port = {legacy.pop3s}\ntls = "implicit"', f"{letters_user}@123.com")
    assert (status, found["logins"], found["server"]) == (1, [], None)
    (end,) = found["dead_ends"]
    assert end["why"] == "the server's certificate is signed by itself"
    assert f'`fingerprint = "{fingerprint_of(legacy.certificate)}"`' in end["remedy"]
    with (legacy.root / "log").open() as log:
        assert not any(f"user=<{letters_user}>" in line for line in log)


def test_a_wrong_password_is_two_failed_logins_in_its_log(legacy: Dovecot, tmp_path: Path, letters_user: str) -> None:
    log = legacy.root / "log"
    before = log.stat().st_size
    status, found = probe(tmp_path, f'port = {legacy.pop3}\ntls = "none"', f"{letters_user}@123.com", password="wrong")
    assert (status, [login["answer"] for login in found["logins"]]) == (1, ["wrong", "wrong"])

    def failed() -> list[str]:
        with log.open() as file:
            file.seek(before)
            return [line for line in file if "auth failed" in line]

    until(lambda: len(failed()) >= 2)  # a line comes when its process gets to it
    assert len(failed()) == 2 and all("1 attempts" in line for line in failed()), failed()


def test_over_imap_with_pop3_beside_it(legacy: Dovecot, tmp_path: Path, letters_user: str) -> None:
    lines = f'port = {legacy.pop3}\nimap_port = {legacy.imap}\nsource = "imap"\ntls = "none"'
    status, found = probe(tmp_path, lines, f"{letters_user}@123.com", "--lock")
    assert (status, found["trouble"], found["pop3"]) == (0, "", None)
    assert found["pop3_beside_imap"] == f"POP3 at port {legacy.pop3} gives UIDLs of 8 messages"
    assert found["mailbox"]["folders"][0] == {
        "name": "INBOX",
        "messages": 8,
        "bytes": found["mailbox"]["bytes"],
        "refused": "",
    }
    assert found["sample"]["messages"] == 8


@pytest.mark.parametrize("server", [name for name in PEERS if name != "dovecot"])
def test_other_servers(make_peer: Callable[[str], Peer], tmp_path: Path, server: str) -> None:
    peer = make_peer(server)
    peer.enrol("probed")
    peer.deliver("probed", [letter(number) for number in range(1, 21)])
    before = peer.stored("probed")
    status, found = probe(tmp_path, f'port = {peer.pop3}\ntls = "none"', "probed@123.com")
    assert (status, found["trouble"], found["remarks"]) == (0, "", [])
    assert [login["answer"] for login in found["logins"]] == ["accepted"]
    assert found["pop3"]["uidl"]["works"] and found["pop3"]["top"]["works"] and found["pop3"]["pipelining"]["works"]
    assert (found["mailbox"]["messages"], found["mailbox"]["oldest"]) == (20, "2023-11-14T10:00:01Z")
    after = peer.stored("probed")  # Courier notes in a file's name that it was fetched
    assert sorted(after.values()) == sorted(before.values())
