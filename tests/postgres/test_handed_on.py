"""Users who are let in before all of their mail is here, at one node, while another one carries it over and ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.postgres.nodes import Login, TwoNodes, halt, until
from tests.postgres.server import PostgresServer

WANTED = b"FETCH 8 BODY.PEEK[TEXT]"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TwoNodes]:
    made = TwoNodes(
        tmp_path_factory.mktemp("handed"),
        postgres,
        workers=1,
        services=("imap",),
        migration='login = "serve"\nrefresh = "1h"\nround = "0s"',
    )
    for node in (made.a, made.b):
        node.program = ("proxy.cli.main",)
    try:
        made.start(odd=False)
        yield made
    finally:
        made.close()


def waits_at_b(nodes: TwoNodes, user: str) -> tuple[Login, Login]:
    """The move is at the first node, and a session at the second wants a message of it."""
    nodes.old.held = 8
    first = Login(nodes.a, user)
    assert first.wait().startswith(b"a OK"), nodes.a.log
    second = Login(nodes.b, user)
    assert second.wait().startswith(b"a OK"), nodes.b.log
    second.command(b"SELECT INBOX")
    second.send(b"c " + WANTED)
    return first, second


def gets_it(nodes: TwoNodes, session: Login) -> None:
    """From the node that it is at."""
    nodes.old.release()
    line = session.line()
    while b"BODY[TEXT] {" not in line:
        assert line.startswith(b"* "), (line, nodes.b.log)
        line = session.line()
    while not line.startswith(b"c "):
        line = session.line()
    assert line.startswith(b"c OK"), line


def test_who_waits_at_another_node_goes_on_waiting_when_the_move_is_handed_to_it(nodes: TwoNodes) -> None:
    first, second = waits_at_b(nodes, "handed")
    assert nodes.a.stop() == 0
    until(lambda: nodes.old.logins["handed"] == 2)
    gets_it(nodes, second)
    first.close()
    second.close()
    nodes.a.start()


def test_who_waits_at_another_node_goes_on_waiting_when_its_node_dies(nodes: TwoNodes) -> None:
    first, second = waits_at_b(nodes, "dies")
    until(lambda: nodes.rows("SELECT count(*) FROM leases")[0][0] == 1)
    assert nodes.a.process is not None
    pid = nodes.a.process.pid
    halt(nodes.a, signal.SIGKILL)
    nodes.a.kill()
    nodes.bury(pid)
    until(lambda: nodes.old.logins["dies"] == 2)
    gets_it(nodes, second)
    first.close()
    second.close()
