"""What starts the daemon, and is told by it how it is: systemd's end of sd_notify(3)."""

from __future__ import annotations

import socket


class Manager:
    """systemd's end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(60)
        self.environment = {"NOTIFY_SOCKET": address}

    def told(self) -> list[str]:
        """One message that comes, or has come."""
        return self.socket.recv(4_096).decode().split("\n")

    def told_until(self, said: str) -> list[list[str]]:
        """All of them up to one that begins so."""
        messages = [self.told()]
        while not messages[-1][0].startswith(said):
            messages.append(self.told())
        return messages

    def drain(self) -> None:
        """Forget what has come."""
        self.all_told()
        self.socket.settimeout(60)

    def all_told(self) -> list[str]:
        """What has come."""
        self.socket.setblocking(False)
        messages = []
        while True:
            try:
                messages.append(" ".join(self.told()))
            except BlockingIOError:
                return messages
