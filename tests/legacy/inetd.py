"""What inetd does: one process a connection, with the connection as its standard input and output."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path


class Inetd:
    """Listens on a loopback port and runs `command` for each connection. Port 0: a free one. Close it."""

    def __init__(self, command: Sequence[str | Path], port: int = 0) -> None:
        self._command = command
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._open = True
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more, and end every process that still runs, with what it has started."""
        self._open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            running, self._running = self._running, set()
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _serve(self) -> None:
        while self._open:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, self._lock:
                self._running -= {process for process in self._running if process.poll() is not None}
                self._running.add(
                    subprocess.Popen(
                        [*self._command],
                        stdin=connection,
                        stdout=connection,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )
