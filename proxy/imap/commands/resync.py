"""What a client that comes back has missed: VANISHED (EARLIER), and flags with their modseqs (RFC 7162 3.2).

Used by SELECT with QRESYNC and by UID FETCH with VANISHED.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from proxy.imap import responses
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.view import View

if TYPE_CHECKING:
    from proxy.imap.session import Session

AT_ONCE = 2_000  # messages told before others in the reactor get their turn


async def tell_vanished(session: Session, view: View, known: SequenceSet, since: int) -> None:
    """Those of `known` that were expunged after modseq `since` (RFC 7162 3.2.10.1).

    A message that still has its number in this session is left out: its own VANISHED will come. "*" is the
    highest UID there ever was, so that the end of a mailbox may go without being missed.
    """
    gone = await session.run(lambda home: home.vanished(view.folder.id, since))
    told: list[int] = []
    for first, last in known.resolve(view.uidnext - 1):
        within = gone[bisect_left(gone, first) : bisect_right(gone, last)]
        told.extend(uid for uid in within if view.index(uid) is None)
    if told:
        await session.out.send(b"* VANISHED (EARLIER) %b\r\n" % responses.numbers(told))


async def tell_flags(session: Session, view: View, places: list[int]) -> None:
    """UID, FLAGS and MODSEQ of the messages at these places in the view."""
    for start in range(0, len(places), AT_ONCE):
        lines = []
        for place in places[start : start + AT_ONCE]:
            uid = view.uids[place]
            flags = responses.flag_list(view.flags[place], recent=view.is_recent(uid))
            opening = view.manner.opening(place + 1, uid)
            named = b"UID %d " % uid if view.manner.numbers else b""
            lines.append(b"%b%bFLAGS %b MODSEQ (%d))\r\n" % (opening, named, flags, view.modseqs[place]))
        await session.out.send(b"".join(lines))
        if start + AT_ONCE < len(places):
            await session.breathe()
