"""An old POP3 server in a thread, as slow as a test wants it: it gives a message when it was told to.

server = OldServer({"li": ("secret", [b"Subject: one\\r\\n\\r\\n…"])})
server.hold()                  # from now on RETR waits
server.give(3)                 # … for this
server.release()               # and no more
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from tests.legacy.threaded import ThreadedServer

Mailboxes = Mapping[str, tuple[str, Sequence[bytes]]]


def letters(count: int, size: int = 2_000) -> list[bytes]:
    """That many, each some octets long."""
    return [
        b"From: chen@123.com\r\nSubject: number %d\r\nMessage-ID: <%d@old>\r\n\r\n%s\r\n"
        % (number, number, b"\r\n".join([b"x" * 70] * (size // 72)))
        for number in range(1, count + 1)
    ]


class OldServer(ThreadedServer):
    """`mailboxes`: password and messages by user."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = dict(mailboxes)
        self.refusal = ""  # what it says to a login, whatever the password: "-ERR [IN-USE] locked"
        self.silent = False  # does it never answer a login?
        self.pace = 0.0  # seconds that each message takes
        self.damaged: frozenset[int] = frozenset()  # numbers that RETR refuses
        self.logins = 0  # passwords that came
        self.commands: list[str] = []
        self._given: int | None = None
        super().__init__()

    def hold(self) -> None:
        """Give no message until told."""
        with self._changed:
            self._given = 0

    def give(self, count: int) -> None:
        """Give so many more."""
        with self._changed:
            self._given = (self._given or 0) + count
            self._changed.notify_all()

    def release(self) -> None:
        """Give whatever is asked for."""
        with self._changed:
            self._given, self.pace = None, 0.0
            self._changed.notify_all()

    def recover(self) -> None:
        """Be a good server again."""
        self.refusal, self.damaged = "", frozenset()
        self.release()
        self.speak()

    def serve(self, client: socket.socket) -> None:
        with client.makefile("rwb") as stream:
            stream.write(b"+OK ready\r\n")
            stream.flush()
            user, messages = "", list[bytes]()
            while line := stream.readline():
                verb, _, rest = line.decode().strip().partition(" ")
                with self._changed:
                    self.commands.append(verb.upper())
                match verb.upper():
                    case "USER":
                        user, answer = rest, b"+OK"
                    case "PASS":
                        answer, messages = self._log_in(user, rest)
                        if self.silent:
                            self._wait_while_silent()
                    case "QUIT":
                        stream.write(b"+OK bye\r\n")
                        stream.flush()
                        return
                    case other:
                        answer = self._of(other, rest, messages)
                stream.write(answer + b"\r\n")
                stream.flush()

    def _log_in(self, user: str, password: str) -> tuple[bytes, list[bytes]]:
        with self._changed:
            self.logins += 1
        if self.refusal:
            return self.refusal.encode(), []
        right, messages = self.mailboxes.get(user, ("", []))
        return (b"+OK", list(messages)) if right and right == password else (b"-ERR [AUTH] wrong", [])

    def _wait_while_silent(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self.silent, timeout=60)

    def speak(self) -> None:
        """Answer logins again."""
        with self._changed:
            self.silent = False
            self._changed.notify_all()

    def _of(self, verb: str, rest: str, messages: list[bytes]) -> bytes:
        match verb:
            case "CAPA":
                return b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n."
            case "STAT":
                return b"+OK %d %d" % (len(messages), sum(map(len, messages)))
            case "UIDL":
                return b"\r\n".join([b"+OK", *(b"%d uid%d" % (n, n) for n in range(1, len(messages) + 1)), b"."])
            case "LIST":
                return b"\r\n".join([b"+OK", *(b"%d %d" % (n, len(m)) for n, m in enumerate(messages, 1)), b"."])
            case "RETR":
                return self._retrieved(int(rest), messages)
        return b"+OK" if verb == "NOOP" else b"-ERR unknown"

    def _retrieved(self, number: int, messages: list[bytes]) -> bytes:
        with self._changed:
            if self.pace:
                self._changed.wait_for(lambda: self.pace == 0.0, timeout=self.pace)
            if self._given is not None:
                self._changed.wait_for(lambda: self._given is None or self._given > 0, timeout=120)
                if self._given is not None:
                    self._given -= 1
        if number in self.damaged:
            return b"-ERR cannot be read"
        return b"+OK\r\n" + messages[number - 1] + b"."
