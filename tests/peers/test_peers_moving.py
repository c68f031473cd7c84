"""First logins in front of a real Dovecot: every way to reach it, kills in the middle, and life without it."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.legacy.certificates import Authority
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import assert_identical, fill, original, over_imap

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


def test_every_byte_over_plain_pop3(legacy: Dovecot, daemon: Daemon, user: str) -> None:
    assert_identical(original(legacy, user), daemon, user)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_every_byte_over_tls_that_a_ca_file_vouches_for(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], user: str, tls: str
) -> None:
    port = legacy.pop3 if tls == "starttls" else legacy.pop3s
    daemon = make_daemon(f'port = {port}\ntls = "{tls}"\nca = "{legacy.certificate}"')
    assert_identical(original(legacy, user), daemon, user)
    assert daemon.stop() == 0


def test_a_certificate_of_another_ca_is_not_believed(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], user: str, tmp_path: Path
) -> None:
    stranger = Authority("Somebody else").write(tmp_path)
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "starttls"\nca = "{stranger}"')
    login = f"a LOGIN {user}@123.com pass".encode()
    assert daemon.ask("imap", login)[1].startswith(b"a NO [UNAVAILABLE]")
    assert daemon.stop() == 0
    assert '"tls"' in daemon.log.lower() or "certificate" in daemon.log


def test_a_wrong_password_is_the_old_servers_word(daemon: Daemon, user: str) -> None:
    assert daemon.ask("imap", f"a LOGIN {user}@123.com guess".encode())[1].startswith(b"a NO [AUTHENTICATIONFAILED]")
    answers = daemon.ask("pop3", f"USER {user}@123.com".encode(), b"PASS guess")
    assert answers[2].startswith(b"-ERR [AUTH]")
    assert "guess" not in daemon.log


def test_without_the_old_server_who_is_here_comes_in_and_who_is_not_waits(
    legacy: Dovecot, daemon: Daemon, user: str
) -> None:
    old = original(legacy, user)
    over_imap(daemon, user)
    legacy.stop()
    try:
        assert_identical(old, daemon, user)
        assert daemon.ask("imap", b"a LOGIN new@123.com pass")[1].startswith(b"a NO [UNAVAILABLE]")
        assert daemon.ask("pop3", b"USER new@123.com", b"PASS pass")[2].startswith(b"-ERR [SYS/TEMP]")
    finally:
        legacy.start()


def test_killed_again_and_again_nothing_is_lost_and_nothing_doubled(
    legacy: Dovecot, make_daemon: Callable[..., Daemon]
) -> None:
    fill(legacy, "victim", 1_500)
    old = original(legacy, "victim")
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    killed_in_the_middle = 0
    for files in (1, 200, 600, 1_000):
        killed_in_the_middle += _killed_at(daemon, "victim", files, len(old))
        daemon.start()
    assert_identical(old, daemon, "victim")
    maildir = daemon.maildir("victim")
    assert len(list((maildir / "cur").iterdir())) == len(old)
    assert list((maildir / "tmp").iterdir()) == []
    assert killed_in_the_middle >= 2
    assert daemon.stop() == 0


def _killed_at(daemon: Daemon, user: str, files: int, whole: int) -> bool:
    """Log in and kill the daemon when so many files are there. Was it in the middle?"""
    maildir = daemon.maildir(user)
    with socket.create_connection(daemon.imap, timeout=60) as client:
        client.recv(1_000)
        client.sendall(f"a LOGIN {user}@123.com pass\r\n".encode())
        while _count(maildir) < files and not select.select([client], [], [], 0.001)[0]:
            pass
        daemon.kill()
        return 0 < _count(maildir) < whole


def _count(maildir: Path) -> int:
    return sum(len(list((maildir / name).iterdir())) for name in ("cur", "tmp") if (maildir / name).is_dir())


def test_status_and_check_beside_a_running_daemon(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], user: str
) -> None:
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    old = original(legacy, user)
    over_imap(daemon, user)

    def run(*arguments: str) -> dict[str, list[dict[str, object]]]:
        command = [sys.executable, "-m", "proxy.cli.main", *arguments, "--json", "--config", str(daemon.config)]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
        found: dict[str, list[dict[str, object]]] = json.loads(ran.stdout)
        return found

    (account,) = run("status", "--accounts")["accounts"]
    assert (account["account"], account["state"]) == (f"{user}@123.com", "moved")
    assert account["messages_done"] == account["messages_total"] == len(old)
    ports = [row for row in run("check")["checks"] if row["check"] == "port"]
    assert [row["text"] for row in ports] == ["mailferry is listening"] * 4
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(
    legacy: Dovecot, make_daemon: Callable[..., Daemon], number: signal.Signals
) -> None:
    daemon = make_daemon(f'port = {legacy.pop3}\ntls = "none"')
    process = daemon.process
    assert process is not None
    with socket.create_connection(daemon.imap, timeout=20) as idle:
        idle.recv(1_000)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert idle.recv(1_000).startswith(b"* BYE")
    assert "Traceback" not in daemon.log


def test_the_demo_from_beginning_to_end() -> None:
    command = [sys.executable, "-m", "proxy.cli.main", "demo", "--once"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=80)
    assert ran.returncode == 0, ran.stderr
    assert "300 of 300 messages identical over IMAP" in ran.stdout
    assert "300 of 300 messages identical over POP3" in ran.stdout
    assert "held: " in ran.stdout
    assert "asked to delete 0 messages" in ran.stdout
