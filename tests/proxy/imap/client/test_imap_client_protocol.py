"""IMAP from the client's side without I/O: what belongs to which command, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.client.protocol import KEPT_LIMIT, LINE_LIMIT, ClientProtocol, Expectation
from proxy.imap.client.responses import Parts, Reply, Untagged
from proxy.legacy.errors import LegacyError, LegacyProtocolError, LegacyUnreachable
from tests.proxy.mutations import mutated


class Heard(Expectation):
    """Notes what it is told."""

    def __init__(self, notes: list[tuple[object, ...]], tag: bytes, *, bodies: bool = True) -> None:
        self.notes = notes
        self.tag = tag
        self.bodies = bodies
        self.ends_session = tag == b"bye"
        self._data = b""

    def awaited(self) -> str:
        return self.tag.decode()

    def untagged(self, response: Untagged) -> None:
        self.notes.append((self.tag, response.name, response.number, *response.parts))

    def continued(self) -> None:
        self.notes.append((self.tag, "+"))

    def done(self, reply: Reply) -> None:
        self.notes.append((self.tag, reply.status, reply.code, reply.text))

    def begin(self, head: Parts, octets: int) -> None:
        self._data = b""
        self.notes.append((self.tag, "begins", octets))

    def piece(self, data: bytes) -> None:
        self._data += data

    def end(self) -> None:
        self.notes.append((self.tag, self._data))

    def failed(self, error: Exception) -> None:
        self.notes.append((self.tag, "failed", str(error)))


def play(wire: bytes, cut: int, *tags: bytes, bodies: bool = True) -> list[tuple[object, ...]]:
    """The notes after `wire`, in pieces of `cut`."""
    notes: list[tuple[object, ...]] = []
    machine = ClientProtocol()
    for tag in tags:
        machine.expect(Heard(notes, tag, bodies=bodies))
    for at in range(0, len(wire), cut):
        machine.receive(wire[at : at + cut])
    return notes


SESSION = (
    b"* OK [CAPABILITY IMAP4rev1] hello\r\n"
    b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok {5}\r\n1 ok [READ-ONLY] done\r\n"
    b"* 1 FETCH (UID 9 BODY[] {5}\r\na{2}\n)\r\n* 2 FETCH (BODY[] {0}\r\n FLAGS (\\Seen) UID 10)\r\n"
    b'* LIST () "/" {6}\r\na"b\\c \r\n+ go\r\n2 NO [X y] no\n'
)


def test_responses_belong_to_the_oldest_command_however_they_are_cut() -> None:
    for cut in range(1, len(SESSION) + 1):
        assert play(SESSION, cut, b"", b"1", b"2") == [
            (b"", "OK", "CAPABILITY", "hello"),
            (b"1", "EXISTS", 3, b""),
            (b"1", "OK", None, b"OK [UIDVALIDITY 7] ok {5}"),
            (b"1", "OK", "READ-ONLY", "done"),
            (b"2", "begins", 5),
            (b"2", b"a{2}\n"),
            (b"2", "FETCH", 1, b"(UID 9 BODY[]", b"", b")"),
            (b"2", "begins", 0),
            (b"2", b""),
            (b"2", "FETCH", 2, b"(BODY[]", b"", b" FLAGS (\\Seen) UID 10)"),
            (b"2", "LIST", None, b'() "/"', b'a"b\\c ', b""),
            (b"2", "+"),
            (b"2", "NO", "X", "no"),
        ]


def test_a_literal_that_nobody_takes_apart_is_kept() -> None:
    wire = b"* 1 FETCH (UID 9 BODY[] {3}\r\nabc)\r\n"
    assert play(wire, 100, b"1", bodies=False) == [(b"1", "FETCH", 1, b"(UID 9 BODY[]", b"abc", b")")]


def test_an_answer_may_overtake_another() -> None:
    assert play(b"2 OK b\r\n1 OK a\r\n", 100, b"1", b"2") == [(b"2", "OK", None, "b"), (b"1", "OK", None, "a")]


def test_what_is_said_when_nothing_is_asked_harms_nobody() -> None:
    assert play(b"* 5 EXISTS\r\n* OK still here\r\n", 3) == []


@pytest.mark.parametrize(
    "wire",
    [
        b"3 OK not asked\r\n",
        b"hello\r\n",
        b"+ go on\r\n",
        b"1 PREAUTH what\r\n",
        b" OK\r\n",
        b"* 1 FETCH (" + b"x" * LINE_LIMIT + b")\r\n",
        b"* LIST () {%d}\r\n" % (KEPT_LIMIT + 1),
        b"* LIST (\r\n" * 3 + b"* X {1000000}\r\n" + b"y" * 1_000_000 + b" {1000000}\r\n",
    ],
)
def test_nonsense_is_the_end(wire: bytes) -> None:
    tags = [b"1"] if not wire.startswith(b"+") else []
    with pytest.raises(LegacyProtocolError) as caught:
        play(wire, 5_000, *tags)
    assert b"xx" not in str(caught.value).encode()


def test_bye_is_an_end_unless_it_was_asked_for() -> None:
    with pytest.raises(LegacyUnreachable, match="ended the session: shutting down"):
        play(b"* BYE shutting down\r\n", 100, b"1")
    assert play(b"* BYE see you\r\nbye OK\r\n", 100, b"bye") == [(b"bye", "OK", None, "")]


def test_at_the_end_everybody_who_waits_is_told_once() -> None:
    notes: list[tuple[object, ...]] = []
    machine = ClientProtocol()
    for tag in (b"1", b"2"):
        machine.expect(Heard(notes, tag))
    machine.stop(LegacyUnreachable("gone"))
    machine.stop(LegacyUnreachable("again"))
    assert notes == [(b"1", "failed", "gone"), (b"2", "failed", "gone")]


@given(st.data())
def test_whatever_comes_it_is_understood_or_refused_and_the_same_byte_by_byte(data: st.DataObject) -> None:
    wire = data.draw(mutated(st.just(SESSION)))

    def outcome(cut: int) -> tuple[list[tuple[object, ...]], str]:
        notes: list[tuple[object, ...]] = []
        machine = ClientProtocol()
        for tag in (b"", b"1", b"2"):
            machine.expect(Heard(notes, tag))
        try:
            for at in range(0, len(wire), cut):
                machine.receive(wire[at : at + cut])
        except LegacyError as error:
            return notes, type(error).__name__
        return notes, ""

    assert outcome(1) == outcome(len(wire) or 1)
