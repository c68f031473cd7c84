"""SORT and THREAD, and their UID forms (RFC 5256, RFC 5957).

What matches is found as SEARCH finds it; then the values that are compared are read in visits to the store. A
message that was expunged meanwhile is left out, as it is by SEARCH.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mailstore.mailhome import MailHome
from mailstore.message.threads import by_references, ordered_subject
from proxy.imap.answers import Done
from proxy.imap.commands.search import matching
from proxy.imap.grammar.search_syntax import Search
from proxy.imap.grammar.sort_keys import Sort, ThreadBy, Threading
from proxy.imap.grammar.syntax import Command
from proxy.imap.manner import CONDSTORE
from proxy.imap.matching import compiled
from proxy.imap.sorting import BATCH, in_order, read_facts, read_threaded, thread_response

if TYPE_CHECKING:
    from proxy.imap.session import Session

T = TypeVar("T")
_Read = Callable[[MailHome, int, Sequence[int]], tuple[int, dict[int, T]]]


async def sort(session: Session, command: Command, arguments: Sort) -> Done:
    keys = [criterion.key for criterion in arguments.criteria]
    facts = await _read_all(session, arguments.search, partial(read_facts, keys=keys))
    uids = await session.run(lambda _home: in_order(facts, arguments.criteria))
    number = _numbering(session, uid=command.uid)
    modseq = _highest(session, uids) if arguments.search.by_modseq else b""
    await session.out.send(b"* SORT%b%b\r\n" % (b"".join(b" %d" % number(uid) for uid in uids), modseq))
    return Done(b"Sort completed.")


async def thread(session: Session, command: Command, arguments: ThreadBy) -> Done:
    facts = await _read_all(session, arguments.search, read_threaded)
    threaded = by_references if arguments.threading is Threading.REFERENCES else ordered_subject
    threads = await session.run(lambda _home: threaded(list(facts.values())))
    await session.out.send(thread_response(threads, _numbering(session, uid=command.uid)))
    return Done(b"Thread completed.")


async def _read_all(session: Session, search: Search, read: _Read[T]) -> dict[int, T]:
    """Every message that matches and is still there, by UID, ascending."""
    view = session.selected
    if search.by_modseq:
        session.enable(CONDSTORE)  # RFC 7162 3.1
    uids = [view.uids[index] for index in await matching(session, compiled(search.key, view))]
    facts: dict[int, T] = {}
    start = 0
    while start < len(uids):
        taken, some = await session.run(
            lambda home, some=uids[start : start + BATCH]: read(home, view.folder.id, some)  # type: ignore[misc]
        )
        facts.update(some)
        start += taken
        await session.out.drained()  # a client that left is not sorted for
    return facts


def _highest(session: Session, uids: Sequence[int]) -> bytes:
    """The highest modseq of what is told (RFC 7162 3.1.6)."""
    view = session.selected
    places = (view.index(uid) for uid in uids)
    modseqs = [view.modseqs[place] for place in places if place is not None]
    return b" (MODSEQ %d)" % max(modseqs) if modseqs else b""


def _numbering(session: Session, *, uid: bool) -> Callable[[int], int]:
    """From UIDs to what the client is told. Numbers do not change during a command."""
    if uid:
        return lambda number: number
    view = session.selected
    numbers = {each: number for number, each in enumerate(view.uids, 1)}
    return numbers.__getitem__
