"""Giving mail back to an IMAP server: the two commands that write there, CREATE and APPEND, over a connection of
`proxy.imap.client.connection`.

A migration never uses this module: what it sends is in `commands`, where nothing changes a mailbox. There is no verb
here either that deletes, replaces or changes what is at the server.

    append = "APPEND" SP mailbox 1*append-message          RFC 3501 6.3.11; several messages: RFC 3502
    append-message = SP flag-list SP date-time SP literal   "{n+}" where LITERAL+ lets it (RFC 7888)
    response code: "APPENDUID" SP uidvalidity SP uid-set    RFC 4315 3
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.imap.client.asking import Asked
from proxy.imap.client.commands import Raw, Verb, nameable
from proxy.imap.client.opening import learn
from proxy.imap.client.refusals import for_now, refused
from proxy.imap.client.replies import NamespaceList
from proxy.imap.client.responses import Reply, Untagged, values
from proxy.imap.client.session import Session
from proxy.imap.grammar.dates import internal_date
from proxy.imap.grammar.folder_names import encode

INBOX: Final = b"INBOX"
_SMALL: Final = 4096  # octets of a literal that LITERAL- takes unasked (RFC 7888 5)
_UIDS: Final = re.compile(rb"([0-9]{1,10}) ([0-9:,]+)")


class _Writing(enum.Enum):
    CREATE = b"CREATE"
    APPEND = b"APPEND"


@dataclass(frozen=True, slots=True)
class Given:
    """A message as it is appended. Lines end with CRLF."""

    flags: Sequence[str]
    date: int  # seconds since 1970
    data: bytes


@dataclass(frozen=True, slots=True)
class Manner:
    """What the server calls folders."""

    prefix: bytes  # of the user's own (RFC 2342)
    delimiter: str  # between levels; "": it has none

    def name(self, levels: Sequence[str]) -> bytes | None:
        """What a folder is to be called there; None where it cannot have a name."""
        if tuple(levels) == ("INBOX",):
            return INBOX
        if len(levels) > 1 and not self.delimiter:
            return None
        parts = [level.replace(self.delimiter, "_") if self.delimiter else level for level in levels]
        name = self.prefix + encode(self.delimiter.join(parts))
        return name if nameable(name) else None


async def manner(session: Session) -> Manner:
    """Ask for it. Raises LegacyError."""
    await learn(session)
    namespaces, root = NamespaceList(), _Root()
    if "NAMESPACE" in session.capabilities:
        await session.run(Verb.NAMESPACE, take=namespaces.take)
    reply = await session.run(Verb.LIST, b"", Raw(b'""'), take=root.take, slow=True)
    if not reply.ok:
        raise refused("LIST", reply)
    return Manner(namespaces.found.personal[0], root.delimiter)


class _Root:
    """What LIST says of the root (RFC 3501 6.3.8)."""

    def __init__(self) -> None:
        self.delimiter = ""

    def take(self, response: Untagged) -> None:
        if response.name == "LIST":
            said = values(response.parts)[1:2]
            self.delimiter = said[0].decode("ascii", "replace") if said and isinstance(said[0], bytes) else ""


async def create(session: Session, name: bytes) -> str:
    """Make a folder; gives back why the server does not, "" where it did. Raises LegacyError."""
    reply = await _run(session, _Writing.CREATE, [b" " + _quoted(name) + b"\r\n"])
    if reply.ok or reply.code == "ALREADYEXISTS":
        return ""
    return reply.text or "it does not say why"


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one APPEND. `why`: the server's words where it refused, "" where it did not."""

    why: str = ""
    for_now: bool = False
    uidvalidity: int = 0
    uids: Sequence[int] = ()  # in the messages' order, where the server tells (UIDPLUS)


async def append(session: Session, name: bytes, messages: Sequence[Given]) -> Appended:
    """Several only where `takes_several`: then all of them are stored, or none. Raises LegacyError."""
    chunks = [b" " + _quoted(name)]
    for message in messages:
        flags = " ".join(message.flags).encode("ascii")
        chunks[-1] += b" (" + flags + b") " + internal_date(message.date) + b" "
        size = len(message.data)
        if "LITERAL+" in session.capabilities or (size <= _SMALL and "LITERAL-" in session.capabilities):
            chunks[-1] += b"{%d+}\r\n" % size + message.data
        else:
            chunks[-1] += b"{%d}\r\n" % size
            chunks.append(message.data)
    chunks[-1] += b"\r\n"
    reply = await _run(session, _Writing.APPEND, chunks)
    if not reply.ok:
        return Appended(reply.text or "it does not say why", for_now(reply))
    uidvalidity, uids = _appended(reply)
    return Appended(uidvalidity=uidvalidity, uids=uids if len(uids) == len(messages) else ())


def takes_several(session: Session) -> bool:
    return "MULTIAPPEND" in session.capabilities


async def _run(session: Session, verb: _Writing, chunks: Sequence[bytes]) -> Reply:
    tag = session.next_tag()
    asked = Asked(verb.name, tag, session.wire.abort, chunks=chunks[1:], send=session.wire.answer, slow=True)
    result = asked.pending()
    session.send(tag + b" " + verb.value + chunks[0], asked)
    return await result


def _appended(reply: Reply) -> tuple[int, list[int]]:
    found = _UIDS.fullmatch(reply.arguments.strip()) if reply.code == "APPENDUID" else None
    if found is None:
        return 0, []
    uids: list[int] = []
    for part in found[2].split(b","):
        first, _, last = part.partition(b":")
        low, high = int(first or 0), int(last or first or 0)
        if high - low > len(found[2]) + 10_000:
            return 0, []
        uids += range(low, high + 1)
    return int(found[1]), uids


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
