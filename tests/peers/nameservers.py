"""Real name servers on loopback: knot with zones that change, and unbound as a resolver that remembers.

Each has an address of its own in 127.0.0.0/8, all of them the same port, as name servers in the world all have 53.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
from dns.message import Message
from dns.rdatatype import RdataType

from tests.legacy.dovecot import end_process, free_port, select_nothing
from tests.peers.needs import needed


@dataclass
class Addresses:
    """Loopback addresses that no other test process has, and a port that is free at all of them."""

    port: int = field(default_factory=free_port)
    _taken: int = 0

    def __post_init__(self) -> None:
        self._net = f"127.{10 + os.getpid() % 200}.{os.getpid() // 200 % 250 + 1}"

    def take(self) -> str:
        self._taken += 1
        return f"{self._net}.{self._taken}"


class NameServer:
    """A program that answers at one address."""

    def __init__(self, root: Path, address: str, port: int) -> None:
        root.mkdir(parents=True)
        self.root, self.address, self.port = root, address, port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"{self.address}:{self.port}"

    def start(self, *command: str) -> None:
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.root)

    def wait(self, name: str) -> None:
        """Until it answers about a name."""
        end = time.monotonic() + 20
        while True:
            try:
                ask(self.address, self.port, name, timeout=0.3)
            except (dns.exception.DNSException, OSError):
                if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise AssertionError((self.root / "log").read_text()) from None
                select_nothing(0.02)
            else:
                return

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_process(process)


class Knot(NameServer):
    """An authority. `zones` are the records of each zone, a line each, without its SOA."""

    def __init__(
        self,
        root: Path,
        address: str,
        port: int,
        zones: dict[str, str],
        *,
        negative: int = 3600,
        signed: bool = False,
    ) -> None:
        super().__init__(root, address, port)
        self._negative = negative  # how long it may be kept that there is no record
        self._serials: dict[str, int] = {}
        for zone, records in zones.items():
            self._write(zone, records)
        listed = "\n".join(f'  - domain: "{zone}."\n    file: "{self._file(zone)}"' for zone in zones)
        (root / "db").mkdir()
        self._config = root / "knot.conf"
        self._config.write_text(f"""
server:
  listen: {address}@{port}
  rundir: "{root}"
  pidfile: "{root}/pid"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
control:
  listen: "{root}/control"
database:
  storage: "{root}/db"
log:
  - target: stderr
    any: notice
template:
  - id: default
    storage: "{root}"
    zonefile-load: whole
    journal-content: none
    semantic-checks: false
    dnssec-signing: {"on" if signed else "off"}
zone:
{listed}
""")
        self.start(needed("knotd"), "-c", str(self._config))
        self.wait(next(iter(zones)))

    def change(self, zone: str, records: str) -> None:
        """Serve these records from now on."""
        self._write(zone, records)
        name = zone or "."
        command = [needed("knotc"), "-b", "-c", str(self._config), "zone-reload", name]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + (self.root / "log").read_text()

    def signatures(self, name: str) -> str:
        """The answer about a name to who asks for signatures."""
        query = dns.message.make_query(f"{name}.", RdataType.A, want_dnssec=True)
        return dns.query.udp(query, self.address, 5, self.port).to_text()

    def _write(self, zone: str, records: str) -> None:
        serial = self._serials[zone] = self._serials.get(zone, 0) + 1
        soa = f"@ 3600 IN SOA ns1.{zone}. hostmaster.{zone}. {serial} 3600 600 86400 {self._negative}\n"
        text = f"$ORIGIN {zone}.\n$TTL 3600\n{soa}{records}\n".replace("ns1..", "ns1.").replace("hostmaster..", "h.")
        (self.root / self._file(zone)).write_text(text.replace("$ORIGIN .\n", "$ORIGIN .\n"))

    @staticmethod
    def _file(zone: str) -> str:
        return f"{zone or 'root'}.zone"


class Unbound(NameServer):
    """A resolver that remembers as long as TTLs allow. `stubs` are zones and the addresses of who knows them."""

    def __init__(self, root: Path, address: str, port: int, stubs: dict[str, list[str]]) -> None:
        super().__init__(root, address, port)
        listed = ""
        for zone, servers in stubs.items():
            places = "".join(f"  stub-addr: {server}@{port}\n" for server in servers)
            listed += f'stub-zone:\n  name: "{zone}."\n  stub-prime: no\n{places}'
        config = root / "unbound.conf"
        config.write_text(f"""
server:
  interface: {address}@{port}
  port: {port}
  outgoing-interface: {address}
  access-control: {address}/8 allow
  do-not-query-localhost: no
  do-daemonize: no
  do-ip6: no
  chroot: ""
  username: ""
  directory: "{root}"
  pidfile: "{root}/pid"
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  target-fetch-policy: "0 0 0 0 0"
  qname-minimisation: no
  minimal-responses: no
  prefetch: no
  hide-identity: yes
remote-control:
  control-enable: no
{listed}
""")
        self.start(needed("unbound"), "-d", "-c", str(config))
        self.wait("com")

    def learn(self, name: str, rdtype: str = "A") -> Message:
        """Have it ask, and so remember."""
        return ask(self.address, self.port, name, rdtype)


def ask(address: str, port: int, name: str, rdtype: str = "SOA", timeout: float = 5) -> Message:
    query = dns.message.make_query(f"{name}.", RdataType.make(rdtype), use_edns=0)
    answer = dns.query.udp(query, address, timeout, port)
    assert answer.rcode() in {0, 3}, answer
    return answer


def open_udp(address: str, port: int) -> socket.socket:
    """A socket that takes questions and leaves it at that."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind((address, port))
    return taken


def received(taken: socket.socket) -> int:
    """How many questions came so far."""
    taken.setblocking(False)
    number = 0
    try:
        while taken.recv(4096):
            number += 1
    except BlockingIOError:
        pass
    return number
