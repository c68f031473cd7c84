"""From bytes to whole IMAP commands."""

from __future__ import annotations

import io
import time
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.commands import (
    MAX_LITERALS,
    MAX_TAG,
    MESSAGES,
    UNTAGGED,
    CommandReader,
    Continue,
    Event,
    Literal,
    RawLine,
    Ready,
    Refused,
)
from proxy.wire.door import Limits

LIMITS = Limits(line=200, line_before_login=60, literal=40, literal_before_login=20, message=1000)


class Spool(io.BytesIO):
    """A file of which the test can see whether it was closed, and how it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    def write(self, data: object) -> int:
        written = super().write(data)  # type: ignore[arg-type]
        self.writes.append(written)
        return written


class Rig:
    """A reader, and the files that it has opened."""

    def __init__(self, limits: Limits = LIMITS, *, authenticated: bool = True) -> None:
        self.files: list[Spool] = []
        self.reader = CommandReader(limits, self._open)
        self.reader.authenticated = authenticated

    def _open(self) -> IO[bytes]:
        self.files.append(Spool())
        return self.files[-1]

    def say(self, *chunks: bytes) -> list[Event]:
        found: list[Event] = []
        for chunk in chunks:
            self.reader.feed(chunk)
            while (event := self.reader.next()) is not None:
                found.append(event)
        return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def plain(event: Event) -> object:
    """An event in a form that compares: files by what is in them."""
    if not isinstance(event, Ready):
        return event
    fragments: list[object] = []
    for fragment in event.fragments:
        if isinstance(fragment, Literal):
            data = fragment.data if isinstance(fragment.data, bytes) else ("file", fragment.data.read())
            fragments.append((fragment.size, data, fragment.binary))
        else:
            fragments.append(fragment)
    return (event.tag, *fragments)


def said(data: bytes, *, authenticated: bool = True) -> list[object]:
    """The events of `data`, which must be the same whole and byte by byte."""
    whole = [plain(event) for event in Rig(authenticated=authenticated).say(data)]
    assert [plain(event) for event in Rig(authenticated=authenticated).say(*bytewise(data))] == whole
    return whole


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"", []),
        (b"a NOOP", []),
        (b"a NOOP\r\n", [(b"a", b"NOOP")]),
        (b"a NOOP\n", [(b"a", b"NOOP")]),
        (b"a NOOP\r\nb CHECK\r\nc ", [(b"a", b"NOOP"), (b"b", b"CHECK")]),
        (b"A001.x]\r\n", [(b"A001.x]", b"")]),
        (b"a\r\n", [(b"a", b"")]),
        (b"a \r\n", [(b"a", b"")]),
        (b"\r\n", [(UNTAGGED, b"")]),
        (b" NOOP\r\n", [(UNTAGGED, b" NOOP")]),
        (b"* NOOP\r\n", [(UNTAGGED, b"* NOOP")]),
        (b"a+ NOOP\r\n", [(UNTAGGED, b"a+ NOOP")]),
        (b"(a NOOP\r\n", [(UNTAGGED, b"(a NOOP")]),
        (b"\xe4 NOOP\r\n", [(UNTAGGED, b"\xe4 NOOP")]),
        (b"a\0 NOOP\r\n", [(UNTAGGED, b"a\0 NOOP")]),
        (b"a NOOP\r\r\n", [(b"a", b"NOOP\r")]),
    ],
)
def test_lines(data: bytes, events: list[object]) -> None:
    assert said(data) == events


def test_a_tag_that_is_too_long_is_none() -> None:
    assert said(b"x" * MAX_TAG + b" NOOP\r\n") == [(b"x" * MAX_TAG, b"NOOP")]
    line = b"x" * (MAX_TAG + 1) + b" NOOP"
    assert said(line + b"\r\n") == [(UNTAGGED, line)]


LOGIN = (b"a", b"LOGIN ", (3, b"ann", False), b" ", (2, b"pw", False), b"")


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"a LOGIN {3}\r\nann {2}\r\npw\r\n", [Continue(), Continue(), LOGIN]),
        (b"a LOGIN {3+}\r\nann {2+}\r\npw\r\nb NOOP\r\n", [LOGIN, (b"b", b"NOOP")]),
        (b"a SELECT {0}\r\n\r\n", [Continue(), (b"a", b"SELECT ", (0, b"", False), b"")]),
        (b"a SELECT {0+}\n\n", [(b"a", b"SELECT ", (0, b"", False), b"")]),
        (b"a X ~{4+}\r\n\0\r\n{\r\n", [(b"a", b"X ", (4, b"\0\r\n{", True), b"")]),
        (b"a X (A {2}\r\n{1 B)\r\n", [Continue(), (b"a", b"X (A ", (2, b"{1", False), b" B)")]),
        (b"a X {007}\r\n1234567\r\n", [Continue(), (b"a", b"X ", (7, b"1234567", False), b"")]),
        (b"{2}\r\nab\r\n", [Continue(), (UNTAGGED, b"", (2, b"ab", False), b"")]),
    ],
)
def test_literals(data: bytes, events: list[object]) -> None:
    assert said(data) == events


@pytest.mark.parametrize(
    "end",
    [b"{-5}", b"{5", b"5}", b"{}", b"{+}", b"{ 5}", b"{5 }", b"{5-}", b"{5++}", b"{x}", b"{5}}", b"{{5}x", b"{5} ",
     b"{99999999999999999999}", b"{0000000000000000000005}"],
)  # fmt: skip
def test_what_is_no_literal_is_text(end: bytes) -> None:
    assert said(b"a SELECT " + end + b"\r\nb NOOP\r\n") == [(b"a", b"SELECT " + end), (b"b", b"NOOP")]


# --- Limits ---


def test_the_line_limit_depends_on_login() -> None:
    for authenticated, limit in ((False, 60), (True, 200)):
        longest = b"a " + b"x" * (limit - 2)
        assert said(longest + b"\r\n", authenticated=authenticated) == [(b"a", longest[2:])]
        refused = said(longest + b"x\r\nb NOOP\r\n", authenticated=authenticated)
        assert refused == [Refused(b"a", "", "this line is too long", True)]


def test_an_endless_line_ends_the_connection_before_its_end() -> None:
    rig = Rig()
    assert rig.say(b"tag ", b"x" * 500) == [Refused(b"tag", "", "this line is too long", True)]
    assert rig.say(b"x" * 500, b"\r\na NOOP\r\n") == []
    assert rig.reader.pending == 0


@pytest.mark.parametrize("beginning", [b"", b"x" * 190, b"( "])
def test_an_endless_line_without_a_tag(beginning: bytes) -> None:
    assert said(beginning + b"\xff" * 500) == [Refused(UNTAGGED, "", "this line is too long", True)]


def test_the_lines_of_one_command_count_together() -> None:
    half = b"x" * 120
    assert said(b"a " + half + b" {1+}\r\ny" + half + b"\r\n") == [Refused(b"a", "", "this line is too long", True)]


@pytest.mark.parametrize(("authenticated", "limit"), [(False, 20), (True, 40)])
def test_a_literal_that_is_too_large_is_not_asked_for(authenticated: bool, limit: int) -> None:
    refused = Refused(b"a", "TOOBIG", "this literal is too large", False)
    assert said(b"a SELECT {%d}\r\nb NOOP\r\n" % (limit + 1), authenticated=authenticated) == [
        refused,
        (b"b", b"NOOP"),
    ]


def test_the_literals_of_one_command_count_together() -> None:
    assert said(b"a X {30}\r\n" + b"x" * 30 + b" {11}\r\nb NOOP\r\n") == [
        Continue(),
        Refused(b"a", "TOOBIG", "this literal is too large", False),
        (b"b", b"NOOP"),
    ]
    assert said(b"a X {30}\r\n" + b"x" * 30 + b" {10}\r\n" + b"y" * 10 + b"\r\n")[-1] == (
        b"a", b"X ", (30, b"x" * 30, False), b" ", (10, b"y" * 10, False), b"",
    )  # fmt: skip


def test_one_that_comes_unasked_is_thrown_away() -> None:
    data = b"a SELECT {41+}\r\n" + b"b NOOP\r\n" * 5 + b"x rest of it\r\nc NOOP\r\n"
    assert said(data) == [Refused(b"a", "TOOBIG", "this literal is too large", False), (b"c", b"NOOP")]


def test_the_rest_of_a_refused_command_may_hold_literals() -> None:
    refused = Refused(b"a", "TOOBIG", "this literal is too large", False)
    assert said(b"a X {41+}\r\n" + b"x" * 41 + b" {8+}\r\nb NOOP\r\n more\r\nc NOOP\r\n") == [refused, (b"c", b"NOOP")]
    # A client that would wait has read the refusal and begins a new command.
    assert said(b"a X {41+}\r\n" + b"x" * 41 + b" {8}\r\nb NOOP\r\n") == [refused, (b"b", b"NOOP")]
    assert said(b"a X {41+}\r\n" + b"x" * 41 + b" {99+}\r\nb NOOP\r\n") == [
        refused,
        Refused(UNTAGGED, "TOOBIG", "this literal is too large", True),
    ]


@pytest.mark.parametrize("size", [b"641", b"99999999999", b"99999999999999999999999999"])
def test_one_far_too_large_ends_the_connection(size: bytes) -> None:
    assert said(b"a SELECT {" + size + b"+}\r\nb NOOP\r\n") == [
        Refused(b"a", "TOOBIG", "this literal is too large", True)
    ]


def test_the_number_of_literals_is_limited() -> None:
    rig = Rig(Limits())
    events = rig.say(b"a X" + b" {1+}\r\nx" * MAX_LITERALS + b" {1}\r\nb NOOP\r\n")
    assert events == [
        Refused(b"a", "LIMIT", "too many literals in one command", False),
        Ready(b"b", (b"NOOP",)),
    ]
    assert len(rig.say(b"a X" + b" {1+}\r\nx" * MAX_LITERALS + b"\r\n")) == 1


# --- Messages ---


def test_a_message_goes_to_a_file_as_it_arrives() -> None:
    rig = Rig()
    message = bytes(range(250)) * 4
    assert rig.say(b"a APPEND INBOX (\\Seen) {1000}\r\n") == [Continue()]
    for at in range(0, 1000, 100):
        assert rig.say(message[at : at + 100]) == []
        assert rig.reader.pending == 0
    (event,) = rig.say(b"\r\n")
    assert rig.files[0].writes == [100] * 10
    assert plain(event) == (b"a", b"APPEND INBOX (\\Seen) ", (1000, ("file", message), False), b"")


@pytest.mark.parametrize("command", [b"append x ", b'Append  "x y" ', b'APPEND x (\\Seen) "date" '])
def test_it_is_a_message_in_any_form(command: bytes) -> None:
    assert said(b"a " + command + b"{3+}\r\n\0\r\n\r\n") == [(b"a", command, (3, ("file", b"\0\r\n"), False), b"")]


def test_the_folder_of_an_append_may_be_a_literal() -> None:
    assert said(b"a APPEND {5}\r\nINBOX {3}\r\nabc\r\n") == [
        Continue(),
        Continue(),
        (b"a", b"APPEND ", (5, b"INBOX", False), b" ", (3, ("file", b"abc"), False), b""),
    ]
    assert said(b"a APPEND {41}\r\nb NOOP\r\n")[0] == Refused(b"a", "TOOBIG", "this literal is too large", False)


@pytest.mark.parametrize(
    ("header", "close"), [(b"{1001}", False), (b"{1001+}", False), (b"{2000+}", False), (b"{2001+}", True)]
)
def test_a_message_over_the_limit(header: bytes, close: bool) -> None:
    rig = Rig()
    assert rig.say(b"a APPEND INBOX " + header + b"\r\n") == [
        Refused(b"a", "TOOBIG", "this literal is too large", close, "NO")
    ]
    assert rig.files == []


def test_before_login_nothing_is_a_message() -> None:
    assert said(b"a APPEND INBOX {3}\r\nabc\r\n", authenticated=False) == [
        Continue(),
        (b"a", b"APPEND INBOX ", (3, b"abc", False), b""),
    ]
    assert said(b"a APPEND INBOX {21}\r\n", authenticated=False) == [
        Refused(b"a", "TOOBIG", "this literal is too large", False)
    ]


def test_only_so_many_octets_of_messages_in_one_command() -> None:
    """RFC 3502: several messages, each up to Limits.message, together up to MESSAGES times that."""
    rig = Rig()
    assert rig.say(b"a APPEND INBOX {3+}\r\nabc {41}\r\n") == [Continue()]
    rig = Rig()
    full = b"{1000+}\r\n%b " % (b"x" * 1000)
    assert rig.say(b"a APPEND INBOX " + full * MESSAGES + b"{1}\r\n") == [
        Refused(b"a", "TOOBIG", "this literal is too large", False, "NO")
    ]
    assert [file.closed for file in rig.files] == [True] * MESSAGES


def test_an_empty_message_is_a_file_too() -> None:
    assert said(b"a APPEND x {0}\r\n\r\n") == [Continue(), (b"a", b"APPEND x ", (0, ("file", b""), False), b"")]


@pytest.mark.parametrize("end", ["clear", "close"])
def test_the_file_is_closed_when_the_command_goes_no_further(end: str) -> None:
    rig = Rig()
    rig.say(b"a APPEND x {10}\r\nabc")
    getattr(rig.reader, end)()
    assert rig.files[0].closed
    rig = Rig()
    rig.say(b"a APPEND x {3}\r\nabc ")
    getattr(rig.reader, end)()
    assert rig.files[0].closed


def test_the_file_is_closed_when_the_line_after_it_is_too_long() -> None:
    rig = Rig()
    assert rig.say(b"a APPEND x {3+}\r\nabc" + b"x" * 300) == [Refused(b"a", "", "this line is too long", True)]
    assert rig.files[0].closed


def test_whoever_does_not_take_a_command_closes_it() -> None:
    rig = Rig()
    (event,) = rig.say(b"a APPEND x {3+}\r\nabc\r\n")
    assert isinstance(event, Ready)
    assert not rig.files[0].closed
    event.close()
    event.close()
    assert rig.files[0].closed


class FullDisk(Spool):
    """Takes a little and then no more."""

    def write(self, data: object) -> int:
        if self.writes:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_a_refusal_and_the_stream_stays_in_step() -> None:
    file = FullDisk()
    reader = CommandReader(LIMITS, lambda: file)
    reader.authenticated = True
    events: list[Event] = []
    for chunk in (b"a APPEND x {12+}\r\nabcd", b"efgh", b"ijkl", b"\r\nb NOOP\r\n"):
        reader.feed(chunk)
        while (event := reader.next()) is not None:
            events.append(event)
    assert events == [
        Refused(b"a", "UNAVAILABLE", "no room for this message", False, "NO"),
        Ready(b"b", (b"NOOP",)),
    ]
    assert file.closed


def test_a_file_that_cannot_be_opened() -> None:
    def spool() -> IO[bytes]:
        raise OSError(24, "Too many open files")

    reader = CommandReader(LIMITS, spool)
    reader.authenticated = True
    reader.feed(b"a APPEND x {3}\r\nb APPEND x {3+}\r\nabc\r\nc NOOP\r\n")
    assert [reader.next() for _ in range(4)] == [
        Refused(b"a", "UNAVAILABLE", "no room for this message", False, "NO"),
        Refused(b"b", "UNAVAILABLE", "no room for this message", False, "NO"),
        Ready(b"c", (b"NOOP",)),
        None,
    ]


# --- Raw lines, STARTTLS ---


def test_raw_lines() -> None:
    rig = Rig()
    rig.reader.feed(b"a AUTHENTICATE PLAIN\r\nAHVzZXIAcGFzcw== {5}\r\nb IDLE\r\nDONE\r\nc NOOP\r\n")
    assert rig.reader.next() == Ready(b"a", (b"AUTHENTICATE PLAIN",))
    rig.reader.raw_line()
    assert rig.reader.next() == RawLine(b"AHVzZXIAcGFzcw== {5}")
    assert rig.reader.next() == Ready(b"b", (b"IDLE",))
    rig.reader.raw_line()
    assert rig.reader.next() == RawLine(b"DONE")
    assert rig.reader.next() == Ready(b"c", (b"NOOP",))
    assert rig.reader.next() is None


def test_a_raw_line_that_is_too_long() -> None:
    rig = Rig(authenticated=False)
    rig.reader.raw_line()
    assert rig.say(b"a " + b"x" * 60) == [Refused(UNTAGGED, "", "this line is too long", True)]


def test_nothing_from_before_starttls_is_left() -> None:
    rig = Rig()
    rig.reader.feed(b"a STARTTLS\r\nb LOGIN eve {3}\r\n")
    assert rig.reader.next() == Ready(b"a", (b"STARTTLS",))
    rig.reader.clear()
    assert rig.say(b"c NOOP\r\n") == [Ready(b"c", (b"NOOP",))]
    rig.say(b"d LOGIN {5}\r\nab")
    rig.reader.clear()
    assert rig.say(b"e NOOP\r\n") == [Ready(b"e", (b"NOOP",))]
    rig.say(b"f X {50+}\r\nab")
    rig.reader.clear()
    assert rig.say(b"g NOOP\r\n") == [Ready(b"g", (b"NOOP",))]


def test_after_close_it_is_deaf() -> None:
    rig = Rig()
    rig.reader.close()
    assert rig.say(b"a NOOP\r\n") == []
    assert rig.reader.pending == 0


def test_no_event_prints_a_password() -> None:
    rig = Rig()
    events = rig.say(b"a LOGIN ann secret\r\nb LOGIN ann {6+}\r\nsecret\r\n")
    rig.reader.raw_line()
    events += rig.say(b"secret\r\n")
    assert len(events) == 3
    assert "secret" not in repr(events)
    assert "secret" not in repr(Literal(6, b"secret"))


# --- In any pieces, in any time ---

PIECES = st.sampled_from(
    [b"a ", b"b NOOP\r\n", b"APPEND x ", b"{3}\r\n", b"{3+}\r\n", b"~{2+}\r\n", b"{41+}\r\n", b"{41}\r\n",
     b"{1001+}\r\n", b"{-1}\r\n", b"\r\n", b"\n", b"abc", b"\"", b"x" * 19, b"\0", b"\xff", b"*"]
)  # fmt: skip


@given(st.lists(PIECES), st.booleans())
def test_pieces_make_no_difference(pieces: list[bytes], authenticated: bool) -> None:
    data = b"".join(pieces)
    events = said(data, authenticated=authenticated)
    assert [plain(event) for event in Rig(authenticated=authenticated).say(*pieces)] == events


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    said(data)


def test_time_grows_with_what_is_sent() -> None:
    """Each would take many seconds if it grew with the square."""
    start = time.process_time()
    rig = Rig(Limits())
    line = b"a " + b"x" * 60_000
    assert rig.say(*bytewise(line + b"\r\n")) == [Ready(b"a", (b"x" * 60_000,))]
    (event,) = rig.say(b"a X {60000+}\r\n", *bytewise(b"y" * 60_000), b"\r\n")
    assert plain(event) == (b"a", b"X ", (60_000, b"y" * 60_000, False), b"")
    (event,) = rig.say(b"a APPEND x {60000+}\r\n", *bytewise(b"y" * 60_000), b"\r\n")
    assert plain(event) == (b"a", b"APPEND x ", (60_000, ("file", b"y" * 60_000), False), b"")
    assert len(rig.say(b"a NOOP\r\n" * 10_000)) == 10_000
    assert time.process_time() - start < 10


def test_amid_a_command() -> None:
    rig = Rig(Limits())
    for piece, amid in (
        (b"a SEARCH", True),
        (b" SUBJECT {2+}\r\n", True),
        (b"x", True),
        (b"y", True),
        (b" SEEN", True),
        (b"\r\n", False),
        (b"b APPEND x {1}\r\n", True),
        (b"x", True),
        (b"\r\n", False),
    ):
        rig.say(piece)
        assert rig.reader.amid_command is amid, piece


def test_several_messages_and_their_url_literals() -> None:
    """Each message of an APPEND goes to a file (RFC 3502); a URL of CATENATE does not (RFC 4469)."""
    assert said(b"a APPEND x {3+}\r\nabc {2+}\r\nde\r\n") == [
        (b"a", b"APPEND x ", (3, ("file", b"abc"), False), b" ", (2, ("file", b"de"), False), b""),
    ]
    assert said(b"a UID REPLACE 5 x CATENATE (url {2+}\r\n/a TEXT ~{1+}\r\nb)\r\n") == [
        (
            b"a",
            b"UID REPLACE 5 x CATENATE (url ",
            (2, b"/a", False),
            b" TEXT ",
            (1, ("file", b"b"), True),
            b")",
        ),
    ]
    assert said(b"a REPLACE 5 {1+}\r\nx {1+}\r\nb\r\n") == [
        (b"a", b"REPLACE 5 ", (1, b"x", False), b" ", (1, ("file", b"b"), False), b""),
    ]
