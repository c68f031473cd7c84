"""A dialogue file as steps.

    setup: three
    # what a person reads
    C: STAT
    S: +OK 3 {{\\d+}}

Header lines (`key: value`) come first; HEADERS names them. Then each line is one of these; a digit after
the letter names the session, which is the first where there is none:

    C: text      the client sends a line          S: text      the server's next line is this
    C| bytes     … these bytes, no line end       S*: text     … this, in any order among its neighbours
    C$           … nothing more: it hangs up      S| bytes     the server's next octets are exactly these
    T: 5         the clock goes on by 5 seconds   S$           the server has closed the connection
    G: words     the gate is told (see ScriptedGate.told)
    M: words     the mailbox is told (see fixtures.told)

`C|` and `S|` know \\r \\n \\t \\\\ and \\xNN. In `S:` and `S*:` lines `{{regex}}` is a free value, and
`{{(?P<name>…)}}` remembers it: `{{=name}}` is that value in any later line, the client's too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HEADERS: Mapping[str, str] = {
    "setup": "empty",  # which messages are in the mailbox: fixtures.MAILBOXES
    "login": "yes",  # yes: each session is logged in, greeting and replies swallowed
    "password": "pass",  # … with this password
    "peer": "",  # dovecot: play it against a real Dovecot too
    "second": "",  # imap or pop3: what session 2 speaks, where that is not the folder's protocol
    "from": "127.0.0.1",  # the client's address
    "tls": "yes",  # whether STARTTLS and STLS are offered
    "plaintext": "loopback",  # Terms.plaintext_login
    "limits": "",  # Limits to change: attempts=2 line=100
    "gate": "open",  # what ScriptedGate is told first
}


class BadDialogue(Exception):
    """The file cannot be read as a dialogue: which file, which line, and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a dialogue. `session` is 0 for a step that belongs to none."""

    kind: str  # "C:" "C|" "C$" "S:" "S*:" "S|" "S$" "T:" "G:" "M:"
    session: int
    text: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A whole file. `protocol` is "imap" or "pop3", from the folder's name."""

    path: Path
    protocol: str
    steps: tuple[Step, ...] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: dict(HEADERS), repr=False)

    def protocol_of(self, session: int) -> str:
        return (session == 2 and self.headers["second"]) or self.protocol


_STEP = re.compile(rb"([CSTGM])([1-9]?)(\*:|:|\||\$)(?: (.*))?", re.DOTALL)
_HEADER = re.compile(rb"([a-z]+): *(.*)")
_KINDS = frozenset({"C:", "C|", "C$", "S:", "S*:", "S|", "S$", "T:", "G:", "M:"})
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SIMPLE = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
_FREE = re.compile(rb"\{\{(.*?)\}\}(?!\})")  # the last two of a run of closing braces end it: {{\d{2}}}


def read_dialogue(path: Path) -> Dialogue:
    """Raises BadDialogue."""
    return parse_dialogue(path.read_bytes(), path, path.parent.name)


def parse_dialogue(text: bytes, path: Path, protocol: str) -> Dialogue:
    """Raises BadDialogue."""
    headers = dict(HEADERS)
    steps: list[Step] = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line or line.startswith(b"#"):
            continue
        if (match := _STEP.fullmatch(line)) is not None:
            steps.append(_step(match, path, number))
        elif not steps and (match := _HEADER.fullmatch(line)) is not None:
            key = match[1].decode()
            if key not in headers:
                raise BadDialogue(f"{path}:{number}: no header is called {key}")
            headers[key] = match[2].decode().strip()
        else:
            raise BadDialogue(f"{path}:{number}: neither header, step nor comment: {line!r}")
    if not steps:
        raise BadDialogue(f"{path}: says nothing")
    return Dialogue(path, protocol, tuple(steps), headers)


def _step(match: re.Match[bytes], path: Path, number: int) -> Step:
    letter, digit, mark, text = match[1].decode(), match[2], match[3].decode(), match[4] or b""
    kind = letter + mark
    if kind not in _KINDS:
        raise BadDialogue(f"{path}:{number}: there is no step {kind}")
    if mark == "|":
        text = unescape(text, f"{path}:{number}")
    elif kind in {"S:", "S*:"}:
        try:
            expectation(text, {})
        except re.error as error:
            raise BadDialogue(f"{path}:{number}: {error}") from None
    return Step(kind, int(digit or b"1") if letter in "CS" else 0, text, number)


def unescape(text: bytes, place: str = "") -> bytes:
    """The octets that `C|` and `S|` mean. Raises BadDialogue."""

    def octet(match: re.Match[bytes]) -> bytes:
        name = match[1]
        if name[:1] == b"x" and len(name) == 3:
            return bytes([int(name[1:], 16)])
        if name not in _SIMPLE:
            raise BadDialogue(f"{place}: no escape is written \\{name.decode(errors='replace')}")
        return _SIMPLE[name]

    return _ESCAPE.sub(octet, text)


def expectation(text: bytes, known: Mapping[str, bytes]) -> re.Pattern[bytes]:
    """What the line must match as a whole, the values remembered so far filled in. Raises re.error."""
    pattern, after = b"", 0
    for free in _FREE.finditer(text):
        inner = free[1]
        if inner[:1] == b"=":
            inner = re.escape(known.get(inner[1:].decode(), b""))
        pattern += re.escape(text[after : free.start()]) + b"(?:" + inner + b")"
        after = free.end()
    return re.compile(pattern + re.escape(text[after:]), re.DOTALL)


def filled_in(text: bytes, known: Mapping[str, bytes]) -> bytes:
    """A client's line with the values remembered so far. Raises KeyError."""
    return re.sub(rb"\{\{=(\w+)\}\}", lambda match: known[match[1].decode()], text)
