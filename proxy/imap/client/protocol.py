"""IMAP from the client's side without I/O: bytes in, answers out.

Each command has a tag, and its answer names it. What a server says without a tag belongs to the oldest command that
has no answer yet, since it works off commands in order (RFC 3501 5.5). So there is one queue:

    expected          the server says          what happens
    --------          ---------------          ------------
    the greeting      * OK, PREAUTH, BYE       `done`
    a command         * anything else          `untagged` of the oldest, or nothing where none is owed
    a command         tag OK / NO / BAD        `done` of the one with that tag
    a literal         + …                      `continued` of the oldest
    bodies            * n FETCH (… BODY[] {n}  `whole`, or `begin` `piece`… `end`; then `untagged` without the body
    anything          * BYE                    the end, but for LOGOUT
    anything          anything else            LegacyProtocolError

Literals are kept up to KEPT_LIMIT octets a response; a message's body is never kept but handed on as it comes, so that
memory does not grow with a message.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from proxy.imap.client.responses import Parts, Reply, Untagged, parse_state, parse_untagged
from proxy.legacy.errors import LegacyProtocolError, LegacyUnreachable

LINE_LIMIT = 64 * 1024  # octets of one line of a response
KEPT_LIMIT = 1024 * 1024  # octets of one response that are kept, bodies not counted

# literal = "{" number "}" CRLF; "+" and "~" are not for servers, and harmless
_LITERAL = re.compile(rb"[ (]~?\{([0-9]{1,18})\+?\}\Z")
_NO_LITERAL = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)\b|[^*]", re.IGNORECASE)  # their text is free
_BODY = re.compile(rb"\* +[0-9]+ +FETCH +\((?:.* )?BODY\[\]\Z", re.IGNORECASE | re.DOTALL)
_BODY_LATER = re.compile(rb".* BODY\[\]\Z", re.IGNORECASE | re.DOTALL)
_FETCH = re.compile(rb"\* +[0-9]+ +FETCH ", re.IGNORECASE)


class Expectation:
    """What the server owes for one command. Subclasses take what they can get; the rest is a protocol error."""

    __slots__ = ("tag",)

    tag: bytes  # b"" for the greeting
    slow = False  # the server may have to open or walk the mailbox first
    ends_plaintext = False  # after OK nothing that came in plaintext may be believed (RFC 3501 6.2.1)
    ends_session = False  # BYE is what was asked for
    bodies = False  # takes messages

    def awaited(self) -> str:
        """What is waited for, to end a sentence such as "closed in the middle of …"."""
        return "an answer"

    def untagged(self, response: Untagged) -> None:
        """Something on the way to the answer."""

    def continued(self) -> None:
        """The server waits for the next chunk of the command."""
        raise LegacyProtocolError(f"the server asks for more than was announced (for {self.awaited()})")

    def done(self, reply: Reply) -> None:
        """The answer."""

    def whole(self, head: Parts, data: bytes) -> None:
        """A message's body, all of it; `head` is what came of its response before."""
        self.begin(head, len(data))
        if data:
            self.piece(data)
        self.end()

    def begin(self, head: Parts, octets: int) -> None:
        """A body that comes in pieces begins."""

    def piece(self, data: bytes) -> None:
        """Some of a body."""

    def end(self) -> None:
        """The body is complete."""

    def failed(self, error: Exception) -> None:
        """No answer will come. May be called more than once."""


class ClientProtocol:
    """The client's side of one connection."""

    __slots__ = ("_body", "_kept", "_left", "_line", "_literal", "_parts", "_queue", "_stopped", "answered")

    def __init__(self) -> None:
        self.answered = 0  # responses that came whole
        self._queue: deque[Expectation] = deque()
        self._line = bytearray()  # a line that is not complete yet
        self._parts: list[bytes] = []  # of the response that is arriving
        self._kept = 0  # octets of them
        self._left = 0  # octets of a literal that are still to come
        self._literal = bytearray()  # a literal that is kept
        self._body: Expectation | None = None  # whom the literal goes to that is not
        self._stopped = False

    @property
    def awaited(self) -> Expectation | None:
        """Whose answer comes next, or is arriving."""
        return self._queue[0] if self._queue else None

    @property
    def outstanding(self) -> bool:
        return bool(self._queue)

    @property
    def under_way(self) -> bool:
        """Has some of the next response come?"""
        return bool(self._line or self._parts or self._left)

    @property
    def bare_end(self) -> bool:
        return False  # literals are counted

    def take_bare_line_ends(self) -> None:
        """It makes no difference."""

    def expect(self, expectation: Expectation, times: int = 1) -> None:
        """A command with the expectation's tag is sent. Each has a tag of its own."""
        assert times == 1
        self._queue.append(expectation)

    def stop(self, error: Exception) -> None:
        """The connection is over: everybody who waits is told."""
        if self._stopped:
            return
        self._stopped = True
        waiting = list(self._queue)
        self._queue.clear()
        for expectation in waiting:
            expectation.failed(error)

    def receive(self, data: bytes) -> None:
        """Take what came. Raises LegacyError, after which the connection is of no use."""
        at, end = 0, len(data)
        while at < end and not self._stopped:
            if self._left:
                at = self._take_literal(data, at)
                continue
            newline = data.find(b"\n", at)
            stop = newline if newline >= 0 else end
            if stop - at + len(self._line) > LINE_LIMIT:
                raise LegacyProtocolError(f"the server's response has a line of more than {LINE_LIMIT} octets")
            if self._line or newline < 0:
                self._line += data[at:stop]
                if newline < 0:
                    return
                line = bytes(self._line)
                self._line.clear()
            else:
                line = data[at:stop]
            at = newline + 1
            line = line[:-1] if line.endswith(b"\r") else line
            literal = _LITERAL.search(line) if line.endswith(b"}") and self._may_have_literal(line) else None
            if literal is not None:
                at = self._begin_literal(line[: literal.start() + 1].rstrip(b" "), int(literal[1]), data, at)
                continue
            self._keep(line)
            parts, self._parts, self._kept = self._parts, [], 0
            if self._response(parts):
                return

    # Literals

    def _may_have_literal(self, line: bytes) -> bool:
        return bool(self._parts) or _NO_LITERAL.match(line) is None

    def _keep(self, part: bytes) -> None:
        self._kept += len(part)
        if self._kept > KEPT_LIMIT:
            raise LegacyProtocolError(f"the server's response has more than {KEPT_LIMIT} octets")
        self._parts.append(part)

    def _begin_literal(self, text: bytes, octets: int, data: bytes, at: int) -> int:
        """A literal of so many octets follows at `at`; gives back from where on `data` is still to be read."""
        self._keep(text)
        head = self._queue[0] if self._queue else None
        if head is not None and head.bodies and self._is_body(text):
            stop = at + octets
            if stop <= len(data):
                head.whole(self._parts, data[at:stop])
                self._parts.append(b"")
                return stop
            head.begin(self._parts, octets)
            self._body, self._left = head, octets
        elif octets:
            if self._kept + octets > KEPT_LIMIT:
                raise LegacyProtocolError(f"the server's response has more than {KEPT_LIMIT} octets")
            self._left = octets
        else:
            self._parts.append(b"")
        return at

    def _is_body(self, text: bytes) -> bool:
        if len(self._parts) == 1:
            return _BODY.match(text) is not None
        return _BODY_LATER.match(text) is not None and _FETCH.match(self._parts[0]) is not None

    def _take_literal(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._left -= len(piece)
        body = self._body
        if body is not None:
            body.piece(piece)
            if not self._left:
                self._body = None
                self._parts.append(b"")
                body.end()
        else:
            self._literal += piece
            if not self._left:
                self._keep(bytes(self._literal))
                self._literal.clear()
        return at + len(piece)

    # Responses

    def _response(self, parts: Sequence[bytes]) -> bool:
        """Hand on a whole response. True when what follows it must not be read."""
        first = parts[0]
        if first.startswith(b"* "):
            self._untagged([first[2:].lstrip(b" "), *parts[1:]])
            self.answered += 1
            return False
        if first.startswith(b"+"):
            if not self._queue or not self._queue[0].tag:
                raise self._nonsense(first)
            self._queue[0].continued()
            return False
        tag, _, rest = first.partition(b" ")
        reply = parse_state(rest)
        if reply is None:
            raise self._nonsense(first)
        found = next((each for each in self._queue if tag and each.tag == tag), None)
        if found is None or reply.status in {"BYE", "PREAUTH"}:
            raise self._nonsense(first)
        found.done(reply)  # what it raises, it is to hear as well: so it is still in the queue
        self._queue.remove(found)
        self.answered += 1
        return reply.ok and found.ends_plaintext

    def _untagged(self, parts: Parts) -> None:
        head = self._queue[0] if self._queue else None
        state = parse_state(parts[0]) if len(parts) == 1 else None
        if state is None:
            if head is not None and not head.tag:
                raise self._nonsense(parts[0])
            if head is not None:
                head.untagged(parse_untagged(parts))
        elif head is not None and not head.tag:
            head.done(state)
            self._queue.popleft()
        elif state.status == "BYE":
            if head is None or not head.ends_session:
                raise LegacyUnreachable(f"the server ended the session: {state.text or 'it does not say why'}")
        elif head is not None:
            head.untagged(Untagged(state.status, None, parts))

    def _nonsense(self, line: bytes) -> LegacyProtocolError:
        """The error for a line that cannot be an answer. Never quotes it: it may be out of a mail."""
        awaited = self.awaited
        error = awaited.nonsense(line) if isinstance(awaited, Greeted) else None
        owed = awaited.awaited() if awaited is not None else "nothing"
        return error or LegacyProtocolError(
            f"the server's answer is no IMAP (a line of {len(line)} octets, while it owed {owed})"
        )


class Greeted(Expectation):
    """What the server says first. Nobody's mail is near yet, so that it may be quoted."""

    __slots__ = ()

    def nonsense(self, line: bytes) -> LegacyProtocolError:
        """The error for a greeting that is none of IMAP's."""
        raise NotImplementedError
