"""FETCH and UID FETCH: the half that runs in the reactor and sends (RFC 3501 6.4.5, 7.4.2).

Nothing is ever held of more messages than `proxy.imap.reading` takes at a time, nor of one message more
than a piece, however large it is and however slowly the client reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mailstore.content import Content
from mailstore.index.rows import SEEN
from mailstore.mailhome import MailHome
from proxy.imap import esearch, responses
from proxy.imap.answers import Bad, Done, No, expunge_issued, not_here, unreadable
from proxy.imap.commands.resync import tell_vanished
from proxy.imap.decoding import Decoded
from proxy.imap.grammar.syntax import Command, Fetch, FetchItem
from proxy.imap.manner import CONDSTORE, QRESYNC
from proxy.imap.outgoing import ClientGone
from proxy.imap.reading import BATCH_MESSAGES, Answer, Plan, read
from proxy.imap.view import Spans, View, spans_of
from proxy.wire.outflow import PIECE

if TYPE_CHECKING:
    from mailstore.message.section import Span
    from proxy.imap.session import Session

AT_ONCE = 2_000  # messages answered from the view before others in the reactor get their turn
BRIEF = 32  # messages that are likely to be answered for in no time
READ = 256 * 1024  # octets of a large message that a thread reads at a time


async def fetch(session: Session, command: Command, arguments: Fetch) -> Done:
    view, since = session.selected, arguments.changed_since
    if arguments.vanished and not (command.uid and QRESYNC in session.enabled):
        raise Bad(b"VANISHED is for UID FETCH after ENABLE QRESYNC.")  # RFC 7162 3.2.6
    plan = Plan(arguments.items, with_uid=command.uid and session.manner.numbers, with_modseq=since is not None)
    spans = view.find(arguments.sequence, uid=command.uid)
    if plan.modseq:
        session.enable(CONDSTORE)  # RFC 7162 3.1
    if since is not None:
        if arguments.vanished:
            await tell_vanished(session, view, arguments.sequence, since)
        spans = spans_of(place for span in spans for place in span if view.modseqs[place] > since)
    if arguments.partial is not None:
        spans = spans_of(esearch.part([place for span in spans for place in span], arguments.partial))
    if plan.from_view:
        await _from_view(session, view, spans, plan)
        return Done(b"Fetch completed.")
    missing = await _from_store(session, view, view.uids_of(spans), plan)
    if missing.lost:
        raise unreadable()
    if missing.away:
        raise not_here()
    if missing.refused is not None:
        raise missing.refused
    if missing.gone:
        session.stale = True
        if not command.uid:
            raise expunge_issued()
    return Done(b"Fetch completed.")


async def fetch_new(session: Session, view: View, uids: list[int], items: Sequence[FetchItem]) -> None:
    """What a client wants of each new message without asking (RFC 5465 5.2). It changes no flag, and what cannot be
    read is left out."""
    plan = Plan(items, with_uid=False, peek=True)
    if plan.from_view:
        await _from_view(session, view, spans_of(place for uid in uids if (place := view.index(uid)) is not None), plan)
    else:
        await _from_store(session, view, uids, plan)


async def _from_view(session: Session, view: View, spans: Spans, plan: Plan) -> None:
    """FLAGS and UID alone: no look at the store."""
    for span in spans:
        for start in range(span.start, span.stop, AT_ONCE):
            some = range(start, min(start + AT_ONCE, span.stop))
            await session.out.send(b"".join(_flags_and_uids(view, some, plan)))
            if some.stop < span.stop:
                await session.breathe()


def _flags_and_uids(view: View, indexes: range, plan: Plan) -> list[bytes]:
    uids = view.uids[indexes.start : indexes.stop]
    if plan.modseq or not view.manner.numbers:
        return [_from_view_alone(view, index, plan) for index in indexes]
    if not plan.flags:
        return [b"* %d FETCH (UID %d)\r\n" % (number, uid) for number, uid in enumerate(uids, indexes.start + 1)]
    lines = []
    for number, uid in enumerate(uids, indexes.start + 1):
        flags = responses.flag_list(view.flags[number - 1], recent=view.is_recent(uid))
        view.told(uid)
        if plan.uid:
            lines.append(b"* %d FETCH (UID %d FLAGS %b)\r\n" % (number, uid, flags))
        else:
            lines.append(b"* %d FETCH (FLAGS %b)\r\n" % (number, flags))
    return lines


def _from_view_alone(view: View, index: int, plan: Plan) -> bytes:
    """One message's UID, FLAGS and MODSEQ: whichever of them are wanted."""
    uid, items = view.uids[index], []
    if plan.uid:
        items.append(b"UID %d" % uid)
    if plan.flags:
        items.append(b"FLAGS " + responses.flag_list(view.flags[index], recent=view.is_recent(uid)))
        view.told(uid, modseq=plan.modseq)
    if plan.modseq:
        items.append(b"MODSEQ (%d)" % view.modseqs[index])
    return b"%b%b)\r\n" % (view.manner.opening(index + 1, uid), b" ".join(items))


@dataclass(slots=True)
class _Missing:
    """The messages that could not be answered for, and what is to be refused."""

    gone: int = 0
    lost: int = 0
    away: int = 0
    refused: No | None = None


async def _from_store(session: Session, view: View, uids: list[int], plan: Plan) -> _Missing:
    """Answer for all of `uids`; gives back what is missing."""
    missing, start = _Missing(), 0
    size = BATCH_MESSAGES
    while start < len(uids):
        some = uids[start : start + size]
        unseen = _unseen(view, some) if plan.sets_seen and view.writable else ()
        run = session.run_briefly if len(some) <= BRIEF else session.run
        batch = await run(partial(read, folder_id=view.folder.id, uids=some, plan=plan, unseen=unseen))
        start += batch.taken
        if not batch.cut:  # or all that are not here are to be fetched together
            size = min(BATCH_MESSAGES, max(16, 2 * batch.taken))  # about as many as fit at a time
        missing.gone += batch.gone
        missing.lost += len(batch.lost)
        missing.away += len(batch.away)
        missing.refused = missing.refused or batch.refused
        for uid in batch.lost:
            session.log.warning("message unreadable", account=session.home.account, folder=view.folder.id, uid=uid)
        view.stored(batch.flagged, made=batch.made)
        session.changed_up_to(batch.made)
        session.out.write(view.new_keywords())
        became_seen = {message.uid for message in batch.flagged}
        try:
            for answer in batch.answers:
                await _send(session, view, answer, plan, became_seen=answer.uid in became_seen)
        finally:
            for answer in batch.answers:
                if answer.content is not None:
                    answer.content.close()
        if batch.cut:
            session.out.flush()  # what is here need not wait with the session
    return missing


def _unseen(view: View, uids: list[int]) -> set[int]:
    return {uid for uid in uids if (index := view.index(uid)) is not None and SEEN not in view.flags[index]}


async def _send(session: Session, view: View, answer: Answer, plan: Plan, *, became_seen: bool) -> None:
    """One message's FETCH response. Flags that it changed are told with it."""
    index = view.index(answer.uid)
    assert index is not None  # numbers do not change during a command
    start = [view.manner.opening(index + 1, answer.uid)]
    show_modseq = plan.modseq or (became_seen and view.manner.modseq)
    if plan.uid:
        start.append(b"UID %d " % answer.uid)
    if plan.flags or became_seen:
        flags = responses.flag_list(view.flags[index], recent=view.is_recent(answer.uid))
        start.append(b"FLAGS %b " % flags)
        view.told(answer.uid, modseq=show_modseq)
    if show_modseq:
        start.append(b"MODSEQ (%d) " % view.modseqs[index])
    if answer.content is None:
        await session.out.send(b"".join((*start, *answer.pieces, b")\r\n")))  # type: ignore[arg-type]
        return
    session.out.write(b"".join(start))
    for piece in answer.pieces:
        if isinstance(piece, bytes):
            await session.out.send(piece)
        elif isinstance(piece, Decoded):
            await _send_decoded(session, answer.content, piece)
        else:
            await _send_large(session, answer.content, piece)
    session.out.write(b")\r\n")


def _read(_home: MailHome, content: Content, offset: int, length: int) -> bytes:
    return content.read(offset, length)


async def _send_large(session: Session, content: Content, span: Span) -> None:
    """A literal whose length was announced: it is sent to its end, or the connection is of no use any more."""
    try:
        offset, end = span.offset, span.offset + span.length
        while offset < end:
            piece = content.at_hand(offset, min(PIECE, end - offset))
            if piece is None:
                piece = await session.run(
                    partial(_read, content=content, offset=offset, length=min(READ, end - offset))
                )
            await session.out.send(piece)
            offset += len(piece)
    except ClientGone:
        raise
    except BaseException:
        session.break_off()
        raise


async def _send_decoded(session: Session, content: Content, decoded: Decoded) -> None:
    """As `_send_large`, of what comes out of a transfer encoding."""
    pieces = decoded.pieces(content)
    try:
        while piece := await session.run(lambda _home: next(pieces, b"")):
            await session.out.send(piece)
    except ClientGone:
        raise
    except BaseException:
        session.break_off()
        raise
