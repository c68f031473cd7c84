"""Can each endpoint be listened at, or is it mailferry that does so already?"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxy.cli.checks.finding import Finding
from proxy.cli.checks.places import existing
from proxy.cli.checks.postfix import asked_by_postfix
from proxy.config import Config
from proxy.config.endpoints import Endpoint, parse_endpoint
from proxy.config.model import SERVED

_LISTENING: Final = "0A"  # TCP_LISTEN as /proc/net/tcp has it


def port_findings(config: Config) -> Iterator[Finding]:
    """One finding for each endpoint string."""
    for service in SERVED:
        for text in getattr(config.listen, service):
            endpoint = parse_endpoint(text)
            yield _endpoint(f"{service} {text}", endpoint)
            if service == "auth" and endpoint.kind == "unix":
                yield from asked_by_postfix(f"{service} {text}", endpoint)


def _endpoint(subject: str, endpoint: Endpoint) -> Finding:
    if endpoint.kind == "systemd":
        return Finding("port", "ok", subject, "will be handed over by systemd")
    if endpoint.kind == "unix":
        return _unix(subject, Path(endpoint.path))
    return _tcp(subject, endpoint)


def _tcp(subject: str, endpoint: Endpoint) -> Finding:
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemon does
            probe.bind((endpoint.address, endpoint.port))
            probe.listen(1)
    except OSError as error:
        return _refused(subject, endpoint, error)
    return Finding("port", "ok", subject, "free")


def _refused(subject: str, endpoint: Endpoint, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        return _taken(subject, endpoint.port)
    if error.errno == errno.EACCES:
        return Finding(
            "port",
            "fail",
            subject,
            "ports below 1024 are not for this user",
            "start serve with CAP_NET_BIND_SERVICE, or run check as the user of serve",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Finding(
            "port", "fail", subject, f"{endpoint.address} is not an address of this machine", "correct interface="
        )
    return Finding("port", "fail", subject, f"cannot be listened at: {error.strerror}", "choose another")


def _taken(subject: str, port: int) -> Finding:
    command = listener(port)
    if command is None:
        return Finding(
            "port", "warn", subject, "in use, by whom cannot be seen", "run check as root, or as the user of serve"
        )
    if any(Path(word).name in {"mailferry", "proxy.cli.main"} for word in command):
        return Finding("port", "ok", subject, "mailferry is listening")
    if Path(command[0]).name in {"systemd", "init"}:
        return Finding("port", "warn", subject, "systemd has opened it", "fine if it is for mailferry.socket")
    return Finding("port", "fail", subject, f"in use by: {' '.join(command)[:60]}", "stop it, or choose another port")


def listener(port: int) -> list[str] | None:
    """The command of the process that listens on a TCP port, by words; None where that cannot be seen."""
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening_inodes(table, port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):  # noqa: PTH115 - text, no path
                return (process / "cmdline").read_bytes().decode(errors="replace").strip("\0").split("\0")
        except OSError:  # gone, or another user's
            continue
    return None


def _listening_inodes(table: str, port: int) -> Iterator[str]:
    """From proc(5): sl, local address, remote address, state, …, inode."""
    try:
        rows = (Path("/proc/net") / table).read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        fields = row.split()
        if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _unix(subject: str, path: Path) -> Finding:
    parent = existing(path.parent)
    if parent != path.parent:
        return Finding("port", "fail", subject, f"{path.parent} is not there", f"make it: install -d {path.parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        return Finding("port", "fail", subject, f"{parent} is not writable", "give it to the user of serve")
    if not path.exists():
        return Finding("port", "ok", subject, "free")
    if not stat.S_ISSOCK(path.stat().st_mode):
        return Finding("port", "fail", subject, "is there and is no socket", "remove it, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError:
            return Finding("port", "warn", subject, "a socket that nobody listens at is there", f"rm {path}")
    return Finding("port", "warn", subject, "in use, by whom cannot be seen", "fine if it is mailferry")
