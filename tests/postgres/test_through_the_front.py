"""HAProxy, two nodes of two workers each, one database: what clients see who know of one host alone.

HAProxy runs by `conf/haproxy/haproxy.cfg`, and gives each connection to the node that has fewer of them.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from mailstore.accounts import Accounts, State
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.mailhome import MailHome
from mailstore.opening import mailboxes
from mailstore.postgres import address, postgres_engine
from tests.dialogues import fixtures
from tests.dialogues.dovecot import SocketStage
from tests.dialogues.gate import PASSWORD as OF_DIALOGUES
from tests.dialogues.player import play_to_the_end
from tests.dialogues.script import Dialogue
from tests.dialogues.test_dialogues import dialogues
from tests.legacy.dovecot import free_port
from tests.peers.daemon import Daemon
from tests.peers.fronts import Front
from tests.peers.needs import needed
from tests.peers.sessions import SocketWire
from tests.postgres.nodes import Login, NodesStage, TwoNodes, halt, until
from tests.postgres.server import PostgresServer
from tests.proxy.login.login_rig import CHEAP
from tests.sessions.playing import Player
from tests.sessions.program import Program, programs

pytestmark = pytest.mark.peers


class Behind(Daemon):
    """A node that has its ports for HAProxy, and for nobody else."""

    def __init__(self, root: Path, legacy: str, **about: Any) -> None:
        self.behind = {service: free_port() for service in ("imap", "pop3")}
        lines = "\n".join(f'{name} = ["haproxy:tcp:{port}:interface=127.0.0.1"]' for name, port in self.behind.items())
        about["ports"] = {"metrics": free_port()}
        super().__init__(root, legacy, listen=f'{lines}\nproxied = ["127.0.0.1"]', patience=600, **about)


@dataclass
class Company:
    """As its clients see it; `imap` and `pop3` are the front's."""

    front: Front
    nodes: TwoNodes

    @property
    def imap(self) -> tuple[str, int]:
        return ("127.0.0.1", self.front.ports[143])

    @property
    def pop3(self) -> tuple[str, int]:
        return ("127.0.0.1", self.front.ports[110])


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Company]:
    needed("haproxy")
    root = tmp_path_factory.mktemp("company")
    nodes = TwoNodes(root, postgres, node=Behind)
    try:
        nodes.start()
        front = Front(root / "front", (nodes.a, nodes.b))
        try:
            for number in (1, 2):
                front.until(number, "UP")
            yield Company(front, nodes)
        finally:
            front.end()
    finally:
        nodes.close()


class FrontStage(SocketStage):
    """For one dialogue: a user whose mail is here."""

    def __init__(self, company: Company, dialogue: Dialogue) -> None:
        super().__init__({"imap": company.imap[1], "pop3": company.pop3[1]})
        nodes = company.nodes
        engine = postgres_engine(address(nodes.server.url(nodes.database)), connections=2)
        with closing(AccountsDatabase(AccountsServer(engine, check=False))) as database:
            accounts = Accounts(database)
            account = accounts.add(self._user, "123.com")
            accounts._change(account.id, password_hash=CHEAP.hash(OF_DIALOGUES), state=State.FINAL)
            with closing(MailHome(mailboxes(engine), account.id, nodes.maildir(self._user))) as home:
                home.make_special_folders({})  # none at the first login, either
                fixtures.fill(home, dialogue.headers["setup"])


@pytest.mark.parametrize("dialogue", dialogues(peer="dovecot"))
def test_dialogues(dialogue: Dialogue, company: Company) -> None:
    play_to_the_end(dialogue, FrontStage(company, dialogue))


class FrontedStage(NodesStage):
    """One user, with an old mailbox that is empty; whichever node a connection comes to."""

    def __init__(self, company: Company, user: str) -> None:
        super().__init__(company.nodes, user)
        self._daemon = self._company = company

    def connect(self, protocol: str, *, bytewise: bool = False) -> SocketWire:
        return SocketWire(self._company.imap if protocol == "imap" else self._company.pop3, bytewise=bytewise)


_numbers = count(1)


@given(program=programs(clients=3, steps=30, restarts=False))
@settings(max_examples=3, deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
def test_sessions_hear_what_the_model_says(program: Program, company: Company) -> None:
    stage = FrontedStage(company, f"empty{next(_numbers)}")
    player = Player(stage, program, stage.model())
    try:
        player.play()
    except BaseException as error:
        error.add_note(player.transcript())
        raise
    finally:
        stage.close()
        player.hang_up()


def test_a_node_is_killed_in_a_move_and_the_next_login_has_it_all(company: Company) -> None:
    """The client does what clients do: it comes again, at the same address."""
    nodes = company.nodes
    nodes.old.held_from = 41
    first = Login(company, "killed")
    until(lambda: nodes.done("killed") >= 20)
    moving = nodes.a if '"account": "killed@123.com"' in nodes.a.log else nodes.b
    assert moving.process is not None
    pid = moving.process.pid
    halt(moving, signal.SIGKILL)
    moving.kill()
    nodes.bury(pid)
    nodes.old.release()
    assert first.wait() == b""  # its connection went with the node
    first.close()
    for _ in itertools.repeat(None, 20):
        again = Login(company, "killed")
        answer = again.wait()
        if answer.startswith(b"a OK"):
            break
        again.close()
    assert answer.startswith(b"a OK")
    assert again.command(b"STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES %d)" % nodes.old.count
    again.close()
    assert {nodes.old.fetched[number] for number in range(1, 21)} == {1}
