"""RETR and TOP: messages from the store to the wire.

A small message is opened, read and encoded in one hop to a thread, and with it those that the client has asked
for already, or those that come next when it goes through the maildrop in order: one hop serves dozens. What was
read ahead is forgotten when the folder changes. A large message goes in pieces, each sent before the next is
read, so that memory does not grow with a message or with a slow client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailstore.content import Content
from mailstore.errors import MailstoreError, MessageLost, NoSuchMessage, NotArrived, NotCarriedOver, StillAway
from mailstore.index.folders import INBOX_ID
from mailstore.mailhome import MailHome
from proxy.pop3.errors import Refused
from proxy.wire.outflow import PIECE
from proxy.wire.stuffing import Stuffer, TopCut

if TYPE_CHECKING:
    from proxy.pop3.session import Session

BATCH: Final = 64  # messages in one hop
BATCH_OCTETS: Final = 512 * 1024  # … and their octets
GUESSED: Final = 16  # messages in one hop that nobody has asked for yet
GUESSED_OCTETS: Final = 65_536  # … and their octets: they are held while the client takes its time
LOOKAHEAD: Final = 256  # lines sent ahead that are searched for more to fetch


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message to send: whole, or header and `lines` of its body."""

    number: int
    uid: int
    lines: int | None

    @property
    def key(self) -> tuple[int, int | None]:
        return self.number, self.lines


class Retrieval:
    """Sends one session's messages, and holds those that were read ahead."""

    def __init__(self) -> None:
        self._ready: dict[tuple[int, int | None], bytes | MailstoreError] = {}
        self._last: tuple[int, int | None] = (0, None)

    def forget(self) -> None:
        """What was read ahead may no longer be so."""
        self._ready.clear()

    async def send(self, session: Session, number: int, lines: int | None) -> None:
        """Raises Refused, Ended, MailstoreError."""
        maildrop = session.maildrop
        wanted = Wanted(number, maildrop.uid(number), lines)
        if maildrop.size(number) > PIECE:
            await self._stream(session, wanted)
            return
        block = self._ready.pop(wanted.key, None)
        if block is None:
            batch = [wanted, *(self._asked_for(session, wanted) or self._likely_next(session, wanted))]
            self._ready = await session.home.run(lambda mail: read_batch(mail, batch))
            block = self._ready.pop(wanted.key)
        self._last = wanted.key
        if isinstance(block, MailstoreError):
            raise _explained(session, wanted, block)
        session.wire.write(block)

    def _asked_for(self, session: Session, first: Wanted) -> list[Wanted]:
        """What else the client has asked for already, as far as it is small."""
        more: dict[tuple[int, int | None], Wanted] = {}
        octets = session.maildrop.size(first.number)
        for line in session.sent_ahead(LOOKAHEAD):
            found = _retrieves(line)
            if found is None or found == first.key or found in more or not session.maildrop.known(found[0]):
                continue
            size = session.maildrop.size(found[0])
            if size > PIECE:
                continue
            octets += size
            if octets > BATCH_OCTETS or len(more) + 1 >= BATCH:
                break
            more[found] = Wanted(found[0], session.maildrop.uid(found[0]), found[1])
        return list(more.values())

    def _likely_next(self, session: Session, first: Wanted) -> list[Wanted]:
        """What a client asks for next that goes on as it did, as far as it is small."""
        if self._last != (first.number - 1, first.lines):
            return []
        more: list[Wanted] = []
        maildrop, octets = session.maildrop, 0
        for number in maildrop.numbers(first.number + 1, min(first.number + 1 + GUESSED, len(maildrop) + 1)):
            octets += maildrop.size(number)
            if octets > GUESSED_OCTETS:
                break
            more.append(Wanted(number, maildrop.uid(number), first.lines))
        return more

    async def _stream(self, session: Session, wanted: Wanted) -> None:
        try:
            content = await session.home.run(lambda mail: mail.open(INBOX_ID, wanted.uid))
        except MailstoreError as error:
            raise _explained(session, wanted, error) from None
        encoding = Encoding(content, wanted.lines)
        try:
            data = await session.home.run(lambda _: encoding.next())  # may fail before anything is said
            session.wire.write(status_line(content, wanted.lines))
            session.midway = True
            while data:
                session.wire.write(data)
                await session.flow()
                at_hand = encoding.at_hand()
                data = await session.home.run(lambda _: encoding.next()) if at_hand is None else at_hand
        finally:
            content.close()
        session.midway = False


class Encoding:
    """A message on its way out, a piece at a time."""

    def __init__(self, content: Content, lines: int | None) -> None:
        self._content = content
        self._cut = None if lines is None else TopCut(lines)
        self._stuffer = Stuffer()
        self._offset = 0
        self._ended = False

    def next(self) -> bytes:
        """The next octets to send, the block's end with the last; empty when all was given. Raises MessageLost."""
        if self._ended:
            return b""
        return self._encoded(self._content.read(self._offset, PIECE))

    def at_hand(self) -> bytes | None:
        """The same, where it is in memory; else None, and `next` has to wait for it."""
        if self._ended:
            return b""
        data = self._content.at_hand(self._offset, PIECE)
        return None if data is None else self._encoded(data)

    def _encoded(self, data: bytes) -> bytes:
        self._offset += len(data)
        self._ended = self._offset >= self._content.size
        if self._cut is not None:
            data = self._cut.piece(data)
            self._ended = self._ended or self._cut.done
        return self._stuffer.piece(data) + (self._stuffer.end() if self._ended else b"")


def status_line(content: Content, lines: int | None) -> bytes:
    return b"+OK %d octets\r\n" % content.size if lines is None else b"+OK\r\n"


def read_batch(mail: MailHome, batch: Sequence[Wanted]) -> dict[tuple[int, int | None], bytes | MailstoreError]:
    """Whole replies, or why there is none. One that fails leaves the others alone, and so does one that is not here
    yet, unless it is the first. Runs in a thread. Raises NotArrived."""
    away = mail.away(INBOX_ID, {wanted.uid for wanted in batch})
    if away:
        if batch[0].uid in away and isinstance(error := mail.absent(batch[0].uid, away), NotArrived):
            raise error
        batch = [wanted for wanted in batch if wanted is batch[0] or wanted.uid not in away]
    try:
        contents = mail.open_many(INBOX_ID, {wanted.uid for wanted in batch})
    except (MessageLost, StillAway):  # one of them: ask for each
        return {wanted.key: _read_one(mail, wanted) for wanted in batch}
    try:
        return {wanted.key: _reply(contents.get(wanted.uid), wanted) for wanted in batch}
    finally:
        for content in contents.values():
            content.close()


def _read_one(mail: MailHome, wanted: Wanted) -> bytes | MailstoreError:
    try:
        with mail.open(INBOX_ID, wanted.uid) as content:
            return _reply(content, wanted)
    except MailstoreError as error:
        return error


def _reply(content: Content | None, wanted: Wanted) -> bytes | MailstoreError:
    if content is None:
        return NoSuchMessage("the message is no longer there")
    encoding = Encoding(content, wanted.lines)
    reply = [status_line(content, wanted.lines)]
    try:
        while data := encoding.next():
            reply.append(data)
    except MailstoreError as error:
        return error
    return b"".join(reply)


def _retrieves(line: bytes) -> tuple[int, int | None] | None:
    """What a line asks for if it is a plain RETR or TOP: a guess that costs nothing when it is wrong."""
    if len(line) > 40:
        return None
    match line.upper().split():
        case [b"RETR", number] if number.isdigit():
            return int(number), None
        case [b"TOP", number, lines] if number.isdigit() and lines.isdigit():
            return int(number), int(lines)
    return None


def _explained(session: Session, wanted: Wanted, error: MailstoreError) -> Exception:
    """A message that others removed is nobody's fault; anything else the administrator should see."""
    if isinstance(error, NoSuchMessage):
        return Refused(f"message {wanted.number} was removed by another session")
    if isinstance(error, (NotCarriedOver, StillAway)):
        session.log.warning("pop3 message not here", uid=wanted.uid, reason=str(error))
        return Refused(str(error), "SYS/TEMP")
    if isinstance(error, MessageLost):
        session.log.error("pop3 message lost", uid=wanted.uid, reason=str(error))
        return Refused(f"message {wanted.number} cannot be read", "SYS/PERM")
    return error
