"""A DNS server that answers as a test wants it to: well, wrongly, or not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.message import QueryMessage

from proxy.admin.dns.records import Server

Script = Callable[[QueryMessage, str], "bytes | QueryMessage | None"]  # the question, and "udp" or "tcp"


class ScriptedDns:
    """A context: UDP and TCP at one port of 127.0.0.1, until it ends. `asked` are the questions, with their way."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked: list[str] = []
        self._udp, self._tcp = _pair()
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]

    @property
    def port(self) -> int:
        return int(self._udp.getsockname()[1])

    def server(self, *, authority: bool) -> Server:
        return Server("ns1.123.com" if authority else "", "127.0.0.1", self.port, authority)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        address = self._udp.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", address)
        with socket.create_connection(address) as last:
            last.sendall(b"\0\0")
        for thread in self._threads:
            thread.join(10)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            data, peer = self._udp.recvfrom(4096)
            if not data:
                return
            answer = self._answer(data, "udp")
            if answer is not None:
                self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        while True:
            connection, _ = self._tcp.accept()
            with connection, connection.makefile("rb") as stream:
                (length,) = struct.unpack("!H", stream.read(2))
                if length == 0:
                    return
                answer = self._answer(stream.read(length), "tcp")
                if answer is not None:
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, data: bytes, way: str) -> bytes | None:
        query = dns.message.from_wire(data)
        assert isinstance(query, QueryMessage)
        question = query.question[0]
        self.asked.append(f"{way} {question.name.to_text(omit_final_dot=True)} {question.rdtype.name}")
        answer = self._script(query, way)
        return answer.to_wire() if isinstance(answer, QueryMessage) else answer


def _pair() -> tuple[socket.socket, socket.socket]:
    """UDP and TCP at the same free port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp


def reply(query: QueryMessage, *records: str, own: bool = True, rcode: int = dns.rcode.NOERROR) -> QueryMessage:
    """An answer with records such as "mail.123.com. 300 IN A 192.0.2.1"; one that begins with "!" is in the authority
    section."""
    answer = dns.message.make_response(query)
    assert isinstance(answer, QueryMessage)
    answer.set_rcode(dns.rcode.Rcode.make(rcode))
    if own:
        answer.flags |= dns.flags.AA
    for record in records:
        name, ttl, rdclass, rdtype, *rest = record.removeprefix("!").split(" ")
        section = answer.authority if record.startswith("!") else answer.answer
        section.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, " ".join(rest)))
    return answer


class Zone:
    """What a resolver knows: `records["pop.123.com A"] = "192.0.2.1"`, and nothing else. `dead`: it fails."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.dead = False

    def __call__(self, query: QueryMessage, _way: str) -> QueryMessage:
        question = query.question[0]
        if self.dead:
            return reply(query, own=False, rcode=dns.rcode.SERVFAIL)
        name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype.name
        found = self.records.get(f"{name} {kind}")
        return reply(query, *([f"{name}. 60 IN {kind} {found}"] if found else []), own=False)
