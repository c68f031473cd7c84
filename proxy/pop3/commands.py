"""The POP3 commands: one table of them all, and what each does.

    RFC 1939   USER PASS STAT LIST RETR DELE RSET NOOP QUIT TOP UIDL
    RFC 2449   CAPA
    RFC 2595   STLS
    RFC 5034   AUTH
    RFC 6856   UTF8

APOP is not among them: it needs the password itself, and here is a hash. A command is legal in the states that
its row names, is parsed by the row's parser, and is announced by CAPA where the row's capability says so.
Used by `session`, which calls `obey`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mailstore.errors import MailstoreError
from proxy.pop3.authentication import MECHANISMS, authenticate, log_in, require_login_allowed
from proxy.pop3.errors import BadCommand, Refused
from proxy.pop3.state import State
from proxy.wire.tally import now

if TYPE_CHECKING:
    from proxy.pop3.session import Session

LISTED: Final = 1_000  # lines of LIST and UIDL in one write


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table. `parse` makes the handler's arguments of what follows the name, None where nothing does."""

    states: frozenset[State]
    parse: Callable[[bytes | None], tuple[Any, ...]]
    handle: Callable[..., Awaitable[None]]
    capability: Callable[[Session], bytes | None] = lambda _session: None


async def obey(session: Session, line: bytes) -> None:
    """Do what a line says. Raises BadCommand, Refused, MailstoreError, Ended."""
    name, space, rest = line.partition(b" ")
    command = COMMANDS.get(name.upper())
    if command is None:
        raise BadCommand("unknown command")
    if b"\0" in rest:
        raise BadCommand("NUL in a command")
    if session.state not in command.states:
        raise BadCommand("log in first" if session.state is State.AUTHORIZATION else "you are logged in already")
    began = now()
    try:
        await command.handle(session, *command.parse(rest if space else None))
    finally:
        session.terms.tally.command("pop3", name.upper().decode(), began)


# Arguments


def nothing(rest: bytes | None) -> tuple[()]:
    if rest is not None and rest.strip():
        raise BadCommand("this command has no argument")
    return ()


def text(rest: bytes | None) -> tuple[bytes]:
    """All that follows, as it is: a password may have spaces (RFC 1939 7)."""
    if not rest:
        raise BadCommand("an argument is missing")
    return (rest,)


def message(rest: bytes | None) -> tuple[int]:
    """One message number."""
    (number,) = _numbers(rest, 1)
    return (number,)


def message_or_nothing(rest: bytes | None) -> tuple[int | None]:
    return (None,) if rest is None or not rest.strip() else message(rest)


def message_and_lines(rest: bytes | None) -> tuple[int, int]:
    number, lines = _numbers(rest, 2)
    return number, lines


def _numbers(rest: bytes | None, count: int) -> list[int]:
    words = rest.split() if rest else []
    if len(words) != count:
        raise BadCommand(f"this command has {count} argument{'s' * (count > 1)}")
    if not all(word.isdigit() for word in words):
        raise BadCommand("an argument is not a number")
    # More digits than any maildrop needs are still a number, only not one of a message.
    return [int(word) if len(word) <= 18 else 10**18 for word in words]


def mechanism(rest: bytes | None) -> tuple[bytes | None, bytes | None]:
    """A SASL mechanism and an initial response, either may be missing."""
    words = rest.split() if rest else []
    if len(words) > 2:
        raise BadCommand("this command has at most 2 arguments")
    name, initial = [*words, None, None][:2]
    return (name.upper() if name is not None else None), initial


# AUTHORIZATION


async def user(session: Session, name: bytes) -> None:
    require_login_allowed(session)
    session.username = name.rstrip(b" ")
    session.ok()  # the same for every name: who has an account is nobody's business


async def pass_(session: Session, password: bytes) -> None:
    require_login_allowed(session)
    if not session.username:
        raise BadCommand("say USER first")
    await log_in(session, session.username, password)


async def auth(session: Session, name: bytes | None, initial: bytes | None) -> None:
    if name is None:  # what clients from before RFC 5034 ask for the list
        offered = MECHANISMS if session.login_allowed else ()
        session.wire.write(b"".join([b"+OK\r\n", *(each + b"\r\n" for each in offered), b".\r\n"]))
        return
    await authenticate(session, name, initial)


async def stls(session: Session) -> None:
    if session.wire.secure:
        raise BadCommand("the connection is encrypted already")
    if session.terms.tls is None:
        raise BadCommand("not offered here")
    session.ok("begin TLS")
    session.forget_input()  # what came unencrypted may be anybody's
    session.username = None
    session.wire.start_tls()


async def utf8(session: Session) -> None:
    """RFC 6856 2.1. Names, passwords and messages are octets here with and without it."""
    session.ok("UTF8 enabled")


# Both states


async def capa(session: Session) -> None:
    lines = [line for command in COMMANDS.values() if (line := command.capability(session)) is not None]
    session.wire.write(b"+OK\r\n" + b"\r\n".join([*lines, *GENERAL_CAPABILITIES, b"."]) + b"\r\n")


async def quit_(session: Session) -> None:
    session.quitting = True
    removed = session.maildrop.marked_uids()
    if removed:
        try:
            await session.home.run(lambda mail: mail.remove(removed))
        except MailstoreError as error:
            session.log.error("pop3 messages not removed", count=len(removed), reason=str(error))  # noqa: TRY400
            raise Refused("some deleted messages not removed", "SYS/TEMP") from None
        session.log.info("pop3 messages removed", count=len(removed))
    session.leave()  # before the reply: who comes again at once must not find the maildrop locked
    session.ok(f"{len(removed)} messages deleted" if removed else "bye")


# TRANSACTION


async def stat(session: Session) -> None:
    session.ok(f"{session.maildrop.count} {session.maildrop.octets}")


async def list_(session: Session, number: int | None) -> None:
    maildrop = session.maildrop
    if number is not None:
        session.ok(f"{number} {maildrop.size(number)}")
        return
    head = f"+OK {maildrop.count} messages ({maildrop.octets} octets)\r\n"
    await _listing(session, head, lambda each: b"%d %d\r\n" % (each, maildrop.size(each)))


async def uidl(session: Session, number: int | None) -> None:
    maildrop = session.maildrop
    if number is not None:
        session.wire.write(b"+OK %d %b\r\n" % (number, maildrop.uidl(number)))
        return
    await _listing(session, "+OK\r\n", lambda each: b"%d %b\r\n" % (each, maildrop.uidl(each)))


async def _listing(session: Session, head: str, line: Callable[[int], bytes]) -> None:
    session.wire.write(head.encode())
    session.midway = True
    for start in range(1, len(session.maildrop) + 1, LISTED):
        stop = min(start + LISTED, len(session.maildrop) + 1)
        session.wire.write(b"".join(map(line, session.maildrop.numbers(start, stop))))
        await session.flow()
    session.wire.write(b".\r\n")
    session.midway = False


async def retr(session: Session, number: int) -> None:
    await session.retrieval.send(session, number, None)


async def top(session: Session, number: int, lines: int) -> None:
    await session.retrieval.send(session, number, lines)


async def dele(session: Session, number: int) -> None:
    session.maildrop.mark(number)
    session.ok(f"message {number} deleted")


async def rset(session: Session) -> None:
    session.maildrop.unmark_all()
    session.ok(f"{session.maildrop.count} messages ({session.maildrop.octets} octets)")


async def noop(session: Session) -> None:
    session.ok()


# Capabilities. What is available before login is announced after it as well (RFC 2449 5), as the connection is now.


def _user(session: Session) -> bytes | None:
    return b"USER" if session.login_allowed else None


def _sasl(session: Session) -> bytes | None:
    return b"SASL " + b" ".join(MECHANISMS) if session.login_allowed else None


def _stls(session: Session) -> bytes | None:
    return b"STLS" if session.tls_offered else None


GENERAL_CAPABILITIES: Final = (
    b"RESP-CODES",
    b"AUTH-RESP-CODE",
    b"PIPELINING",
    b"EXPIRE NEVER",
    b"IMPLEMENTATION mailferry",
)

_FIRST: Final = frozenset({State.AUTHORIZATION})
_THEN: Final = frozenset({State.TRANSACTION})

COMMANDS: Final[Mapping[bytes, Command]] = {
    b"CAPA": Command(_FIRST | _THEN, nothing, capa),
    b"QUIT": Command(_FIRST | _THEN, nothing, quit_),
    b"USER": Command(_FIRST, text, user, _user),
    b"PASS": Command(_FIRST, text, pass_),
    b"AUTH": Command(_FIRST, mechanism, auth, _sasl),
    b"STLS": Command(_FIRST, nothing, stls, _stls),
    b"UTF8": Command(_FIRST, nothing, utf8, lambda _session: b"UTF8 USER"),
    b"STAT": Command(_THEN, nothing, stat),
    b"LIST": Command(_THEN, message_or_nothing, list_),
    b"UIDL": Command(_THEN, message_or_nothing, uidl, lambda _session: b"UIDL"),
    b"RETR": Command(_THEN, message, retr),
    b"TOP": Command(_THEN, message_and_lines, top, lambda _session: b"TOP"),
    b"DELE": Command(_THEN, message, dele),
    b"RSET": Command(_THEN, nothing, rset),
    b"NOOP": Command(_THEN, nothing, noop),
}
