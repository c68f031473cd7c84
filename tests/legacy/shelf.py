"""A sink of `proxy.pop3.client` that keeps what it is handed."""

from __future__ import annotations


class Shelf:
    """A sink that keeps messages by number."""

    def __init__(self) -> None:
        self.messages: dict[int, bytes] = {}
        self.gone: dict[int, str] = {}
        self.longest = 0
        self._number = 0

    def message(self, number: int, data: bytes) -> None:
        self.messages[number] = data

    def begin(self, number: int) -> None:
        self._number = number
        self.messages[number] = b""

    def piece(self, data: bytes) -> None:
        self.longest = max(self.longest, len(data))
        self.messages[self._number] += data

    def end(self) -> None:
        self._number = 0

    def missing(self, number: int, text: str) -> None:
        self.gone[number] = text
