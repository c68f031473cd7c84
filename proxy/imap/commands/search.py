"""SEARCH and UID SEARCH (RFC 3501 6.4.4).

First everything that the session's view can decide, in the reactor, then what is left over in visits to
the store, each of bounded length. A message that was expunged meanwhile matches nothing there.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from mailstore.errors import MessageLost, NoSuchMessage
from mailstore.mailhome import MailHome
from proxy.imap.answers import Done
from proxy.imap.grammar.syntax import Command, Search
from proxy.imap.matching import HEADER, Candidate, Compiled, SearchedMessage, compiled
from proxy.imap.reading import Opener, OpenMessage

if TYPE_CHECKING:
    from proxy.imap.session import Session

AT_ONCE = 5_000  # messages looked at in the view before others in the reactor get their turn
BATCH = 500  # … and in one visit to the store,
VISIT = 0.25  # … which ends after so many seconds


async def search(session: Session, command: Command, arguments: Search) -> Done:
    view = session.selected
    found = await matching(session, compiled(arguments.key, view))
    numbers = (b" %d" % (view.uids[index] if command.uid else index + 1) for index in found)
    await session.out.send(b"* SEARCH%b\r\n" % b"".join(numbers))
    return Done(b"Search completed.")


async def matching(session: Session, key: Compiled) -> list[int]:
    """The places in the view (sequence number - 1) of all messages that match, ascending."""
    found, open_questions = await _in_view(session, key)
    folder_id, start = session.selected.folder.id, 0
    while start < len(open_questions):
        some = open_questions[start : start + BATCH]
        taken, some_found = await session.run(partial(_in_store, folder_id=folder_id, candidates=some, key=key))
        found.extend(some_found)
        start += taken
        await session.out.drained()  # a client that left is not searched for
    return sorted(candidate.index for candidate in found)


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
    rows = {row.uid: row for row in home.rows(folder_id, uids)}
    now = home.clock()
    end = time.monotonic() + VISIT
    found = []
    with Opener(home, folder_id, uids) as opener:
        for taken, candidate in enumerate(candidates, 1):
            candidate.row, candidate.now = rows.get(candidate.uid), now
            if candidate.row is not None and _matches(opener, candidate, key):
                found.append(candidate)
            if time.monotonic() > end:
                return taken, found
    return len(candidates), found


def _matches(opener: Opener, candidate: Candidate, key: Compiled) -> bool:
    answer = key.test(candidate)
    if answer is not None or key.cost < HEADER:
        return bool(answer)
    try:
        with opener.open(candidate.uid) as content:
            candidate.message = SearchedMessage(OpenMessage(content))
            answer = key.test(candidate)
    except (NoSuchMessage, MessageLost):
        return False
    finally:
        candidate.message = None
    return bool(answer)
