"""The old mailbox of `scripted`, at a server that gives headers by themselves and is asked late for what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred

from mailstore.entries import Entry
from proxy.migration.agenda import Agenda
from proxy.migration.source import HeaderReceiver
from tests.proxy.migration.scripted import OldMailbox, ScriptedSource


@dataclass
class OldErrandMailbox(OldMailbox):
    """`asked` has what was asked for: `t` for a header and `r` for a message, and its UIDL; `/` before each connection.
    One answer is awaited at a time, so that a test sees the order."""

    one_at_a_time: bool = False
    no_top: bool = False
    refused_headers: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def connect(self) -> ErrandScriptedSource:
        source = ErrandScriptedSource(self)
        self.sources.append(source)
        self.asked.append("/")
        return source


class ErrandScriptedSource(ScriptedSource):
    """An `ErrandSource`."""

    mailbox: OldErrandMailbox

    async def many_at_once(self) -> bool:
        return not self.mailbox.one_at_a_time

    async def errands(self, agenda: Agenda, wanted: Sequence[tuple[int, Entry]], receiver: HeaderReceiver) -> None:
        entries = dict(wanted)
        while (errand := agenda.next()) is not None:
            old, entry = self.listed[errand.number - 1], entries[errand.number]
            self.mailbox.asked.append(("t" if errand.header else "r") + old.uidl)
            await self._hold(("t" if errand.header else "") + old.uidl, entry)
            if not errand.header:
                self._give(old, entry, receiver)
            elif self.mailbox.no_top or old.uidl in self.mailbox.refused_headers:
                receiver.no_header(entry, "no TOP")
            else:
                receiver.header(entry, old.data[: old.data.index(b"\r\n\r\n") + 4])

    def hold(self, name: str) -> Deferred[None]:
        """Let the server wait before it gives this message (`u3`) or header (`tu3`)."""
        held: Deferred[None] = Deferred()
        self.mailbox.held = {**self.mailbox.held, name: held}
        return held
