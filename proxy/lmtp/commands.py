"""The LMTP commands: one table of them all, and what each does.

    RFC 2033   LHLO, and a reply for each recipient behind the message
    RFC 5321   MAIL RCPT DATA RSET VRFY HELP NOOP QUIT
    RFC 1870   SIZE            RFC 6152   8BITMIME
    RFC 2034   ENHANCEDSTATUSCODES
    RFC 2920   PIPELINING      RFC 6531   SMTPUTF8

A command is legal in the states that its row names and is parsed by the row's parser. HELO and EHLO are none: RFC 2033
4.1 wants them refused. CHUNKING, DSN and STARTTLS are not offered: Postfix uses none of them towards a mail store.
Used by `session`, which calls `obey`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from proxy.lmtp import grammar
from proxy.lmtp.errors import BadCommand, Refused
from proxy.lmtp.grammar import Path, Sender
from proxy.lmtp.receiving import receive
from proxy.lmtp.state import State
from proxy.wire.tally import now

if TYPE_CHECKING:
    from proxy.lmtp.session import Session

RECIPIENTS: Final = 1_000  # of a message (RFC 5321 4.5.3.1.8 asks for 100)


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table. `parse` makes the handler's arguments of what follows the name and its space."""

    states: frozenset[State]
    parse: Callable[[bytes], tuple[Any, ...]]
    handle: Callable[..., Awaitable[None]]


async def obey(session: Session, line: bytes) -> None:
    """Do what a line says. Raises BadCommand, Refused, Ended."""
    name, _, rest = line.partition(b" ")
    command = COMMANDS.get(name.upper())
    if command is None:
        raise BadCommand("unknown command", 500, "5.5.2")
    if any(octet < 0x20 or octet == 0x7F for octet in rest.rstrip(b" \t")):
        raise BadCommand("control characters in a command")
    if session.state not in command.states:
        raise BadCommand(_OUT_OF_ORDER[session.state], 503, "5.5.1")
    began = now()
    try:
        await command.handle(session, *command.parse(rest))
    finally:
        session.tally.command("lmtp", name.upper().decode(), began)


_OUT_OF_ORDER: Final[Mapping[State, str]] = {
    State.GREETING: "say LHLO first",
    State.READY: "say MAIL first",
    State.SENDER: "say RCPT first",
    State.RECIPIENTS: "a message is under way",
}


async def lhlo(session: Session, client: str) -> None:
    session.forget_message()
    session.client = client
    session.state = State.READY
    offered = (session.hostname, *EXTENSIONS, f"SIZE {session.limits.message}")
    lines = [f"250{'-' if n < len(offered) else ' '}{each}\r\n" for n, each in enumerate(offered, 1)]
    session.wire.write("".join(lines).encode())


async def mail(session: Session, sender: Sender) -> None:
    if sender.size > session.limits.message:
        raise too_large(session)
    session.sender = sender
    session.state = State.SENDER
    session.reply(250, "2.1.0", "ok")


def too_large(session: Session) -> Refused:
    return Refused(552, "5.3.4", f"the message is larger than {session.limits.message} octets")


async def rcpt(session: Session, path: Path) -> None:
    assert session.sender is not None
    if not (path.ascii or session.sender.utf8):
        raise BadCommand("the recipient's address needs SMTPUTF8", 553, "5.6.7")
    if len(session.recipients) >= RECIPIENTS:
        raise Refused(452, "4.5.3", "too many recipients")
    recipient = await session.counter.recipient(path, session.sender.size)
    session.recipients.append((path, recipient))
    session.state = State.RECIPIENTS
    session.reply(250, "2.1.5", "ok")


async def data(session: Session) -> None:
    await receive(session)


async def rset(session: Session) -> None:
    session.forget_message()
    session.reply(250, "2.0.0", "ok")


async def noop(session: Session) -> None:
    session.reply(250, "2.0.0", "ok")


async def vrfy(session: Session) -> None:
    session.reply(252, "2.5.2", "say RCPT, and see")


async def help_(session: Session) -> None:
    session.reply(214, "2.0.0", " ".join(name.decode() for name in COMMANDS))


async def quit_(session: Session) -> None:
    session.quitting = True
    session.reply(221, "2.0.0", "bye")


EXTENSIONS: Final = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

_ANY: Final = frozenset(State)
_READY: Final = frozenset({State.READY})
_MESSAGE: Final = frozenset({State.SENDER, State.RECIPIENTS})

COMMANDS: Final[Mapping[bytes, Command]] = {
    b"LHLO": Command(_ANY, grammar.greeting, lhlo),
    b"MAIL": Command(_READY, grammar.sender, mail),
    b"RCPT": Command(_MESSAGE, grammar.recipient, rcpt),
    b"DATA": Command(frozenset({State.RECIPIENTS}), grammar.nothing, data),
    b"RSET": Command(_ANY, grammar.nothing, rset),
    b"VRFY": Command(_ANY, grammar.anything, vrfy),
    b"HELP": Command(_ANY, grammar.anything, help_),
    b"NOOP": Command(_ANY, grammar.anything, noop),
    b"QUIT": Command(_ANY, grammar.nothing, quit_),
}
