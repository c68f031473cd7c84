"""Many accounts of a domain move only when one of them has shown that its settings are right."""

from __future__ import annotations

import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred, ensureDeferred

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.proofs import Proofs
from proxy import config
from proxy.admin.proving import Stage, settings_of, standings
from proxy.cli.report import report
from proxy.cli.tables import render
from tests.proxy.cli.command import configuration, mailferry
from tests.proxy.cli.company import PASSWORD, CompanyTestCase
from tests.proxy.migration.scripted import mail

WORD = PASSWORD.decode()
BOXES = {name: [mail(n) for n in range(1, 11)] for name in ("anna", "li", "wang")}
UNPROVEN = "is not proven: no account's whole move was verified yet"


class Proving(CompanyTestCase):
    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return ensureDeferred(test)

    def given(self, *names: str) -> tuple[str, str]:
        return "--passwords", self.passwords(*(f"{name}@123.com,{WORD}" for name in names))

    def test_one_account_is_moved_and_verified_before_the_others_move(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail(BOXES)
            await self.refused_at_first()
            self.assertEqual((server.connections, self.accounts()), (0, {}))
            ran = await self.mailferry("migrate", "li@123.com", *self.given("li"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "1 of 1 accounts are here"))
            ran = await self.mailferry("migrate", "--domain", "123.com")
            self.assertEqual(ran.status, 1)
            self.assertIn("\n  mailferry verify li@123.com ", ran.err)
            ran = await self.mailferry("verify", "li@123.com")
            self.assertEqual(ran.lines[-1], "123.com is proven with li@123.com: its other accounts may be moved")
            again = await self.mailferry("verify", "li@123.com", "--json")
            self.assertEqual(json.loads(again.out)["proven"], {})  # it was before
            ran = await self.mailferry("migrate", *self.given("anna", "wang"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "2 of 2 accounts are here"))
            await self.says_so_in_status()
            await self.refused_when_settings_have_changed()

        return self.run_async(test())

    async def refused_at_first(self) -> None:
        for many in (("--all",), ("--domain", "123.com"), ("123.com",), self.given("anna", "li")):
            ran = await self.mailferry("migrate", *many)
            self.assertEqual((ran.status, ran.out), (1, ""))
            self.assertTrue(ran.err.startswith(f"mailferry: 123.com {UNPROVEN}. "), ran.err)
            commands = re.findall(r"^  mailferry (\S+ \S+)", ran.err, re.MULTILINE)
            self.assertEqual(commands[:3], ["probe test@123.com", "migrate test@123.com", "verify test@123.com"])
            self.assertIn("--force", ran.err)

    async def says_so_in_status(self) -> None:
        ran = await self.mailferry("status")
        self.assertRegex(ran.lines[2], r"^123\.com is proven with li@123\.com on 20\d\d-\d\d-\d\d$")
        self.assertEqual(ran.lines[3], f"456.com {UNPROVEN}")
        found = json.loads((await self.mailferry("status", "--json")).out)
        self.assertEqual(list(found["proven"]), ["123.com"])
        self.assertEqual(found["proven"]["123.com"]["account"], "li@123.com")
        self.assertIs(found["proven"]["123.com"]["current"], True)

    async def refused_when_settings_have_changed(self) -> None:
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("connections = 3", 'connections = 4\nlogin = "full"'))
        ran = await self.mailferry("status", "123.com")
        self.assertTrue(
            ran.lines[1].endswith(', and its settings have changed since (login was "local" and is "full")'), ran.out
        )
        ran = await self.mailferry("migrate", "--all")
        self.assertEqual(ran.status, 1)
        self.assertIn("was proven with li@123.com on 20", ran.err)
        found = json.loads((await self.mailferry("status", "--json", "123.com")).out)
        self.assertIs(found["proven"]["123.com"]["current"], False)
        self.configuration.write_text(text.replace("connections = 3", "connections = 4"))  # nothing that decides
        ran = await self.mailferry("migrate", "--domain", "123.com", "--json")
        self.assertEqual((ran.status, ran.events[-1]["here"]), (0, 3))

    def test_forced(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            ran = await self.mailferry("migrate", "--force", *self.given("anna", "li"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "2 of 2 accounts are here"))
            ran = await self.mailferry("migrate", "--all", "--force")
            self.assertEqual(ran.status, 0)

        return self.run_async(test())

    def test_what_was_not_compared_message_by_message_proves_nothing(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail({**BOXES, "empty": []})
            await self.mailferry("migrate", "li@123.com", "empty@123.com", *self.given("li", "empty"))
            for arguments in (("li@123.com", "--local"), ("li@123.com", "--sample", "0"), ("empty@123.com",)):
                ran = await self.mailferry("verify", *arguments)
                self.assertNotIn("proven", ran.out, arguments)
            server.mailboxes[b"li"].append(mail(11))
            ran = await self.mailferry("verify", "123.com", "--full")
            self.assertEqual(ran.status, 1)
            self.assertNotIn("proven", ran.out)
            self.assertEqual((await self.mailferry("status", "123.com")).lines[1], f"123.com {UNPROVEN}")

        return self.run_async(test())


def test_each_setting_that_decides_makes_a_proof_old(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    proofs = Proofs(database, clock=lambda: 1_700_000_000)
    proofs.write("123.com", "li@123.com", json.dumps(settings_of(config.load(file).domains["123.com"])), "{}")
    text = file.read_text()
    for line, old in (
        ("port = 995", False),
        ('tls = "implicit"', False),
        ("verify = false", False),
        ('tls_minimum = "1.0"', False),
        ('ciphers = "ALL:@SECLEVEL=0"', False),
        ('login = "full"', False),
        ('source = "imap"', False),
        (f'fingerprint = "sha256:{"A" * 64}"', False),
        ('ca = "other.pem"', False),
        ("connections = 5", True),
        ('bandwidth = "5M"', True),
        ("logins_per_minute = 60", True),
        ('login = "local"', True),  # as it was
    ):
        changed = config.parse(text.replace('host = "127.0.0.1"\n', f'host = "127.0.0.1"\n{line}\n', 1).encode())
        assert standings(changed, proofs)["123.com"].proven is old, line
    assert standings(config.load(file), proofs)["456.com"].stage is Stage.UNPROVEN
    database.close()


def test_on_a_terminal(tmp_path: Path) -> None:
    settings = config.load(configuration(tmp_path))
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    proofs = Proofs(database, clock=lambda: 1_700_000_000)
    proofs.write("123.com", "li@123.com", json.dumps(settings_of(settings.domains["123.com"])), "{}")
    found = report(sorted(settings.domains), Accounts(database), None, "troubled", {}, standings(settings, proofs))
    database.close()
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - record only
    with console.file:
        console.print(render(found, with_accounts=False))
    text = console.export_text()
    assert "123.com is proven with li@123.com on 2023-11-14" in text
    assert f"456.com {UNPROVEN}" in text


def test_before_there_is_a_database_nothing_is_proven(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    assert mailferry("status", "--config", file).stdout.splitlines()[-1] == f"456.com {UNPROVEN}"
    assert "proven" not in json.loads(mailferry("status", "--json", "--config", file).stdout)
    assert not (tmp_path / "state").exists()
