"""A legacy IMAP server for tests, which can be told to misbehave in every way that real ones do.

    server = ImapServer({b"INBOX": [Kept(1, b"Subject: one\\r\\n\\r\\nhello\\r\\n")]}, Manner(uid="last"))
    server.listen(reactor)                      # loopback, a free port: server.port
    …
    await server.close()                        # every connection and the port are gone

It knows the commands that only read, and one more than those would fail a test: `server.forbidden` are the others that
came. Everything a client sends is kept in `server.commands`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.legacy.scripted import Conduct, ScriptedConnection, ScriptedServer

READING = frozenset(
    b"CAPABILITY STARTTLS LOGIN AUTHENTICATE ID NAMESPACE LIST XLIST LSUB EXAMINE UID NOOP LOGOUT".split()
)
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\Z")


@dataclass(slots=True)
class Kept:
    """A message."""

    uid: int
    data: bytes
    flags: bytes = b""
    date: bytes = b'"14-Nov-2023 22:13:20 +0000"'
    gmail: int = 0


@dataclass(slots=True, kw_only=True)
class Manner(Conduct):
    """How the server behaves. The defaults are a good server's. In `answers`, %t is the command's tag."""

    greeting: bytes = b"* OK legacy server ready"  # b"": it never greets
    capabilities: bytes = b"IMAP4rev1 LITERAL+ ID NAMESPACE"
    chatter: bytes = b""  # what it says unasked before each tagged answer

    namespace: bytes = b'(("" "/")) NIL NIL'
    delimiter: bytes = b"/"
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)  # by folder
    extra: Sequence[bytes] = ()  # names that are listed and cannot be opened
    unlisted: frozenset[bytes] = frozenset()
    subscribed: frozenset[bytes] = frozenset()
    uidvalidity: dict[bytes, int] = field(default_factory=dict)
    renews: bool = False  # another UIDVALIDITY at each EXAMINE, as Courier for folders that were never SELECTed

    uid: Literal["first", "last"] = "first"  # where FETCH tells it
    form: Literal["literal", "quoted", "nil"] = "literal"  # of a body
    omits: frozenset[int] = frozenset()  # UIDs whose bodies it leaves out
    refuses: frozenset[int] = frozenset()  # UIDs for which it refuses the whole range
    twice: frozenset[int] = frozenset()  # UIDs whose bodies come twice
    bye_in: int = 0  # the UID before which it says BYE


class ImapServer(ScriptedServer["ImapServerProtocol"]):
    """The server: what it holds, how it behaves, and what it was asked."""

    def __init__(self, folders: dict[bytes, list[Kept]] | None = None, manner: Manner | None = None) -> None:
        super().__init__()
        self.folders = {b"INBOX": []} if folders is None else folders
        self.manner = manner or Manner()
        self.forbidden: list[bytes] = []

    def connection(self) -> ImapServerProtocol:
        return ImapServerProtocol(self)

    @property
    def harmful(self) -> list[bytes]:
        return self.forbidden

    def asked(self, word: bytes) -> list[bytes]:
        """The commands with this word, without their tags."""
        return [line for line in self.commands if word in line.split(b" ")[:2]]


class ImapServerProtocol(ScriptedConnection[Manner]):
    """One connection to the server."""

    server: ImapServer

    def __init__(self, server: ImapServer) -> None:
        super().__init__(server, server.manner)
        self._command = b""  # as far as it came, when a literal is still missing
        self._left = 0
        self._sasl = b""  # the tag of an AUTHENTICATE that waits for its response
        self._opened = b""

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.how.greeting:
            self._send(self.how.greeting + b"\r\n")

    def dataReceived(self, data: bytes) -> None:
        self._in += data
        while not self._silent:
            if self._left:
                if len(self._in) < self._left:
                    return
                self._command += self._in[: self._left]
                self._in, self._left = self._in[self._left :], 0
            line, end, rest = self._in.partition(b"\r\n")
            if not end:
                return
            self._in = rest
            literal = _LITERAL.search(line)
            if literal is not None:
                self._command += line + b"\r\n"
                self._left = int(literal[1])
                if not literal[2]:
                    self._send(b"+ go on\r\n")
                continue
            command, self._command = self._command + line, b""
            self._run(command)

    # Commands

    def _run(self, command: bytes) -> None:
        self.server.commands.append(command)
        if self._sasl:
            tag, self._sasl = self._sasl, b""
            self._plain(tag, command)
            return
        tag, _, rest = command.partition(b" ")
        verb, _, rest = rest.partition(b" ")
        verb = verb.upper()
        if verb not in READING or (verb == b"UID" and not rest.startswith(b"FETCH ")) or b"BODY[" in rest:
            self.server.forbidden.append(command)
        if not self._misbehaves(verb, tag):
            getattr(self, "do_" + verb.decode("ascii", "replace"), self._unknown)(tag, rest)

    def _ok(self, tag: bytes, words: bytes = b"done", then: Callable[[], None] | None = None) -> None:
        self._send(self.how.chatter + tag + b" OK " + words + b"\r\n", then)

    def _no(self, tag: bytes, words: bytes) -> None:
        self._send(tag + b" NO " + words + b"\r\n")

    def _unknown(self, tag: bytes, _rest: bytes) -> None:
        self._send(tag + b" BAD unknown command\r\n")

    def do_CAPABILITY(self, tag: bytes, _rest: bytes) -> None:
        tls = b" STARTTLS" if self.how.tls is not None and not self._secure else b""
        self._send(b"* CAPABILITY " + self.how.capabilities + tls + b"\r\n")
        self._ok(tag)

    def do_STARTTLS(self, tag: bytes, _rest: bytes) -> None:
        self._secure = True
        self._send(tag + b" OK begin\r\n" + self.how.injects)
        self.transport.startTLS(self.how.tls)

    def do_LOGIN(self, tag: bytes, rest: bytes) -> None:
        if b"\r\n" in rest:
            password = re.sub(rb"\{\d+\+?\}\r\n", b"", rest).partition(b" ")[2]
        else:
            words = re.findall(rb'"((?:[^"\\]|\\.)*)"|(\S+)', rest)
            password = re.sub(rb"\\(.)", rb"\1", words[1][0] or words[1][1])
        self._log_in(tag, password.strip(b'"') == self.how.password)

    def do_AUTHENTICATE(self, tag: bytes, rest: bytes) -> None:
        _, _, response = rest.partition(b" ")
        if response:
            self._plain(tag, response)
        else:
            self._sasl = tag
            self._send(b"+ \r\n")

    def _plain(self, tag: bytes, response: bytes) -> None:
        self._log_in(tag, base64.b64decode(response).split(b"\0")[2] == self.how.password)

    def _log_in(self, tag: bytes, right: bool) -> None:
        if right:
            self._ok(tag, b"logged in")
        else:
            self._no(tag, b"[AUTHENTICATIONFAILED] wrong")

    def do_ID(self, tag: bytes, _rest: bytes) -> None:
        self._send(b'* ID ("name" "old")\r\n')
        self._ok(tag)

    def do_NAMESPACE(self, tag: bytes, _rest: bytes) -> None:
        self._send(b"* NAMESPACE " + self.how.namespace + b"\r\n")
        self._ok(tag)

    def do_LIST(self, tag: bytes, _rest: bytes, word: bytes = b"LIST") -> None:
        for name in (*self.server.folders, *self.how.extra):
            if name not in self.how.unlisted:
                attributes = self.how.attributes.get(name, b"")
                self._send(b'* %s (%s) "%s" "%s"\r\n' % (word, attributes, self.how.delimiter, name))
        self._ok(tag)

    def do_XLIST(self, tag: bytes, rest: bytes) -> None:
        self.do_LIST(tag, rest, b"XLIST")

    def do_LSUB(self, tag: bytes, _rest: bytes) -> None:
        for name in sorted(self.how.subscribed):
            self._send(b'* LSUB () "%s" "%s"\r\n' % (self.how.delimiter, name))
        self._ok(tag)

    def do_EXAMINE(self, tag: bytes, rest: bytes) -> None:
        name = rest.strip(b'"')
        self._opened = b""
        if name not in self.server.folders:
            self._no(tag, b"[NONEXISTENT] no such folder")
            return
        self._opened = name
        if self.how.renews:
            self.how.uidvalidity[name] = self.how.uidvalidity.get(name, 77) + 1
        valid = self.how.uidvalidity.get(name, 77)
        exists = len(self.server.folders[name])
        self._send(b"* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] ok\r\n" % (exists, valid))
        self._ok(tag, b"[READ-ONLY] done")

    def do_NOOP(self, tag: bytes, _rest: bytes) -> None:
        self._ok(tag)

    def do_LOGOUT(self, tag: bytes, _rest: bytes) -> None:
        self._send(b"* BYE see you\r\n")
        self._ok(tag, then=self.transport.loseConnection)

    def do_UID(self, tag: bytes, rest: bytes) -> None:
        if not self._opened:
            self._send(tag + b" BAD no mailbox\r\n")
            return
        _, numbers, items = rest.split(b" ", 2)
        chosen = self._chosen(numbers)
        if b"BODY.PEEK[]" in items:
            self._bodies(tag, chosen)
            return
        for number, kept in chosen:
            if b"BODY.PEEK[HEADER]" in items:
                text = kept.data[: kept.data.find(b"\r\n\r\n") + 4]
                said = b"BODY[HEADER] {%d}\r\n%s" % (len(text), text)
            elif b"HEADER.FIELDS" in items:
                field = re.search(rb"(?im)^message-id:.*\r\n", kept.data.partition(b"\r\n\r\n")[0] + b"\r\n")
                text = (field[0] if field else b"") + b"\r\n"
                said = b"BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s" % (len(text), text)
            else:
                said = b"RFC822.SIZE %d INTERNALDATE %s FLAGS (%s)" % (len(kept.data), kept.date, kept.flags)
                said += b" X-GM-MSGID %d" % kept.gmail if kept.gmail else b""
            self._send(b"* %d FETCH (UID %d %s)\r\n" % (number, kept.uid, said))
        self._ok(tag)

    def _chosen(self, numbers: bytes) -> list[tuple[int, Kept]]:
        box = list(enumerate(self.server.folders[self._opened], 1))
        found = []
        for part in numbers.split(b","):
            first, _, last = part.partition(b":")
            low = int(first)
            high = 2**32 if last == b"*" else int(last or first)
            found += [(number, kept) for number, kept in box if low <= kept.uid <= high]
        return found

    def _bodies(self, tag: bytes, chosen: Sequence[tuple[int, Kept]]) -> None:
        how = self.how
        if any(kept.uid in how.refuses for _, kept in chosen):
            self._no(tag, b"[SERVERBUG] cannot read a message")
            return
        for number, kept in chosen:
            if kept.uid in how.omits:
                continue
            if kept.uid == how.bye_in:
                self._send(b"* BYE going down\r\n", self._hang_up)
                return
            whole = self._fetch(number, kept) * (2 if kept.uid in how.twice else 1)
            if not self._hand_over(kept.uid, whole):
                return
        self._ok(tag)

    def _fetch(self, number: int, kept: Kept) -> bytes:
        body = {
            "literal": b"{%d}\r\n%s" % (len(kept.data), kept.data),
            "quoted": b'"' + kept.data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"',
            "nil": b"NIL",
        }[self.how.form]
        uid = b"UID %d" % kept.uid
        items = (uid, b"BODY[] " + body) if self.how.uid == "first" else (b"BODY[] " + body, uid)
        return b"* %d FETCH (%s)\r\n" % (number, b" ".join(items))
