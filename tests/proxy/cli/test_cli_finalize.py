"""`mailferry finalize` and `mailferry unfinalize`, by subprocess: with a daemon and without one."""

from __future__ import annotations

import csv
import imaplib
import io
import json
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

from mailstore.accounts import Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.secrets import Sealer, load_key
from proxy.admin.reports import Reports
from tests.proxy.cli.command import configuration, mailferry, with_accounts
from tests.proxy.cli.company import PASSWORD, CompanyTestCase
from tests.proxy.migration.scripted import mail

WORD = PASSWORD.decode()
BOXES = {name: [mail(n) for n in range(1, 6)] for name in ("anna", "li", "wang")}


class FinalizeCase(CompanyTestCase):
    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return ensureDeferred(test)

    def known(self, *names: str, **words: str) -> None:
        """Accounts whose passwords were given, and not tried yet; those in `words` with other ones."""
        database = AccountsDatabase(self.state / "accounts.db")
        accounts, sealer = Accounts(database), Sealer(load_key(self.state / "sealing.key"))
        for name, word in {**dict.fromkeys(names, WORD), **words}.items():
            account = accounts.add(name, "123.com")
            accounts.password_given(account.id, sealer.seal(account.name, word.encode()))
        database.close()

    def stranger(self, name: str) -> None:
        """An account that nobody has logged in to, and whose password nobody knows."""
        database = AccountsDatabase(self.state / "accounts.db")
        Accounts(database).add(name, "123.com")
        database.close()

    async def moved(self, *names: str) -> None:
        """These accounts are here."""
        self.known(*names)
        ran = await self.mailferry("migrate", "--all", "--force")
        self.assertEqual((ran.status, ran.err), (0, ""))
        self.note_sealed()

    def note_sealed(self) -> None:
        self.sealed = [account.sealed_password for account in self.accounts().values() if account.sealed_password]

    def states(self) -> dict[str, str]:
        return {name.partition("@")[0]: account.state.value for name, account in self.accounts().items()}

    def traces(self) -> list[str]:
        """The files that still have a sealed password that was there when the accounts had been moved."""
        files = [path for path in self.state.glob("accounts.db*") if path.is_file()]
        return [path.name for path in files for sealed in self.sealed if sealed in path.read_bytes()]

    async def logged_in(self, user: str, password: str = WORD) -> str:
        """How many messages the user finds, or why there are none."""

        def log_in() -> str:
            with Unix(f"{self.state}.imap") as imap:
                try:
                    imap.login(user, password)
                except imaplib.IMAP4.error as error:
                    return str(error)
                return str(imap.select("INBOX")[1][0], "ascii")

        return await deferToThread(log_in)


class Unix(imaplib.IMAP4):
    """imaplib over a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__()

    def _create_socket(self, _timeout: float | None) -> Any:
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
            text = report.read_text()
            self.assertIn("RESULT           final, and nothing is left behind", text)
            self.assertIn("li@123.com  final, was moved; 6 messages", text)
            (kept,) = Reports(self.state).of("123.com")
            self.assertEqual((kept.kind, kept.forms), ("final", (".txt", ".csv", ".json")))
            self.assertEqual((self.state / "reports" / "123.com" / f"{kept.name}.txt").read_text(), text)
            shown = await self.mailferry("accounts", "show", "li@123.com")
            self.assertRegex(shown.out, r"final since +20\d\d-\d\d-\d\dT")
            listed = await self.mailferry("status", "--json", "--accounts")
            self.assertTrue(all(account["finalized"] for account in json.loads(listed.out)["accounts"]))

        return self.run_async(test())

    def test_who_would_be_left_behind_is_named_and_nobody_is_final_unless_told(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            self.known("anna", li="wrong")
            self.stranger("chen")
            files = {form: self.directory / f"report.{form}" for form in ("csv", "json")}
            options = [option for file in files.values() for option in ("--report", str(file))]
            ran = await self.mailferry("finalize", "123.com", "--yes", *options)
            self.assertEqual(ran.status, 1)
            self.assertEqual(
                ran.err,
                "mailferry: 2 accounts would leave something behind; nothing was made final: "
                "--leave-behind does it all the same\n",
            )
            self.assertIn("left behind: 1 account, never logged in, so that nothing was carried over", ran.out)
            self.assertIn("→ remind them: `mailferry notify 123.com --to chen@123.com --reminder --send`; or", ran.out)
            self.assertIn("    chen@123.com  what it has at the old server is not known", ran.out)
            self.assertIn("left behind: 1 account, the old server does not take the password", ran.out)
            self.assertEqual(self.states(), {"anna": "moved", "li": "waiting", "chen": "waiting"})
            self.assertIsNotNone(self.accounts()["anna@123.com"].sealed_password)
            rows = list(csv.DictReader(io.StringIO(files["csv"].read_text(encoding="utf-8-sig"))))
            self.assertEqual(
                {row["account"]: (row["final"], row["left_behind"]) for row in rows},
                {
                    "anna@123.com": ("no", ""),
                    "chen@123.com": ("no", "never-logged-in"),
                    "li@123.com": ("no", "password-rejected"),
                },
            )
            found = json.loads(files["json"].read_text())
            self.assertEqual(found["result"], "refused: 2 accounts would leave something behind")

            ran = await self.mailferry("finalize", "123.com", "--yes", "--leave-behind", "--json")
            self.assertEqual((ran.status, ran.err), (0, ""))
            (found,) = ran.events
            self.assertEqual((found["totals"]["final"], found["totals"]["left_behind"]), (3, 2))
            chen = next(row for row in found["accounts"] if row["account"] == "chen@123.com")
            self.assertEqual((chen["final"], chen["password"], chen["state_before"]), (True, False, "waiting"))
            account = self.accounts()["chen@123.com"]
            self.assertEqual((account.state, account.password_hash), (State.FINAL, None))
            self.assertTrue(account.reason.startswith("left behind: never logged in"))
            self.assertIn("li", self.states())
            self.assertEqual(server.passwords, 5)  # the wrong one was sent once, and never again

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
            self.assertIn("rehearsed: all would be well: 0 of 2 accounts final", ran.out)
            self.assertEqual(self.accounts(), before)
            self.assertEqual(server.asked(b"RETR"), 10)
            self.assertFalse((self.state / "reports").exists())

        return self.run_async(test())

    def test_an_old_server_that_is_gone_leaves_everybody_behind(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await server.close()
            self.known("anna", "li")
            ran = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual(ran.status, 1)
            self.assertIn("left behind: 2 accounts, the move has not come to its end", ran.out)
            self.assertIn("anna@123.com  nothing is here; ", ran.out)
            self.assertIn("refuses connections", ran.out)
            self.assertEqual(set(self.states().values()), {"waiting"})

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
            report = self.directory / "r.json"
            ran = await self.mailferry("finalize", "123.com", "--yes", "--report", str(report))
            self.assertEqual((ran.status, ran.err, self.traces()), (0, "", []))
            self.assertEqual(set(self.states().values()), {"final"})
            totals = json.loads(report.read_text())["totals"]
            self.assertEqual((totals["final"], totals["final_before"]), (2, 1))

        return self.run_async(test())

    def test_killed_in_the_last_round_it_has_made_nobody_final(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail({**BOXES, "long": [mail(n) for n in range(200)]}, stop_in=150)
            self.known("anna", "long")
            command = self.begin("finalize", "123.com", "--yes")
            await self.until(lambda: server.asked(b"RETR") >= 150)
            command.kill()
            await command.ended
            self.assertNotIn("final", self.states().values())
            server.behaviour.stop_in = 0
            ran = await self.mailferry("finalize", "123.com", "--yes")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertEqual(self.accounts()["long@123.com"].messages_done, 200)

        return self.run_async(test())


class WithDaemon(FinalizeCase):
    def test_the_daemon_takes_notice_at_once_and_unfinalize_has_it_ask_again(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.daemon()
            self.assertEqual(await self.logged_in("anna@123.com"), "5")
            await self.until(lambda: self.accounts()["anna@123.com"].state is State.MOVED)
            self.note_sealed()
            self.stranger("li")
            server.mailboxes[b"anna"].append(mail(6))
            ran = await self.mailferry("finalize", "123.com", "--yes", "--leave-behind")
            self.assertEqual((ran.status, ran.err, self.traces()), (0, "", []))
            asked = server.passwords
            self.assertEqual(await self.logged_in("anna@123.com"), "6")
            self.assertIn("AUTHENTICATIONFAILED", await self.logged_in("anna@123.com", "another"))
            self.assertIn("AUTHENTICATIONFAILED", await self.logged_in("li@123.com"))
            server.mailboxes[b"anna"].append(mail(7))
            self.assertEqual(server.passwords, asked)

            ran = await self.mailferry("unfinalize", "123.com")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertIn("2 accounts are no longer final: the old server is asked at the next login", ran.out)
            self.assertIn("not brought back: the sealed passwords", ran.out)
            account = self.accounts()["anna@123.com"]
            self.assertEqual((account.state, account.sealed_password, account.reason), (State.MOVED, None, ""))
            self.assertEqual(self.states()["li"], "waiting")
            self.assertEqual(await self.logged_in("anna@123.com"), "6")
            await self.until(lambda: self.accounts()["anna@123.com"].messages_done == 7)
            account = self.accounts()["anna@123.com"]
            self.assertIsNotNone(account.sealed_password)
            self.assertEqual(account.password_state, PasswordState.KNOWN)
            self.assertEqual(server.passwords, asked + 1)
            self.assertEqual(await self.logged_in("li@123.com"), "5")

        return self.run_async(test())


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    config = ("--config", configuration(tmp_path))
    assert "no accounts are known here" in mailferry("finalize", "123.com", "--yes", *config).stderr
    with_accounts(tmp_path, lambda accounts: accounts.add("anna", "123.com"))
    for arguments, status, words in (
        (("finalize", "123.com"), 2, "--yes says that it is to be done"),
        (("finalize", "123.com", "--yes", "--report", "x.pdf"), 2, "end it with .txt, .json or .csv"),
        (("finalize", "456.com", "--yes"), 1, "456.com: no accounts are known here"),
        (("finalize", "124.com", "--yes"), 1, '"124.com" is no domain that is served here'),
        (("finalize", "nobody@123.com", "--yes"), 1, "mailferry: not known here: nobody@123.com"),
        (("finalize", "123.com", "--yes", "--report", tmp_path / "no" / "r.txt"), 1, "No such file or directory"),
        (("unfinalize", "nobody@123.com"), 1, "mailferry: not known here: nobody@123.com"),
        (("unfinalize", "anna@123.com"), 1, "not final, and left as they are: anna@123.com"),
        (("unfinalize", "123.com"), 1, "none of these accounts is final"),
        (("unfinalize",), 2, "Missing argument"),
    ):
        ran = mailferry(*arguments, *config)
        assert (ran.exit_code, ran.stdout, words in ran.stderr) == (status, "", True), ran.stderr
