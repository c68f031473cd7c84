"""CAPABILITY, NOOP, LOGOUT, ID and ENABLE: what needs no mail (RFC 3501 6.1, RFC 2971, RFC 5161)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.imap.answers import Bad, Done, No
from proxy.imap.grammar.syntax import Command, Compress, Enable, Id, NoArguments
from proxy.imap.manner import REV2
from proxy.imap.state import State

if TYPE_CHECKING:
    from proxy.imap.session import Session

_SPELLED = {REV2: b"IMAP4rev2"}


async def capability(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    session.untagged(session.capability)
    return Done(b"Capability completed.")


async def noop(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """What changed is told before the tagged reply, as with every command; here what other programs did, too."""
    await session.look()
    return Done(b"NOOP completed.")


async def logout(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """BYE comes before the tagged reply (RFC 3501 6.1.3), and the connection is closed after it."""
    session.deselect()
    session.untagged(b"BYE Logging out")
    session.leave_quietly("logout")
    return Done(b"Logout completed.")


async def identify(session: Session, _command: Command, arguments: Id) -> Done:
    """The name only: a version would help nobody but an attacker (RFC 2971 4).

    A webmail that is trusted says here whom it speaks for, in the field that Dovecot's proxies have for it."""
    if session.state is State.NOT_AUTHENTICATED:
        for name, value in arguments.fields:
            if name.lower() != b"x-originating-ip" or value is None:
                continue
            if not session.connection.speak_for(value.decode("ascii", "replace")):
                raise No(b"Too many connections from there have not logged in.", b"LIMIT")
    session.untagged(b'ID ("name" "mailferry")')
    return Done(b"ID completed.")


async def enable(session: Session, _command: Command, arguments: Enable) -> Done:
    """Names that are not known are passed over; told is what is new (RFC 5161 3.1, 3.2)."""
    names = [name for name in arguments.names if name in session.can_enable and name not in session.enabled]
    session.untagged(b" ".join((b"ENABLED", *(_SPELLED.get(name, name.encode()) for name in names))))
    session.enable(*names)
    return Done(b"Enabled.")


async def compress(session: Session, _command: Command, arguments: Compress) -> Done:
    """Compressed is what follows the reply (RFC 4978 3)."""
    if arguments.mechanism != "DEFLATE":
        raise Bad(b"Only DEFLATE is known here.")
    if session.compressed:
        raise No(b"The session is compressed already.", b"COMPRESSIONACTIVE")
    session.compress_after_reply()
    return Done(b"Compressed from here on.")
