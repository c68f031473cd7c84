"""The player itself: what it reads, what it lets pass, and how it says what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from tests.dialogues import fixtures
from tests.dialogues.gate import Announced
from tests.dialogues.player import DialogueFailed, MemoryStage, play_to_the_end, runs
from tests.dialogues.script import BadDialogue, Dialogue, Step, expectation, parse_dialogue, unescape


class Parrot(LineOnlyReceiver):
    """A toy: greets, echoes, and knows a few words."""

    transport: Any

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connectionMade(self) -> None:
        self.sendLine(b"+OK parrot")

    def lineReceived(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        match word:
            case b"bye":
                self.transport.loseConnection()
            case b"later":
                self._clock.callLater(float(rest), self.sendLine, b"now")
            case b"many":
                for each in rest.split():
                    self.sendLine(each)
            case b"raw":
                self.transport.write(rest)
            case _:
                self.sendLine(b"+OK " + line)


class ParrotFactory(Factory):
    def __init__(self, gate: object, terms: object, log: object, clock: Any) -> None:
        self._clock = clock

    def buildProtocol(self, addr: object) -> Parrot:
        return Parrot(self._clock)


def dialogue(text: str) -> Dialogue:
    return parse_dialogue(text.encode(), Path("toy.dialogue"), "pop3")


@pytest.fixture(params=[False, True], ids=["whole", "bytewise"])
def played(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def it(text: str) -> None:
        read = dialogue(text)
        stage = MemoryStage(tmp_path, {"pop3": ParrotFactory}, read, None, bytewise=request.param)
        play_to_the_end(read, stage)

    return it


def test_lines_values_and_clock(played: Any) -> None:
    played(
        """# a comment
login: no

S: +OK parrot
C: hello
S: +OK {{h.l+o}}
C: many x 17
S: {{(?P<letter>[a-z])}}
S: {{(?P<number>\\d{2})}}
C: {{=number}} {{=letter}}
S: +OK {{=number}} x
C: later 5
T: 4.9
T: 0.2
S: now
"""
    )


def test_any_order_raw_octets_and_close(played: Any) -> None:
    played(
        """
C: many b c a
S*: a
S*: b
S*: c
C| raw \\x00\\t\\\\ |\\r\\n
S| \\x00\\t\\\\ |
C: bye
S$
"""
    )


def test_sessions_log_in_when_first_spoken_of(played: Any) -> None:
    played("C: one\nS: +OK one\nC2: two\nS2: +OK two\nC2$\nC1: still\nS1: +OK still\n")


@pytest.mark.parametrize(
    ("text", "line", "expected", "got"),
    [
        ("C: hello\nS: +OK hullo\n", 2, b"+OK hullo", b"+OK hello"),
        ("C: many\n# nothing comes\nS: word\n", 3, b"word", "nothing"),
        ("C: many a b\nS*: b\nS*: c\n", 2, b"b", b"a"),
        ("C: raw abc\nS| abd\n", 2, b"abd", b"abc"),
        ("C: hello\nS$\n", 2, "nothing more from the server before this line", b"+OK hello\r\n"),
        ("C: hello\nS: +OK hello\nS$\n", 3, "the end of the connection", "an open connection"),
        ("C: many a b\nS: a\nC: more\n", 3, "nothing more from the server before this line", b"b\r\n"),
        ("C: many a b\nS: a\n", 3, "nothing more from the server before this line", b"b\r\n"),
    ],
)
def test_failure_says_where_and_what(
    played: Any, text: str, line: int, expected: bytes | str, got: bytes | str
) -> None:
    with pytest.raises(DialogueFailed) as failure:
        played(text)
    report = str(failure.value)
    assert report.startswith(f"toy.dialogue:{line}: session 1\n")
    assert f"expected: {expected if isinstance(expected, str) else repr(expected)}\n" in report
    assert f"got: {got if isinstance(got, str) else repr(got)}\n" in report


def test_failed_login_is_a_failure(tmp_path: Path) -> None:
    class Silent(Parrot):
        def connectionMade(self) -> None:
            """Says nothing."""

    class SilentFactory(ParrotFactory):
        def buildProtocol(self, addr: object) -> Parrot:
            return Silent(self._clock)

    read = dialogue("C: x\n")
    with pytest.raises(DialogueFailed, match="a greeting"):
        play_to_the_end(read, MemoryStage(tmp_path, {"pop3": SilentFactory}, read, None))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour: red\nC: x\n", "no header is called colour"),
        ("C: x\nlogin: no\n", "neither header, step nor comment"),
        ("what is this\n", "neither header, step nor comment"),
        ("C*: x\n", "there is no step"),
        ("C| \\q\n", "no escape"),
        ("S: {{[}}\n", "unterminated"),
        ("# nothing\n", "says nothing"),
    ],
)
def test_bad_file(text: str, complaint: str) -> None:
    with pytest.raises(BadDialogue, match=complaint) as failure:
        dialogue(text)
    assert "toy.dialogue" in str(failure.value)


def test_expectation_is_literal_outside_braces() -> None:
    assert expectation(b"a.c {{\\d{2}}} (x)", {}).fullmatch(b"a.c 12 (x)")
    assert not expectation(b"a.c", {}).fullmatch(b"abc")
    assert not expectation(b"a", {}).fullmatch(b"ab")
    assert expectation(b"{{a|b}}c", {}).fullmatch(b"bc")
    assert expectation(b"{{=v}}", {"v": b"1.5"}).fullmatch(b"1.5")
    assert not expectation(b"{{=v}}", {"v": b"1.5"}).fullmatch(b"145")


def test_unescape() -> None:
    assert unescape(rb"a\r\n\x00\xff\\n\t") == b"a\r\n\x00\xff\\n\t"


def test_runs_join_a_pipeline_and_neighbours_in_any_order() -> None:
    steps = [
        Step("C:", 1, b"a", 1),
        Step("C|", 1, b"b", 2),
        Step("C:", 2, b"c", 3),
        Step("S:", 1, b"d", 4),
        Step("S*:", 1, b"e", 5),
        Step("S*:", 1, b"f", 6),
    ]
    assert [len(run) for run in runs(steps)] == [2, 1, 1, 2]


@pytest.mark.parametrize("setup", sorted(fixtures.MAILBOXES))
def test_mailboxes_hold_the_samples_octets(setup: str, tmp_path: Path) -> None:
    announced = Announced()
    home = fixtures.open_home(tmp_path, setup, announced)
    try:
        rows = home.maildrop()
        samples = fixtures.MAILBOXES[setup].inbox
        assert [row.uid for row in rows] == list(range(1, len(samples) + 1))
        assert [row.uidl for row in rows] == [each.uidl for each in samples]
        for row, (sample, date) in zip(rows, fixtures.dated(samples), strict=True):
            with home.open(home.folders()[0].id, row.uid) as content:
                assert bytes(content.whole()) == sample.octets
            assert (row.size, row.internal_date) == (len(sample.octets), date)
    finally:
        home.close()
