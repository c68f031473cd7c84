"""Quirks as rows of a table, and what a user and an administrator see of each: a login through the gate, the move, the
store, over loopback, and then another look at the same server, which doubles nothing.

Each row names where its quirk is told of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import select
from twisted.internet.defer import Deferred

from mailstore import schema
from mailstore.accounts import Account, State
from mailstore.entries import Outcome
from mailstore.mailhome import MailHome
from proxy.pop3.maildrop import uidl_octets
from proxy.wire.door import Home, LoginRefused, Refusal
from tests.legacy.quirks import Habits, QuirkyServer, Source
from tests.legacy.server import Behaviour, unique_id
from tests.proxy.login.login_rig import CONFIG, PASSWORD
from tests.proxy.login.test_login_end_to_end import EndToEnd
from tests.proxy.migration.scripted import mail

_REASONS = select(schema.ledger.c.reason).where(schema.ledger.c.outcome == Outcome.QUARANTINED.value)

MAILS = tuple(mail(number) for number in range(1, 13))


class Row(Protocol):
    """One of a table. `name` is the test's."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[Source, ...]: ...


@dataclass(frozen=True)
class Carried:
    """A server from which a mailbox comes over all the same."""

    name: str
    sources: tuple[Source, ...]
    habits: Mapping[str, Any] = field(default_factory=dict)
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[bytes] = MAILS
    here: Sequence[bytes] | None = None  # what the user finds; None: all of it
    # Under which names; None: what `unique_id` gives, and among them one made here, where another message has the name.
    uidls: Sequence[bytes | None] | None = None
    quarantined: str = ""  # the reason of those that are missing, a pattern
    remark: str = ""  # what the administrator is told of the mailbox, a pattern; nothing: nothing
    legacy: str = ""  # lines of the legacy table in the configuration


@dataclass(frozen=True)
class Refused:
    """A server that does not let somebody in."""

    name: str
    sources: tuple[Source, ...]
    answer: bytes  # to the login
    refusal: Refusal
    words: str = ""  # what the administrator reads, a pattern; nothing: a wrong password is no news
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    habits: Mapping[str, Any] = field(default_factory=dict)


T = TypeVar("T", bound="type[QuirkTestCase]")


def rows(table: Iterable[Row], meets: Callable[[Any, Any], Any]) -> Callable[[T], T]:
    """A test of the class for each row of the table."""

    def add(case: T) -> T:
        for row in table:
            assert row.sources, f"{row.name} names no source"

            def test(self: QuirkTestCase, row: Row = row) -> Deferred[None]:
                return self.run_async(meets(self, row))

            test.__doc__ = "; ".join(f"{source.title} ({source.where})" for source in row.sources)
            test.__name__ = f"test_{row.name}"
            assert not hasattr(case, test.__name__), f"{row.name} is there twice"
            setattr(case, test.__name__, test)
        return case

    return add


class QuirkTestCase(EndToEnd):
    legacy = ""
    server: QuirkyServer

    def configuration(self, port: int) -> str:
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        return text.replace('refresh = "5m"', 'refresh = "0s"') + self.legacy + "\n"

    async def quirky(
        self, habits: Mapping[str, Any] | None = None, messages: Sequence[bytes] = MAILS, **behaviour: Any
    ) -> QuirkyServer:
        server = QuirkyServer(messages, Behaviour(password=PASSWORD, **behaviour), Habits(**(habits or {})))
        self.serve_from(server)
        return server

    # What is seen

    def account(self) -> Account:
        account = self.accounts.find("user", "123.com")
        assert account is not None
        return account

    async def uidls(self, home: Home) -> list[bytes]:
        """What POP3 clients are told."""

        def read(store: MailHome) -> list[bytes]:
            return [uidl_octets(row.uidl) for row in store.maildrop()]

        return await home.run(read)

    async def reasons(self, home: Home) -> list[str]:
        """Why messages are in quarantine."""

        def read(store: MailHome) -> list[str]:
            with store.ledger._database.read() as connection:
                return list(connection.scalars(_REASONS))

        return await home.run(read)

    def warnings(self) -> list[str]:
        return [str(fields.get("reason", "")) for level, _, fields in self.log.lines if level == "warning"]

    async def assert_here(
        self, home: Home, messages: Sequence[bytes], uidls: Sequence[bytes | None] | None = None
    ) -> None:
        """Just these, in this order, byte for byte, each under its own name."""
        stored = await self.inbox(home)
        self.assertEqual([n for n, (a, b) in enumerate(zip(stored, messages, strict=False), 1) if a != b], [])
        self.assertEqual(len(stored), len(messages))
        shown = await self.uidls(home)
        self.assertEqual(len(set(shown)), len(shown))
        if uidls != ():
            told = [None if uidl.startswith(b"mf") else uidl for uidl in shown]
            self.assertEqual(told, list(map(unique_id, messages)) if uidls is None else list(uidls))

    async def look_again(self) -> None:
        """Another login, behind which the server is asked for what is new."""
        asked = len(self.log.lines)
        self.door.host_of("123.com").login_delay = 0  # nobody waits for so long here
        await self.admitted()
        over = {"move done", "move interrupted", "nothing new fetched"}
        await self.until(lambda: any(event in over for _, event, _ in self.log.lines[asked:]))
        await self.until(lambda: not self.mover._refreshing)
        await self.settled()

    # What rows are held against

    async def carries_over(self, row: Carried) -> None:
        self.legacy = row.legacy
        server = await self.quirky(row.habits, row.messages, **row.behaviour)
        here = row.messages if row.here is None else row.here
        home = await self.admitted()
        await self.assert_here(home, here, row.uidls)
        await self.settled()
        missing = len(row.messages) - len(here)
        account = self.account()
        self.assertIs(account.state, State.MOVED)
        quarantine = await self.reasons(home)
        self.assertEqual(len(quarantine), missing if row.quarantined else 0)
        for reason in quarantine:
            self.assertRegex(reason, row.quarantined)
        self.assertEqual("in quarantine" in account.reason, bool(row.quarantined))
        if row.remark:
            self.assertRegex(account.reason, row.remark)
            self.assertTrue(any(re.search(row.remark, warning) for warning in self.warnings()))
        elif not row.quarantined:
            self.assertEqual(account.reason, "")
        await self.look_again()
        await self.assert_here(home, here, row.uidls)
        self.assertEqual(server.deletions, 0)

    async def is_refused(self, row: Refused) -> None:
        behaviour = {"login_refusal": row.answer} | dict(row.behaviour)
        await self.quirky(row.habits, **behaviour)
        refused = await self.assertFailure(self.log_in(), LoginRefused)
        self.assertIs(refused.refusal, row.refusal)
        await self.settled()
        self.assertIs(self.accounts.find("user", "123.com"), None)
        warnings = self.warnings()  # of the account or of its host: one
        self.assertEqual(len(warnings), 1 if row.words else 0, warnings)
        for warning in warnings:
            self.assertRegex(warning, row.words)
            self.assertTrue(warning.isprintable())
        self.assertNotIn(PASSWORD.decode(), repr(self.log.lines))
