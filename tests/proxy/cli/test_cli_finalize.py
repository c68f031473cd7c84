"""`mailferry finalize` and `mailferry unfinalize`, by subprocess: with a daemon and without one."""

from __future__ import annotations

import csv
import imaplib
import io
import json
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.secrets import hash_password
from tests.proxy.cli.company import PASSWORD, CompanyTestCase
from tests.proxy.migration.scripted import mail

WORD = PASSWORD.decode()
BOXES = {name: [mail(n) for n in range(1, 6)] for name in ("anna", "li", "wang")}


class FinalizeCase(CompanyTestCase):
    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return ensureDeferred(test)

    async def moved(self, *names: str) -> None:
        """These accounts are here."""
        file = self.passwords(*(f"{name}@123.com,{WORD}" for name in names))
        ran = await self.mailferry("migrate", "--passwords", file)
        self.assertEqual((ran.status, ran.err), (0, ""))
        self.sealed = [account.sealed_password for account in self.accounts().values() if account.sealed_password]

    def with_accounts(self, do: Any) -> None:
        database = AccountsDatabase(self.state / "accounts.db")
        do(Accounts(database))
        database.close()

    def states(self) -> dict[str, str]:
        return {name.partition("@")[0]: account.state.value for name, account in self.accounts().items()}

    def traces(self) -> list[str]:
        """The files that still have a sealed password that was there when the accounts had been moved."""
        files = [path for path in self.state.glob("accounts.db*") if path.is_file()]
        return [path.name for path in files for sealed in self.sealed if sealed in path.read_bytes()]

    async def logged_in(self, user: str, password: str = WORD) -> str:
        """How many messages the user finds, or why there are none."""

        def log_in() -> str:
            with Unix(str(self.state) + ".imap") as imap:
                try:
                    imap.login(user, password)
                except imaplib.IMAP4.error as error:
                    return str(error)
                return imap.select("INBOX")[1][0].decode()

        return await deferToThread(log_in)


class Unix(imaplib.IMAP4):
    """imaplib over a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__()

    def _create_socket(self, timeout: float | None) -> Any:
        import socket

        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        return connection


class WithoutDaemon(FinalizeCase):
    def test_a_last_round_and_then_all_are_final_and_no_sealed_password_is_left_in_any_file(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.moved(*BOXES)
            self.assertTrue(self.traces())
            server.mailboxes[b"li"].append(mail(6))
            report = self.directory / "report.txt"
            ran = await self.mailferry("finalize", "123.com", "--yes", "--report", str(report))
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertEqual(ran.lines[0], "a last round: 3 accounts whose passwords are known")
            self.assertIn("li@123.com  here  messages 6  bytes", ran.out)
            self.assertEqual(
                ran.lines[-2], "final, and nothing is left behind: 3 of 3 accounts final; 16 messages, 1.1 kB here"
            )
            self.assertIn("mailferry accounts compare FILE", ran.lines[-1])
            self.assertEqual(self.states(), {"anna": "final", "li": "final", "wang": "final"})
            self.assertEqual({a.sealed_password for a in self.accounts().values()}, {None})
            self.assertTrue(all(a.password_hash for a in self.accounts().values()))
            self.assertEqual(self.traces(), [])
            self.assertEqual(server.deletions, 0)
            self.assertIn("RESULT           final, and nothing is left behind", report.read_text())

        return self.run_async(test())

    def test_who_would_be_left_behind_is_named_and_nobody_is_final_unless_told(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES, vanished=frozenset({4}))
            file = self.passwords(f"anna@123.com,{WORD}", "li@123.com,wrong")
            await self.mailferry("migrate", "--passwords", file)
            await self.mailferry("migrate", "anna@123.com")
            server.behaviour.vanished = frozenset()
            self.with_accounts(lambda accounts: accounts.add("chen", "123.com"))
            before = self.accounts()
            csv_file, json_file = self.directory / "r.csv", self.directory / "r.json"
            files = ("--report", str(csv_file), "--report", str(json_file))
            ran = await self.mailferry("finalize", "123.com", "--yes", *files)
            self.assertEqual(ran.status, 1)
            self.assertEqual(
                ran.err,
                "mailferry: 3 accounts would leave something behind; nothing was made final: "
                "--leave-behind does it all the same\n",
            )
            self.assertIn("left behind: 1 account, never logged in, so that nothing was carried over", ran.out)
            self.assertIn("    chen@123.com  what it has at the old server is not known", ran.out)
            self.assertIn("left behind: 1 account, the old server does not take the password", ran.out)
            self.assertIn("    anna@123.com  1 messages: ", ran.out)
            self.assertEqual(self.states(), {"anna": "moved", "li": "waiting", "chen": "waiting"})
            self.assertEqual(self.accounts()["anna@123.com"].sealed_password, before["anna@123.com"].sealed_password)
            rows = list(csv.DictReader(io.StringIO(csv_file.read_text(encoding="utf-8-sig"))))
            self.assertEqual(
                {row["account"]: (row["final"], row["left_behind"]) for row in rows},
                {
                    "anna@123.com": ("no", "quarantined"),
                    "chen@123.com": ("no", "never-logged-in"),
                    "li@123.com": ("no", "password-rejected"),
                },
            )
            found = json.loads(json_file.read_text())
            self.assertEqual(found["totals"]["left_behind"], 3)
            self.assertTrue(found["result"].startswith("refused: 3 accounts would leave"))
            self.assertEqual(server.passwords, 5)  # the wrong one once: it is never sent again

        return self.run_async(test())

    def test_told_to_leave_behind_it_goes_on_and_says_who_has_no_password(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            await self.moved("anna")
            self.with_accounts(lambda accounts: accounts.add("chen", "123.com"))
            ran = await self.mailferry("finalize", "123.com", "--yes", "--leave-behind", "--json")
            self.assertEqual((ran.status, ran.err), (0, ""))
            (found,) = ran.events
            self.assertEqual(found["totals"]["final"], 2)
            chen = next(row for row in found["accounts"] if row["account"] == "chen@123.com")
            self.assertEqual((chen["final"], chen["password"], chen["state_before"]), (True, False, "waiting"))
            account = self.accounts()["chen@123.com"]
            self.assertEqual((account.state, account.password_hash), (State.FINAL, None))
            self.assertIn("left behind: never logged in", account.reason)
            self.assertIn("`mailferry accounts passwd` sets one", account.reason)
            again = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual(again.status, 0)
            self.assertIn("nobody has a password for 1 account", again.out)

        return self.run_async(test())

    def test_a_rehearsal_changes_nothing_and_tells_what_a_last_round_would_bring(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.moved("anna", "li")
            server.mailboxes[b"li"] += [mail(6), mail(7)]
            before = self.accounts()
            ran = await self.mailferry("finalize", "123.com", "--dry-run")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertIn("a last round would bring 2 messages", ran.out)
            self.assertIn("rehearsed: nobody would be left behind: 0 of 2 accounts final", ran.out)
            self.assertEqual(self.accounts(), before)
            self.assertEqual(server.asked(b"RETR"), 10)

        return self.run_async(test())

    def test_an_old_server_that_is_gone_leaves_everybody_behind(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.moved("anna", "li")
            await server.close()
            ran = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual(ran.status, 1)
            self.assertIn("2 accounts, the move has not come to its end", ran.out)
            self.assertIn("refuses connections", ran.out)
            self.assertEqual(set(self.states().values()), {"moved"})
            ran = await self.mailferry("finalize", "123.com", "--yes", "--leave-behind")
            self.assertEqual((ran.status, self.traces()), (0, []))

        return self.run_async(test())

    def test_what_a_crash_interrupted_is_gone_on_with(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            await self.moved("anna", "li")
            database = AccountsDatabase(self.state / "accounts.db")
            anna = Accounts(database).find("anna", "123.com")
            assert anna is not None
            Finishing(database).finish([Finish(anna, "", anna.password_hash)])  # and then the power went
            database.close()
            ran = await self.mailferry("finalize", "123.com", "--yes", "--report", str(self.directory / "r.json"))
            self.assertEqual((ran.status, ran.err, self.traces()), (0, "", []))
            self.assertEqual(set(self.states().values()), {"final"})
            found = json.loads((self.directory / "r.json").read_text())
            self.assertEqual((found["totals"]["final"], found["totals"]["final_before"]), (2, 1))

        return self.run_async(test())

    def test_killed_in_the_last_round_it_has_changed_no_state(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail({**BOXES, "long": [mail(n) for n in range(200)]})
            await self.moved("anna", "long")
            server.mailboxes[b"long"] += [mail(n) for n in range(200, 400)]
            server.behaviour.stop_in = 350
            command = self.begin("finalize", "123.com", "--yes")
            await self.until(lambda: server.asked(b"RETR") >= 350)
            command.kill()
            await command.ended
            self.assertEqual(set(self.states().values()), {"moved"})
            server.behaviour.stop_in = 0
            ran = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertEqual(self.accounts()["long@123.com"].messages_done, 400)

        return self.run_async(test())

    def test_bad_names_and_forms_and_nobody_to_ask(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            for arguments, status, words in (
                (("123.com",), 2, "--yes says that it is to be done"),
                (("123.com", "--yes", "--report", "x.pdf"), 2, "end it with .txt, .json or .csv"),
                (("123.com", "--yes"), 1, "no accounts are known here"),
                (("124.com", "--yes"), 1, "no accounts are known here"),
            ):
                ran = await self.mailferry("finalize", *arguments)
                self.assertEqual(ran.status, status)
                self.assertIn(words, ran.err)
            await self.moved("anna")
            for command in (("finalize", "--yes"), ("unfinalize",)):
                ran = await self.mailferry(*command, "nobody@123.com")
                self.assertEqual((ran.status, ran.err), (1, "mailferry: not known here: nobody@123.com\n"))
                ran = await self.mailferry(*command, "124.com")
                self.assertIn('did you mean "123.com"?' if "@" in ran.err else "is no domain", ran.err)
            ran = await self.mailferry("unfinalize", "anna@123.com")
            self.assertEqual((ran.status, ran.out), (1, ""))
            self.assertIn("not final, and left as they are: anna@123.com", ran.err)
            report = self.directory / "no" / "such.txt"
            ran = await self.mailferry("finalize", "123.com", "--yes", "--report", str(report))
            self.assertEqual((ran.status, self.states()), (1, {"anna": "moved"}))
            self.assertIn("No such file or directory", ran.err)

        return self.run_async(test())


class WithDaemon(FinalizeCase):
    def test_the_daemon_takes_notice_at_once_and_unfinalize_has_it_ask_again(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.daemon()
            self.assertEqual(await self.logged_in("anna@123.com"), "5")
            self.sealed = [a.sealed_password for a in self.accounts().values() if a.sealed_password]
            await self.until(lambda: self.accounts()["anna@123.com"].state is State.MOVED)
            server.mailboxes[b"anna"].append(mail(6))
            ran = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual((ran.status, ran.err, self.traces()), (0, "", []))
            asked = server.passwords
            self.assertEqual(await self.logged_in("anna@123.com"), "6")
            self.assertIn("AUTHENTICATIONFAILED", await self.logged_in("anna@123.com", "another"))
            server.mailboxes[b"anna"].append(mail(7))
            self.assertEqual(server.passwords, asked)

            ran = await self.mailferry("unfinalize", "123.com")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertIn("1 account is no longer final: the old server is asked at the next login", ran.out)
            self.assertIn("not brought back: the sealed passwords", ran.out)
            account = self.accounts()["anna@123.com"]
            self.assertEqual((account.state, account.sealed_password, account.reason), (State.MOVED, None, ""))
            self.assertEqual(await self.logged_in("anna@123.com"), "6")
            await self.until(lambda: self.accounts()["anna@123.com"].messages_done == 7)
            account = self.accounts()["anna@123.com"]
            self.assertIsNotNone(account.sealed_password)
            self.assertEqual(account.password_state, PasswordState.KNOWN)
            self.assertEqual(server.passwords, asked + 1)

        return self.run_async(test())

    def test_what_was_left_behind_comes_after_all_when_its_user_logs_in(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            await self.daemon()
            self.with_accounts(lambda accounts: accounts.add("li", "123.com"))
            ran = await self.mailferry("finalize", "li@123.com", "--yes", "--leave-behind")
            self.assertEqual(ran.status, 0)
            self.assertIn("AUTHENTICATIONFAILED", await self.logged_in("li@123.com"))
            ran = await self.mailferry("unfinalize", "li@123.com")
            self.assertEqual((ran.status, self.states()), (0, {"li": "waiting"}))
            self.assertEqual(await self.logged_in("li@123.com"), "5")

        return self.run_async(test())


def _sealed(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT sealed_password FROM accounts") if row[0]]
