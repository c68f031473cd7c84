"""A company that is about to move, for the runbook: an old Dovecot, real name servers and a relay; an administrator who
has `mailferry` and an editor; and users whose programs find by DNS where to go."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.parse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dns.rdtypes.IN.SRV import SRV

from proxy.cli.demo_clients import ImapClient, Mail, Pop3Client
from tests.legacy.certificates import Authority
from tests.legacy.dovecot import Dovecot, select_nothing
from tests.peers.dns_world import World
from tests.peers.mailboxes import NOTHING_SAID
from tests.proxy.admin.relay import Relay

ROOT = Path(__file__).parents[2]
HOSTNAME = "mail.123.com"
# TTLs of a second, as of who has lowered them in time; `mail` and `pop` are the old server's.
ZONE = """\
@ 1 IN MX 5 pop
@ 1 IN TXT "v=spf1 mx -all"
pop 1 IN A 127.0.0.1
mail 1 IN A 127.0.0.1
"""


class Strict(Dovecot):
    """Lets in who is in its list, under that name and no other. `people`: login names and passwords; the mailbox is the
    part before the @."""

    def __init__(self, root: Path, people: dict[str, str]) -> None:
        self.people = people
        super().__init__(root)

    def _configuration(self) -> str:
        users = self.root / "users"
        users.write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in self.people.items()))
        anybody = re.compile(r"passdb \{.*?\n\}", re.DOTALL)
        listed = f"passdb {{\n  driver = passwd-file\n  args = username_format=%u {users}\n}}"
        return anybody.sub(listed, super()._configuration(), count=1)

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def files(self) -> dict[str, bytes]:
        """All messages, whatever they are marked as: POP3 makes them read."""
        found = (path for path in self.mail.glob("*/Maildir/*/*") if path.parent.name in {"cur", "new"})
        return {f"{path.parents[2].name}/{path.name.partition(':')[0]}": path.read_bytes() for path in found}

    def mailbox(self, login: str) -> list[Mail]:
        """As it gives it out."""
        with Pop3Client(("127.0.0.1", self.pop3)) as client:
            client.login(login, self.people[login])
            return client.inbox()


@dataclass
class Ran:
    """What a command printed."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Move:
    """All of it. A context; `root` must be a short path that others may search."""

    def __init__(self, root: Path, people: dict[str, str]) -> None:
        self.root = root
        self.config = root / "mailferry.toml"
        self._people = people
        self._daemon: subprocess.Popen[bytes] | None = None
        authority = Authority()
        self._trust = ssl.create_default_context(cafile=authority.write(root))
        identity = authority.issue(HOSTNAME, "autoconfig.123.com", "autodiscover.123.com")
        self.certificate, self.key = identity.write(root, "server")
        self.key.chmod(0o600)

    def __enter__(self) -> Move:
        with ExitStack() as running:
            self.old = self._make_old(running)
            self.names = self._make_names(running)
            self.relay = running.enter_context(Relay())
            running.callback(self.stop)
            self._running = running.pop_all()
        self.address = self.names.addresses.take()  # of the new machine
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.close()

    def _make_old(self, running: ExitStack) -> Strict:
        (self.root / "old").mkdir()
        old = Strict(self.root / "old", self._people)
        running.callback(old.stop)
        return old

    def _make_names(self, running: ExitStack) -> World:
        (self.root / "names").mkdir()
        names = World(self.root / "names")
        running.callback(names.stop)
        names.change(ZONE)
        return names

    # The administrator

    def run(self, *arguments: object, status: int = 0, say: str = "") -> Ran:
        """`mailferry …`, which has to end with this status. `say`: a line of standard input."""
        ran = subprocess.run(
            [sys.executable, "-m", "proxy.cli.main", *map(str, arguments)],
            cwd=ROOT,
            input=f"{say}\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self._environment,
        )
        assert ran.returncode == status, (arguments, ran.returncode, ran.stdout, ran.stderr)
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.stdout, ran.stderr)

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"MAILFERRY_CONFIG": str(self.config), "PYTHONPATH": str(ROOT)}

    def edit(self, before: str, after: str) -> None:
        """Change the configuration in an editor."""
        text = self.config.read_text()
        assert text.count(before) == 1, (before, text)
        self.config.write_text(text.replace(before, after))

    def file(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        """A file that nobody else may read."""
        path = self.root / name
        path.write_text(text, encoding=encoding)
        path.chmod(0o600)
        return path

    def paste(self, snippet: str) -> None:
        """Put it into the zone, in place of what is there by the same names."""
        names = {
            line.split()[0].removesuffix(".123.com.") for line in snippet.splitlines() if line[:1] not in {"", ";"}
        }
        kept = [line for line in ZONE.splitlines() if line.split()[0] not in names]
        self.names.change("\n".join([*kept, snippet]))

    def serve(self) -> None:
        """Start the daemon, at the new machine's address."""
        with (self.root / "log").open("ab") as log:
            command = [sys.executable, "-m", "proxy.cli.main", "serve"]
            self._daemon = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=self._environment)
        for _ in range(3000):
            if b'"listening"' in (self.root / "log").read_bytes() or self._daemon.poll() is not None:
                break
            select_nothing(0.02)
        assert self._daemon.poll() is None, self.log

    def stop(self) -> None:
        process, self._daemon = self._daemon, None
        if process is not None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    # The users

    def place(self, service: str) -> tuple[str, int]:
        """Where DNS sends programs: "_imap._tcp" and the like (RFC 6186), "_autodiscover._tcp" for the portal."""
        (answer,) = self.names.resolver.learn(f"{service}.123.com", "SRV").answer[0]
        assert isinstance(answer, SRV)
        (address,) = self.names.resolver.learn(answer.target.to_text(omit_final_dot=True)).answer[0]
        return address.to_text(), answer.port

    def over_imap(self, name: str, password: str) -> list[Mail]:
        with ImapClient(self.place("_imap._tcp")) as client:
            client.login(name, password, NOTHING_SAID)
            return client.inbox()

    def over_pop3(self, name: str, password: str) -> list[Mail]:
        with Pop3Client(self.place("_pop3._tcp")) as client:
            client.login(name, password)
            return client.inbox()

    def in_the_portal(self, name: str, password: str, until: str) -> str:
        """Log in, and load the page again until this is on it."""
        browser = Browser(self.place("_autodiscover._tcp"), self._trust)
        page = browser.log_in(name, password)
        for _ in range(600):
            if until in page:
                return page
            select_nothing(0.05)
            page = browser.get("/")
        raise AssertionError(page)


class Browser:
    """As much of one as it takes to log in: it verifies certificates and keeps cookies."""

    def __init__(self, place: tuple[str, int], trust: ssl.SSLContext) -> None:
        self._place = place
        self._trust = trust
        self._cookies: dict[str, str] = {}

    def get(self, path: str) -> str:
        return self._ask("GET", path)

    def log_in(self, name: str, password: str) -> str:
        token = re.search(r'name="csrf" value="([^"]+)"', self.get("/"))
        assert token is not None
        return self._ask("POST", "/login", {"csrf": token[1], "name": name, "password": password})

    def _ask(self, method: str, path: str, form: dict[str, str] | None = None) -> str:
        connection = http.client.HTTPSConnection(HOSTNAME, self._place[1], timeout=60)
        plain = socket.create_connection(self._place, timeout=60)
        connection.sock = self._trust.wrap_socket(plain, server_hostname=HOSTNAME)
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Accept-Language": "en", "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request(method, path, urllib.parse.urlencode(form or {}), headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.partition(";")[0].partition("=")
                self._cookies[name] = value
            page = answer.read().decode()
        finally:
            connection.close()
        return self.get(answer.headers["Location"]) if answer.status in {302, 303} else page
