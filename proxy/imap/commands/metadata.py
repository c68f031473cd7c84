"""GETMETADATA and SETMETADATA: annotations of folders and of the account (RFC 5464)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.imap import responses
from proxy.imap.answers import Done, No
from proxy.imap.grammar.metadata import GetMetadata, SetMetadata
from proxy.imap.grammar.syntax import Command

if TYPE_CHECKING:
    from proxy.imap.session import Session

MAX_VALUE: Final = 32_768  # octets


async def get_metadata(session: Session, _command: Command, arguments: GetMetadata) -> Done:
    """An entry that was named and is not there is NIL; what DEPTH adds is told only where it is there."""
    there = await session.run(lambda home: home.annotations.of(arguments.folder))
    told: list[bytes] = []
    longest = 0
    for name, value in wanted(there, arguments).items():
        if value is not None and arguments.maxsize is not None and len(value) > arguments.maxsize:
            longest = max(longest, len(value))
        else:
            told += (responses.astring(name.encode()), _value(value))
    if told:
        folder = session.folder_name(arguments.folder)
        session.untagged(b"METADATA %b %b" % (folder, responses.parenthesized(told)))
    return Done(b"Getmetadata completed.", b"METADATA LONGENTRIES %d" % longest if longest else None)


def wanted(there: dict[str, bytes], asked: GetMetadata) -> dict[str, bytes | None]:
    """What GETMETADATA gives, before MAXSIZE (RFC 5464 4.2.2)."""
    found: dict[str, bytes | None] = {}
    for entry in asked.entries:
        if entry in there or asked.depth == 0:
            found[entry] = there.get(entry)
        if asked.depth == 0:
            continue
        below = sorted(name for name in there if name.startswith(entry + "/"))
        found |= {name: there[name] for name in below if asked.depth is None or "/" not in name[len(entry) + 1 :]}
    return found


def _value(value: bytes | None) -> bytes:
    """nstring / literal8, which alone may hold NUL."""
    if value is not None and b"\0" in value:
        return b"~" + responses.literal(value)
    return responses.nstring(value)


async def set_metadata(session: Session, _command: Command, arguments: SetMetadata) -> Done:
    """All of it, or nothing. What everybody on the server would see is not a user's to set (RFC 5464 4.3)."""
    if any(value is not None and len(value) > MAX_VALUE for _, value in arguments.values):
        raise No(b"The value is too long.", b"METADATA MAXSIZE %d" % MAX_VALUE)
    if not arguments.folder and any(name.startswith("/shared/") for name, _ in arguments.values):
        raise No(b"The server's own annotations are the administrator's.", b"NOPERM")
    await session.run(lambda home: home.annotations.change(arguments.folder, dict(arguments.values)))
    session.own.annotated(arguments.folder, (name for name, _ in arguments.values))
    return Done(b"Setmetadata completed.")
