"""The bound for a durable pull: every RETR pipelined over one plain socket, each message a file, one `syncfs` for 512.

bound.py PORT USER DIRECTORY, with DIRECTORY/{tmp,cur} made by the caller. What a program that does nothing else
needs: no index, no hash, no dates, no checks.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

WINDOW, BATCH = 2048, 512


def main(port: int, user: str, directory: str) -> None:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray()

    def line() -> bytes:
        nonlocal buffer
        while (end := buffer.find(b"\r\n")) < 0:
            buffer += connection.recv(1 << 18) or sys.exit("closed")
        taken = bytes(buffer[:end])
        del buffer[: end + 2]
        if not taken.startswith(b"+OK"):
            sys.exit(repr(taken))
        return taken

    def say(text: str) -> bytes:
        connection.sendall(text.encode() + b"\r\n")
        return line()

    line()
    say(f"USER {user}")
    say("PASS pass")
    count = int(say("STAT").split()[1])
    root = os.open(directory, os.O_RDONLY)
    syncfs = ctypes.CDLL(None).syncfs
    asked = 0
    for done in range(count):
        if asked - done <= WINDOW // 2 and asked < count:
            upto = min(count, done + WINDOW)
            connection.sendall(b"".join(b"RETR %d\r\n" % n for n in range(asked + 1, upto + 1)))
            asked = upto
        line()
        start = 0
        while not buffer.startswith(b".\r\n") and (end := buffer.find(b"\r\n.\r\n", start)) < 0:
            start = max(0, len(buffer) - 4)
            buffer += connection.recv(1 << 18) or sys.exit("closed")
        end = buffer.find(b"\r\n.\r\n") + 2 if not buffer.startswith(b".\r\n") else 0
        raw = bytes(buffer[:end])
        del buffer[: end + 3]
        raw = (raw[1:] if raw.startswith(b".") else raw).replace(b"\r\n..", b"\r\n.")
        with open(f"{directory}/tmp/{done}", "wb") as file:  # noqa: PTH123 - nothing but what is needed
            file.write(raw)
        os.rename(f"{directory}/tmp/{done}", f"{directory}/cur/{done}")  # noqa: PTH104
        if done % BATCH == BATCH - 1:
            syncfs(root)
    syncfs(root)
    connection.sendall(b"QUIT\r\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
