"""The protocol without I/O: which answer belongs to which command, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.legacy.errors import LegacyProtocolError, LegacyUnreachable
from proxy.pop3.client.commands import Verb, command, retrievals, sasl_line
from proxy.pop3.client.protocol import BANNER_LINES, ClientProtocol, Expectation
from proxy.pop3.client.replies import LINE_LIMIT, Reply


class Heard(Expectation):
    """Notes what it is told."""

    def __init__(self, notes: list[tuple[object, ...]], name: str, *, block: bool = False) -> None:
        self.notes = notes
        self.name = name
        self.block = block

    def awaited(self) -> str:
        return self.name

    def accepted(self, reply: Reply) -> None:
        self.notes.append((self.name, "+", reply.text))

    def refused(self, reply: Reply) -> None:
        self.notes.append((self.name, "-", reply.text))

    def whole(self, data: bytes) -> None:
        self.notes.append((self.name, data))

    def failed(self, error: Exception) -> None:
        self.notes.append((self.name, "failed", str(error)))


def play(wire: bytes, cut: int, *names: str) -> list[tuple[object, ...]]:
    """The notes after `wire`, in pieces of `cut`; a name that ends with * expects a block."""
    notes: list[tuple[object, ...]] = []
    machine = ClientProtocol()
    for name in names:
        machine.expect(Heard(notes, name, block=name.endswith("*")))
    for at in range(0, len(wire), cut):
        machine.receive(wire[at : at + cut])
    return notes


def test_answers_go_to_commands_in_order_however_they_are_cut() -> None:
    wire = b"+OK one\r\n+ok\r\nlist\r\n.\r\n-ERR [X] no\r\n+OK\r\n.\r\n-ERR\r\n+OK last\r\n"
    for cut in range(1, len(wire) + 1):
        assert play(wire, cut, "a", "b*", "c*", "d*", "e", "f") == [
            ("a", "+", "one"),
            ("b*", b"list\r\n"),
            ("c*", "-", "no"),
            ("d*", b""),
            ("e", "-", ""),
            ("f", "+", "last"),
        ]


def test_a_server_of_bare_line_feeds_is_understood() -> None:
    wire = b"+OK\none\n.\n+OK\n"
    for cut in range(1, len(wire) + 1):
        assert play(wire, cut, "a*", "b") == [("a*", b"one\n"), ("b", "+", "")]


@pytest.mark.parametrize("wire", [b"hello\r\n", b"\r\n", b"+ x\r\n", b"* OK\r\n", b"\0\r\n"])
def test_nonsense_is_an_error_that_does_not_quote_it(wire: bytes) -> None:
    with pytest.raises(LegacyProtocolError, match="neither") as caught:
        play(wire, 100, "a")
    assert "hello" not in str(caught.value)


def test_what_nobody_asked_for_is_an_error() -> None:
    with pytest.raises(LegacyProtocolError, match="nothing is asked"):
        play(b"+OK\r\n+OK unasked", 100, "a")


def test_a_line_without_end_is_an_error() -> None:
    for cut in (1000, 2 * LINE_LIMIT):
        with pytest.raises(LegacyProtocolError, match="more than 65536 octets"):
            play(b"+OK " + b"x" * 2 * LINE_LIMIT, cut, "a")
    assert play(b"+OK " + b"x" * (LINE_LIMIT - 5) + b"\r\n", 1000, "a")


def test_the_end_is_told_once_to_everybody_who_waits() -> None:
    notes: list[tuple[object, ...]] = []
    machine = ClientProtocol()
    many = Heard(notes, "many", block=True)
    machine.expect(Heard(notes, "one", block=True))
    machine.expect(many, 1000)
    machine.receive(b"+OK\r\nhalf a mess")
    assert machine.under_way
    assert machine.awaited is not None
    assert machine.awaited.awaited() == "one"
    machine.stop(LegacyUnreachable("gone"))
    machine.stop(LegacyUnreachable("again"))
    machine.receive(b"age\r\n.\r\n")
    assert notes == [("one", "failed", "gone"), ("many", "failed", "gone")]
    assert not machine.outstanding


@given(st.lists(st.sampled_from([b"+OK", b"-ERR", b"\r\n", b"\n", b".", b"x", b"+ ", b"\r", b" "])), st.integers(1, 9))
def test_any_octets_are_read_or_are_a_protocol_error(parts: list[bytes], cut: int) -> None:
    wire = b"".join(parts)
    outcomes = []
    for length in (cut, len(wire) or 1):
        notes: object
        try:
            notes = play(wire, length, "a", "b*", "c*", "d", "e*")
        except LegacyProtocolError:
            notes = None
        outcomes.append(notes)
    assert outcomes[0] == outcomes[1]


def test_there_is_no_way_to_say_dele() -> None:
    assert not [verb for verb in Verb if verb.value in {b"DELE", b"RSET"}]
    for argument in (b"1\r\nDELE 1", b"1\nDELE 1", b"1\rDELE 1", b"a\0b", b"x" * 1025):
        with pytest.raises(ValueError, match="cannot be sent"):
            command(Verb.PASS, argument)
    with pytest.raises(ValueError, match="neither"):
        sasl_line(b"YQ==\r\nDELE 1")
    assert command(Verb.TOP, 3, 0) == b"TOP 3 0\r\n"
    assert retrievals([1, 20]) == b"RETR 1\r\nRETR 20\r\n"


class Greeted(Heard):
    """A greeting, after which something is asked at once."""

    greets = True

    def __init__(self, notes: list[tuple[object, ...]], machine: ClientProtocol) -> None:
        super().__init__(notes, "greeting")
        self.machine = machine

    def accepted(self, reply: Reply) -> None:
        super().accepted(reply)
        self.machine.expect(Heard(self.notes, "capa*", block=True))


def greet(*pieces: bytes) -> list[tuple[object, ...]]:
    notes: list[tuple[object, ...]] = []
    machine = ClientProtocol()
    machine.expect(Greeted(notes, machine))
    for piece in pieces:
        machine.receive(piece)
    return notes


def test_lines_that_come_with_the_greeting_answer_nothing() -> None:
    expected = [("greeting", "+", "hi"), ("capa*", b"UIDL\r\n")]
    answer = b"+OK\r\nUIDL\r\n.\r\n"
    for banner in (b"", b"hello\r\n", b"\r\nhello\r\n***\r\n", b"+\r\n+ x\r\n"):
        assert greet(b"+OK hi\r\n" + banner, answer) == expected
    assert greet(b"+OK hi\r\nhel", b"lo\r\n", answer) == expected
    assert greet(b"+OK hi\r\nhel", b"lo\r\n" + answer) == expected


def test_a_banner_has_an_end() -> None:
    with pytest.raises(LegacyProtocolError, match="speaks though nothing is asked"):
        greet(b"+OK hi\r\n" + b"line\r\n" * (BANNER_LINES + 1))


def test_an_answer_that_comes_before_it_was_asked_for_is_none() -> None:
    for early in (b"+OK\r\n.\r\n", b"-ERR\r\n"):
        with pytest.raises(LegacyProtocolError, match="speaks though nothing is asked"):
            greet(b"+OK hi\r\n" + early)


def test_nonsense_after_the_greeting_is_nonsense() -> None:
    with pytest.raises(LegacyProtocolError, match="neither"):
        greet(b"+OK hi\r\n", b"hello\r\n")
