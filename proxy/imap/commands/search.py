"""SEARCH and UID SEARCH (RFC 3501 6.4.4, RFC 4731, RFC 5182).

First everything that the session's view can decide, in the reactor, then what is left over in visits to
the store, each of bounded length. A message that was expunged meanwhile matches nothing there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mailstore.errors import MailstoreError, MessageLost, NoSuchMessage
from mailstore.index.fulltext import Found
from mailstore.mailhome import MailHome
from proxy.imap import esearch
from proxy.imap.ahead import FactsAhead, Opener
from proxy.imap.answers import Bad, Done, No
from proxy.imap.grammar.search_syntax import Returns, Search
from proxy.imap.grammar.syntax import Command
from proxy.imap.manner import CONDSTORE, UTF8
from proxy.imap.matching import HEADER, WHOLE, Candidate, Compiled, SearchedMessage, TextTerm, compiled
from proxy.imap.reading import OpenMessage
from proxy.imap.view import View

if TYPE_CHECKING:
    from proxy.imap.session import Session

AT_ONCE = 5_000  # messages looked at in the view before others in the reactor get their turn
BATCH = 500  # … and in one visit to the store,
VISIT = 0.25  # … which ends after so many seconds


async def search(session: Session, command: Command, arguments: Search) -> Done:
    view = session.selected
    if arguments.charset is not None and UTF8 in session.enabled:
        raise Bad(b"Strings are UTF-8 now: leave CHARSET out.")  # RFC 6855 3
    returns = arguments.returns or (Returns(all=True) if session.rev2 else None)  # RFC 9051 6.4.4: always ESEARCH
    saves = returns is not None and returns.save
    if arguments.by_modseq:
        session.enable(CONDSTORE)  # RFC 7162 3.1
    key = compiled(arguments.key, view)
    try:
        found = await matching(session, key)
    except (No, MailstoreError):
        if saves:
            view.save(())  # RFC 5182 2.1: a SEARCH that fails empties "$"
        raise
    if returns is None:
        numbers = [view.uids[place] if command.uid else place + 1 for place in found]
        await session.out.send(esearch.plain(numbers, _highest(view, found) if arguments.by_modseq else None))
        return Done(b"Search completed.")
    few = esearch.of_interest(found, returns)
    if saves:
        view.save(view.uids[place] for place in few)
    number = view.uids.__getitem__ if command.uid else (1).__add__
    modseq = _highest(view, few) if arguments.by_modseq else None
    await session.out.send(esearch.extended(command.tag, found, number, returns, uid=command.uid, modseq=modseq))
    return Done(b"Search completed.")


def _highest(view: View, places: Sequence[int]) -> int | None:
    """The highest modseq of these messages (RFC 7162 3.1.5, 3.1.10)."""
    return max((view.modseqs[place] for place in places), default=None)


async def matching(session: Session, key: Compiled) -> list[int]:
    """The places in the view (sequence number - 1) of all messages that match, ascending."""
    found, open_questions = await _in_view(session, key)
    if key.terms and open_questions:
        await look_up(session, key, [candidate.uid for candidate in open_questions])
        found, open_questions = await _in_view(session, key)
    folder_id, start = session.selected.folder.id, 0
    while start < len(open_questions):
        some = open_questions[start : start + BATCH]
        taken, some_found = await session.run(partial(_in_store, folder_id=folder_id, candidates=some, key=key))
        found.extend(some_found)
        start += taken
        await session.out.drained()  # a client that left is not searched for
    return sorted(candidate.index for candidate in found)


async def look_up(session: Session, key: Compiled, uids: list[int]) -> None:
    """Have the store's index answer what it can of a key, for these messages; those that are not in it are entered
    first where their texts are needed anyway, in visits of bounded length."""
    folder_id = session.selected.folder.id
    missing = await session.run(lambda home: home.kept.unindexed(folder_id, uids))
    if key.cost == WHOLE:
        while missing:
            taken = await session.run(partial(_index, folder_id=folder_id, uids=missing[:BATCH]))
            missing = missing[taken:]
            await session.out.drained()
        missing = await session.run(lambda home: home.kept.unindexed(folder_id, uids))  # those that cannot be read
    for term in key.terms:
        found = await session.run(partial(_search, folder_id=folder_id, term=term))
        if found is not None:
            term.found = Found(found.matching, found.unclear.union(missing))


def _index(home: MailHome, folder_id: int, uids: list[int]) -> int:
    return home.kept.index(folder_id, uids, VISIT)


def _search(home: MailHome, folder_id: int, term: TextTerm) -> Found | None:
    return home.kept.search(folder_id, term.needle, term.columns)


async def _in_view(session: Session, key: Compiled) -> tuple[list[Candidate], list[Candidate]]:
    """The messages that match for certain, and those about which the view cannot say."""
    view = session.selected
    found: list[Candidate] = []
    unclear: list[Candidate] = []
    for start in range(0, len(view), AT_ONCE):
        for index in range(start, min(start + AT_ONCE, len(view))):
            uid = view.uids[index]
            candidate = Candidate(index, uid, view.flags[index], view.is_recent(uid))
            answer = key.test(candidate)
            if answer:
                found.append(candidate)
            elif answer is None:
                unclear.append(candidate)
        if start + AT_ONCE < len(view):
            await session.breathe()
    return found, unclear


def _in_store(
    home: MailHome, folder_id: int, candidates: list[Candidate], key: Compiled
) -> tuple[int, list[Candidate]]:
    """Runs in a thread: how many of the candidates were looked at, and which of these match."""
    uids = [candidate.uid for candidate in candidates]
    facts = FactsAhead(home, folder_id, uids, wanted=key.cost == HEADER, largest=None)
    now = home.clock()
    end = time.monotonic() + VISIT
    found = []
    with Opener(home, folder_id, uids, home.away(folder_id, uids)) as opener:
        rows = {row.uid: row for row in home.rows(folder_id, uids)}
        for taken, candidate in enumerate(candidates, 1):
            candidate.row, candidate.now = rows.get(candidate.uid), now
            if candidate.row is not None and not candidate.row.dated and key.dated:
                opener.header(candidate.uid)  # brings the date
            if candidate.row is not None and _matches(opener, facts, candidate, key):
                found.append(candidate)
            if time.monotonic() > end:
                return taken, found
    return len(candidates), found


def _matches(opener: Opener, facts: FactsAhead, candidate: Candidate, key: Compiled) -> bool:
    answer = key.test(candidate)
    if answer is not None or key.cost < HEADER:
        return bool(answer)
    uid = candidate.uid
    message = OpenMessage(lambda: opener.open(uid), facts.of(uid), lambda: opener.header(uid))
    candidate.message = SearchedMessage(message)
    try:
        answer = key.test(candidate)
    except (NoSuchMessage, MessageLost):
        return False
    finally:
        candidate.message = None
        message.close()
    return bool(answer)
