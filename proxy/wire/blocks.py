"""Dot-stuffed multi-line responses as they come off the wire: where a block ends, and what was in it.

    multi-line = *(line EOL) "." EOL        (RFC 1939 3)
    line       = a line of the message; one that starts with "." has another "." put before it

Rules the decoder keeps:

* The bytes of a block are given on exactly as received after unstuffing: CRLF, bare LF, lone CR, NUL and
  8-bit are nobody's business here.
* EOL is CRLF. A server from before the RFCs ends all its lines with a bare LF; which of the two it is, the
  caller knows from the line before the block, and says so in `start`. The two are never mixed within a
  block: in a CRLF block "\\n.\\n" is content, or mail that holds it could pretend to be the server.
* Some servers send the lines of a message as they store them, with a bare LF, and a last line of ".\\r\\n". That
  cannot be told from content until the server falls silent behind it: `bare_end`. The caller then says MIXED.
* A line that starts with one dot and is not the last line comes from a server that does not stuff. RFC 1939
  would have the dot removed; it is kept, because the message then stays what it is on that server. For the same
  reason nothing is unstuffed in what is decoded together with such a line: there ".." is two dots. (A line that is
  a dot alone ends such a server's block too early; whoever reads on finds no answer there, see `client.unproven`.)
* A block of up to `hold` octets is given whole. A longer one is given in pieces while it arrives, so that
  no more than `hold` and one piece of input are ever kept. A block that lies whole within the input is given
  whole, whatever its length.
* Every byte is looked at a constant number of times, however the input is cut.

No I/O. Used by the POP3 client; this is the hot path of a migration.
"""

from __future__ import annotations

import re
from typing import Protocol

CRLF = b"\r\n"
LF = b"\n"
MIXED = b"\n\r\n"  # lines of a bare LF, and at the end CRLF
DOT = b"."  # to look for one octet takes a tenth of the time, and attachments have none
DOT_LINE = b"\n."  # in each terminator and in all that is stuffed
_TAIL = 5
HOLD = 128 * 1024  # octets of an unfinished block that are kept before it is given on in pieces


class BlockReceiver(Protocol):
    """What is handed the content of blocks: either `whole`, or `begin`, any number of `piece`s, and `end`."""

    def whole(self, data: bytes) -> None: ...

    def begin(self) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None: ...


class Framing:
    """The strings that matter in blocks of one kind of line end."""

    __slots__ = ("_single", "dotted", "empty", "eol", "last", "partial", "stuffed", "terminator")

    def __init__(self, eol: bytes, last: bytes) -> None:
        """`eol` ends a line, and `last` the last one."""
        self.eol = eol
        self.last = last
        self.empty = b"." + last  # all there is of a block without lines
        self.terminator = eol + b"." + last
        self.stuffed = eol + b".."
        self.dotted = eol + b"."
        # Each beginning of `terminator`, longest first; those of `stuffed` are among them.
        self.partial = tuple(self.terminator[:n] for n in range(len(self.terminator) - 1, 0, -1))
        self._single = re.compile(re.escape(self.dotted) + rb"(?!\.)")

    def cut(self, data: bytes, at: int) -> tuple[int, bytes]:
        """The end of a block with lines whose first octet is at `at`, behind its terminator, and its content; -1 where
        the terminator has not come."""
        dotted, last, width = self.dotted, self.last, len(self.dotted)
        pieces: list[bytes] = []
        start, unstuffed = at, False
        if data.startswith(b".", at):
            unstuffed = not data.startswith(b"..", at)
            start += 1
        behind = at
        if data.find(DOT, at) < 0:
            return -1, b""
        while (found := data.find(dotted, behind)) >= 0:
            behind = found + width
            if data.startswith(last, behind):
                break
            if data.startswith(b".", behind):
                pieces.append(data[start:behind])
                start = behind + 1
            else:
                unstuffed = True
        else:
            return -1, b""
        end = behind + len(last)
        if unstuffed:
            return end, data[at : behind - 1]
        rest = data[start : behind - 1]
        if not pieces:
            return end, rest
        pieces.append(rest)
        return end, b"".join(pieces)

    def unstuff_more(self, raw: bytes) -> bytes:
        """The content of whole lines of a block, of which the first octet may be anywhere in its line."""
        content = raw.replace(self.stuffed, self.dotted)  # gives `raw` itself back where there is none
        return raw if content is not raw and self._single.search(raw) else content


_WITH_CRLF = Framing(CRLF, CRLF)
_OTHERS = {LF: Framing(LF, LF), MIXED: Framing(LF, CRLF)}


class BlockDecoder:
    """One block after another: `start`, then `feed` until it says where the block ended."""

    __slots__ = ("_carry", "_framing", "_held", "_hold", "_receiver", "_streaming", "_tail")

    def __init__(self, hold: int = HOLD) -> None:
        self._hold = max(hold, 8)  # what the block begins with must be known before any of it is given on
        self._framing = _WITH_CRLF
        self._receiver: BlockReceiver
        self._held = bytearray()  # what has come of a block, from its first octet, while none was given on
        self._carry = b""  # the end of a block given on in pieces, where it may be the start of a dot line
        self._tail = b""  # the last octets that came of such a block
        self._streaming = False

    @property
    def bare_end(self) -> bool:
        """Would what came of the block so far be all of it, if its lines may end in a bare LF (see above)?"""
        tail = self._tail if self._streaming else bytes(self._held[-_TAIL:])
        return tail.endswith(b"\n.\r\n") and not tail.endswith(b"\r\n.\r\n")

    def start(self, receiver: BlockReceiver, eol: bytes = CRLF) -> None:
        """The next octet fed is the first of a block for `receiver`, with line ends of `eol`: CRLF, LF or MIXED."""
        self._receiver = receiver
        self._framing = _WITH_CRLF if eol == CRLF else _OTHERS[eol]
        self._held.clear()
        self._carry = b""
        self._streaming = False

    def feed(self, data: bytes, at: int = 0) -> int:
        """Take what follows offset `at`. Gives back the offset behind the block, or -1 when it goes on."""
        if self._streaming:
            return self._stream(data, at)
        if self._held:
            return self._resume(data, at)
        framing = self._framing
        if data.startswith(framing.empty, at):
            self._receiver.whole(b"")
            return at + len(framing.empty)
        end, content = framing.cut(data, at)
        if end < 0:
            return self._keep(data, at)
        self._receiver.whole(content)
        return end

    def _resume(self, data: bytes, at: int) -> int:
        """Go on with a block of which something is held: its end may lie across the border."""
        framing, held = self._framing, self._held
        overlap = len(framing.terminator) - 1
        if len(held) < overlap:  # too short to hold a terminator's beginning after a line: look at it afresh
            before = bytes(held)
            held.clear()
            end = self.feed(before + data[at:])
            return end if end < 0 else at + end - len(before)
        border = bytes(held[-overlap:]) + data[at : at + overlap]
        across = border.find(framing.terminator)
        if across >= 0:
            end = at + across + 1  # in `border` the terminator ends `across + 1` behind the held octets
        else:
            end = data.find(framing.terminator, at) if data.find(DOT, at) >= 0 else -1
            if end < 0:
                return self._keep(data, at)
            end += len(framing.terminator)
        held += memoryview(data)[at:end]
        _, content = framing.cut(bytes(held), 0)
        held.clear()
        self._receiver.whole(content)
        return end

    def _keep(self, data: bytes, at: int) -> int:
        """Hold an unfinished block, or begin to give it on when it has become too long for that."""
        self._held += memoryview(data)[at:] if at else data
        if len(self._held) > self._hold:
            raw = bytes(self._held)
            self._held = bytearray()
            self._streaming = True
            self._tail = raw[-_TAIL:]
            self._receiver.begin()
            self._give(raw[1:] if raw.startswith(b"..") else raw)
        return -1

    def _stream(self, data: bytes, at: int) -> int:
        """Go on with a block that is being given on in pieces."""
        framing, carry = self._framing, self._carry
        work = carry + data[at:] if carry or at else data
        self._tail = (self._tail + data[max(at, len(data) - _TAIL) :])[-_TAIL:]
        if DOT not in work or DOT_LINE not in work:
            self._give(work, dotted=False)
            return -1
        end = work.find(framing.terminator)
        if end < 0:
            self._give(work)
            return -1
        self._receiver.piece(framing.unstuff_more(work[: end + len(framing.eol)]))
        self._carry = b""
        self._streaming = False
        self._receiver.end()
        return at + end + len(framing.terminator) - len(carry)

    def _give(self, work: bytes, *, dotted: bool = True) -> None:
        """Give on what holds no terminator, all but an end that with the next octets may become a dot line. Not
        `dotted`: no line of it begins with a dot."""
        framing = self._framing
        self._carry = next((part for part in framing.partial if work.endswith(part)), b"")
        if len(self._carry) < len(work):
            piece = work[: len(work) - len(self._carry)]
            self._receiver.piece(framing.unstuff_more(piece) if dotted else piece)
