"""Sockets that were open before the daemon: which endpoint each is for, and a daemon that is begun with some."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path

import pytest

from proxy.config import Listen
from proxy.daemon.listeners import CannotListen, try_listening
from proxy.daemon.passed import FIRST, Passed, PassedSockets, from_systemd
from tests.legacy.dovecot import free_port
from tests.peers.daemon import Daemon

Bind = Callable[..., socket.socket]


@pytest.fixture
def bind() -> Iterator[Bind]:
    made: list[socket.socket] = []

    def bind(address: str = "127.0.0.1", *, both: bool = False) -> socket.socket:
        family = socket.AF_UNIX if "/" in address else socket.AF_INET6 if ":" in address else socket.AF_INET
        made.append(listening := socket.socket(family))
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        listening.bind(address if family == socket.AF_UNIX else (address, 0))
        listening.listen()
        return listening

    yield bind
    for each in made:
        each.close()


def port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def test_by_the_address_that_they_are_bound_to(bind: Bind, tmp_path: Path) -> None:
    four, six, local = bind(), bind("::1"), bind(str(tmp_path / "imap"))
    sockets = PassedSockets([Passed(local, "x"), Passed(six, "x"), Passed(four, "x")])
    assert sockets.take("imap", f"tcp:{port(four) - 1}:interface=127.0.0.1") is None
    assert sockets.take("imap", f"tcp:{port(four)}") is None  # every interface is more than one
    found = [
        sockets.take("imap", f"tcp:{port(four)}:interface=127.0.0.1"),
        sockets.take("pop3", f"tcp6:{port(six)}:interface=\\:\\:1"),
        sockets.take("imap", f"unix:{tmp_path}/imap:mode=660"),
    ]
    assert [each and each.socket for each in found] == [four, six, local]
    assert sockets.rest() == []


def test_one_for_all_interfaces_may_take_both_kinds_of_addresses(bind: Bind) -> None:
    six = bind("::")
    assert PassedSockets([Passed(six)]).take("imap", f"tcp:{port(six)}") is None
    both = bind("::", both=True)
    sockets = PassedSockets([Passed(both)])
    assert not sockets.covered(f"tcp:{port(both)}")
    taken = sockets.take("imap", f"tcp:{port(both)}")
    assert taken is not None
    assert taken.address == f"[::]:{port(both)}"
    assert sockets.covered(f"tcp6:{port(both)}")
    assert not sockets.covered(f"tcp:{port(both)}:interface=127.0.0.1")
    own = bind("0.0.0.0")
    assert PassedSockets([Passed(own)]).take("imap", f"tcp:{port(own)}") is not None


def test_by_systemds_name_or_place(bind: Bind) -> None:
    one, other = Passed(bind(), "imaps", index=0), Passed(bind(), "y", index=1)
    sockets = PassedSockets([one, other])
    assert sockets.take_by_name("imap") is None
    assert sockets.take("pop3", "systemd:domain=INET:index=1") is other
    assert sockets.take("pop3", "systemd:domain=INET:name=z") is None
    assert sockets.take_by_name("imaps") is one


def test_an_earlier_daemons_by_what_they_were_opened_for(bind: Bind) -> None:
    kept = Passed(bind(), opened_for=("imap", "tcp:143"))
    assert PassedSockets([kept]).take("pop3", "tcp:143") is None
    assert PassedSockets([kept]).take("imap", "tcp:143") is kept
    assert PassedSockets([kept]).take("pop3", f"tcp:{port(kept.socket)}:interface=127.0.0.1") is kept


def test_what_is_not_for_this_process_is_left_alone() -> None:
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c", "HOME": "/"}
    assert from_systemd(environment) == []
    assert environment == {"HOME": "/"}
    assert from_systemd({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []


def test_whether_more_could_be_opened(bind: Bind, tmp_path: Path) -> None:
    taken = bind()
    string = f"tcp:{port(taken)}:interface=127.0.0.1"
    listen = Listen(imap=(string, f"tcp:{free_port()}", f"unix:{tmp_path}/imap"))
    try_listening(listen, PassedSockets([Passed(taken)]))
    with pytest.raises(CannotListen, match=f"cannot listen on imap {string}: Address already in use"):
        try_listening(listen, PassedSockets())
    with pytest.raises(CannotListen, match="its directory is not there"):
        try_listening(Listen(imap=(f"unix:{tmp_path}/no/imap",)), PassedSockets())


class Activated(Daemon):
    """Begun as systemd does it, with these sockets."""

    passed: tuple[socket.socket, ...] = ()

    def start(self) -> None:
        begin = (
            "import os, sys\n"
            f"for number, descriptor in enumerate({[each.fileno() for each in self.passed]}, {FIRST}):\n"
            "    os.dup2(descriptor, number)\n"
            "os.environ['LISTEN_PID'] = str(os.getpid())\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'proxy.cli.main', *sys.argv[1:]])\n"
        )
        command = [sys.executable, "-c", begin, "serve", "--config", str(self.config)]
        environment = {
            **os.environ,
            "LISTEN_FDS": str(len(self.passed)),
            "LISTEN_FDNAMES": ":".join(["imap", "mailferry.socket", "mailferry.socket"]),
        }
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[each.fileno() for each in self.passed],
            )


def test_who_comes_before_the_daemon_does_is_served_and_nobody_is_refused_while_it_restarts(
    bind: Bind, tmp_path: Path
) -> None:
    sockets = elsewhere, configured, unused = bind(), bind(), bind()
    daemon = Activated(tmp_path / "daemon", 'port = 1\ntls = "none"\n', workers=1)
    daemon.config.write_text(daemon.config.read_text().replace(str(daemon.ports["pop3"]), str(port(configured))))
    daemon.passed = tuple(socket.socket(fileno=fcntl(each.fileno(), F_DUPFD_CLOEXEC, 100)) for each in sockets)
    try:
        for _ in range(2):
            clients = [socket.create_connection(("127.0.0.1", port(each)), 60) for each in (elsewhere, configured)]
            daemon.start()
            for client, greeting in zip(clients, (b"* OK", b"+OK"), strict=True):
                with client, client.makefile("rb") as lines:
                    assert lines.readline().startswith(greeting)
            with socket.create_connection(("127.0.0.1", daemon.ports["imaps"]), 60):  # bound as configured
                pass
            assert daemon.stop() == 0
    finally:
        daemon.kill()
        for each in daemon.passed:
            each.close()
    assert daemon.log.count('"passed socket not used"') == 2
    assert f'"address": "127.0.0.1:{port(unused)}"' in daemon.log
