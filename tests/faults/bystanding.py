"""Bystanders of a fault, as a process of its own: users who have nothing to do with it, and want their mail.

    python -m tests.faults.bystanding IMAPS-PORT POP3S-PORT CA IMAP-USERS POP3-USERS

Of the IMAP users each stays logged in, reads, flags and stores; over POP3 one after the other of the users logs in, for
the first time in a while, reads a message and leaves. A line of standard input names what is happening now ("before",
"during", …), which is printed, as JSON, when the first one has been answered then; behind the last line, what each
answer took and what came of it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final

PASSWORD: Final = b"pass"
PATIENCE: Final = 100.0  # seconds for an answer
BREATH: Final = 0.03  # … between two commands of an IMAP user
BETWEEN: Final = 0.25  # … between two POP3 users
CALM: Final = {"warming up", "before"}
_MAIL: Final = b"From: a@example.org\r\nSubject: kept\r\nMessage-ID: <%b>\r\n\r\n" + b"A line of it.\r\n" * 40


class Refused(Exception):
    """The answer was no, and more than a no was not expected to come of it."""


class Line:
    """A connection over TLS."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        try:
            self._socket = trust.wrap_socket(plain, server_hostname="localhost")
        except BaseException:
            plain.close()
            raise
        self._lines = self._socket.makefile("rb")

    def say(self, line: bytes) -> None:
        self._socket.sendall(line)

    def hear(self) -> bytes:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError
        return line

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class Record:
    """What was answered, how, and in which seconds. Of several threads."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(4)  # of this process's messages
        self.happening = "before"
        self.over = threading.Event()
        self.answers: list[tuple[str, str, float, str]] = []  # what was happening, what was asked, seconds, outcome
        self.stored: list[str] = []
        self.unsure: list[str] = []  # nobody said whether they were stored
        self.refusals: dict[str, int] = {}
        self._answered = set[str]()
        self._lock = threading.Lock()

    def take(self, what: str, ask: Callable[[], None]) -> bool:
        """Did it go well?"""
        happening, begun = self.happening, time.monotonic()
        came = "ok"
        try:
            ask()
        except Refused as refused:
            came = "refused"
            words = refused.args[0][:60].decode(errors="replace").strip()
            self.refusals[words] = self.refusals.get(words, 0) + 1
        except TimeoutError:
            came = "late"
        except OSError:
            came = "dropped"
        if happening in CALM:  # what has come of it since is not of then
            happening = self.happening
        self.answers.append((happening, what, time.monotonic() - begun, came))
        if came == "ok":
            self._tell(happening)
        return came == "ok"

    def _tell(self, happening: str) -> None:
        with self._lock:
            if happening not in self._answered:
                self._answered.add(happening)
                print(json.dumps(happening), flush=True)


class Imap:
    """A user who stays."""

    def __init__(self, user: str, port: int, trust: ssl.SSLContext, record: Record) -> None:
        self._user, self._port, self._trust, self._record = user, port, trust, record
        self._line: Line | None = None
        self._tags = count(1)

    def work(self) -> None:
        for number in count():
            if self._record.over.wait(BREATH):
                break
            if self._line is None:
                self._record.take("login", self._begin)
                continue
            what = ("noop", "fetch", "flag", "search", "store")[number % 5]
            if not self._record.take(what, getattr(self, f"_{what}")) and self._record.answers[-1][3] != "refused":
                self._leave()
        with contextlib.suppress(OSError, Refused):
            self._ask(b"LOGOUT")
        self._leave()

    def _leave(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.close()
        self._line = None

    def _begin(self) -> None:
        self._line = Line(self._port, self._trust)
        try:
            self._line.hear()
            self._ask(b"LOGIN %b %b" % (self._user.encode(), PASSWORD))
            self._ask(b"SELECT INBOX")
        except BaseException:
            self._leave()
            raise

    def _ask(self, command: bytes, literal: bytes = b"") -> None:
        assert self._line is not None
        tag = b"t%d " % next(self._tags)
        self._line.say(tag + command + b"\r\n")
        while not (heard := self._line.hear()).startswith(tag):
            if heard.startswith(b"+"):
                self._line.say(literal + b"\r\n")
            elif heard.startswith(b"* BYE"):
                raise ConnectionResetError
        if not heard.startswith(tag + b"OK"):
            raise Refused(heard[len(tag) :])

    def _noop(self) -> None:
        self._ask(b"NOOP")

    def _fetch(self) -> None:
        self._ask(b"FETCH 1:3 (FLAGS BODY.PEEK[])")

    def _flag(self) -> None:
        self._ask(b"STORE 1 +FLAGS (\\Flagged)")

    def _search(self) -> None:
        self._ask(b"UID SEARCH UNSEEN")

    def _store(self) -> None:
        name = f"{self._user}.{next(self._tags)}.{self._record.token}@bystander.example"
        message = _MAIL % name.encode()
        try:
            self._ask(b"APPEND INBOX {%d}" % len(message), message)
        except OSError:
            self._record.unsure.append(name)
            raise
        self._record.stored.append(name)


class Pop3:
    """Users who come and go."""

    def __init__(self, users: Sequence[str], port: int, trust: ssl.SSLContext, record: Record) -> None:
        self._users, self._port, self._trust, self._record = users, port, trust, record

    def work(self) -> None:
        for number in count():
            if self._record.over.wait(BETWEEN):
                return
            user = self._users[number % len(self._users)]
            self._record.take("pop3", lambda user=user: self._look(user))  # type: ignore[misc]

    def _look(self, user: str) -> None:
        line = Line(self._port, self._trust)
        try:
            line.hear()
            for command in (b"USER %b" % user.encode(), b"PASS %b" % PASSWORD, b"STAT", b"RETR 1"):
                line.say(command + b"\r\n")
                if not (heard := line.hear()).startswith(b"+OK"):
                    raise Refused(heard)
            while line.hear() != b".\r\n":
                pass
            line.say(b"QUIT\r\n")
            line.hear()
        finally:
            line.close()


def main(imap: str, pop3: str, ca: str, stayers: str, callers: str) -> None:
    trust = ssl.create_default_context(cafile=ca)
    record = Record()
    users = [Imap(user, int(imap), trust, record) for user in stayers.split(",")]
    works: list[Callable[[], None]] = [user.work for user in users]
    works.append(Pop3(callers.split(","), int(pop3), trust, record).work)
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        record.happening = line.strip()
    record.over.set()
    for thread in threads:
        thread.join()
    told = {name: getattr(record, name) for name in ("answers", "stored", "unsure", "refusals")}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
