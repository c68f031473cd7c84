"""A forwarder that adds a round-trip time at full bandwidth: delay.py TARGET_PORT MILLISECONDS.

Prints the port on which it listens. Half of the time is added in each direction; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys


class Hop:
    """One direction of one connection."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(2048)

    async def read(self, reader: asyncio.StreamReader) -> None:
        clock = asyncio.get_running_loop().time
        data = b"."
        while data:
            data = b""
            with contextlib.suppress(OSError):
                data = await reader.read(1 << 16)
            await self._queue.put((clock() + self._delay, data))

    async def write(self, writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await self._queue.get()
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            if not data:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


async def serve(target: int, delay: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        out, back = Hop(delay / 2), Hop(delay / 2)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the end of the whole program, with QUIT on its way
            await asyncio.gather(out.read(reader), out.write(far_writer), back.read(far_reader), back.write(writer))
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
