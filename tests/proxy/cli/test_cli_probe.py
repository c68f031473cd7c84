"""`mailferry probe` as a command: what it asks, prints, writes and ends with, against a scripted legacy server."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from proxy.config import load
from tests.legacy.quirks import Habits, QuirkyServer
from tests.legacy.server import Behaviour
from tests.proxy.admin.probe_rig import ProbeCase
from tests.proxy.admin.test_verify_found import from_coroutine
from tests.proxy.cli.command import configuration, mailferry, with_accounts
from tests.proxy.cli.company import CONFIG, PASSWORD
from tests.proxy.cli.test_cli_verify import Ran
from tests.proxy.migration.scripted import folder, mail

BOX = [mail(n) for n in range(1, 31)]
PROMISE = (
    'At most two logins are tried at 127.0.0.1: as "li", and as "li@123.com" only if that is refused as a wrong '
    "password. Mail there is only read."
)


class Commands(ProbeCase):
    def setUp(self) -> None:
        super().setUp()
        self.state = folder(self)
        self.file = self.state / "mailferry.toml"

    def start(self, *arguments: str, password: bytes = PASSWORD, **how: Any) -> Ran:
        if not self.file.exists():
            self.file.write_text(CONFIG.format(state=self.state, port=self.server.port))
        typed = {} if how.get("terminal") else {"typed": password + b"\n"}
        options = [] if how.get("terminal") else ["--password-stdin"]
        return Ran(["probe", *arguments, *options, "--config", str(self.file)], **typed, **how)

    async def ran(self, *arguments: str, **how: Any) -> Ran:
        ended = await self.start(*arguments, **how).ended
        self.assertNotIn(PASSWORD, ended.out + ended.err)
        await self.server.emptied()
        self.assertEqual(self.server.harmful, [])
        return ended

    @from_coroutine
    async def test_what_is_said_before_and_after(self) -> None:
        server = self.serve(BOX)
        ran = await self.ran("li@123.com")
        self.assertEqual((ran.status, ran.err.decode()), (0, f"{PROMISE}\n"))
        told: dict[str, str] = {}
        label = ""
        for line in ran.lines:  # where a line is folded depends on how wide its figures are
            label = line[:17].strip() or label
            told[label] = f"{told[label]} {line[17:]}" if label in told else line[17:]
        self.assertEqual(told["Account"], "li@123.com at 127.0.0.1 (POP3)")
        self.assertEqual(told["Logins"], '1 of at most 2: as "li": let in')
        self.assertEqual(told["Reached at"], f"port {server.port}, not encrypted")
        self.assertEqual(told["PIPELINING"], "announced, works")
        self.assertEqual(told["LAST"], "no")
        self.assertRegex(told["Mailbox"], r"^30 messages, 2\.1 kB, listed in ")
        self.assertRegex(
            told["Speed"], r"/s \(30 messages, 2\.1 kB, in \d\.\d\d s, many asked for at once\); round trip "
        )
        self.assertEqual(told["The domain"], "no accounts are known here yet, so nothing can be said of all")
        self.assertEqual(told["Configuration"], 'is right as it is: host, port, tls, login = "local"')
        self.assertEqual(server.passwords, 1)
        self.assertEqual([path.name for path in self.state.iterdir()], ["mailferry.toml"])  # nothing is made

    @from_coroutine
    async def test_the_right_form_is_written_and_the_next_probe_needs_one_login(self) -> None:
        habits = Habits(names=frozenset({b"li@123.com"}))
        server = self.listening(QuirkyServer(BOX, Behaviour(password=PASSWORD), habits))
        self.file.write_text("# kept\n" + CONFIG.format(state=self.state, port=server.port))
        ran = await self.ran("li@123.com", "--json", "--write")
        found = json.loads(ran.out)
        self.assertEqual((ran.status, found["ok"], found["changes"]), (0, True, {"login": "full"}))
        self.assertEqual([login["answer"] for login in found["logins"]], ["wrong", "accepted"])
        self.assertIn(b'now says login = "full"; it takes effect when', ran.err)
        self.assertTrue(self.file.read_text().startswith("# kept\n"))
        self.assertEqual(load(self.file).domains["123.com"].legacy.login, "full")
        self.assertEqual(load(self.file).domains["456.com"].legacy.login, "local")
        ran = await self.ran("li@123.com", "--write")
        self.assertIn(b"has it right already: nothing to write", ran.err)
        self.assertEqual(server.passwords, 3)

    @from_coroutine
    async def test_a_wrong_password(self) -> None:
        server = self.serve(BOX)
        ran = await self.ran("li@123.com", "--write", password=b"mistyped")
        self.assertEqual((ran.status, server.passwords), (1, 2))
        self.assertIn(
            '2 of at most 2: as "li": refused as wrong ("[AUTH] wrong"); as "li@123.com": refused',
            " ".join(ran.out.decode().split()),
        )
        self.assertIn("mailferry: the password is not taken, neither as li nor as li@123.com: ", ran.err.decode())
        self.assertNotIn(b"mistyped", ran.out + ran.err)

    @from_coroutine
    async def test_json_has_what_programs_want(self) -> None:
        self.serve(BOX)
        database = AccountsDatabase(self.state / "state" / "accounts.db")
        accounts = Accounts(database)
        for name in ("li", "wang", "anna"):
            accounts.add(name, "123.com")
        database.close()
        self.file.write_text(CONFIG.format(state=self.state / "state", port=self.server.port))
        found = json.loads((await self.ran("li@123.com", "--json", "--lock")).out)
        self.assertEqual((found["account"], found["login"], found["tls"]), ("li@123.com", "local", "none"))
        self.assertEqual(found["pop3"]["second_session"], "shared")
        self.assertEqual(found["mailbox"]["biggest"]["octets"], 71)
        self.assertEqual((found["mailbox"]["messages"], found["mailbox"]["newest"]), (30, "2023-11-14T22:13:20Z"))
        self.assertEqual((found["sample"]["messages"], found["sample"]["at_once"]), (30, True))
        self.assertEqual((found["estimate"]["domain"]["accounts"], found["estimate"]["domain"]["messages"]), (3, 90))
        self.assertEqual(len(found["logins"]), 2)

    @from_coroutine
    async def test_the_account_is_called_as_its_list_says(self) -> None:
        server = self.serve(BOX)
        database = AccountsDatabase(self.state / "accounts.db")
        account = Accounts(database).add("li", "123.com")
        Accounts(database)._change(account.id, legacy_login="u00317")
        database.close()
        ran = await self.ran("li@123.com")
        self.assertEqual(ran.status, 0)
        self.assertIn(b'are tried at 127.0.0.1: as "u00317". Mail', ran.err)
        self.assertEqual([line for line in server.commands if line.startswith(b"USER")], [b"USER u00317"])

    @from_coroutine
    async def test_on_a_terminal_the_password_is_asked_for_and_not_shown(self) -> None:
        server = self.serve(BOX)
        running = self.start("li@123.com", terminal=True)
        await self.until(running, b"Password of li@123.com at the legacy server: ")
        running.transport.write(PASSWORD + b"\n")
        ran = await running.ended
        self.assertEqual((ran.status, server.passwords), (0, 1))
        self.assertNotIn(PASSWORD, ran.out)
        self.assertLess(ran.out.index(b"At most two logins"), ran.out.index(b"Password of"))
        await server.emptied()

    @from_coroutine
    async def test_ctrl_c_says_what_was_found_and_how_many_logins_there_were(self) -> None:
        server = self.serve(BOX, silent_at=frozenset({b"LIST"}))
        running = self.start("li@123.com")
        await self.until(running, b"At most two")
        await self.asked(server, b"LIST")
        running.process.signalProcess(signal.SIGINT)
        ran = await running.ended
        self.assertEqual((ran.status, ran.lines[1][17:]), (1, '1 of at most 2: as "li": let in'))
        self.assertTrue(ran.err.endswith(b"mailferry: interrupted: what was found by then is told\n"), ran.err)
        await server.emptied()

    async def until(self, running: Ran, words: bytes) -> None:
        from twisted.internet.defer import Deferred

        heard: Deferred[None] = Deferred()

        def look() -> None:
            if words in running.out + running.err and not heard.called:
                heard.callback(None)

        running.heard = look
        look()
        await heard

    async def asked(self, server: Any, verb: bytes) -> None:
        from twisted.internet import reactor
        from twisted.internet.task import deferLater

        while not server.asked(verb):
            await deferLater(reactor, 0.02)  # type: ignore[arg-type]


def test_what_makes_no_sense_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    result = mailferry("probe", "li@124.com", "--config", file)
    assert (result.exit_code, result.stderr) == (
        1,
        'mailferry: "124.com" is not served here, did you mean "123.com"?\n',
    )
    assert mailferry("probe", "li@123.com", "--timeout", "0", "--config", file).exit_code == 2
    assert mailferry("probe", "--config", file).exit_code == 2
    result = mailferry("probe", "li@123.com", "--config", file)
    assert result.exit_code == 2
    assert "there is no terminal to ask for the password: give it with --password-stdin" in result.stderr


def test_an_empty_password_is_not_tried(tmp_path: Path) -> None:
    result = mailferry("probe", "li@123.com", "--password-stdin", "--config", configuration(tmp_path))
    assert result.exit_code == 2
    assert "the password is empty" in result.stderr


def test_who_is_paused_is_not_asked_for(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("li", "123.com"))
    file = configuration(tmp_path)
    mailferry("pause", "123.com", "--config", file)
    result = mailferry("probe", "li@123.com", "--password-stdin", "--config", file)
    assert result.exit_code == 1
    assert "is paused: its legacy server is not asked; `mailferry resume` ends that" in result.stderr
