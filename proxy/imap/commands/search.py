"""SEARCH and UID SEARCH (RFC 3501 6.4.4).

First everything that the session's view can decide, in the reactor, then what is left over in visits to
the store, each of bounded length. A message that was expunged meanwhile matches nothing there.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from mailstore.errors import MessageLost, NoSuchMessage
from mailstore.index.fulltext import Found
from mailstore.mailhome import MailHome
from proxy.imap.answers import Done
from proxy.imap.grammar.syntax import Command, Search
from proxy.imap.matching import HEADER, WHOLE, Candidate, Compiled, SearchedMessage, TextTerm, compiled
from proxy.imap.reading import FactsAhead, Opener, OpenMessage

if TYPE_CHECKING:
    from proxy.imap.session import Session

AT_ONCE = 5_000  # messages looked at in the view before others in the reactor get their turn
BATCH = 500  # … and in one visit to the store,
VISIT = 0.25  # … which ends after so many seconds


async def search(session: Session, command: Command, arguments: Search) -> Done:
    key = compiled(arguments.key, session.selected)
    found, open_questions = await _in_view(session, key)
    if key.terms and open_questions:
        await look_up(session, key, [candidate.uid for candidate in open_questions])
        found, open_questions = await _in_view(session, key)
    folder_id, start = session.selected.folder.id, 0
    while start < len(open_questions):
        some = open_questions[start : start + BATCH]
        taken, matching = await session.run(partial(_in_store, folder_id=folder_id, candidates=some, key=key))
        found.extend(matching)
        start += taken
        await session.out.drained()  # a client that left is not searched for
    if open_questions:
        found.sort(key=lambda candidate: candidate.index)
    numbers = (b" %d" % (candidate.uid if command.uid else candidate.index + 1) for candidate in found)
    await session.out.send(b"* SEARCH%b\r\n" % b"".join(numbers))
    return Done(b"Search completed.")


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
    rows = {row.uid: row for row in home.rows(folder_id, uids)}
    end = time.monotonic() + VISIT
    matching = []
    with Opener(home, folder_id, uids) as opener:
        for taken, candidate in enumerate(candidates, 1):
            candidate.row = rows.get(candidate.uid)
            if candidate.row is not None and _matches(opener, facts, candidate, key):
                matching.append(candidate)
            if time.monotonic() > end:
                return taken, matching
    return len(candidates), matching


def _matches(opener: Opener, facts: FactsAhead, candidate: Candidate, key: Compiled) -> bool:
    answer = key.test(candidate)
    if answer is not None or key.cost < HEADER:
        return bool(answer)
    message = OpenMessage(lambda: opener.open(candidate.uid), facts.of(candidate.uid))
    candidate.message = SearchedMessage(message)
    try:
        answer = key.test(candidate)
    except (NoSuchMessage, MessageLost):
        return False
    finally:
        candidate.message = None
        message.close()
    return bool(answer)
