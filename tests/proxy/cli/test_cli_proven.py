"""Many accounts of a domain move only when one of them has shown that its settings are right."""

from __future__ import annotations

import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from twisted.internet.defer import Deferred, ensureDeferred

from mailstore.database import AccountsDatabase
from mailstore.proofs import Proofs
from proxy import config
from proxy.admin.proving import Stage, proves, settings_of, settle, standings
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome, Circumstances, Verification, verification
from proxy.admin.verify.sample import How
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
            self.refused_at_first()
            self.assertEqual((server.connections, self.accounts()), (0, {}))
            ran = await self.mailferry("migrate", "li@123.com", *self.given("li"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "1 of 1 accounts are here"))
            self.assertIn("\n  mailferry verify li@123.com ", self.said("migrate", "--domain", "123.com").stderr)
            ran = await self.mailferry("verify", "li@123.com")
            self.assertEqual(ran.lines[-1], "123.com is proven with li@123.com: its other accounts may be moved")
            ran = await self.mailferry("migrate", *self.given("anna", "wang"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "2 of 2 accounts are here"))
            self.says_so_in_status()
            self.refused_when_settings_have_changed()

        return self.run_async(test())

    def said(self, *arguments: str) -> Result:
        """What a command says that needs no reactor."""
        return mailferry(*arguments, "--config", self.configuration)

    def refused_at_first(self) -> None:
        for many in (("--all",), ("--domain", "123.com"), ("123.com",), self.given("anna", "li")):
            ran = self.said("migrate", *many)
            self.assertEqual((ran.exit_code, ran.stdout), (1, ""))
            self.assertTrue(ran.stderr.startswith(f"mailferry: 123.com {UNPROVEN}. "), ran.stderr)
            commands = re.findall(r"^  mailferry (\S+ \S+)", ran.stderr, re.MULTILINE)
            self.assertEqual(commands[:3], ["probe test@123.com", "migrate test@123.com", "verify test@123.com"])
            self.assertIn("--force", ran.stderr)

    def status_lines(self, *domains: str) -> list[str]:
        """Those about proofs: whether there is one about speed depends on how long all of it took."""
        return [line for line in self.said("status", *domains).stdout.splitlines() if "proven" in line]

    def says_so_in_status(self) -> None:
        first, second = self.status_lines()
        self.assertRegex(first, r"^123\.com is proven with li@123\.com on 20\d\d-\d\d-\d\d$")
        self.assertEqual(second, f"456.com {UNPROVEN}")
        found = json.loads(self.said("status", "--json").stdout)
        self.assertEqual(list(found["proven"]), ["123.com"])
        self.assertEqual(found["proven"]["123.com"]["account"], "li@123.com")
        self.assertIs(found["proven"]["123.com"]["current"], True)

    def refused_when_settings_have_changed(self) -> None:
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("connections = 3", 'login = "full"'))
        (line,) = self.status_lines("123.com")
        self.assertTrue(line.endswith(', and its settings have changed since (login was "local" and is "full")'), line)
        ran = self.said("migrate", "--all")
        self.assertEqual(ran.exit_code, 1)
        self.assertIn("was proven with li@123.com on 20", ran.stderr)
        found = json.loads(self.said("status", "--json", "123.com").stdout)
        self.assertIs(found["proven"]["123.com"]["current"], False)

    def test_forced(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail(BOXES)
            ran = await self.mailferry("migrate", "--force", *self.given("anna", "li"))
            self.assertEqual((ran.status, ran.err, ran.lines[-1]), (0, "", "2 of 2 accounts are here"))

        return self.run_async(test())


def outcome(name: str, **figures: Any) -> AccountOutcome:
    """A moved account, whole, of which ten messages were given again."""
    usual = {"listed": 30, "listed_octets": 3_000, "ledger": 30, "stored": 30, "files": 30, "contents": 10}
    return AccountOutcome(f"{name}@123.com", "123.com", **({"state": "moved"} | usual | figures))


def faulty(kind: Kind) -> AccountOutcome:
    found = outcome("li")
    found.found(Finding(kind, "so it is"))
    return found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (outcome("li"), True),
        (faulty(Kind.OCTETS_DIFFER), True),  # a note: nothing is lost
        (faulty(Kind.MISSING), False),
        (outcome("li", contents=0), False),  # --sample 0, or an empty mailbox
        (outcome("li", not_compared="--local"), False),
        (outcome("li", under_way="a move is under way"), False),
        (outcome("li", state="moving"), False),
        (outcome("li", state="final"), False),
    ],
)
def test_what_proves_a_domain(found: AccountOutcome, expected: bool) -> None:
    assert proves(found) is expected


def verified(*outcomes: AccountOutcome) -> Verification:
    return verification(Circumstances("0.1", "here", ("123.com",), (), 0.0, 1.0, How()), outcomes)


def test_what_is_proven_already_stays_with_its_account(tmp_path: Path) -> None:
    settings = config.load(configuration(tmp_path))
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    times = iter((100, 200, 300))
    proofs = Proofs(database, clock=lambda: next(times))
    (first,) = settle(settings, proofs, verified(outcome("anna"), outcome("li", contents=20), outcome("wang")))
    assert (first.account, first.proven) == ("li@123.com", 100)  # of whom most was compared
    assert json.loads(first.report)["contents"] == 20
    assert settle(settings, proofs, verified(outcome("anna", contents=30))) == []
    assert proofs.all()["123.com"] == first
    assert settle(settings, proofs, verified(outcome("li", contents=30))) == []  # again, and later
    assert proofs.all()["123.com"].proven == 200
    changed = config.parse(settings.origin.data.replace(b'host = "127.0.0.1"', b'host = "127.0.0.1"\nport = 995', 1))
    (new,) = settle(changed, proofs, verified(outcome("anna")))
    assert (new.account, new.proven) == ("anna@123.com", 300)
    database.close()


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
    found = report(sorted(settings.domains), database, None, None, standings=standings(settings, proofs))
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
