"""`mailferry serve` as a process of its own, in front of a legacy server, with a directory that outlives it."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.legacy.certificates import Authority
from tests.legacy.dovecot import free_port, select_nothing, wait_for_port

LISTENERS = ("imap", "imaps", "pop3", "pop3s")


@dataclass
class Daemon:
    """`legacy` are lines of [domain."123.com".legacy]. Ports stay the same from one start to the next."""

    root: Path
    legacy: str
    migration: str = ""
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in LISTENERS})
    process: subprocess.Popen[bytes] | None = None
    workers: int | None = None  # None: as many as there are cores, and one process more
    more: str = ""  # lines before [listen]
    listen: str = ""  # … and of it
    domain: str = ""  # lines of [domain."123.com"]
    hostname: str = "localhost"
    encrypted: bool = True
    patience: int = 90  # seconds until it listens
    program: tuple[str, ...] = ("proxy.cli.main",)  # a module, and what it is told before its command
    forked: bool = True  # with -P it is begun as ever (`tests.forked`)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        authority = Authority()
        self.ca = authority.write(self.root)
        certificate, key = authority.issue("localhost", "127.0.0.1").write(self.root, "server")
        key.chmod(0o600)
        listen = "\n".join(f'{name} = ["tcp:{port}:interface=127.0.0.1"]' for name, port in self.ports.items())
        workers = "" if self.workers is None else f"workers = {self.workers}\n"
        tls = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n' if self.encrypted else ""
        domain = f'[domain."123.com"]\n{self.domain}\n' if self.domain else ""
        self.config = self.root / "mailferry.toml"
        self.config.write_text(
            f'hostname = "{self.hostname}"\nstate = "{self.root}/state"\n{workers}{self.more}\n'
            f"[listen]\n{listen}\n{self.listen}\n{tls}[migration]\n{self.migration}\n{domain}"
            f'[domain."123.com".legacy]\nhost = "127.0.0.1"\n{self.legacy}\n'
        )

    @property
    def imap(self) -> tuple[str, int]:
        return ("127.0.0.1", self.ports["imap"])

    @property
    def pop3(self) -> tuple[str, int]:
        return ("127.0.0.1", self.ports["pop3"])

    @property
    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def logs(self, what: str) -> None:
        """Wait until it does."""
        for _ in range(6_000):
            if what in self.log:
                return
            select_nothing(0.01)
        raise AssertionError(f"{what} is not in the log:\n{self.log}")

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe this daemon."""
        return ssl.create_default_context(cafile=self.ca)

    def maildir(self, user: str) -> Path:
        return self.root / "state" / "mail" / "123.com" / user / "Maildir"

    def start(self) -> None:
        how = [] if self.forked else ["-P"]
        command = [sys.executable, *how, "-m", *self.program, "serve", "--config", str(self.config)]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            for port in self.ports.values():
                wait_for_port(port, self.process, self.patience)
        except TimeoutError as error:
            self.kill()
            raise AssertionError(f"{error}:\n{self.log}") from None

    def stop(self) -> int:
        """SIGTERM; gives back the exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(self.patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"serve does not end:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL: nothing that the process would still do is done."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def ask(self, port: str, *lines: bytes) -> list[bytes]:
        """Say each line to a listener and give back the greeting and the first line of each answer."""
        with socket.create_connection(("127.0.0.1", self.ports[port]), timeout=60) as connection:
            with connection.makefile("rb") as answers:
                said = [answers.readline()]
                for line in lines:
                    connection.sendall(line + b"\r\n")
                    said.append(answers.readline())
                    while said[-1].startswith(b"* "):
                        said[-1] = answers.readline()
                return said
