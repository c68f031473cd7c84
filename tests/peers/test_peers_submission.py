"""Users send by way of a real Postfix with `conf/postfix`, which asks mailferry for their passwords."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.legacy.threaded import Relay, unchanged
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import over_imap, write_letters
from tests.peers.needs import needed
from tests.peers.submission import Submission
from tests.peers.test_peers_notify import until

pytestmark = pytest.mark.peers

WRONG = (535, b"5.7.8 Error: authentication failed: wrong user name or password")
LATER = (454, b"4.7.0 Temporary authentication failure: Connection lost to authentication server")


class Holding(Relay):
    """Gives out messages only while `open`; `gone` as if it were down."""

    def __init__(self, target: int) -> None:
        self.open = threading.Event()
        self.open.set()
        self.gone = False
        super().__init__(target)

    def serve(self, client: object) -> None:
        if not self.gone:
            super().serve(client)  # type: ignore[arg-type]

    def pass_on(self, client: object, server: object, **_: object) -> None:  # type: ignore[override]
        def up(data: bytes) -> bytes:
            if b"RETR" in data:
                self.open.wait(60)
            return unchanged(data)

        super().pass_on(client, server, up=up)  # type: ignore[arg-type]


@dataclass
class Company:
    """`old` in front of the legacy server, `daemon`, and `postfix` in front of that."""

    old: Holding
    daemon: Daemon
    postfix: Submission

    def account(self, user: str) -> Account | None:
        database = AccountsDatabase(self.daemon.root / "state" / "accounts.db")
        found = Accounts(database).find(user, "123.com")
        database.close()
        return found

    def is_in(self, user: str, state: State) -> bool:
        account = self.account(user)
        return account is not None and account.state is state

    def put(self, user: str, state: State) -> None:
        database = AccountsDatabase(self.daemon.root / "state" / "accounts.db")
        account = Accounts(database).find(user, "123.com")
        assert account is not None
        Accounts(database)._change(account.id, state=state)
        database.close()

    def open(self) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=self.postfix.root / "cert.pem")
        return smtplib.SMTP_SSL("localhost", self.postfix.tls, context=context, timeout=60)

    def send(self, user: str, password: str = PASSWORD, *, sender: str = "") -> tuple[int, bytes] | None:
        """Over port 465 with one AUTH; None where the mail was taken, or what was said against it."""
        with self.open() as client:
            client.ehlo()
            client.user, client.password = user, password
            try:
                client.auth("PLAIN", client.auth_plain)
                client.sendmail(
                    sender or f"{user.partition('@')[0]}@123.com", ["out@456.com"], b"Subject: a\r\n\r\nb\r\n"
                )
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code, error.smtp_error  # type: ignore[return-value]
            except smtplib.SMTPRecipientsRefused as error:
                return error.recipients["out@456.com"]
        return None

    def swaks(self, user: str, password: str = PASSWORD, mechanism: str = "LOGIN") -> tuple[int, str]:
        """Over port 587 with STARTTLS; exit status and what was said."""
        command = [needed("swaks"), "--server", f"127.0.0.1:{self.postfix.starttls}", "--tls", "--auth", mechanism]
        command += ["--auth-user", user, "--auth-password", password, "--from", f"{user}@123.com"]
        done = subprocess.run(
            [*command, "--to", "out@456.com"], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def company(ground: Path, legacy: Dovecot) -> Iterator[Company]:
    with Holding(legacy.pop3) as old:
        (ground / "run").mkdir()
        shutil.chown(ground / "run", group="postfix")
        (ground / "run").chmod(0o750)  # as conf/postfix/mailferry.service.conf has it
        auth = f'auth = ["unix:{ground}/run/auth"]'
        daemon = Daemon(ground / "sending", f'port = {old.port}\ntls = "none"', listen=auth, workers=1)
        daemon.start()
        (ground / "postfix").mkdir()
        postfix = Submission(ground / "postfix", f"{ground}/run/auth")
        yield Company(old, daemon, postfix)
        postfix.stop()
        daemon.stop()


@pytest.fixture
def new_user(legacy: Dovecot, company: Company) -> Iterator[Callable[[str], str]]:
    def make(name: str) -> str:
        write_letters(legacy, name, 3)
        return name

    company.old.gone = False
    company.old.open.set()
    yield make
    company.old.open.set()


def test_a_user_sends_before_during_and_after_the_move(company: Company, new_user: Callable[[str], str]) -> None:
    user = new_user("sends")
    sent = len(company.postfix.delivered("anna"))
    company.old.open.clear()
    status, said = company.swaks(user)
    assert (status, "235 2.7.0" in said) == (0, True)  # the first login
    assert company.is_in(user, State.MOVING)
    assert company.send(f"{user}@123.com") is None
    assert company.send(user, "guess") == WRONG
    assert company.is_in(user, State.MOVING)
    company.old.open.set()
    assert until(lambda: company.is_in(user, State.MOVED))
    assert company.swaks(user, mechanism="PLAIN")[0] == 0
    assert len(over_imap(company.daemon, user)) == 3
    company.put(user, State.FINAL)
    company.old.gone = True
    assert company.send(user) is None
    assert company.send(user, "guess") == WRONG
    assert until(lambda: len(company.postfix.delivered("anna")) == sent + 4)
    assert all(b"ESMTPSA" in mail for mail in company.postfix.delivered("anna")[sent:])
    company.put(user, State.BLOCKED)
    refused = company.send(user)
    assert refused == (
        535,
        WRONG[1].replace(b"wrong user name or password", b"this account needs the administrator's attention"),
    )


def test_an_old_server_that_is_down_makes_no_password_wrong(company: Company, new_user: Callable[[str], str]) -> None:
    here, nobody_yet = new_user("here"), new_user("notyet")
    assert company.send(here) is None
    assert until(lambda: company.is_in(here, State.MOVED))
    company.old.gone = True
    assert company.send(nobody_yet) == LATER
    status, said = company.swaks(nobody_yet)
    assert (status, "454 4.7.0" in said, "535" in said) == (28, True, False)
    assert company.send(here) is None
    assert company.send(here, "guess") == LATER
    company.old.gone = False
    assert company.send(nobody_yet) is None


def test_who_may_send_as_whom(company: Company, new_user: Callable[[str], str]) -> None:
    user = new_user("anyone")
    for sender in ("anyone@123.com", "Anyone+lists@123.COM", "info@123.com"):
        assert company.send(user, sender=sender) is None
    for sender in ("here@123.com", "anyone@456.com", "anyone@elsewhere.example", "any@123.com", "+anyone@123.com"):
        refused = company.send(user, sender=sender)
        assert refused is not None
        assert (refused[0], b"not owned by user anyone@123.com" in refused[1]) == (553, True)


def test_a_daemon_that_starts_anew_is_found_again(company: Company, new_user: Callable[[str], str]) -> None:
    user = new_user("stays")
    assert company.send(user) is None
    with company.open() as client:
        company.daemon.kill()  # which leaves the socket behind
        client.ehlo()
        client.user, client.password = user, PASSWORD
        with pytest.raises(smtplib.SMTPAuthenticationError, match="454"):
            client.auth("PLAIN", client.auth_plain)
        before = company.daemon.log.count('"listening"')
        company.daemon.start()
        assert until(
            lambda: company.daemon.log.count('"listening"') > before
        )  # its ports are the old worker's for a moment
        assert client.auth("PLAIN", client.auth_plain)[0] == 235


def test_dovecots_own_client(company: Company, new_user: Callable[[str], str]) -> None:
    """It speaks a later version, and knows what is temporary from FAIL."""
    user = new_user("third")

    def test(password: str) -> tuple[int, str]:
        command = [needed("doveadm"), "auth", "test", "-a", f"{company.daemon.root.parent}/run/auth", "-x", "secured"]
        done = subprocess.run([*command, user, password], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    assert test(PASSWORD)[0] == 0
    assert "user=third@123.com" in test(PASSWORD)[1]
    status, said = test("guess")
    assert (status, "temp" in said) == (77, False)
    company.old.gone = True
    status, said = test("another")
    assert (status, "temp" in said) == (77, True)
