"""Whatever a client sends, in whatever state: a tagged reply for each command, BAD, or a goodbye; the same when
it comes byte by byte; and afterwards the session answers, or is closed."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.imap.grammar.parse import ARGUMENTS, parse
from proxy.imap.grammar.syntax import Command
from proxy.imap.server import ImapFactory
from proxy.imap.table import COMMANDS
from proxy.wire.commands import CommandReader, Continue, Ready
from proxy.wire.door import Limits, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import Announced, ScriptedGate
from tests.dialogues.memory import MemoryChannel
from tests.dialogues.store import NOW
from tests.mailstore.store_rig import put_in_place
from tests.memory import in_memory
from tests.proxy.imap.examples import EXAMPLES
from tests.proxy.mutations import mutated
from tests.proxy.recording import RecordingLog

LIMITS = Limits(
    line=4_000, line_before_login=1_000, literal=300, literal_before_login=200, message=600
)  # so small that a literal which is only announced can be filled
PROBES = 900  # so many times 16 octets are more than any literal that is taken or thrown away
MAILBOX = 6_000  # octets of all messages, and of what is said of them
LOGIN = b"in LOGIN user@123.com pass\r\n"
SELECT = b"se SELECT INBOX\r\n"
AGREED = b" OK Compressed from here on.\r\n"
RESPONSE = re.compile(rb"(?:\* |\+ |\+\r\n|[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+ (?:OK|NO|BAD) )")
LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")


class World:
    """A server with one account, as it was in the beginning, and a client in some state."""

    def __init__(self, template: Path, engine: MailboxEngine) -> None:
        self.path = Path(tempfile.mkdtemp(dir=in_memory()))
        put_in_place(template, self.path / "account")
        announced = Announced()
        path = self.path / "account" / "Maildir"
        self.mail = MailHome(engine, 1, path, announce=announced, clock=lambda: NOW)
        self.clock = Clock()
        self.log = RecordingLog()
        self.gate = ScriptedGate(self.mail, self.clock, announced)
        terms = Terms(hostname="mail.123.com", tls=object(), limits=LIMITS)
        self.channel = MemoryChannel(
            ImapFactory(self.gate, terms, self.log, self.clock).buildProtocol(None), self.clock
        )

    def close(self) -> None:
        self.channel.hang_up()
        self.mail.close()
        shutil.rmtree(self.path)


class Client:
    """What a client says and hears, compressed where that was agreed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard = bytearray()
        self._deflater: Any = None
        self._inflater: Any = None

    @property
    def closed(self) -> bool:
        return self.world.channel.closed

    def say(self, data: bytes, *, bytewise: bool = False) -> None:
        if self._deflater is not None:
            data = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        self.say_as_it_is(data, bytewise=bytewise)

    def say_as_it_is(self, data: bytes, *, bytewise: bool = False) -> None:
        channel = self.world.channel
        if not channel.closed:
            channel.send(data, bytewise=bytewise)
        said = channel.read_exactly(len(channel.leftover()))
        if self._inflater is None:
            plain, agreed, said = said.partition(AGREED)
            self.heard += plain + agreed
            if not agreed:
                return
            self._deflater = zlib.compressobj(1, zlib.DEFLATED, -15)
            self._inflater = zlib.decompressobj(-15)
        self.heard += self._inflater.decompress(said)


def saying(*data: bytes) -> Callable[[Client], None]:
    def enter(client: Client) -> None:
        for each in data:
            client.say(each)

    return enter


def held(client: Client) -> None:
    client.world.gate.told("hold")
    client.say(LOGIN)
    client.world.gate.told("progress 1 2")


STATES: dict[str, Callable[[Client], None]] = {
    "not logged in": saying(),
    "after STARTTLS": saying(b"st STARTTLS\r\n"),
    "in SASL": saying(b"au AUTHENTICATE PLAIN\r\n"),
    "in the middle of SASL": saying(b"au AUTHENTICATE LOGIN\r\n", b"dXNlcg==\r\n"),
    "in a literal before login": saying(b"li LOGIN {100}\r\n", b"x" * 90),
    "held": held,
    "logged in": saying(LOGIN),
    "logged in with TLS": saying(b"st STARTTLS\r\n", LOGIN),
    "selected": saying(LOGIN, SELECT),
    "examined": saying(LOGIN, b"ex EXAMINE INBOX\r\n"),
    "idle": saying(LOGIN, SELECT, b"id IDLE\r\n"),
    "idle without a mailbox": saying(LOGIN, b"id IDLE\r\n"),
    "in a literal": saying(LOGIN, SELECT, b"li SEARCH TEXT {50}\r\n", b"x" * 45),
    "in a message": saying(LOGIN, SELECT, b"ap APPEND INBOX {500}\r\n", b"x" * 490),
    "in a list of messages": saying(LOGIN, SELECT, b"ap APPEND INBOX {1+}\r\nx {9+}\r\nx"),
    "with UTF-8": saying(LOGIN, b"en ENABLE UTF8=ACCEPT\r\n", SELECT),
    "resyncing": saying(LOGIN, b"en ENABLE QRESYNC\r\n", SELECT),
    "by UID only": saying(LOGIN, b"en ENABLE UIDONLY\r\n", SELECT),
    "rev2": saying(LOGIN, b"en ENABLE IMAP4rev2\r\n", SELECT),
    "compressed": saying(LOGIN, SELECT, b"co COMPRESS DEFLATE\r\n"),
    "with a saved search": saying(LOGIN, SELECT, b"sa SEARCH RETURN (SAVE) ALL\r\n"),
    "logged out again": saying(LOGIN, SELECT, b"un UNAUTHENTICATE\r\n"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("fuzz") / "account"
    path.mkdir()
    home = fixtures.open_home(path, "three")
    fixtures.told(home, "deliver nested")
    home.create("Other")
    home.close()
    return path


@pytest.fixture(scope="module")
def engine() -> MailboxEngine:
    return MailboxEngine()


def responses(said: bytes) -> Iterator[bytes]:
    """What a server said, response by response, literals and all. Each has to be whole."""
    at = 0
    while at < len(said):
        begin = at
        while True:
            end = said.find(b"\r\n", at)
            assert end >= 0, f"a response without an end: {said[begin:][:200]!r}"
            at = end + 2
            announced = LITERAL.search(said, begin, at)
            if announced is None:
                break
            at += int(announced[1])
            assert at <= len(said), "a literal without an end"
        yield said[begin:at]


def talk(template: Path, engine: MailboxEngine, state: str, data: bytes, *, bytewise: bool, raw: bool = False) -> bytes:
    """Everything that is said once the state is reached, to the end: the client is answered, or let go."""
    world = World(template, engine)
    try:
        client = Client(world)
        STATES[state](client)
        client.say(b"")
        assert not client.closed
        client.heard.clear()
        (client.say_as_it_is if raw else client.say)(data, bytewise=bytewise)
        world.gate.told("open")
        world.gate.told("release")
        client.say(b"")
        probes = 0
        while not client.closed and not client.heard.endswith(b"zz%d OK NOOP completed.\r\n" % probes):
            probes += 1
            assert probes < PROBES, f"the session does not answer any more: {bytes(client.heard)[-300:]!r}"
            client.say(b"\r\nzz%d NOOP\r\n" % probes)
        assert not [line for line in world.log.lines if line[0] == "error"]
        pending = world.channel.protocol.session.intake.reader.pending
        assert client.closed or pending < LIMITS.line + 100, "more is kept than may be"
        said = bytes(client.heard)
        check_replies(said, data, probes, closed=client.closed)
        world.channel.hang_up()
        assert all(home.closed for home in world.gate.homes)
        assert not world.clock.getDelayedCalls()
        return said
    finally:
        world.close()


def check_replies(said: bytes, data: bytes, probes: int, *, closed: bool) -> None:
    assert b"[SERVERBUG]" not in said
    assert len(said) <= 20_000 + 100 * probes + MAILBOX * len(data)
    tagged: dict[bytes, int] = {}
    last = b""
    for response in responses(said):
        assert RESPONSE.match(response), f"no response: {response[:200]!r}"
        last = response
        tag = response.split(b" ", 1)[0]
        if tag not in {b"*", b"+"}:
            tagged[tag] = tagged.get(tag, 0) + 1
    for tag, count in tagged.items():  # one reply a command: no more than there are lines that begin with the tag
        asked = len(re.findall(rb"(?<![!-~])" + re.escape(tag) + rb"(?=[ \r\n]|\Z)", data))
        assert count <= asked + (re.fullmatch(rb"zz\d+|[a-z][a-z]", tag) is not None), (
            f"{tag!r} is answered {count} times"
        )
    if closed:
        assert any(response.startswith(b"* BYE") for response in responses(said)), f"closed without a word: {last!r}"


names = st.sampled_from(sorted(EXAMPLES))
right = names.flatmap(lambda name: st.sampled_from(EXAMPLES[name]))
numbered = st.lists(right, min_size=1, max_size=4).map(
    lambda commands: b"".join(b"t%d %b\r\n" % (n, command) for n, command in enumerate(commands))
)
blind = st.lists(st.one_of(st.binary(max_size=30), st.binary(max_size=6).map(lambda b: b"x " + b)), max_size=6).map(
    b"\r\n".join
)
sent = st.one_of(mutated(numbered), mutated(numbered, most=8), blind)
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_command_has_its_examples() -> None:
    assert {entry.name for entry in COMMANDS} == set(ARGUMENTS) <= set(EXAMPLES)


@pytest.mark.parametrize("command", sorted({each for name in ARGUMENTS for each in EXAMPLES[name]}))
def test_examples_are_right(command: bytes) -> None:
    """Fuzzing that begins with what is wrong already finds little."""
    reader = CommandReader(Limits(), io.BytesIO)
    reader.authenticated = True
    reader.feed(b"a " + command + b"\r\n")
    while not isinstance(event := reader.next(), Ready):
        assert isinstance(event, Continue)
    assert isinstance(parse(event, utf8=b"UTF8 (" in command), Command)
    event.close()
    reader.close()


@pytest.mark.parametrize("state", STATES)
@quick
@given(data=sent)
def test_any_input_is_answered_and_one_by_one_the_same(
    template: Path, engine: MailboxEngine, state: str, data: bytes
) -> None:
    whole = talk(template, engine, state, data, bytewise=False)
    bytewise = talk(template, engine, state, data, bytewise=True)
    if not re.search(rb"starttls|compress", data, re.IGNORECASE):  # what comes in one piece with them is thrown away
        assert whole == bytewise


@quick
@given(data=st.one_of(st.binary(max_size=60), sent))
def test_what_should_be_compressed_and_is_not(template: Path, engine: MailboxEngine, data: bytes) -> None:
    talk_raw = talk(template, engine, "compressed", data, bytewise=False, raw=True)
    assert talk_raw == talk(template, engine, "compressed", data, bytewise=True, raw=True)
