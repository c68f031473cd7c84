"""Whatever a POP3 client sends, in whatever state: one reply for each line, or the end; the same when it comes byte by
byte; and afterwards the session answers, or is closed."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstore.mailbox_database import MailboxEngine
from proxy.pop3.commands import COMMANDS
from tests.dialogues import fixtures
from tests.mailstore.store_rig import put_in_place
from tests.memory import in_memory
from tests.proxy.mutations import mutated
from tests.proxy.pop3.server.desk import LOGIN, Desk

EXAMPLES: Mapping[bytes, Sequence[bytes]] = {
    b"CAPA": (b"CAPA",),
    b"QUIT": (b"QUIT",),
    b"USER": (b"USER user@123.com", b"USER nobody", b"user user"),
    b"PASS": (b"PASS pass", b"PASS wrong word"),
    b"AUTH": (
        b"AUTH",
        b"AUTH PLAIN AHVzZXJAMTIzLmNvbQBwYXNz",
        b"AUTH PLAIN\r\nAHVzZXJAMTIzLmNvbQBwYXNz",
        b"AUTH LOGIN\r\ndXNlckAxMjMuY29t\r\ncGFzcw==",
        b"AUTH LOGIN dXNlckAxMjMuY29t\r\ncGFzcw==",
        b"AUTH PLAIN =",
        b"AUTH PLAIN\r\n*",
        b"AUTH CRAM-MD5",
    ),
    b"STLS": (b"STLS",),
    b"UTF8": (b"UTF8",),
    b"STAT": (b"STAT",),
    b"LIST": (b"LIST", b"LIST 2", b"LIST 99"),
    b"UIDL": (b"UIDL", b"UIDL 1"),
    b"RETR": (b"RETR 1", b"RETR 3", b"RETR 0"),
    b"TOP": (b"TOP 1 0", b"TOP 2 3", b"TOP 3 99999999999999999999"),
    b"DELE": (b"DELE 1", b"DELE 3", b"DELE 77"),
    b"RSET": (b"RSET",),
    b"NOOP": (b"NOOP",),
}
STATES: Mapping[str, Sequence[bytes]] = {
    "not logged in": (),
    "after STLS": (b"STLS\r\n",),
    "after USER": (b"USER user\r\n",),
    "in SASL": (b"AUTH PLAIN\r\n",),
    "in the middle of SASL": (b"AUTH LOGIN\r\n", b"dXNlcg==\r\n"),
    "logged in": (LOGIN,),
    "something deleted": (LOGIN, b"DELE 2\r\n"),
    "logged in with TLS": (b"STLS\r\n", LOGIN),
    "held": (b"USER user\r\nPASS pass\r\n",),
}
LONGEST = 300  # octets of a line
PROBE = b"\r\nNOOP\r\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("fuzz") / "account"
    path.mkdir()
    fixtures.open_home(path, "three").close()
    return path


@pytest.fixture(scope="module", autouse=True)
def one_engine() -> Callable[[], None]:
    """Statements are compiled once for all examples."""
    engine = MailboxEngine()
    patch = pytest.MonkeyPatch()
    patch.setattr("tests.dialogues.store.MailboxEngine", lambda: engine)
    return patch.undo


def talk(template: Path, state: str, data: bytes, *, bytewise: bool) -> bytes:
    """All that is said once the state is reached."""
    path = Path(tempfile.mkdtemp(dir=in_memory()))
    put_in_place(template, path / "account")
    desk = Desk(path / "account", "empty", line_before_login=LONGEST)
    try:
        channel = desk.connect()
        if state == "held":
            desk.gate.told("hold")
        for each in STATES[state]:
            channel.send(each)
        before = len(channel.leftover())
        channel.send(data, bytewise=bytewise)
        desk.gate.told("open")
        desk.gate.told("release")
        channel.settle()
        channel.send(PROBE)
        said = channel.leftover()[before:]
        assert not [entry for entry in desk.log.entries if entry["log_level"] == "error"]
        if not channel.closed:
            assert channel.protocol._session._reader.pending <= LONGEST
        check_replies(said, data + PROBE, state, closed=channel.closed)
        return said
    finally:
        desk.close()
        shutil.rmtree(path)


def check_replies(said: bytes, data: bytes, state: str, *, closed: bool) -> None:
    """Walk through lines and replies together: each line has one, as long as somebody listens."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")[:-1]]
    if state == "held":
        lines.insert(0, b"PASS pass")
    at = 0
    answers = state.endswith("SASL")  # is the next line an answer to a challenge?
    for number, line in enumerate(lines):
        if at == len(said):
            assert closed, f"line {number} is not answered: {line!r}"
            return
        end = said.index(b"\r\n", at) + 2
        reply = said[at:end]
        assert re.match(rb"\+OK( |\r)|-ERR |\+ ", reply), reply
        at = end
        if len(line) > LONGEST:
            assert reply == b"-ERR line too long\r\n" or closed
        if b"line too long" in reply:
            break
        verb, _, rest = line.upper().partition(b" ")
        if verb == b"STLS" and reply.startswith(b"+OK"):
            return  # what was sent ahead is thrown away
        listed = verb in {b"CAPA", b"RETR", b"TOP"} or (verb in {b"LIST", b"UIDL", b"AUTH"} and not rest.strip())
        if listed and reply.startswith(b"+OK") and not answers:
            stop = re.compile(rb"(?:(?<=\r\n)|\A)\.\r\n").search(said, at)
            assert stop is not None, "a block without an end"
            block = said[at : stop.end()]
            assert not re.search(rb"\r\n\.(?!\.|\r\n)", b"\r\n" + block), "a dot that is not doubled"
            at = stop.end()
        answers = reply.startswith(b"+ ")
    assert at == len(said), f"more replies than lines: {said[at:][:200]!r}"


right = st.sampled_from(sorted(EXAMPLES)).flatmap(lambda name: st.sampled_from(EXAMPLES[name]))
session = st.lists(right, min_size=1, max_size=6).map(lambda lines: b"".join(line + b"\r\n" for line in lines))
blind = st.lists(st.binary(max_size=20), max_size=6).map(b"\r\n".join)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_every_command_has_its_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("state", STATES)
@quick
@given(data=st.one_of(mutated(session), mutated(session, most=8), blind))
def test_any_input_is_answered_and_one_by_one_the_same(template: Path, state: str, data: bytes) -> None:
    whole = talk(template, state, data, bytewise=False)
    bytewise = talk(template, state, data, bytewise=True)
    if b"stls" not in data.lower():  # what comes in one piece with it is thrown away
        assert whole == bytewise
