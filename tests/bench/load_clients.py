"""The clients of the mixed load, in one process: load_clients.py PORT CLIENTS SECONDS USER…

Prints what was completed, as JSON. It does as little as can be done with an answer: it looks for the tagged line, so
that what it costs is a small part of what a server does. With 0 clients each user logs in once, and out.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict

PASSWORD = "pass"
_LINE = b"A line of a message that somebody saves in a folder, as mail programs do with what was sent.\r\n"
_HEAD = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: saved\r\nMessage-ID: <%d@load.example>\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection; one command at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0
        self._wanted = b"* "
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\n"):
            return
        if self._buffer.startswith(self._wanted):
            at = 0
        else:
            at = self._buffer.find(b"\r\n" + self._wanted, max(0, self._seen - 16)) + 2
            if at == 1:
                self._seen = len(self._buffer)
                return
        answer = bytes(self._buffer)
        self._buffer.clear()
        self._seen = 0
        if not answer.startswith(b"OK", at + len(self._wanted)) and self._wanted not in {b"+ ", b"* "}:
            raise SystemExit(f"unexpected: {answer[at:]!r}")
        self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("closed by the server"))

    async def greeting(self) -> None:
        await self._answer

    async def command(self, text: bytes, literal: bytes | None = None) -> bytes:
        """Give a command and wait until it is completed."""
        self._count += 1
        tag = b"Zq%d " % self._count
        if literal is not None:
            self._expect(b"+ ")
            self.transport.write(tag + text + b" {%d}\r\n" % len(literal))
            await self._answer
            text = literal
            self._expect(tag)
            self.transport.write(literal + b"\r\n")
        else:
            self._expect(tag)
            self.transport.write(tag + text + b"\r\n")
        return await self._answer

    def _expect(self, start: bytes) -> None:
        self._wanted = start
        self._answer = asyncio.get_running_loop().create_future()


class Load:
    """What all clients do, and how much of it was completed."""

    def __init__(self, port: int, end: float) -> None:
        self._port = port
        self._end = end
        self.completed: Counter[str] = Counter()
        self.spent: dict[str, float] = defaultdict(float)

    async def client(self, user: str, number: int) -> None:
        random_ = random.Random(number)
        while time.perf_counter() < self._end:
            await self._cycle(user, random_)

    async def _do(self, connection: Connection, text: bytes, literal: bytes | None = None) -> bytes:
        begun = time.perf_counter()
        answer = await connection.command(text, literal)
        now = time.perf_counter()
        words = text.split(b" ", 2)
        name = (words[1] if words[0] == b"UID" else words[0]).decode()
        if now < self._end:
            self.completed[name] += 1
            self.spent[name] += now - begun
        return answer

    async def open(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port)
        await connection.greeting()
        return connection

    async def _cycle(self, user: str, random_: random.Random) -> None:
        connection = await self.open()

        async def do(text: bytes, literal: bytes | None = None) -> bytes:
            return await self._do(connection, text, literal)

        await do(f"LOGIN {user} {PASSWORD}".encode())
        await do(b'LIST "" *')
        await do(b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)")
        selected = await do(b"SELECT INBOX")
        count = int(selected.partition(b" EXISTS")[0].rpartition(b" ")[2])
        first = random_.randint(1, max(1, count - 20))
        some = b"%d:%d" % (first, first + 19)
        await do(b"FETCH %b (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])" % some)
        uids = (await do(b"UID SEARCH %d:%d" % (max(1, count - 50), count))).split(b"\r\n")[0].split()[2:]
        for _ in range(2):
            uid = random_.choice(uids)
            await do(b"UID FETCH %b (BODY.PEEK[])" % uid)
            await do(b"UID STORE %b +FLAGS (\\Seen)" % uid)
        await do(b"UID STORE %b -FLAGS (\\Seen)" % uid)
        message = _HEAD % random_.getrandbits(40) + _LINE * random_.randint(5, 60)
        await do(b"APPEND INBOX (\\Seen)", message)
        await do(b"UID STORE %b +FLAGS (\\Deleted)" % random_.choice(uids))
        await do(b"EXPUNGE")
        await do(b"LOGOUT")
        connection.transport.close()


async def run(port: int, clients: int, seconds: float, users: list[str]) -> dict[str, float]:
    load = Load(port, time.perf_counter() + seconds)
    if not clients:
        for user in users:
            connection = await load.open()
            await connection.command(f"LOGIN {user} {PASSWORD}".encode())
            await connection.command(b"LOGOUT")
            connection.transport.close()
        return {}
    work = time.process_time()
    await asyncio.gather(*(load.client(users[n % len(users)], n) for n in range(clients)))
    spent = {f"ms {name}": 1000 * load.spent[name] / count for name, count in load.completed.items()}
    return {
        "commands": load.completed.total(),
        "seconds": seconds,
        "generator": time.process_time() - work,
        **spent,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))))
