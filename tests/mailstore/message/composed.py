"""Messages that are put together from a plan, which says where everything in them has to be.

The counterpart of `mailstore.message.walker`, and as plain as can be: it writes, and notes where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

# One is the beginning of another, ends in hyphens, is digits, has the signs of the grammar.
BOUNDARIES = (b"a", b"ab", b"abc", b"a-", b"a--b", b"0", b"=_x'()+,./:?", b"a b", b"--", b"_" * 70)


@dataclass(frozen=True)
class Plan:
    """A part: a text, a multipart of `parts`, or a message with one inside."""

    kind: str  # "text", "multipart", "message"
    header: bytes = b""  # lines beside Content-Type
    body: bytes = b""
    parts: tuple[Plan, ...] = ()
    boundary: bytes = b""
    preamble: bytes = b""
    epilogue: bytes = b""
    closed: bool = True


@dataclass
class Where:
    """Where a part is: what the walker has to find."""

    kind: str
    start: int = 0
    body: int = 0
    end: int = 0
    inside: list[Where] = field(default_factory=list)


class Composer:
    def __init__(self, eol: bytes) -> None:
        self.data = bytearray()
        self._eol = eol

    def part(self, plan: Plan) -> Where:
        found = Where(plan.kind, start=len(self.data))
        self.data += plan.header.replace(b"\n", self._eol)
        if plan.kind == "multipart":
            self._line(b'Content-Type: multipart/mixed; boundary="%b"' % plan.boundary)
        elif plan.kind == "message":
            self._line(b"Content-Type: message/rfc822")
        else:
            self._line(b"Content-Type: text/plain")
        self._line(b"")
        found.body = len(self.data)
        if plan.kind == "multipart":
            self._multipart(plan, found)
        elif plan.kind == "message":
            found.inside.append(self.part(plan.parts[0]))
        else:
            self.data += plan.body.replace(b"\n", self._eol)
        found.end = len(self.data)
        return found

    def _multipart(self, plan: Plan, found: Where) -> None:
        if plan.preamble:
            self._line(plan.preamble)
        for number, each in enumerate(plan.parts):
            if number:
                self._line(b"")  # belongs to the delimiter
            self._line(b"--" + plan.boundary)
            found.inside.append(self.part(each))
        if plan.closed:
            self._line(b"")
            self._line(b"--" + plan.boundary + b"--")
            self.data += plan.epilogue.replace(b"\n", self._eol)

    def _line(self, line: bytes) -> None:
        self.data += line + self._eol


_TEXTS = st.lists(
    st.sampled_from([b"\n", b"text", b"\n\n", b"--", b" --a", b"a--", b"\xd6\xd0", b"\0", b".\n",
     b"-- \n", b"\rx", b"--\n"]),
    max_size=5,
).map(b"".join)  # fmt: skip
_HEADERS = st.lists(
    st.sampled_from([b"Subject: x\n", b"X: folded\n over\n", b"Received: a;\n\tb\n", b"no field\n",
     b"Empty:\n", b"\xff: \0\n"]),
    max_size=3,
).map(b"".join)  # fmt: skip


@st.composite
def plans(draw: st.DrawFn, boundaries: tuple[bytes, ...] = BOUNDARIES, *, levels: int = 4) -> Plan:
    """Well formed: no line of a text is a delimiter of what it is in, and no boundary is used twice in one line of
    descent. A multipart that is not closed is the last thing in its parent."""
    kind = draw(st.sampled_from(["text", "text", "multipart", "multipart", "message"])) if levels else "text"
    header = draw(_HEADERS)
    if kind == "message":
        return Plan(kind, header, parts=(draw(plans(boundaries, levels=levels - 1)),))
    if kind == "multipart" and boundaries:
        boundary = draw(st.sampled_from(boundaries))
        left = tuple(each for each in boundaries if each != boundary)
        parts = tuple(draw(st.lists(plans(left, levels=levels - 1), min_size=1, max_size=3)))
        closed = draw(st.booleans())
        preamble, epilogue = (
            draw(st.sampled_from([b"", b"preamble", b"-- "])),
            draw(st.sampled_from([b"", b"end\n", b"\n"])),
        )
        return Plan(kind, header, b"", parts, boundary, preamble, epilogue if closed else b"", closed)
    return Plan("text", header, draw(_TEXTS))


def is_clean(plan: Plan, around: tuple[bytes, ...] = ()) -> bool:
    """Does no line of what is written freely look like a delimiter?"""
    inside = (*around, plan.boundary) if plan.kind == "multipart" else around
    for text in (plan.body, plan.preamble, plan.epilogue, plan.header):
        for line in text.replace(b"\r", b"").split(b"\n"):
            stripped = line[2:].rstrip(b" \t")
            if line.startswith(b"--") and any(stripped == each or stripped.startswith(each + b"--") for each in inside):
                return False
    return all(is_clean(each, inside) for each in plan.parts)


def composed(plan: Plan, eol: bytes = b"\r\n") -> tuple[bytes, Where]:
    composer = Composer(eol)
    found = composer.part(plan)
    return bytes(composer.data), found
