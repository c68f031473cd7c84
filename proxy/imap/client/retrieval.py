"""Messages ahead of their answers: UID FETCH in ranges, many under way at once, over the folders that they are in.

A range is one command for many messages, bounded in messages, octets and the length of the command itself; the next
ones are on their way before its answer is here, so that the line never waits. Where the folder changes, EXAMINE goes
out between two ranges without waiting either, and nothing that is fetched is believed before it has said that UIDs
mean what they meant (UIDVALIDITY, RFC 3501 2.3.1.1).

A message that a range leaves out, or that is in a range which the server refuses, is asked for once more by itself:
one bad message must not take others with it. What is refused then is `missing`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from twisted.internet.defer import Deferred

from proxy.imap.client.commands import WHOLE, Name, Verb, command, sequence_set
from proxy.imap.client.protocol import Expectation
from proxy.imap.client.replies import FolderState, fetched
from proxy.imap.client.responses import Parts, Reply, Untagged, number
from proxy.imap.client.wanted import Place, Reach, Sink, Wanted, weight_of
from proxy.legacy.errors import LegacyError, LegacyProtocolError

HELD_LIMIT: Final = 16 * 1024 * 1024  # octets of a body whose UID the server tells only behind it
_UID = re.compile(rb"[ (]UID ([0-9]{1,10})(?=[ )]|\Z)", re.IGNORECASE)


class UidsRenewed(LegacyProtocolError):
    """What a folder's UIDs mean is not what it was when the folder was listed."""


class _Visit:
    """One opening of a folder: what was asked for while it is open and did not come yet, by UID."""

    __slots__ = ("left", "place")

    def __init__(self, place: Place | None) -> None:
        self.place = place
        self.left: dict[int, Wanted] = {}


class _Opening(Expectation):
    """EXAMINE between two ranges."""

    __slots__ = ("_retrieval", "_state", "_visit")

    slow = True

    def __init__(self, retrieval: Retrieval, tag: bytes, visit: _Visit) -> None:
        self.tag = tag
        self._retrieval = retrieval
        self._visit = visit
        self._state = FolderState()

    def awaited(self) -> str:
        return "the answer to EXAMINE"

    def untagged(self, response: Untagged) -> None:
        self._state.take(response)

    def done(self, reply: Reply) -> None:
        if not reply.ok:
            raise LegacyProtocolError(f"the server does not open a folder that it opened before: {reply.text}")
        assert self._visit.place is not None
        if self._state.uidvalidity != self._visit.place.uidvalidity:
            raise UidsRenewed("a folder's UIDs have changed their meaning since it was listed (UIDVALIDITY)")
        self._retrieval.opened(self._visit)
        self._retrieval.answered(self)

    def failed(self, error: Exception) -> None:
        self._retrieval.failed(error)


class _Range(Expectation):
    """One UID FETCH. What comes is for the whole retrieval: a server may work off several of them side by side, as
    Dovecot does, and says only with each message which one it is."""

    __slots__ = ("_alone", "_retrieval", "_uids", "visit")

    bodies = True

    def __init__(self, retrieval: Retrieval, tag: bytes, visit: _Visit, uids: Sequence[int], *, alone: bool) -> None:
        self.tag = tag
        self.visit = visit
        self._retrieval = retrieval
        self._uids = uids
        self._alone = alone

    def awaited(self) -> str:
        coming = self._retrieval.coming()
        return f"message {coming.number}" if coming is not None else "the answer to UID FETCH"

    def whole(self, head: Parts, data: bytes) -> None:
        self._retrieval.whole(head, data)

    def begin(self, head: Parts, octets: int) -> None:
        self._retrieval.begin(head, octets)

    def piece(self, data: bytes) -> None:
        self._retrieval.piece(data)

    def end(self) -> None:
        self._retrieval.end()

    def untagged(self, response: Untagged) -> None:
        if response.name == "FETCH":
            self._retrieval.rest(response)

    def done(self, reply: Reply) -> None:
        text = "it leaves the message out, without saying why" if reply.ok else reply.text or "it does not say why"
        for uid in self._uids:
            wanted = self.visit.left.pop(uid, None)
            if wanted is not None:
                self._retrieval.left_out(wanted, text, alone=self._alone)
        self._retrieval.answered(self)

    def failed(self, error: Exception) -> None:
        self._retrieval.failed(error)


class Retrieval:
    """All that one `retrieve` asks for."""

    def __init__(
        self,
        wanted: Iterable[Wanted],
        sink: Sink,
        reach: Reach,
        send: Callable[[bytes, Expectation], None],
        next_tag: Callable[[], bytes],
        give_up: Callable[[], None],
        selected: Place | None,
    ) -> None:
        """`selected` is the folder that is open, `send` takes a command and what its answer goes to."""
        self.sink = sink
        self._open = self._last = _Visit(selected)  # what comes now is from; what is asked for now will be from
        self._reach = reach
        self._send = send
        self._next_tag = next_tag
        self._waiting = deque(wanted)
        self._again: deque[Wanted] = deque()  # to be asked for by themselves
        self._commands: deque[Expectation] = deque()
        self._messages = self._octets = 0  # that were asked for and did not come yet
        self._under_way: Wanted | None = None  # whose body is arriving
        self._held: bytearray | None = None  # a body whose UID is not known yet
        self._result: Deferred[None] | None = Deferred(lambda result: self._cancelled(give_up))

    def pending(self) -> Deferred[None]:
        """What is to be awaited. To be fetched before `start`."""
        assert self._result is not None
        return self._result

    def start(self) -> None:
        self._go_on()

    @property
    def selected(self) -> Place | None:
        """The folder that the last command sent leaves open."""
        return self._last.place

    def hurry(self, numbers: Collection[int]) -> None:
        """Ask for these next, ahead of whatever was not asked for yet."""
        wanted = set(numbers)
        first = [each for each in self._waiting if each.number in wanted]
        if first:
            rest = [each for each in self._waiting if each.number not in wanted]
            self._waiting = deque([*first, *rest])

    # What comes

    def opened(self, visit: _Visit) -> None:
        """From here on, what comes is from this folder."""
        self._open = visit

    def coming(self) -> Wanted | None:
        """Which message is arriving, or comes next as far as one can know."""
        return self._under_way or next(iter(self._open.left.values()), None)

    def whole(self, head: Parts, data: bytes) -> None:
        wanted = self._whose(head)
        if wanted is None:
            self._hold(len(data))
            self.piece(data)
        else:
            self.sink.message(wanted.number, data)
            self._came(wanted)

    def begin(self, head: Parts, octets: int) -> None:
        wanted = self._whose(head)
        if wanted is None:
            self._hold(octets)
        else:
            self._under_way = wanted
            self.sink.begin(wanted.number)

    def piece(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
        else:
            self.sink.piece(data)

    def end(self) -> None:
        if self._held is None:
            wanted, self._under_way = self._under_way, None
            assert wanted is not None
            self.sink.end()
            self._came(wanted)

    def rest(self, response: Untagged) -> None:
        """A response whose body is here already, or one without a literal: "" and NIL are possible."""
        held, self._held = self._held, None
        if held is None and len(response.parts) > 1:
            return
        items = fetched(response)
        uid, body = number(items.get("UID")), items.get("BODY[]")
        if held is not None:
            if uid is None:
                raise LegacyProtocolError("the server does not say whose the message is that it sent")
            body = bytes(held)
        if uid is not None and isinstance(body, bytes):
            wanted = self._asked_for(uid)
            self.sink.message(wanted.number, body)
            self._came(wanted)

    def _whose(self, head: Parts) -> Wanted | None:
        """Whose body follows; None where that is not said yet."""
        found = _UID.search(head[0]) or (_UID.search(head[-1]) if len(head) > 1 else None)
        if found is not None:
            return self._asked_for(int(found[1]))
        left = self._open.left
        return next(iter(left.values())) if len(left) == 1 else None

    def _asked_for(self, uid: int) -> Wanted:
        wanted = self._open.left.get(uid)
        if wanted is None:
            raise LegacyProtocolError("the server sends a message that it was not asked for, or one of them twice")
        return wanted

    def _hold(self, octets: int) -> None:
        if octets > HELD_LIMIT:
            raise LegacyProtocolError("the server does not say whose a large message is before it sends it")
        self._held = bytearray()

    def _came(self, wanted: Wanted) -> None:
        del self._open.left[wanted.uid]
        self._less(wanted)
        if self._messages * 2 <= self._reach.messages and self._octets * 2 <= self._reach.octets:
            self._fill()

    def left_out(self, wanted: Wanted, text: str, *, alone: bool) -> None:
        self._less(wanted)
        if alone:
            self.sink.missing(wanted.number, text)
        else:
            self._again.append(wanted)

    def _less(self, wanted: Wanted) -> None:
        self._messages -= 1
        self._octets -= weight_of(wanted)

    def answered(self, command: Expectation) -> None:
        self._commands.remove(command)
        self._go_on()

    def failed(self, error: Exception) -> None:
        result, self._result = self._result, None
        if result is None:
            return
        coming = self.coming()
        if isinstance(error, LegacyError) and coming is not None:
            error.message = coming.number
        result.errback(error)

    def _cancelled(self, give_up: Callable[[], None]) -> None:
        self._result = None
        give_up()

    # Asking

    def _go_on(self) -> None:
        self._fill()
        if not self._commands:
            result, self._result = self._result, None
            if result is not None:
                result.callback(None)

    def _fill(self) -> None:
        """Ask for as many more as there is room for, and for something at least while nothing is under way."""
        single = self._reach.range_messages == 1
        while self._result is not None and (self._waiting or self._again):
            if self._commands and (single or self._is_full()):
                return
            if not self._waiting:
                self._ask([self._again.popleft()], alone=True)
            else:
                self._ask(self._cut(), alone=single)

    def _is_full(self) -> bool:
        queue = self._waiting or self._again
        over = self._octets + weight_of(queue[0]) > self._reach.octets
        return self._messages >= self._reach.messages or over

    def _cut(self) -> list[Wanted]:
        """The next range: of one folder, and within its bounds."""
        waiting, reach = self._waiting, self._reach
        taken = [waiting.popleft()]
        octets, length = weight_of(taken[0]), 2 * len(b"%d," % taken[0].uid)
        room = min(reach.range_messages, reach.messages - self._messages)
        while waiting and len(taken) < room:
            following, last = waiting[0], taken[-1]
            if following.place is not last.place and following.place != last.place:
                break
            octets += weight_of(following)
            if following.number != last.number + 1:
                length += 2 * len(b"%d," % following.uid)
            if octets > reach.range_octets or length > reach.command:
                break
            taken.append(waiting.popleft())
        return taken

    def _ask(self, taken: Sequence[Wanted], *, alone: bool) -> None:
        place = taken[0].place
        if place != self._last.place:
            tag = self._next_tag()
            self._last = _Visit(place)
            (line,) = command(tag, Verb.EXAMINE, Name(place.name))
            self._out(line, _Opening(self, tag, self._last))
        self._messages += len(taken)
        self._octets += sum(map(weight_of, taken))
        self._last.left.update((wanted.uid, wanted) for wanted in taken)
        tag = self._next_tag()
        (line,) = command(tag, Verb.FETCH, sequence_set(_runs(taken)), WHOLE)
        self._out(line, _Range(self, tag, self._last, [wanted.uid for wanted in taken], alone=alone))

    def _out(self, line: bytes, expectation: Expectation) -> None:
        self._commands.append(expectation)
        self._send(line, expectation)


def _runs(taken: Sequence[Wanted]) -> list[list[int]]:
    """UIDs of neighbours together: whatever is between two of them is in no mailbox."""
    runs: list[list[int]] = []
    last = None
    for wanted in taken:
        if last is not None and wanted.number == last + 1:
            runs[-1].append(wanted.uid)
        else:
            runs.append([wanted.uid])
        last = wanted.number
    return runs
