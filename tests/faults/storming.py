"""Many clients, as a process of their own, that do what nobody wants of them.

    python -m tests.faults.storming KIND ARGUMENTS      what KIND takes, as JSON

When all of them are at it a line of JSON says how many of what there are; the end of standard input ends them, and
another line says what came of it. They come from many addresses of 127.0.0.0/8.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

AT_ONCE: Final = 100  # connections that are being made
PATIENCE: Final = 400.0  # seconds for one of them
DRIP: Final = 1.0  # seconds between two octets
TINY: Final = 4096  # octets of a buffer


@dataclass
class Storm:
    """What all of them have in common. `came` is what is told in the end."""

    port: int
    ca: str
    count: int
    users: list[str] = field(default_factory=list)
    password: str = "pass"
    implicit: int = 0  # the port with TLS from the first byte, where both are wanted
    each: int = 20  # from one address
    at_once: int = 0  # 0: all
    spread: float = 0.0  # seconds over which those who arrive do
    came: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.over = asyncio.Event()
        self.trust = ssl.create_default_context(cafile=self.ca)
        self.making = asyncio.Semaphore(AT_ONCE)
        self.room = asyncio.Semaphore(self.at_once or self.count)

    def address(self, number: int) -> str:
        """Of the client of that number: of a network of its own where it is not one of the same machine."""
        machine = number // self.each + 1
        return f"127.{10 + machine // 250}.{1 + machine % 250}.2"

    def user(self, number: int) -> str:
        return self.users[number % len(self.users)]

    async def open(self, number: int, *, tls: bool, limit: int = TINY) -> Line:
        how: dict[str, Any] = {"ssl": self.trust, "server_hostname": "localhost"} if tls else {}
        async with self.making:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self.implicit if tls and self.implicit else self.port,
                local_addr=(self.address(number), 0),
                limit=limit,
                **how,
            )
        return Line(reader, writer)

    async def each_of(self, one: Callable[[int], Awaitable[None]]) -> list[asyncio.Task[None]]:
        """Begin them all. What the network does to one is counted, and keeps no other."""

        async def counted(number: int) -> None:
            try:
                async with self.room:
                    await asyncio.wait_for(one(number), PATIENCE)
            except (OSError, EOFError, TimeoutError, ssl.SSLError, asyncio.IncompleteReadError) as error:
                self.came[f"ended by {type(error).__name__}"] += 1

        return [asyncio.create_task(counted(number)) for number in range(self.count)]


class Line:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hear(self) -> bytes:
        line = await self.reader.readline()
        if not line:
            raise EOFError
        return line

    async def ask(self, command: bytes, until: tuple[bytes, ...] = (b"t ", b"* BYE")) -> bytes:
        self.writer.write(command + b"\r\n")
        while not (heard := await self.hear()).startswith(until):
            pass
        return heard

    async def gone(self) -> None:
        """Wait until the other side has ended it."""
        while await self.reader.read(65_536):
            pass

    def close(self) -> None:
        self.writer.transport.abort()


async def idle(storm: Storm) -> list[asyncio.Task[None]]:
    """Log in over TLS, select the inbox, and idle."""
    ready = asyncio.Event()
    settled = 0

    async def one(number: int) -> None:
        nonlocal settled
        line = None
        try:
            line = await storm.open(number, tls=True)
            await line.hear()
            said = await line.ask(b"t LOGIN %b %b" % (storm.user(number).encode(), storm.password.encode()))
            await line.ask(b"t SELECT INBOX")
            await line.ask(b"t IDLE", (b"+", b"t ", b"* BYE"))
            storm.came["idle" if said.startswith(b"t OK") else "refused"] += 1
        finally:
            settled += 1
            if settled == storm.count:
                ready.set()
        ending = asyncio.create_task(line.gone())
        await asyncio.wait({ending, asyncio.create_task(storm.over.wait())}, return_when=asyncio.FIRST_COMPLETED)
        storm.came["dropped"] += ending.done()
        ending.cancel()
        line.close()

    tasks = await storm.each_of(one)
    await ready.wait()
    return tasks


async def guess(storm: Storm) -> list[asyncio.Task[None]]:
    """Try wrong passwords, one a connection."""

    async def one(number: int) -> None:
        line = await storm.open(number, tls=False)
        await line.hear()
        said = await line.ask(b"t LOGIN %b wrong%d" % (storm.user(number).encode(), number))
        storm.came[_short(said)] += 1
        line.close()

    return await storm.each_of(one)


def _short(said: bytes) -> str:
    """An answer's code."""
    words = said.decode(errors="replace").split()
    return next((word.strip("[]").lower() for word in words[1:3] if word.startswith("[")), " ".join(words[:2]))


async def drip(storm: Storm) -> list[asyncio.Task[None]]:
    """Say an octet a second: of a command, of a literal, of a TLS handshake; or half of one and then no more. `came`
    has how each kind was ended, and the seconds of the slowest."""
    hello = _client_hello()
    kinds = [
        ("command", b"t LOGIN " + b"x" * 1000, b"", False),
        ("literal", b"y" * 1000, b"t LOGIN {1000}\r\n", False),
        ("half a line", b"", b"t LOGIN us", False),
        ("silence", b"", b"", False),
        ("no handshake", b"", b"", True),
        ("half a handshake", hello, b"", True),
        ("much of a handshake", hello[-20:], hello[:-20], True),
    ]
    slowest: dict[str, float] = {}

    async def one(number: int) -> None:
        kind, octets, first, implicit = kinds[number % len(kinds)]
        begun = time.monotonic()
        port = storm.implicit if implicit else storm.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(storm.address(number), 0))
        line = Line(reader, writer)
        storm.came["connected"] += 1
        ending = asyncio.create_task(line.gone())
        over = asyncio.create_task(storm.over.wait())
        writer.write(first)
        for octet in octets:
            await asyncio.wait({ending, over}, timeout=DRIP, return_when=asyncio.FIRST_COMPLETED)
            if ending.done() or over.done():
                break
            writer.write(bytes([octet]))
        await asyncio.wait({ending, over}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            storm.came[f"{kind} ended"] += 1
            slowest[kind] = max(slowest.get(kind, 0.0), time.monotonic() - begun)
            storm.came["slowest"] = round(max(slowest.values()))
            ending.exception()
        over.cancel()
        ending.cancel()
        line.close()

    return await storm.each_of(one)


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError


async def unread(storm: Storm) -> list[asyncio.Task[None]]:
    """Ask for everything, several times, and read nothing of it."""

    async def one(number: int) -> None:
        line = await storm.open(number, tls=bool(number % 2))
        await line.hear()
        await line.ask(b"t LOGIN %b %b" % (storm.user(number).encode(), storm.password.encode()))
        await line.ask(b"t SELECT INBOX")
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        line.writer.write(b"".join(b"u%d FETCH 1:* BODY.PEEK[]\r\n" % n for n in range(20)))
        storm.came["asked"] += 1
        storm_over = asyncio.create_task(storm.over.wait())
        while not storm_over.done():
            await asyncio.wait({storm_over}, timeout=DRIP)
            if _is_reset(line):
                storm.came["given up"] += 1
                break
        storm_over.cancel()
        line.close()

    return await storm.each_of(one)


def _is_reset(line: Line) -> bool:
    """Who does not read is not told of an end, but the kernel knows: TCP_INFO's state (tcp(7))."""
    end = line.writer.get_extra_info("socket")
    return end.fileno() == -1 or end.getsockopt(6, 11, 1)[0] in {7, 8}  # CLOSE, CLOSE_WAIT


async def arrive(storm: Storm) -> list[asyncio.Task[None]]:
    """First logins, all at once or one after another; one that is refused for now tries again. Then everything is
    fetched, and its digest told."""

    async def one(number: int) -> None:
        user = storm.users[number]
        await asyncio.sleep(storm.spread * number / storm.count)
        while True:
            try:
                line = await storm.open(number, tls=False, limit=1 << 20)
                await line.hear()
                said = await line.ask(b"t LOGIN %b %b" % (user.encode(), storm.password.encode()))
            except (OSError, EOFError):
                said = b"dropped"
            if said.startswith(b"t OK"):
                break
            storm.came["told later" if b"[" in said else "dropped"] += 1
            storm.came["told wrong"] += b"AUTHENTICATIONFAILED" in said
            line.close()
            await asyncio.wait({asyncio.create_task(storm.over.wait())}, timeout=0.5)
        await line.ask(b"t SELECT INBOX")
        storm.digests[user] = await _digest(line)
        storm.came["in"] += 1
        line.close()

    return await storm.each_of(one)


async def _digest(line: Line) -> str:
    """Of all messages, in order."""
    line.writer.write(b"t FETCH 1:* BODY.PEEK[]\r\n")
    digest = hashlib.sha256()
    while not (heard := await line.hear()).startswith(b"t "):
        if heard.endswith(b"}\r\n"):
            digest.update(await line.reader.readexactly(int(heard.rpartition(b"{")[2][:-3])))
    return digest.hexdigest()


async def hold(storm: Storm) -> list[asyncio.Task[None]]:
    """Connect, and be there, as often as it takes to have a connection."""

    async def one(number: int) -> None:
        begun = asyncio.create_task(asyncio.open_connection("127.0.0.1", storm.port))
        over = asyncio.create_task(storm.over.wait())
        await asyncio.wait({begun, over}, return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            _, writer = begun.result()
            storm.came["connected"] += 1
            await over
            writer.transport.abort()
        begun.cancel()

    return await storm.each_of(one)


_KINDS: Final = {f.__name__: f for f in (idle, guess, drip, unread, arrive, hold)}
_WHOLE: Final = {"guess", "arrive"}  # these end by themselves


async def main(kind: str, arguments: dict[str, Any]) -> None:
    storm = Storm(**arguments)
    begun = time.monotonic()
    tasks = await _KINDS[kind](storm)
    if kind in _WHOLE:
        await asyncio.gather(*tasks)
    elif kind != "idle":
        await asyncio.sleep(1)
    _tell(storm, begun)
    await asyncio.to_thread(sys.stdin.read)
    storm.over.set()
    await asyncio.gather(*tasks)
    _tell(storm, begun)


def _tell(storm: Storm, begun: float) -> None:
    told = {"seconds": time.monotonic() - begun, "came": storm.came, "digests": storm.digests}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
