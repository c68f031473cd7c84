"""The gate with everything behind it but the network: accounts and mail on disk, a legacy door that is scripted,
a clock instead of the reactor, and threads that are none."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mailstore import secrets
from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.queue import Queue
from mailstore.secrets import Sealer
from proxy import config
from proxy.legacy.errors import LegacyError, LoginRejected
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyHost
from proxy.login.mover import Mover
from proxy.login.names import Name
from proxy.login.rounds import Rounds
from proxy.migration.pop3_source import source_error
from proxy.migration.schedule import Errand
from proxy.migration.source import Reopen, Source
from proxy.wire.door import Credentials, Hold, Home, LoginRefused, Refusal, Secret
from proxy.wire.tally import Tally
from tests.proxy.migration.scripted import OldMailbox, ScriptedSource, direct, folder
from tests.proxy.recording import RecordingLog

CONFIG = """
hostname = "mail.123.com"
state = "{state}"
workers = 1
[listen]
imap = ["tcp:143"]
[migration]
hold_limit = "20m"
refresh = "5m"
[domain."123.com"]
accounts = "{accounts}"
[domain."123.com".legacy]
host = "127.0.0.1"
port = {port}
tls = "none"
connections = {connections}
"""
PASSWORD = b"correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def cause(account: Account) -> str:
    """Of an account's reason, what is before the remedy."""
    found, _, remedy = account.reason.partition("; ")
    assert remedy
    return found


class ScriptedLegacy:
    """The door to the legacy servers: it knows some passwords, and does as the test says."""

    def __init__(self) -> None:
        self.passwords: dict[str, bytes] = {"user@123.com": PASSWORD}
        self.mailboxes: dict[str, OldMailbox] = {}
        self.trouble: Exception | None = None  # what every opening fails with
        self.answers: deque[Deferred[None]] = deque()  # each opening waits for the next of these
        self.asked: list[tuple[str, bytes]] = []
        self.same: dict[str, str] = {}  # accounts that are another one's mailbox there
        self.hosts: list[Any] = []
        self.hastened: list[Errand] = []

    def mailbox(self, account: str = "user@123.com") -> OldMailbox:
        return self.mailboxes.setdefault(account, OldMailbox())

    def hold_answer(self) -> Deferred[None]:
        """The next opening waits for what this gives back."""
        answer: Deferred[None] = Deferred()
        self.answers.append(answer)
        return answer

    def serve(self, host: LegacyHost) -> None:
        """As one host, with a schedule of its own, which the test may ask."""
        self.hosts = [host]

    def host_of(self, _domain: str) -> Any:
        return self.hosts[0]

    async def mailbox_of(self, name: Name) -> str:
        return self.same.get(str(name), str(name))

    def hasten(self, errand: Errand) -> None:
        self.hastened.append(errand)

    def stop(self) -> None:
        pass

    async def open(self, name: Name, password: Secret, errand: Errand | None = None) -> ScriptedSource:
        self.asked.append((str(name), password.reveal()))
        if self.answers:
            await self.answers.popleft()
        if self.trouble is not None:
            raise self.trouble
        if self.passwords.get(str(name)) != password.reveal():
            raise LoginRejected("the legacy server refused the login: no")
        return self.mailbox(str(name)).connect()

    def reopener(self, name: Name, password: Secret, errand: Errand | None = None) -> Reopen:
        async def reopen() -> Source:
            self.mailbox(str(name)).openings += 1
            try:
                return await self.open(name, password, errand)
            except LegacyError as error:
                raise source_error(error) from error

        return reopen


class LoginTestCase(SynchronousTestCase):
    """One daemon's worth of login. `restart` makes another over the same state directory."""

    accounts_are = "open"

    def setUp(self) -> None:
        self.patch(secrets, "_hasher", CHEAP)
        self.state = folder(self)
        self.later = 0.0  # seconds by which the accounts' clock runs ahead
        text = CONFIG.format(state=self.state, accounts=self.accounts_are, port=110, connections=20)
        self.config = config.parse(text.encode())
        self.legacy = ScriptedLegacy()
        self.old = self.legacy.mailbox()
        self.log = RecordingLog()
        self.sealer = Sealer(b"k" * secrets.KEY_OCTETS)
        self.handed: list[Home] = []
        self.start()

    def start(self) -> None:
        self.clock = Clock()
        self.tally = Tally()
        database = AccountsDatabase(self.config.accounts_file)
        self.addCleanup(database.close)
        self.accounts = Accounts(database, clock=self.time)
        self.homes = Homes(MailboxEngine(), in_thread=direct, from_thread=lambda call: call())
        self.legacy.serve(LegacyHost(list(self.config.domains.values()), self.clock, self.log.warning))
        door: Any = self.legacy
        self.mover = Mover(
            self.config,
            self.accounts,
            self.sealer,
            self.homes,
            door,
            reactor=self.clock,
            in_thread=direct,
            log=self.log,
            now=self.mover_time,
        )
        self.queue = Queue(database, clock=self.time)
        self.rounds = Rounds(
            self.legacy.hosts,
            self.queue,
            self.mover,
            clock=self.clock,
            in_thread=direct,
            log=self.log,
            every=self.config.migration.round,
            now=self.time,
        )
        self.gate = LoginGate(
            self.config,
            self.accounts,
            self.sealer,
            self.homes,
            door,
            self.mover,
            reactor=self.clock,
            in_thread=direct,
            log=self.log,
            tally=self.tally,
        )

    def time(self) -> float:
        """The time of day, as accounts and queue have it."""
        return time.time() + self.later

    def mover_time(self) -> float:
        """… and as moves have it: what was written `later` lies in the past or the future to them."""
        return time.time()

    def restart(self) -> None:
        self.start()

    def background(self) -> None:
        """The daemon's start: what was interrupted goes on."""
        self.successResultOf(Deferred.fromCoroutine(self.rounds.start()))

    def tearDown(self) -> None:
        """Nothing is left of anybody, and no password is in the log."""
        for home in self.handed:
            home.close()
        self.successResultOf(Deferred.fromCoroutine(self.rounds.stop()))
        self.assertEqual(self.homes._open, {})
        self.assertEqual(self.mover._errands, {})
        self.assertEqual(self.mover.turns._places, {})
        self.assertEqual(self.mover._refreshing, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for mailbox in self.legacy.mailboxes.values():
            self.assertTrue(all(source.over for source in mailbox.sources))
        said = repr(self.log.lines)
        for password in {password.decode() for _, password in self.legacy.asked} | {PASSWORD.decode()}:
            self.assertNotIn(password, said)
        self.assertNotIn("unexpected", self.log.events())

    # Logging in

    def log_in(
        self,
        username: bytes = b"user@123.com",
        password: bytes = PASSWORD,
        *,
        hold: Hold | None = None,
        peer: str = "192.0.2.1",
    ) -> Deferred[Home]:
        credentials = Credentials(username, Secret(password), "imap", peer)
        return Deferred.fromCoroutine(self.gate.login(credentials, hold or Hold()))

    def admitted(self, login: Deferred[Home] | None = None) -> Home:
        home = self.successResultOf(self.log_in() if login is None else login)
        self.handed.append(home)
        return home

    def refused(self, login: Deferred[Home]) -> tuple[Refusal, str]:
        refusal = self.failureResultOf(login, LoginRefused).value
        refusal.text.encode("ascii")
        return refusal.refusal, refusal.text

    def assert_refused(self, refusal: Refusal, login: Deferred[Home]) -> None:
        self.assertIs(self.refused(login)[0], refusal)

    def let_pass(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds))

    def moved(self) -> Account:
        """An account whose old mailbox is here, and nobody logged in."""
        self.admitted().close()
        self.legacy.asked.clear()
        account = self.account()
        self.assertIs(account.state, State.MOVED)
        return account

    # What is known here

    def account(self, name: str = "user@123.com") -> Account:
        local, _, domain = name.partition("@")
        found = self.accounts.find(local, domain)
        assert found is not None
        return found

    def set_state(self, state: State) -> None:
        self.accounts._change(self.account().id, state=state)

    def inbox(self, home: Home) -> list[bytes]:
        def read(mail: MailHome) -> list[bytes]:
            messages = []
            for row in mail.maildrop():
                with mail.open(INBOX_ID, row.uid) as content:
                    messages.append(bytes(content.whole()))
            return messages

        return self.successResultOf(Deferred.fromCoroutine(home.run(read)))
