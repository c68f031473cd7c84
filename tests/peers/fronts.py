"""The real HAProxy, by `conf/haproxy/haproxy.cfg` with other ports, and nodes that stand behind one."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from tests.legacy.dovecot import end_process, free_port, select_nothing, wait_for_port
from tests.peers.daemon import Daemon
from tests.peers.needs import needed
from tests.proxy.login.login_rig import CHEAP

SHIPPED = Path(__file__).parents[2] / "conf/haproxy/haproxy.cfg"
PORTS = (110, 143, 995, 993, 443)
PASSED_THROUGH, ENDED_HERE = "# ---- TLS passed through", "# ---- TLS ended here"
PASSWORD = "of the user"
HASH = CHEAP.hash(PASSWORD)
USERS = ("anna", "ben", "chen")


class Node(Daemon):
    """One of several: with accounts that are final, each node by itself, so that no old server is asked."""

    def __init__(self, root: Path, services: Sequence[str], *, workers: int | None = 1, encrypted: bool = True) -> None:
        self.behind = {service: free_port() for service in services}
        listen = "\n".join(f'{name} = ["haproxy:tcp:{port}:interface=127.0.0.1"]' for name, port in self.behind.items())
        super().__init__(
            root,
            f'port = {free_port()}\ntls = "none"',
            ports={"metrics": free_port()},
            listen=f'{listen}\nproxied = ["127.0.0.1"]',
            workers=workers,
            encrypted=encrypted,
            patience=600,
        )
        text = self.config.read_text()
        table = "[tls]\n" if encrypted else "[migration]\n"
        never = 'plaintext_login = "never"\n'
        self.config.write_text(text.replace(table, table + never if encrypted else f"[tls]\n{never}{table}", 1))
        (root / "state").mkdir(mode=0o700)
        database = AccountsDatabase(root / "state/accounts.db")
        for user in USERS:
            account = Accounts(database).add(user, "123.com")
            Accounts(database)._change(account.id, password_hash=HASH, state=State.FINAL)
        database.close()

    def share(self, other: Node) -> None:
        """The certificate of another one."""
        for name in ("server.pem", "server.key"):
            (self.root / name).write_bytes((other.root / name).read_bytes())

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Of the log."""
        found = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def health(self, path: str = "/readyz") -> tuple[int, Any]:
        """As HAProxy asks for it."""
        with socket.create_connection(("127.0.0.1", self.ports["metrics"]), timeout=60) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


class Front:
    """A running HAProxy. `ended`: TLS ends there, by the certificate in this file; `version` of the PROXY protocol."""

    def __init__(self, root: Path, nodes: Sequence[Node], *, ended: Path | None = None, version: int = 2) -> None:
        root.mkdir()
        self.root = root
        self.ports = {port: free_port() for port in PORTS}
        self.config = root / "haproxy.cfg"
        self.config.write_text(self._settings(SHIPPED.read_text(), nodes, ended, version))
        with (root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [needed("haproxy"), "-db", "-f", str(self.config)], stdout=log, stderr=log, cwd=root
            )
        try:
            for port in self.ports.values():
                wait_for_port(port, self.process, 300)
        except TimeoutError as error:
            self.end()
            raise AssertionError(f"{error}:\n{(root / 'log').read_text()}") from None

    def _settings(self, text: str, nodes: Sequence[Node], ended: Path | None, version: int) -> str:
        if ended is not None:
            before, _, rest = text.partition(PASSED_THROUGH)
            text = before + rest.partition(ENDED_HERE)[2].partition("\n")[2].replace("#! ", "").replace("#!", "")
            text = text.replace("/etc/haproxy/mail.pem", str(ended))
        if version == 1:
            text = re.sub(r"send-proxy-v2(-ssl)?", "send-proxy", text)
        text = re.sub(r"\n    (user|group) haproxy", "", text)
        text = text.replace("log /dev/log local0", "log stdout format raw local0").replace(
            "maxconn 50000", "maxconn 500"
        )
        text = text.replace("/run/haproxy/admin.sock", f"{self.root}/admin")
        for number, node in zip((11, 12), nodes, strict=True):
            text = text.replace("check port 9143", "check")
            text = text.replace(f"10.0.0.{number}:9143", f"127.0.0.1:{node.ports['metrics']}")
            for port, service in zip(PORTS, ("pop3", "imap", "pop3s", "imaps", "web"), strict=True):
                behind = node.behind.get(service) or nodes[0].behind.get(service, 9)
                text = text.replace(f"10.0.0.{number}:{port} ", f"127.0.0.1:{behind} ")
        for port, free in self.ports.items():
            text = text.replace(f"bind :{port}", f"bind 127.0.0.1:{free}")
        assert "10.0.0" not in re.sub("#.*", "", text)
        return text

    def stands(self, node: int) -> str:
        """UP or DOWN, as HAProxy has it of node 1 or 2. Raises OSError while it has just begun."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(60)
            asking.connect(str(self.root / "admin"))
            asking.sendall(b"show stat\n")
            rows = asking.makefile().read().splitlines()
        names = rows[0].removeprefix("# ").split(",")
        stats = [dict(zip(names, row.split(","), strict=False)) for row in rows[1:]]
        return next(s["status"] for s in stats if (s["pxname"], s["svname"]) == ("nodes", f"node{node}"))

    def until(self, node: int, status: str) -> None:
        """Wait for it."""
        stands = ""
        for _ in range(6_000):
            with suppress(OSError):
                stands = self.stands(node)
            if stands == status or stands.startswith(f"{status} "):
                return
            select_nothing(0.05)
        raise AssertionError(f"node{node} is {stands}:\n{(self.root / 'log').read_text()}")

    def end(self) -> None:
        end_process(self.process)


class Client:
    """One connection through a front, from an address of this machine's."""

    def __init__(self, front: Front, port: int, address: str, tls: Any = None) -> None:
        self.connection = socket.create_connection(
            ("127.0.0.1", front.ports[port]), timeout=300, source_address=(address, 0)
        )
        if tls is not None:
            self.connection = tls.wrap_socket(self.connection, server_hostname="localhost")
        self.answers = self.connection.makefile("rb")

    def start_tls(self, tls: Any) -> None:
        self.answers.close()
        self.connection = tls.wrap_socket(self.connection, server_hostname="localhost")
        self.answers = self.connection.makefile("rb")

    def line(self) -> bytes:
        return self.answers.readline()

    def ask(self, line: bytes, *, imap: bool = True) -> bytes:
        """The line that answers it; of IMAP the tagged one."""
        self.connection.sendall(line + b"\r\n")
        answer = self.line()
        while imap and answer.startswith(b"* "):
            answer = self.line()
        return answer

    def log_in(self, user: str, *, imap: bool = True) -> bytes:
        """The answer."""
        if imap:
            return self.ask(b'a LOGIN %b "%b"' % (user.encode(), PASSWORD.encode()))
        self.ask(b"USER " + user.encode(), imap=False)
        return self.ask(b"PASS " + PASSWORD.encode(), imap=False)

    def close(self) -> None:
        self.answers.close()
        self.connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
