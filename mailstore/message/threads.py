"""Conversations: THREAD=ORDEREDSUBJECT and THREAD=REFERENCES (RFC 5256 3).

Pure functions from what a message's header says to trees. Time grows as n log n with messages and references
together; nothing recurses, so a conversation may be as deep as there are messages. One search in all this, for
loops, could be made to take longer by a mailbox built for that: its steps are counted, and beyond the count a
message is left where it was, as if a loop had been found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

# A message ID: "<" something with an "@" ">". Quoted parts may hold anything; both lengths are bounded so that
# a header of nothing but "<" and quotes takes linear time.
_MESSAGE_ID = re.compile(rb'<((?:"(?:[^"\\]|\\.){0,256}"|[^<>"]++){1,16})>', re.DOTALL)
_QUOTING = re.compile(rb'\\(.)|["\s]', re.DOTALL)

_STEPS_A_LINK = 16  # of the search for loops, on average


@dataclass(frozen=True, slots=True)
class Threaded:
    """What threads are made from. `subject` is the key of the base subject, `sent` in seconds since 1970."""

    number: int
    sent: int
    subject: str = ""
    reply: bool = False  # its subject says that it is a reply or forward
    message_id: bytes | None = None
    references: tuple[bytes, ...] = ()


@dataclass(slots=True, eq=False)
class Thread:
    """A message with what answers it. Without a message (only at the top) it holds siblings together."""

    message: Threaded | None
    children: list[Thread] = field(default_factory=list)


def message_ids(value: bytes) -> tuple[bytes, ...]:
    """The message IDs in a raw header value, in order, written as they compare: `<"a"@b>` is `<a@b>`."""
    found = (_QUOTING.sub(rb"\1", match) for match in _MESSAGE_ID.findall(value))
    return tuple(each for each in found if b"@" in each)


def ordered_subject(messages: Iterable[Threaded]) -> list[Thread]:
    """Messages of one base subject make a thread: the earliest, and all others below it."""
    in_order = sorted(messages, key=lambda message: (message.subject, message.sent, message.number))
    threads = []
    for _, group in groupby(in_order, key=lambda message: message.subject):
        first, *others = group
        threads.append(Thread(first, [Thread(message) for message in others]))
    threads.sort(key=_moment)
    return threads


def by_references(messages: Sequence[Threaded]) -> list[Thread]:
    """Threads by Message-ID, References and In-Reply-To, then by base subject."""
    tops = _pruned(_Links(messages))
    for top in tops:
        _sort(top)
    tops.sort(key=_moment)
    tops = _gathered(tops)
    for top in tops:
        _sort(top)
    tops.sort(key=_moment)
    return tops


# --- Step 1: links ---


@dataclass(slots=True, eq=False)
class _Node:
    """A message, or one that is only referred to. `above` is a short cut to an ancestor, good for one `epoch`."""

    message: Threaded | None = None
    parent: _Node | None = None
    children: dict[int, _Node] = field(default_factory=dict)  # by id(), in order
    above: _Node | None = None
    epoch: int = -1


class _Links:
    """Who answers whom. `nodes` in the order in which they were first heard of."""

    def __init__(self, messages: Sequence[Threaded]) -> None:
        self.nodes: list[_Node] = []
        self._by_id: dict[bytes, _Node] = {}
        self._epoch = 0  # grows when a short cut may have become wrong
        self._steps = _STEPS_A_LINK * (1000 + sum(len(message.references) + 1 for message in messages))
        for message in messages:
            self._enter(message)

    def _enter(self, message: Threaded) -> None:
        last: _Node | None = None
        for reference in message.references:
            node = self._named(reference)
            if last is not None and node.parent is None and not self._is_above(node, last):
                _attach(node, last)
            last = node
        node = self._own(message)
        if node.parent is last:
            return
        self._detach(node)
        if last is not None and not self._is_above(node, last):
            _attach(node, last)

    def _named(self, message_id: bytes) -> _Node:
        node = self._by_id.get(message_id)
        if node is None:
            node = self._by_id[message_id] = _Node()
            self.nodes.append(node)
        return node

    def _own(self, message: Threaded) -> _Node:
        """The message's node. Without an ID, or with one that another message has, it gets one that nobody knows."""
        if message.message_id is not None:
            node = self._named(message.message_id)
            if node.message is None:
                node.message = message
                return node
        node = _Node(message)
        self.nodes.append(node)
        return node

    def _detach(self, node: _Node) -> None:
        if node.parent is not None:
            del node.parent.children[id(node)]
            node.parent = None
            node.epoch = -1
            if node.children:  # those below have short cuts that lead past it
                self._epoch += 1

    def _is_above(self, top: _Node, node: _Node) -> bool:
        """Is `top`, which has no parent, `node` or an ancestor of it?"""
        if top is node:
            return True
        if not top.children:
            return False
        passed = []
        at = node
        while at.parent is not None:
            passed.append(at)
            at = at.above if at.epoch == self._epoch and at.above is not None else at.parent
        self._steps -= len(passed)
        for each in passed:
            each.above, each.epoch = at, self._epoch
        return at is top or self._steps < 0


def _attach(node: _Node, parent: _Node) -> None:
    node.parent = parent
    parent.children[id(node)] = node


# --- Steps 2 and 3: no more nodes without a message ---


def _pruned(links: _Links) -> list[Thread]:
    """The tops of all threads. What hangs below a missing message is given to the one above it; at the top,
    several children of a missing message stay together below an empty Thread."""
    threads = {id(node): Thread(node.message) for node in links.nodes if node.message is not None}
    tops = []
    for node in links.nodes:
        if node.message is not None:
            threads[id(node)].children = [threads[id(each)] for each in _below(node)]
            if node.parent is None:
                tops.append(threads[id(node)])
        elif node.parent is None:
            below = [threads[id(each)] for each in _below(node)]
            if len(below) == 1:
                tops.append(below[0])
            elif below:
                tops.append(Thread(None, below))
    return tops


def _below(node: _Node) -> Iterator[_Node]:
    """The nearest messages below a node, in order."""
    todo = list(reversed(node.children.values()))
    while todo:
        at = todo.pop()
        if at.message is not None:
            yield at
        else:
            todo.extend(reversed(at.children.values()))


# --- Steps 4 to 6: subjects and order ---


def _first(thread: Thread) -> Threaded:
    """The message itself, or, of an empty Thread whose children are in order, the first of them."""
    message = thread.message or thread.children[0].message
    assert message is not None  # no empty Thread is inside another
    return message


def _moment(thread: Thread) -> tuple[int, int]:
    first = _first(thread)
    return first.sent, first.number


def _sort(top: Thread) -> None:
    """Put all siblings below in the order in which they were sent."""
    todo = [top]
    while todo:
        at = todo.pop()
        if len(at.children) > 1:
            at.children.sort(key=_moment)
        todo.extend(at.children)


def _gathered(tops: Sequence[Thread]) -> list[Thread]:
    """Step 5: threads whose subject is the same become one. `tops` are in order."""
    table: dict[str, Thread] = {}
    for thread in tops:
        subject = _first(thread).subject
        known = table.get(subject)
        if known is None or _takes_over(thread, known):
            table[subject] = thread
    places: dict[int, Thread] = {}  # what stands at the top, by the id of what stood there first
    for thread in tops:
        subject = _first(thread).subject
        known = table[subject]
        if not subject or known is thread or id(thread) in places:
            places.setdefault(id(thread), thread)
        elif known.message is None:
            known.children.extend(thread.children if thread.message is None else [thread])
        elif thread.message is not None and thread.message.reply and not known.message.reply:
            known.children.append(thread)
        else:
            table[subject] = places[id(known)] = Thread(None, [known, thread])
    return [places[id(thread)] for thread in tops if id(thread) in places]


def _takes_over(thread: Thread, known: Thread) -> bool:
    """Step 5.B.iv: an empty Thread stands for a subject before a message does, and an original before a reply."""
    if known.message is None:
        return False
    return thread.message is None or (known.message.reply and not thread.message.reply)
