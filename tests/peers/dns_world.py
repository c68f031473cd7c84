"""A small Internet on loopback for tests of DNS: a root, `com`, a domain at two authorities, and a resolver."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.nameservers import Addresses, Knot, Unbound
from tests.peers.needs import needed

ROOT = Path(__file__).parents[2]
OLD, NEW, ODD = "203.0.113.7", "203.0.113.9", "203.0.113.5"
MAIL = '@ 900 IN MX 5 mxbiz1.qq.com.\n@ 900 IN TXT "v=spf1 include:spf.mail.qq.com ~all"\n'
BEFORE = f"{MAIL}mail 900 IN A {OLD}\nautoconfig 900 IN CNAME autoconfig.qq.com.\n"
CONFIG = """
hostname = "{hostname}"
state = "{state}"
submission = "{hostname}:587"
resolvers = ["{resolver}"]
[listen]
imaps = ["tcp:993"]
pop3s = ["tcp:995"]
web = ["tcp:443"]
[tls]
certificate = "/etc/mailferry/fullchain.pem"
key = "/etc/mailferry/privkey.pem"
[domain."{domain}".legacy]
host = "pop.old.123.com"
"""


@dataclass
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def states(self) -> dict[str, str]:
        """Of all records, from `--json`; only the first word of the type."""
        return {f"{record['name']} {record['type']}": record["state"] for record in self.json["records"]}


@dataclass
class World:
    """A root with `com` below it, `123.com` at two authorities, and a resolver."""

    root: Path
    domain: str = "123.com"
    delegation: str = ""
    elsewhere: dict[str, str] = field(default_factory=dict)  # more zones of the server of `com`
    signed: bool = False  # is the domain's own zone?
    addresses: Addresses = field(default_factory=Addresses)

    def __post_init__(self) -> None:
        needed("knotd"), needed("unbound")
        take = self.addresses.take
        above, self.at1, self.at2, at_resolver = take(), take(), take(), take()
        port = self.addresses.port
        label = self.domain.removesuffix(".com")
        glue = f"{label} IN NS ns1.{label}\n{label} IN NS ns2.{label}\n"
        glue += f"ns1.{label} IN A {self.at1}\nns2.{label} IN A {self.at2}\n{self.delegation}"
        tops = {"": f"@ IN NS a.\na. IN A {above}\ncom. IN NS a.\n", "com": f"@ IN NS a.\n{glue}"} | self.elsewhere
        self.above = Knot(self.root / "above", above, port, tops)
        zone = {self.domain: self.records(BEFORE)}
        self.ns1 = Knot(self.root / "ns1", self.at1, port, zone, negative=900, signed=self.signed)
        self.ns2 = Knot(self.root / "ns2", self.at2, port, zone, negative=900, signed=self.signed)
        stubs = {"": [above], "com": [above], self.domain: [self.at1, self.at2]}
        stubs |= {zone: [above] for zone in self.elsewhere}
        self.resolver = Unbound(self.root / "resolver", at_resolver, port, stubs)
        (self.root / "state").mkdir()
        self.config = self.root / "mailferry.toml"
        self.configure()

    def configure(self, **changes: str) -> None:
        values = {"hostname": f"mail.{self.domain}", "state": str(self.root / "state"), "domain": self.domain}
        self.config.write_text(CONFIG.format(**values | {"resolver": self.resolver.place} | changes))

    def records(self, text: str) -> str:
        return f"@ IN NS ns1\n@ IN NS ns2\nns1 IN A {self.at1}\nns2 IN A {self.at2}\n{text}"

    def change(self, text: str) -> None:
        self.ns1.change(self.domain, self.records(text))
        self.ns2.change(self.domain, self.records(text))

    def command(self, *arguments: str, domain: str = "") -> list[str]:
        command = [sys.executable, "-m", "proxy.cli.main", "dns", domain or self.domain, "--config", str(self.config)]
        return [*command, "--authority-port", str(self.addresses.port), *arguments]

    def dns(self, *arguments: str, domain: str = "") -> Ran:
        ran = subprocess.run(
            self.command(*arguments, domain=domain), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def pasted(self, *arguments: str) -> str:
        """The records with the snippet in place of what it takes the place of."""
        snippet = self.dns("--zone", *arguments).out
        names = {line.split()[0] for line in snippet.splitlines() if line and not line.startswith(";")}
        kept = [
            line
            for line in BEFORE.splitlines()
            if f"{line.split()[0]}.{self.domain}." not in names and "spf1" not in line
        ]
        return "\n".join([*kept, snippet])

    def stop(self) -> None:
        for server in (self.above, self.ns1, self.ns2, self.resolver):
            server.stop()
