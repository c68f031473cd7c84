"""DATA: a message goes into a file as it comes, then to each recipient, and each has its reply (RFC 2033 4.2).

    354 ──→ the message ──→ on stable storage for each of them ──→ a reply for each RCPT that was accepted, in order

What is wrong with the message, or with the disk, while it comes is said behind its end: everything up to there is read.
Memory holds one piece of it at a time. A message for one account by several of its names is stored there once.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from mailstore.spool import Spooled
from proxy.lmtp.counter import Recipient
from proxy.lmtp.data import DataDecoder, HeaderFilter
from proxy.lmtp.errors import Ended, Refused
from proxy.lmtp.trace import trace
from proxy.wire.tally import DELIVERY, now

if TYPE_CHECKING:
    from proxy.lmtp.session import Session

HOPS: Final = 100  # Received lines from which on it is in a loop (RFC 5321 6.3)
NAMED: Final = 20  # accounts in a line of the log
SWALLOW: Final = 4  # times the largest message: who sends more than that is hung up on

_NO_ROOM: Final = Refused(452, "4.3.1", "the message cannot be stored now")


class _Receiving:
    """One message on its way into its file."""

    def __init__(self, session: Session, file: Spooled) -> None:
        self._session = session
        self._limit = session.limits.message
        self._file = file
        self._header = HeaderFilter()
        self._octets = 0  # that came, as the client counts them
        self.refused: Refused | None = None

    def write(self, content: bytes) -> None:
        self._octets += len(content)
        if self._octets > self._limit:
            self.refused = Refused(552, "5.3.4", f"the message is larger than {self._limit} octets")
        if self._octets > SWALLOW * self._limit:
            raise Ended
        self.write_raw(self._header.feed(content))

    def write_raw(self, octets: bytes) -> None:
        if self.refused is not None:
            return
        try:
            self._file.write(octets)
        except OSError as error:
            _cannot_take_in(self._session, error)
            self.refused = _NO_ROOM

    def end(self) -> None:
        self.write_raw(self._header.end())
        if self._header.received >= HOPS:
            self.refused = Refused(554, "5.4.6", "the message is in a loop")


async def receive(session: Session) -> None:
    """Raises Ended, Refused where nothing can be taken at the moment."""
    number = secrets.token_hex(8)
    file = _spool(session)
    try:
        session.wire.write(b"354 end with a line that is a dot\r\n")
        refused = await _read(session, file, number)
        began = now()
        outcomes = await _deliver(session, file, refused)
        session.tally.since(began, DELIVERY)
        size = file.size
    finally:
        file.close()
    for outcome in outcomes:
        if outcome is None:
            session.reply(250, "2.0.0", f"{number} stored")
        else:
            session.refuse(outcome)
    stored = [each.account for (_, each), outcome in zip(session.recipients, outcomes, strict=True) if outcome is None]
    figures = {"octets": size, "stored": len(stored), "refused": len(outcomes) - len(stored)}
    session.log.info("mail", id=number, **figures, accounts=stored[:NAMED])
    session.forget_message()


def _spool(session: Session) -> Spooled:
    try:
        return session.counter.spool()
    except OSError as error:
        _cannot_take_in(session, error)
        raise _NO_ROOM.anew() from None


def _cannot_take_in(session: Session, error: OSError) -> None:
    session.log.error("mail cannot be taken in", reason=error.strerror)


async def _read(session: Session, file: Spooled, number: str) -> Refused | None:
    """The message up to its end; gives back what is wrong with it. Raises Ended."""
    assert session.sender is not None
    receiving, decoder = _Receiving(session, file), DataDecoder()
    receiving.write_raw(
        trace(
            session.sender,
            [path for path, _ in session.recipients],
            client=session.client,
            peer=session.wire.address,
            hostname=session.hostname,
            number=number,
            now=session.now(),
        )
    )
    end = -1
    while end < 0:
        data = await session.more_data()
        content, end = decoder.feed(data)
        receiving.write(content)
    session.give_back(data[end:])
    receiving.end()
    return receiving.refused


async def _deliver(session: Session, file: Spooled, refused: Refused | None) -> list[Refused | None]:
    """An outcome for each RCPT."""
    recipients = [recipient for _, recipient in session.recipients]
    if refused is not None:
        return [refused] * len(recipients)
    different: dict[Recipient, Refused | None] = dict.fromkeys(recipients)
    outcomes = await session.counter.deliver(file, list(different))
    different = dict(zip(different, outcomes, strict=True))
    return [different[recipient] for recipient in recipients]
