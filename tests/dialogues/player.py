"""Plays a dialogue: sends the client's lines, and compares what the server says, line by line.

`play` knows neither protocol nor server: a `Stage` makes connections and moves the clock.
`MemoryStage` is mailferry in memory, one client line at a time or one octet at a time;
`tests.dialogues.dovecot` is a real Dovecot. What the server says and the dialogue does not is a failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

from twisted.internet.task import Clock

from proxy.wire.door import Limits, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import ACCOUNT, Announced, ScriptedGate
from tests.dialogues.memory import MemoryChannel
from tests.dialogues.script import BadDialogue, Dialogue, Step, expectation, filled_in

# What RFC 7162 3.1.2.1 and 3.2.11 add to every SELECT: a dialogue that is about something else need not say it
# (and Dovecot says HIGHESTMODSEQ only in a mailbox where somebody has asked for modseqs before).
PASSED_OVER = re.compile(rb"\* OK \[(HIGHESTMODSEQ \d+|CLOSED|MAILBOXID \([\w-]+\))\] .*")
CONTEXT = 14  # how many lines of what went before a failure shows


class DialogueFailed(AssertionError):
    """The server did not say what the dialogue says: where, what was expected, what came."""


class Channel(Protocol):
    """The client's end of one connection."""

    def send(self, data: bytes, *, bytewise: bool = False) -> None: ...
    def hang_up(self) -> None: ...
    def read_line(self) -> bytes | None: ...
    def read_exactly(self, count: int) -> bytes: ...
    def leftover(self) -> bytes: ...
    def server_has_closed(self) -> bool: ...


class Stage(Protocol):
    """Where a dialogue is played."""

    bytewise: bool

    def connect(self, protocol: str) -> Channel: ...
    def advance(self, seconds: float) -> None: ...
    def tell_gate(self, words: str) -> None: ...
    def tell_mailbox(self, words: str) -> None: ...
    def localised(self, data: bytes) -> bytes: ...
    def settle(self) -> None: ...
    def end(self, *, check: bool = True) -> None: ...


class MemoryStage:
    """mailferry in memory: the real protocols and the real store, a scripted gate, a clock."""

    def __init__(
        self, path: Path, factories: Mapping[str, Any], dialogue: Dialogue, log: Any, *, bytewise: bool = False
    ) -> None:
        """`factories` by protocol: called with gate, terms, log and clock, as the daemon calls them."""
        self.bytewise = bytewise
        self.clock = Clock()
        announced = Announced()
        self.mail = fixtures.open_home(path, dialogue.headers["setup"], announced)
        announced.clear()
        self.gate = ScriptedGate(self.mail, self.clock, announced)
        self.gate.told(dialogue.headers["gate"])
        self._peer = dialogue.headers["from"]
        terms = terms_of(dialogue)
        self._factories = {name: factory(self.gate, terms, log, self.clock) for name, factory in factories.items()}
        self._channels: list[MemoryChannel] = []

    def connect(self, protocol: str) -> MemoryChannel:
        built = self._factories[protocol].buildProtocol(None)
        self._channels.append(MemoryChannel(built, self.clock, self._peer))
        return self._channels[-1]

    def advance(self, seconds: float) -> None:
        """In steps, as a real clock goes: what a timer starts may start the next one."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)
            self.settle()
        self.clock.advance(seconds % 0.25)
        self.settle()

    def tell_gate(self, words: str) -> None:
        self.gate.told(words)
        self.settle()

    def tell_mailbox(self, words: str) -> None:
        fixtures.told(self.mail, words)
        self.gate.pass_on_changes()
        self.settle()

    def localised(self, data: bytes) -> bytes:
        return data

    def settle(self) -> None:
        for channel in self._channels:
            channel.settle()

    def end(self, *, check: bool = True) -> None:
        """Hang up everywhere, and `check` that nothing is left behind: no home, no lock, no timer."""
        for channel in self._channels:
            channel.hang_up()
        self.clock.advance(0)
        self.mail.close()
        if check:
            assert all(home.closed for home in self.gate.homes), "a session ended and left its home open"
            late = [call for call in self.clock.getDelayedCalls() if call.active()]
            assert not late, f"all sessions have ended and timers are left: {late}"


def terms_of(dialogue: Dialogue) -> Terms:
    headers = dialogue.headers
    changes: dict[str, Any] = {}
    for item in headers["limits"].split():
        key, _, value = item.partition("=")
        changes[key] = type(getattr(Limits(), key))(value)
    return Terms(
        hostname="mail.123.com",
        tls=object() if headers["tls"] == "yes" else None,
        plaintext_login=headers["plaintext"],
        limits=replace(Limits(), **changes),
    )


@dataclass(slots=True)
class _Play:
    """A dialogue being played."""

    dialogue: Dialogue
    stage: Stage
    channels: dict[int, Channel] = field(default_factory=dict)
    known: dict[str, bytes] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def channel(self, step: Step) -> Channel:
        """The session's connection, made and logged in when it is first spoken of."""
        if step.session not in self.channels:
            protocol = self.dialogue.protocol_of(step.session)
            channel = self.channels[step.session] = self.stage.connect(protocol)
            if self.dialogue.headers["login"] == "yes":
                self._log_in(protocol, channel, step)
        return self.channels[step.session]

    def send(self, steps: Sequence[Step]) -> None:
        """Neighbouring lines of a client go out as one piece: the author wrote them as a pipeline."""
        __tracebackhide__ = True
        channel = self.channel(steps[0])
        self.expect_silence(steps[0])
        data = b""
        for step in steps:
            text = filled_in(step.text, self.known)
            self.heard.append(f"  C{step.session}: {text!r}")
            data += text if step.kind == "C|" else text + b"\r\n"
        channel.send(self.stage.localised(data), bytewise=self.stage.bytewise)
        self.stage.settle()

    def expect_line(self, step: Step) -> None:
        __tracebackhide__ = True
        while True:
            line = self.channel(step).read_line()
            if line is None:
                self.fail(step, self.channel(step).leftover() or "nothing")
            self.heard.append(f"  S{step.session}: {line!r}")
            if self._matches(step, line):
                return
            if not PASSED_OVER.fullmatch(line):
                self.fail(step, line)

    def expect_in_any_order(self, steps: Sequence[Step]) -> None:
        __tracebackhide__ = True
        channel, left = self.channel(steps[0]), list(steps)
        while left:
            line = channel.read_line()
            if line is None:
                self.fail(left[0], channel.leftover() or "nothing")
            self.heard.append(f"  S{steps[0].session}: {line!r}")
            fitting = next((step for step in left if self._matches(step, line)), None)
            if fitting is not None:
                left.remove(fitting)
            elif not PASSED_OVER.fullmatch(line):
                self.fail(left[0], line)

    def expect_octets(self, step: Step) -> None:
        __tracebackhide__ = True
        data = self.channel(step).read_exactly(len(step.text))
        self.heard.append(f"  S{step.session}| {data!r}")
        if data != step.text:
            self.fail(step, data)

    def expect_closed(self, step: Step) -> None:
        __tracebackhide__ = True
        self.expect_silence(step)
        if not self.channel(step).server_has_closed():
            self.fail(step, "an open connection")

    def expect_silence(self, step: Step) -> None:
        """Nothing may be unread in the step's session."""
        __tracebackhide__ = True
        if step.session in self.channels and (left := self.channels[step.session].leftover()):
            raise DialogueFailed(self._report(step, "nothing more from the server before this line", left))

    def fail(self, step: Step, got: object) -> NoReturn:
        __tracebackhide__ = True
        expected = "the end of the connection" if step.kind == "S$" else repr(step.text)
        raise DialogueFailed(self._report(step, expected, got))

    def _matches(self, step: Step, line: bytes) -> bool:
        match = expectation(step.text, self.known).fullmatch(line)
        if match is not None:
            self.known.update({name: value for name, value in match.groupdict().items() if value is not None})
        return match is not None

    def _report(self, step: Step, expected: str, got: object) -> str:
        before = "\n".join(self.heard[-CONTEXT:])
        return (
            f"{self.dialogue.path}:{step.line}: session {step.session}\n"
            f"expected: {expected}\n"
            f"     got: {got if isinstance(got, str) else repr(got)}\n"
            f"what was said before:\n{before}"
        )

    def _log_in(self, protocol: str, channel: Channel, step: Step) -> None:
        password = self.dialogue.headers["password"].encode()
        user = ACCOUNT.encode()
        if protocol == "imap":
            quoted = re.sub(rb'(["\\])', rb"\\\1", password)
            commands, fine = [b'in LOGIN %s "%s"' % (user, quoted)], rb"in OK.*"
        else:
            commands, fine = [b"USER " + user, b"PASS " + password], rb"\+OK.*"
        greeting = channel.read_line()
        if greeting is None or not greeting.startswith((b"+OK", b"* OK")):
            self.fail(replace(step, text=b"a greeting"), greeting or "nothing")
        for command in commands:
            channel.send(self.stage.localised(command + b"\r\n"))
            self.stage.settle()
            while (line := channel.read_line()) is not None and not re.fullmatch(fine, line):
                if protocol == "pop3" or not line.startswith(b"*"):
                    break
            if line is None or not re.fullmatch(fine, line):
                self.fail(replace(step, text=b"a login"), line or "nothing")


def play_to_the_end(dialogue: Dialogue, stage: Stage) -> None:
    """Play all of it, then end the stage. Raises DialogueFailed, BadDialogue, AssertionError for what is left."""
    __tracebackhide__ = True
    try:
        play(dialogue, stage)
    except BaseException:
        stage.end(check=False)
        raise
    stage.end()


def play(dialogue: Dialogue, stage: Stage) -> None:
    """Play all of it. Raises DialogueFailed, BadDialogue."""
    __tracebackhide__ = True
    going = _Play(dialogue, stage)
    for run in runs(dialogue.steps):
        first = run[0]
        match first.kind:
            case "C:" | "C|":
                going.send(run)
            case "C$":
                going.channel(first).hang_up()
                stage.settle()
            case "S:":
                going.expect_line(first)
            case "S*:":
                going.expect_in_any_order(run)
            case "S|":
                going.expect_octets(first)
            case "S$":
                going.expect_closed(first)
            case "T:":
                stage.advance(float(first.text))
            case "G:":
                stage.tell_gate(first.text.decode())
            case "M:":
                stage.tell_mailbox(first.text.decode())
            case _:
                raise BadDialogue(f"{dialogue.path}:{first.line}: there is no step {first.kind}")
    for session in going.channels:
        going.expect_silence(Step("S$", session, b"", dialogue.steps[-1].line + 1))


def runs(steps: Sequence[Step]) -> list[Sequence[Step]]:
    """Neighbouring steps that are played as one: a client's lines, and lines in any order."""
    grouped: list[list[Step]] = []
    for step in steps:
        last = grouped[-1][-1] if grouped else None
        together = (
            last is not None
            and last.session == step.session
            and ({last.kind, step.kind} <= {"C:", "C|"} or last.kind == step.kind == "S*:")
        )
        if together:
            grouped[-1].append(step)
        else:
            grouped.append([step])
    return list(grouped)
