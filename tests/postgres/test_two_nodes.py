"""Two nodes with one database: what users see of it, and what comes of nodes that die, are stopped, or are odd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from proxy.login.throttle import SLOW_AFTER
from tests.faults import loops
from tests.legacy.dovecot import select_nothing
from tests.peers.daemon import Daemon
from tests.postgres.nodes import Login, NodesStage, TwoNodes, halt, until
from tests.postgres.server import PostgresServer
from tests.sessions.playing import Player
from tests.sessions.program import Program, programs

MANY = int(os.environ.get("MAILFERRY_SESSIONS", "0"))  # programs of sessions, others each time


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TwoNodes]:
    """Started; a test that stops one starts it again."""
    root = tmp_path_factory.mktemp("nodes")
    made = TwoNodes(root, postgres, legacy='connections = 3\nbandwidth = "100M"')
    made.mail.mkdir()
    (root / "disk").mkdir()
    loops.bind(root / "disk", made.mail)
    try:
        made.start()
        yield made
    finally:
        made.close()
        with suppress(subprocess.CalledProcessError):  # where a test failed while nothing was mounted
            loops.unmount(made.mail)


@pytest.fixture(autouse=True)
def at_ease(nodes: TwoNodes) -> Iterator[None]:
    nodes.old.fetched.clear()
    yield
    nodes.old.release()


def kept_once(nodes: TwoNodes, user: str) -> None:
    """Every message is there, once, in the index, in the ledger and in the Maildir."""
    messages = nodes.old.count
    (account,) = nodes.rows("SELECT id, state, messages_done, messages_total FROM accounts WHERE local = %s", user)
    assert account[1:] == ("moved", messages, messages)
    files = nodes.rows("SELECT file FROM messages WHERE account_id = %s ORDER BY uid", account[0])
    uidls = nodes.rows("SELECT uidl FROM messages WHERE account_id = %s ORDER BY uid", account[0])
    assert [uidl for (uidl,) in uidls] == [f"old-{number}" for number in range(1, messages + 1)]
    there = [path.name.partition(":")[0] for path in (nodes.maildir(user) / "cur").iterdir()]
    assert sorted(there) == sorted(file for (file,) in files)
    assert nodes.rows("SELECT outcome, count(*) FROM ledger WHERE account_id = %s GROUP BY 1", account[0]) == [
        ("stored", messages)
    ]
    assert list((nodes.maildir(user) / "tmp").iterdir()) == []


def exists(login: Login) -> bytes:
    return next(line for line in login.command(b"SELECT INBOX") if line.endswith(b"EXISTS"))


def test_the_same_first_login_on_both_at_the_same_instant(nodes: TwoNodes) -> None:
    logins = [Login(node, "instant") for node in (nodes.a, nodes.b)]
    for login in logins:
        assert login.wait().startswith(b"a OK"), (nodes.a.log, nodes.b.log)
        assert exists(login) == b"* %d EXISTS" % nodes.old.count
        login.close()
    kept_once(nodes, "instant")
    assert nodes.old.logins["instant"] == 1
    assert set(nodes.old.fetched.values()) == {1}


def test_a_login_that_waits_for_another_node_sees_how_far_it_is(nodes: TwoNodes) -> None:
    nodes.old.held_from = 31
    first = Login(nodes.a, "progress")
    until(lambda: nodes.done("progress") >= 20)
    second = Login(nodes.b, "progress")
    until(lambda: second.progress, "progress")
    assert b" 150)" in second.progress[-1]
    nodes.old.release()
    assert first.wait().startswith(b"a OK")
    assert second.wait().startswith(b"a OK")
    assert nodes.old.logins["progress"] == 1
    for login in (first, second):
        login.close()
    kept_once(nodes, "progress")


def test_what_one_node_changes_another_one_tells_at_once(nodes: TwoNodes) -> None:
    here, there = Login(nodes.a, "told"), Login(nodes.b, "told")
    for login in (here, there):
        assert login.wait().startswith(b"a OK")
        exists(login)
    took = []
    there.send(b"c IDLE")
    assert there.line().startswith(b"+")
    for number in range(20):
        began = time.monotonic()
        here.command(b"APPEND INBOX {5+}\r\nhello")
        while b"EXISTS" not in (line := there.line()):
            assert line
        took.append(time.monotonic() - began)
        assert line == b"* %d EXISTS" % (nodes.old.count + number + 1)
    assert sorted(took)[10] < 1
    there.send(b"DONE")
    here.close()
    there.close()


def test_a_maildrop_is_locked_on_all_nodes(nodes: TwoNodes) -> None:
    login = Login(nodes.a, "popper")
    login.wait()
    login.close()
    entering = (b"USER popper@123.com", b"PASS correcthorse")
    with socket.create_connection(nodes.a.pop3, timeout=60) as held, held.makefile("rwb") as stream:
        stream.readline()
        for line in entering:
            stream.write(line + b"\r\n")
            stream.flush()
            assert stream.readline().startswith(b"+OK")
        assert nodes.b.ask("pop3", *entering)[-1].startswith(b"-ERR [IN-USE]")
        stream.write(b"DELE 1\r\nQUIT\r\n")
        stream.flush()
        assert stream.readline().startswith(b"+OK")
        assert stream.readline().startswith(b"+OK")
    until(lambda: nodes.b.ask("pop3", *entering, b"STAT")[-1].startswith(b"+OK 149 "))


def test_a_host_is_asked_no_more_by_both_than_by_one(nodes: TwoNodes) -> None:
    """Eight users at once, where the configuration allows three connections."""
    nodes.old.most = 0
    logins = [Login(node, f"many{number}") for number in range(4) for node in (nodes.a, nodes.b)]
    logins += [Login(node, f"more{number}") for number, node in enumerate((nodes.a, nodes.a, nodes.b, nodes.b))]
    for login in logins:
        assert login.wait().startswith(b"a OK"), (nodes.a.log, nodes.b.log)
        login.close()
    assert 1 < nodes.old.most <= 3
    assert all(nodes.old.logins[f"many{number}"] == 1 for number in range(4))


def test_octets_of_a_second_are_shared_out_among_both(nodes: TwoNodes) -> None:
    """Who has them is in the database: all together never more than there are."""
    logins = [Login(node, f"octets{number}") for number in range(2) for node in (nodes.a, nodes.b)]
    given: list[int] = []
    shares = "SELECT coalesce(sum(places), 0)::bigint FROM places WHERE host LIKE '%% octets'"
    while not all(login.answer for login in logins):
        given.append(nodes.rows(shares)[0][0])
    for login in logins:
        assert login.wait().startswith(b"a OK"), (nodes.a.log, nodes.b.log)
        login.close()
    given.append(nodes.rows(shares)[0][0])
    assert 0 < max(given) <= 100 * 2**20


def test_a_guess_at_one_node_is_one_at_the_other(nodes: TwoNodes) -> None:
    """Nobody is answered any later than he has to be, and this much is the least of it."""
    for number in range(SLOW_AFTER + 1):
        wrong = Login(nodes.a, f"guessed{number}", "wrong")
        assert wrong.wait().startswith(b"a NO [AUTHENTICATIONFAILED]")
        wrong.close()
    took = 0.0
    for number in range(SLOW_AFTER):  # alone all of these would be answered at once; the first may come before the news
        began = time.monotonic()
        wrong = Login(nodes.b, f"guessed{number}", "wrong too")
        assert wrong.wait().startswith(b"a NO [AUTHENTICATIONFAILED]")
        took = max(took, time.monotonic() - began)
        wrong.close()
    assert took >= 1.9


_numbers = count(1)


@given(program=programs(clients=3, steps=100 if MANY else 30, restarts=False))
@settings(
    max_examples=MANY or 5,
    deadline=None,
    derandomize=not MANY,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
def test_sessions_on_both_nodes_hear_what_the_model_says(program: Program, nodes: TwoNodes) -> None:
    stage = NodesStage(nodes, f"empty{next(_numbers)}")
    player = Player(stage, program, stage.model())
    try:
        player.play()
    except BaseException as error:
        error.add_note(player.transcript())
        raise
    finally:
        stage.close()
        player.hang_up()


def again(node: Daemon, user: str) -> Login:
    """As a client does that was told to come again."""
    while True:
        login = Login(node, user)
        answer = login.wait()
        if not answer.startswith(b"a NO [UNAVAILABLE]"):
            assert answer.startswith(b"a OK"), (answer, node.log)
            return login
        login.close()
        select_nothing(0.05)


def is_here_once(nodes: TwoNodes, user: str) -> None:
    """Whichever node is asked for it."""
    for node in (nodes.b, nodes.a):
        login = again(node, user)
        assert exists(login) == b"* %d EXISTS" % nodes.old.count
        login.close()
    kept_once(nodes, user)


def test_postgresql_is_restarted_in_the_midst_of_batches_of_both(nodes: TwoNodes) -> None:
    """Each node has messages in hand that are on no disk's index yet."""
    nodes.old.held_from = 41
    users = {"restarted": nodes.a, "restarted-too": nodes.b}
    first = [Login(node, user) for user, node in users.items()]
    for user in users:
        until(lambda user=user: nodes.done(user) >= 20)  # type: ignore[misc]
    nodes.server.stop()
    nodes.old.release()
    until(lambda: sum(nodes.old.fetched.values()) > 80)  # they come, and have nowhere to go
    nodes.server.start()
    for user, login in zip(users, first, strict=True):
        assert login.wait().startswith((b"a OK", b"a NO [UNAVAILABLE]")), login.answer
        login.close()
        is_here_once(nodes, user)


def test_the_shared_directory_is_gone_for_a_while(nodes: TwoNodes) -> None:
    """… on both, in the midst of a move. Nobody is told that he has no mail; nothing is put where the disk is to be;
    and when it is there again they go on without a restart."""
    here = again(nodes.a, "gone")
    here.close()
    nodes.old.held_from = 41
    moving = Login(nodes.a, "gone-midway")
    until(lambda: nodes.done("gone-midway") >= 20)
    disk = nodes.mail.parent / "disk"
    loops.unmount(nodes.mail)
    try:
        nodes.old.release()
        for node in (nodes.a, nodes.b):
            for user in ("gone", "gone-midway", "gone-newcomer"):
                login = Login(node, user)
                if login.wait().startswith(b"a OK"):  # whose mailbox was open: his mail cannot be read, and is not gone
                    assert user == "gone"
                    assert b"* 0 EXISTS" not in login.command(b"SELECT INBOX")
                    assert login.command(b"FETCH 1 BODY.PEEK[]")[-1].startswith(b"b NO")
                else:
                    assert login.answer.startswith(b"a NO [UNAVAILABLE]"), (user, login.answer)
                login.close()
        assert list(nodes.mail.iterdir()) == []
        assert any("is its disk mounted?" in node.log for node in (nodes.a, nodes.b))
    finally:
        loops.bind(disk, nodes.mail)
    assert moving.wait().startswith((b"a OK", b"a NO [UNAVAILABLE]")), moving.answer
    moving.close()
    for user in ("gone", "gone-midway", "gone-newcomer"):
        is_here_once(nodes, user)


def test_a_node_that_was_stopped_writes_nothing_under_its_old_lease(nodes: TwoNodes) -> None:
    """It is stopped while it has messages in hand, and goes on when the other is at the same."""
    nodes.old.held_from = 41
    first = Login(nodes.a, "stopped")
    until(lambda: nodes.done("stopped") >= 20)
    assert nodes.a.process is not None
    halt(nodes.a, signal.SIGSTOP)
    try:
        second = Login(nodes.b, "stopped")
        nodes.bury(nodes.a.process.pid)
        until(lambda: len(nodes.rows("SELECT id FROM nodes")) == 1)
        nodes.old.forget()
        until(lambda: nodes.old.logins["stopped"] == 2)
        until(lambda: nodes.old.fetched[40] >= 1)
    finally:
        halt(nodes.a, signal.SIGCONT)
    nodes.a.logs("this node has lost its accounts")
    nodes.old.release()
    assert second.wait().startswith(b"a OK"), nodes.b.log
    assert first.wait().startswith(b"a OK"), nodes.a.log  # its user went on waiting, for the other node
    for login in (first, second):
        assert exists(login) == b"* %d EXISTS" % nodes.old.count
        login.close()
    kept_once(nodes, "stopped")


def test_a_node_that_stops_hands_over_at_once(nodes: TwoNodes) -> None:
    nodes.old.held_from = 31
    first = Login(nodes.a, "handed")
    until(lambda: nodes.done("handed") >= 20)
    second = Login(nodes.b, "handed")
    until(lambda: second.progress, "progress")
    assert nodes.a.stop() == 0
    nodes.old.release()
    assert second.wait().startswith(b"a OK"), nodes.b.log
    kept_once(nodes, "handed")
    first.close()
    second.close()
    nodes.a.start()


def test_a_node_that_is_killed_is_replaced_at_the_last_barrier(nodes: TwoNodes) -> None:
    nodes.old.held_from = 41
    first = Login(nodes.a, "killed")
    until(lambda: nodes.done("killed") >= 20)
    second = Login(nodes.b, "killed")
    fetched = nodes.done("killed")
    assert nodes.a.process is not None
    pid = nodes.a.process.pid
    halt(nodes.a, signal.SIGKILL)
    nodes.a.kill()
    nodes.bury(pid)
    nodes.old.release()
    assert second.wait().startswith(b"a OK"), nodes.b.log
    kept_once(nodes, "killed")
    assert all(nodes.old.fetched[number] == 1 for number in range(1, fetched + 1))
    first.close()
    second.close()


def test_a_node_with_another_key_does_not_start(nodes: TwoNodes) -> None:
    nodes.a.kill()
    (key,) = (nodes.a.root / "state").glob("*.key")
    key.write_bytes(bytes(reversed(key.read_bytes())))
    with pytest.raises(AssertionError, match="replace its key file by a copy"):
        nodes.a.start()
