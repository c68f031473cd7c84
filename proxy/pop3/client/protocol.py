"""POP3 from the client's side without I/O: bytes in, answers out, in the order in which they were asked for.

POP3 has no tags: an answer belongs to the oldest command that has none yet. So there is one queue, and what
stands in it knows what kind of answer it waits for:

    expected          the server says          what happens
    --------          ---------------          ------------
    a line            +OK / -ERR               `accepted` / `refused`
    a block           +OK, lines, "."          `whole`, or `begin` `piece`… `end`
    a block           -ERR                     `refused`
    SASL              +OK / -ERR / "+ …"       `accepted` / `refused` / `challenged`
    nothing           anything                 LegacyProtocolError
    anything          a line that is neither   LegacyProtocolError

One object may stand in the queue many times: a retrieval stands in it once for each RETR on its way.

The line ends of a block are those of the status line before it (see `proxy.wire.blocks`).

A greeting is one line (RFC 1939 4). A few lines of text that come together with it, as FTP and SMTP servers and the
boxes in front of them say, are passed over: nothing has been asked yet, so they answer nothing.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat

from proxy.legacy.errors import LegacyProtocolError
from proxy.pop3.client.replies import LINE_LIMIT, Reply, parse_challenge, parse_reply
from proxy.wire.blocks import CRLF, LF, MIXED, BlockDecoder

BANNER_LINES = 20  # lines behind a greeting that are passed over


class Expectation:
    """What the server owes for one command. Subclasses take what they can get; the rest is a protocol error."""

    __slots__ = ()

    block = False  # +OK is followed by a block
    slow = False  # the server may have to open or walk the mailbox first
    ends_plaintext = False  # after +OK nothing that came in plaintext may be believed (RFC 2595 4)
    greets = False  # the answer may be followed by lines that belong to nothing

    def awaited(self) -> str:
        """What is waited for, to end a sentence such as "closed in the middle of …"."""
        return "an answer"

    def accepted(self, reply: Reply) -> None:
        """+OK, where no block follows."""

    def refused(self, reply: Reply) -> None:
        """-ERR."""

    def challenged(self, challenge: bytes) -> None:
        """A line that starts with "+ "."""
        raise self.nonsense(b"+ " + challenge)

    def nonsense(self, line: bytes) -> LegacyProtocolError:
        """The error for a line that cannot be an answer. Never quotes it: it may be out of a mail."""
        return LegacyProtocolError(
            f"the server's answer is neither +OK nor -ERR (a line of {len(line)} octets, for {self.awaited()})"
        )

    def whole(self, data: bytes) -> None:
        """A block, all of it."""
        self.begin()
        if data:
            self.piece(data)
        self.end()

    def begin(self) -> None:
        """A block that comes in pieces begins."""

    def piece(self, data: bytes) -> None:
        """Some of a block."""

    def end(self) -> None:
        """The block is complete."""

    def failed(self, error: Exception) -> None:
        """No answer will come. May be called more than once."""


class ClientProtocol:
    """The client's side of one connection."""

    __slots__ = ("_banner", "_block", "_decoder", "_line", "_passing", "_queue", "_stopped", "answered", "mixed")

    def __init__(self) -> None:
        self.answered = 0  # answers that came whole
        self.mixed = False  # do lines of blocks end in a bare LF though those of answers end in CRLF?
        self._queue: deque[Expectation] = deque()
        self._block: Expectation | None = None  # whose block is arriving
        self._decoder = BlockDecoder()
        self._line = bytearray()  # a status line that is not complete yet
        self._banner = 0  # lines that may still be passed over
        self._passing = False  # is `_line` one of them?
        self._stopped = False

    @property
    def awaited(self) -> Expectation | None:
        """Whose answer comes next, or is arriving."""
        return self._block or (self._queue[0] if self._queue else None)

    @property
    def outstanding(self) -> bool:
        return self._block is not None or bool(self._queue)

    @property
    def under_way(self) -> bool:
        """Has some of the next answer come?"""
        return self._block is not None or bool(self._line)

    def take_bare_line_ends(self) -> None:
        """Lines of blocks end in a bare LF though those of answers end in CRLF."""
        self.mixed = True

    @property
    def bare_end(self) -> bool:
        """Does a block look complete but for its line ends (`proxy.wire.blocks`)?"""
        return self._block is not None and self._decoder.bare_end

    def expect(self, expectation: Expectation, times: int = 1) -> None:
        """The next `times` commands sent are answered to `expectation`."""
        self._queue.extend(repeat(expectation, times))

    def stop(self, error: Exception) -> None:
        """The connection is over: everybody who waits is told."""
        if self._stopped:
            return
        self._stopped = True
        waiting = list(dict.fromkeys([self._block, *self._queue] if self._block else self._queue))
        self._queue.clear()
        self._block = None
        for expectation in waiting:
            expectation.failed(error)

    def receive(self, data: bytes) -> None:
        """Take what came. Raises LegacyProtocolError, after which the connection is of no use."""
        at, end = 0, len(data)
        answerable = len(self._queue)  # what is asked from here on is not answered by what is here already
        while at < end and not self._stopped:
            if self._block is not None:
                at = self._more_of_block(data, at)
                if at < 0:
                    return
                continue
            if not answerable and not self._banner:
                raise _unasked()
            line, at = self._cut(data, at)
            if line is None:
                self._passing = self._passing or not answerable
                return
            if self._passing or not answerable:
                self._pass_over(line)
                continue
            self._banner = 0
            expectation = self._queue.popleft()
            answerable -= 1
            if expectation.block and line[:3].upper() == b"+OK":
                self._decoder.start(expectation, (MIXED if self.mixed else CRLF) if line.endswith(b"\r") else LF)
                self._block = expectation
                continue
            try:
                blind = self._status(expectation, line.rstrip(b"\r"))
            except Exception:
                self._queue.appendleft(expectation)  # it is to hear how this ends, too
                raise
            if blind:
                return

    def _more_of_block(self, data: bytes, at: int) -> int:
        """Take more of a block. Gives back the offset behind it, or -1 when it goes on."""
        at = self._decoder.feed(data, at)
        if at >= 0:
            self._block = None
            self.answered += 1
        return at

    def _cut(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """The line that starts at `at` or before, without its LF, and the offset behind it; None while it goes on."""
        newline = data.find(b"\n", at)
        end = newline if newline >= 0 else len(data)
        if end - at + len(self._line) > LINE_LIMIT:
            raise LegacyProtocolError(f"the server's answer is a line of more than {LINE_LIMIT} octets")
        if newline >= 0 and not self._line:
            return data[at:newline], newline + 1
        self._line += data[at:end]
        if newline < 0:
            return None, end
        line = bytes(self._line)
        self._line.clear()
        return line, newline + 1

    def _pass_over(self, line: bytes) -> None:
        """A line of the banner, to which no answer belongs."""
        self._passing = False
        self._banner -= 1
        if parse_reply(line) is not None:
            raise _unasked()

    def _status(self, expectation: Expectation, line: bytes) -> bool:
        """Hand on a status line. True when what follows it must not be read."""
        reply = parse_reply(line)
        if reply is None:
            challenge = parse_challenge(line)
            if challenge is None:
                raise expectation.nonsense(line)
            expectation.challenged(challenge)
            self._queue.appendleft(expectation)  # the answer itself is still to come
            return False
        self.answered += 1
        self._banner = BANNER_LINES if expectation.greets and reply.ok else 0
        if reply.ok:
            expectation.accepted(reply)
        else:
            expectation.refused(reply)
        return reply.ok and expectation.ends_plaintext


def _unasked() -> LegacyProtocolError:
    return LegacyProtocolError("the server speaks though nothing is asked of it")
