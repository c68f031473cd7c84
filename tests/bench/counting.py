"""A forwarder that counts octets and connections: `counted` in a block.

It runs in a thread of this process. What clients send is `up`, what the server sends is `down`; packets, TCP's and IP's
headers and TLS come on top (40 octets of each packet, 5 % at the most where packets are full).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Count:
    """So far."""

    connections: int = 0
    up: int = 0
    down: int = 0


@contextmanager
def counted(target: int) -> Iterator[tuple[int, Count]]:
    """The port that leads to a port on loopback, and what went over it."""
    count, loop = Count(), asyncio.new_event_loop()
    ready: list[int] = []
    listening = threading.Event()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                setattr(count, way, getattr(count, way) + len(data))
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(passed(reader, far_writer, "up"), passed(far_reader, writer, "down"))
        writer.close()
        far_writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        listening.set()

    thread = threading.Thread(target=loop.run_forever, name="counting")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(serve(), loop).result()
        listening.wait()
        yield ready[0], count
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
