"""The clients of `tests/bench/run soak`, in one process: soak_clients.py IMAP IMAPS POP3 POP3S CA CLIENTS USERS

Each line of standard input is answered with how many sessions there have been; its end ends them, and what came of them
is printed, as JSON. `wrong` is what may not happen: a right password that is not taken, a wrong one that is, an answer
that does not belong to the question."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
from collections import Counter
from typing import Final

from tests.faults.storming import Line

PATIENCE: Final = 60.0
_FINE: Final = (b"t OK", b"t BAD Invalid message number", b"t NO [EXPUNGEISSUED]")  # others take messages away
_MESSAGE: Final = b"From: a@example.org\r\nSubject: saved\r\n\r\n" + b"A line of it.\r\n" * 60


class Soak:
    def __init__(self, ports: list[int], ca: str, users: list[str]) -> None:
        self._imap, self._imaps, self._pop3, self._pop3s = ports
        self._trust = ssl.create_default_context(cafile=ca)
        self._users = users
        self._random = random.Random(1)
        self._first = 0
        self.sessions = 0
        self.came: Counter[str] = Counter(wrong=0)
        self.over = False

    async def client(self) -> None:
        kinds = {self.reads: 6, self.idles: 2, self.takes: 4, self.arrives: 1, self.guesses: 2, self.hangs_up: 2}
        while not self.over:
            (kind,) = self._random.choices(list(kinds), list(kinds.values()))
            try:
                await asyncio.wait_for(kind(self._random.choice(self._users)), PATIENCE)
                self.came[kind.__name__.replace("_", " ")] += 1
            except (OSError, EOFError, TimeoutError) as error:
                self.came["wrong"] += 1
                print(f"{kind.__name__}: {error!r}", file=sys.stderr)
            self.sessions += 1

    async def _open(self, plain: int, secure: int) -> Line:
        """From one of many addresses."""
        address = f"127.{self._random.randint(10, 200)}.{self._random.randint(1, 250)}.2"
        tls = self._random.random() < 0.7
        how = {"ssl": self._trust, "server_hostname": "localhost"} if tls else {}
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", secure if tls else plain, local_addr=(address, 0), **how
        )
        line = Line(reader, writer)
        await line.hear()
        return line

    async def _imap_line(self, user: str, password: bytes = b"pass") -> Line:
        line = await self._open(self._imap, self._imaps)
        self._expect(await line.ask(b"t LOGIN %b %b" % (user.encode(), password)), b"t OK")
        self._expect(await line.ask(b"t SELECT INBOX"), b"t OK")
        return line

    def _expect(self, said: bytes, *starts: bytes) -> None:
        if not said.startswith(starts):
            self.came["wrong"] += 1
            print(said, file=sys.stderr)

    async def reads(self, user: str) -> None:
        line = await self._imap_line(user)
        self._expect(await line.ask(b"t FETCH 1:3 (FLAGS BODY.PEEK[])"), *_FINE)
        self._expect(await line.ask(b"t STORE 1 +FLAGS (\\Flagged)"), b"t OK", b"t BAD", b"t NO [EXPUNGEISSUED]")
        await line.ask(b"t APPEND INBOX {%d}" % len(_MESSAGE), (b"+",))
        self._expect(await line.ask(_MESSAGE), b"t OK")
        self._expect(await line.ask(b"t UID SEARCH SUBJECT saved"), b"t OK")
        await line.ask(b"t LOGOUT", (b"t ",))
        line.close()

    async def idles(self, user: str) -> None:
        line = await self._imap_line(user)
        await line.ask(b"t IDLE", (b"+",))
        await asyncio.sleep(self._random.random())
        self._expect(await line.ask(b"DONE"), b"t OK")
        line.close()

    async def takes(self, user: str) -> None:
        """The first message, if there is one; and away with it, so that mailboxes stay as large as they are."""
        line = await self._open(self._pop3, self._pop3s)
        await line.ask(b"USER " + user.encode(), (b"+OK",))
        said = await line.ask(b"PASS pass", (b"+OK", b"-ERR"))
        self._expect(said, b"+OK", b"-ERR [IN-USE]")
        if said.startswith(b"+OK"):
            if (await line.ask(b"RETR 1", (b"+OK", b"-ERR"))).startswith(b"+OK"):
                while await line.hear() != b".\r\n":
                    pass
                self._expect(await line.ask(b"DELE 1", (b"+OK", b"-ERR")), b"+OK")
            await line.ask(b"QUIT", (b"+OK", b"-ERR"))
        line.close()

    async def arrives(self, _user: str) -> None:
        """A first login: each with a mailbox of its own."""
        self._first += 1
        line = await self._imap_line(f"first{self._first % 40}", b"secret")
        line.close()

    async def guesses(self, user: str) -> None:
        line = await self._open(self._imap, self._imaps)
        self._expect(await line.ask(b"t LOGIN %b wrong%d" % (user.encode(), self.sessions)), b"t NO", b"* BYE")
        line.close()

    async def hangs_up(self, user: str) -> None:
        """In the midst of a command, a literal, an answer, or a login."""
        line = await self._open(self._imap, self._imaps)
        say = self._random.choice((b"t LOGIN us", b"t LOGIN {100}\r\nxx", b"t LOGIN %b pass\r\n" % user.encode(), b""))
        line.writer.write(say)
        if say.endswith(b"pass\r\n"):
            line.writer.write(b"t SELECT INBOX\r\nt FETCH 1:* BODY.PEEK[]\r\nt APPEND INBOX {5000}\r\nxxx")
            await line.hear()
        line.close()


async def main(arguments: list[str]) -> None:
    *ports, ca, clients, users = arguments
    soak = Soak([int(port) for port in ports], ca, users.split(","))
    tasks = [asyncio.create_task(soak.client()) for _ in range(int(clients))]
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"sessions": soak.sessions}), flush=True)
    soak.over = True
    await asyncio.gather(*tasks)
    print(json.dumps(soak.came), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
