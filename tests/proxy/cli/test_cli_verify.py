"""`mailferry verify` as a command: what it prints, files and ends with, against a scripted legacy server."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from mailstore.queue import Queue
from proxy.admin.verify.columns import width
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.admin.verify_rig import VerifyCase, reactor
from tests.proxy.cli.command import configuration, mailferry, with_accounts
from tests.proxy.login.login_rig import CONFIG, PASSWORD
from tests.proxy.login.test_login_end_to_end import SMALL
from tests.proxy.migration.scripted import mail

ROOT = Path(__file__).parents[3]
# Twisted's own would fork this process, which has threads.
_IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class Ran(ProcessProtocol):
    """`mailferry` in a process of its own: its status and what it printed."""

    def __init__(self, arguments: list[str], *, typed: bytes = b"", terminal: bool = False) -> None:
        self.out, self.err, self.status = b"", b"", -1
        self.ended: Deferred[Ran] = Deferred()
        self.heard: Callable[[], None] = lambda: None
        self._typed = typed
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "proxy.cli.main", *arguments]
        if terminal:
            command = [sys.executable, "-c", _IN_A_TERMINAL, *command]
        self.process = reactor.spawnProcess(self, command[0], command, environment, str(ROOT))

    def connectionMade(self) -> None:
        if self._typed:
            self.transport.write(self._typed)
            self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == 2:
            self.err += data
        else:
            self.out += data
        self.heard()

    def processEnded(self, reason: Failure) -> None:
        reason.trap(ProcessDone, ProcessTerminated)
        self.status = reason.value.exitCode
        self.ended.callback(self)

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


class Commands(VerifyCase):
    timeout = 60

    def start(self, *arguments: str, **how: Any) -> Ran:
        file = self.state / "mailferry.toml"
        file.write_text(CONFIG.format(state=self.state, accounts="open", port=self.legacy.port, connections=5))
        key = self.state / "sealing.key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        return Ran(["verify", *arguments, "--config", str(file)], **how)

    async def ran(self, *arguments: str, **how: Any) -> Ran:
        ended = await self.start(*arguments, **how).ended
        self.assertNotIn(PASSWORD, ended.out + ended.err)
        await self.until(lambda: not self.legacy.open)
        return ended

    @from_coroutine
    async def test_whole_is_status_0_and_a_line_an_account(self) -> None:
        await self.carried(SMALL)
        ran = await self.ran("123.com", "USER@123.COM", "--seed", "7")
        self.assertEqual((ran.status, ran.err), (0, b""))
        self.assertEqual(
            ran.lines,
            [
                "user@123.com  whole  legacy 30  ledger 30  here 30  files 30  fetched again 20",
                "verdict: whole  accounts 1  whole 1  whole with notes 0  incomplete 0  not compared 0",
                "123.com is proven with user@123.com: its other accounts may be moved",
            ],
        )

    @from_coroutine
    async def test_incomplete_is_status_1_with_what_and_where_and_what_to_do(self) -> None:
        server = await self.carried(SMALL)
        server.messages.append(mail(31))
        self.file_of(4).unlink()
        ran = await self.ran("user@123.com", "--full")
        self.assertEqual(ran.status, 1)
        self.assertEqual(ran.err, b"mailferry: of 1 account, 1 incomplete\n")
        self.assertEqual(
            ran.lines[0],
            "user@123.com  incomplete  legacy 31  ledger 30  here 30  files 29  fetched again 30  missing 1"
            "  file-missing 1",
        )
        self.assertIn("  FAULT  missing here (message 31, UIDL ", ran.lines[1])
        self.assertIn("it arrived since the last move; `mailferry migrate` or a login", ran.lines[1])
        self.assertIn("  FAULT  file missing (message 4, UIDL ", ran.lines[2])

    @from_coroutine
    async def test_json_a_report_and_a_table_from_one_run(self) -> None:
        names = {number: b"n%d" % number for number in range(1, 31)} | {3: b"=cmd()", 31: b"+31"}
        server = await self.carried(SMALL, uidls=names)
        server.messages.append(mail(31))
        self.file_of(3).unlink()
        report, table = self.state / "report.txt", self.state / "table.csv"
        ran = await self.ran("123.com", "--json", "--output", str(report), "--csv", str(table), "--messages")
        self.assertEqual(ran.status, 1)
        found = json.loads(ran.out)
        self.assertEqual((found["verdict"], found["verdicts"]), ("incomplete", {"incomplete": 1}))
        self.assertEqual(found["counts"], {"missing": 1, "file-missing": 1})
        (account,) = found["accounts"]
        self.assertEqual((account["account"], account["listed"], account["stored"]), ("user@123.com", 31, 30))
        self.assertEqual([finding["uidl"] for finding in account["findings"]], ["+31", "=cmd()"])
        self.assert_a_report(report.read_text())
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        self.assertEqual(
            [(row["kind"], row["uidl"]) for row in rows], [("missing", "'+31"), ("file-missing", "'=cmd()")]
        )
        self.assertEqual(sorted(path.name for path in self.state.iterdir() if path.name.startswith(".")), [])

    def assert_a_report(self, text: str) -> None:
        lines = text.splitlines()
        self.assertLessEqual(max(map(width, lines)), 100)
        for part in (
            "Made at          mail.123.com (",
            "Asked for        123.com",
            "Legacy server    123.com: 127.0.0.1 port ",
            "VERDICT          incomplete: of 1 account, 1 incomplete",
            "At the legacy    31 messages, ",
            "FAULT         1  missing here: ",
            "user@123.com  INCOMPLETE  (state moved, ",
            "    FAULT missing here (message 31, UIDL +31, ",
            "End of the report. Signed:",
        ):
            self.assertTrue(any(line.startswith(part) for line in lines), f"{part!r} is not in\n{text}")

    @from_coroutine
    async def test_a_paused_domain_is_not_asked_for(self) -> None:
        server = await self.carried(SMALL)
        before = server.connections
        Queue(self.accounts._database).pause_domain("123.com", paused=True)
        ran = await self.ran("123.com")
        self.assertEqual(ran.status, 1)
        self.assertIn("it is paused, so the legacy server is not asked; `mailferry resume` ends that", ran.lines[1])
        self.assertEqual(server.connections, before)

    @from_coroutine
    async def test_a_table_of_accounts_on_standard_output(self) -> None:
        await self.carried(SMALL)
        ran = await self.ran("123.com", "--sample", "0", "--csv", "-")
        (row,) = csv.DictReader(io.StringIO(ran.out.decode()))
        self.assertEqual(
            (row["account"], row["verdict"], row["listed"], row["missing"]), ("user@123.com", "whole", "30", "0")
        )

    @from_coroutine
    async def test_a_password_from_standard_input(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.password = b"new"
        ran = await self.ran("user@123.com")
        self.assertEqual(
            (ran.status, ran.err), (1, b"mailferry: of 1 account, 1 not compared with the legacy server\n")
        )
        ran = await self.ran("user@123.com", "--password-file", "-", typed=b"user@123.com:new\n")
        self.assertEqual(ran.status, 0)

    @from_coroutine
    async def test_a_password_that_is_asked_for(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.password = b"new"
        running = self.start("user@123.com", "--ask-password", terminal=True)
        await self.until(lambda: b"Password of user@123.com at the legacy server: " in running.out)
        running.transport.write(b"new\n")
        ran = await running.ended
        self.assertEqual(ran.status, 0)
        self.assertNotIn(b"new", ran.out)
        await self.until(lambda: not server.open)

    @from_coroutine
    async def test_bars_and_a_table_on_a_terminal(self) -> None:
        await self.carried(SMALL)
        self.file_of(4).unlink()
        ran = await self.ran("123.com", "--local", terminal=True)
        self.assertEqual(ran.status, 1)
        self.assertIn("accounts", ran.out.decode())
        self.assertIn("1 file missing", ran.out.decode())
        self.assertIn("FAULT  file missing (message 4", ran.out.decode())

    @from_coroutine
    async def test_nobody_reads_on(self) -> None:
        await self.carried(SMALL)
        running = self.start("123.com", "--local")
        running.transport.closeStdout()
        ran = await running.ended
        self.assertEqual((ran.status, ran.err), (1, b""))

    @from_coroutine
    async def test_ctrl_c_leaves_no_report(self) -> None:
        server = await self.carried(SMALL)
        server.behaviour.stop_in = 20
        report = self.state / "report.txt"
        running = self.start("123.com", "--full", "--output", str(report))
        await self.until(lambda: server.asked(b"RETR") > 0)
        running.process.signalProcess(signal.SIGINT)
        ran = await running.ended
        self.assertEqual((ran.status, ran.err), (1, b"mailferry: interrupted: there is no report\n"))
        self.assertEqual([path.name for path in self.state.iterdir() if "report" in path.name], [])
        await self.until(lambda: not server.open)


def test_what_makes_no_sense_is_usage(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    for arguments in (
        (),
        ("123.com", "--full", "--sample", "3"),
        ("123.com", "--local", "--full"),
        ("123.com", "--local", "--ask-password"),
        ("123.com", "--messages"),
        ("123.com", "--json", "--csv", "-"),
        ("123.com", "--sample", "-1"),
    ):
        result = mailferry("verify", *arguments, "--config", file)
        assert result.exit_code == 2, arguments
        assert result.stdout == ""


def test_before_anybody_has_logged_in(tmp_path: Path) -> None:
    result = mailferry("verify", "123.com", "--config", configuration(tmp_path))
    assert result.exit_code == 1
    assert "nobody has logged in here yet" in result.stderr
    assert not (tmp_path / "state").exists()


def test_all_that_is_not_known_is_told_at_once(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("wang", "123.com"))
    result = mailferry("verify", "wang@123.com", "li@123.com", "124.com", "--config", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert '"li@123.com" is not known here' in result.stderr
    assert '"124.com" is not served here, did you mean "123.com"?' in result.stderr


def test_a_report_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("wang", "123.com"))
    file = configuration(tmp_path)
    target = tmp_path / "nowhere" / "report.txt"
    result = mailferry("verify", "123.com", "--output", target, "--config", file)
    assert (result.exit_code, result.stderr) == (1, f"mailferry: {target}: No such file or directory\n")
    result = mailferry("verify", "123.com", "--csv", tmp_path, "--config", file)
    assert (result.exit_code, result.stderr) == (1, f"mailferry: {tmp_path}: Is a directory\n")


def test_a_password_file_that_others_may_read_is_usage(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("wang", "123.com"))
    passwords = tmp_path / "passwords"
    passwords.write_text("wang@123.com:secret\n")
    passwords.chmod(0o644)
    result = mailferry("verify", "123.com", "--password-file", passwords, "--config", configuration(tmp_path))
    assert result.exit_code == 2
    assert "may be read by others: give it mode 0600" in result.stderr
    assert "secret" not in result.stderr
