"""Two nodes with the Maildirs on a GlusterFS volume of two bricks, which each has mounted by itself: what one does the
other sees, and servers of the volume that are killed cost temporary refusals and nothing else."""

from __future__ import annotations

import smtplib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from mailstore.file_systems import Kind, file_system
from proxy.cli.checks.finding import Finding
from proxy.cli.checks.storage import whole
from tests.faults import gluster
from tests.peers.daemon import Daemon
from tests.postgres.nodes import Login, NodesStage, TwoNodes, message, until
from tests.postgres.server import PostgresServer
from tests.postgres.test_two_nodes import exists, kept_once
from tests.proxy.cli.command import mailferry
from tests.proxy.migration.scripted import in_memory
from tests.sessions.playing import Player
from tests.sessions.program import Program, programs

MAIL = b"From: a@example.com\r\nSubject: from outside\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def volume() -> Iterator[gluster.Volume]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, gluster.volume(Path(directory)) as made:
        yield made


@pytest.fixture(scope="module")
def mounts(volume: gluster.Volume, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("mounts")
    return volume.mount(root / "a"), volume.mount(root / "b")


@pytest.fixture(scope="module")
def nodes(
    mounts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[TwoNodes]:
    root = tmp_path_factory.mktemp("nodes")
    made = TwoNodes(root, postgres, mounts=mounts, services=("imap", "pop3", "lmtp"))
    try:
        made.start()
        yield made
    finally:
        made.close()


def results(findings: list[Finding], *but: str) -> list[tuple[str, str]]:
    """What does not hold."""
    return [(each.subject, each.text) for each in findings if each.result != "ok" and each.subject not in but]


def hand_in(node: Daemon, user: str) -> None:
    """Raises SMTPResponseException where it is refused."""
    with smtplib.LMTP("127.0.0.1", node.ports["lmtp"]) as lmtp:
        lmtp.ehlo()
        lmtp.mail("a@example.com")
        code, text = lmtp.rcpt(f"{user}@123.com")
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        code, text = lmtp.data(MAIL)
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)


def meeting(mounts: tuple[Path, ...]) -> list[list[tuple[str, str]]]:
    """What does not hold, to either; they are one machine."""
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda mount: whole.all_of(mount, "monday"), mounts))
    return [results(each.findings, "room", "the other node") for each in both]


def test_what_is_asked_of_it_holds_on_two_nodes(
    volume: gluster.Volume, mounts: tuple[Path, Path], tmp_path: Path
) -> None:
    one = whole.all_of(mounts[0])
    assert results(one.findings, "room") == []
    found = file_system(mounts[0])
    assert (found.type, found.kind, found.at_once) == ("fuse.glusterfs", Kind.FUSE, False)
    assert meeting(mounts) == [[], []]
    as_usual = tuple(volume.mount(tmp_path / name, cached=True) for name in "ab")
    old = ("contents seen by the other node", "old contents are read there after they were closed here")
    assert meeting(as_usual) == [[old], [old]]  # for a second
    assert [path.name for path in mounts[1].iterdir() if path.name.startswith(".mailferry-check")] == []


def test_what_one_node_does_the_other_sees(nodes: TwoNodes) -> None:
    here, there = Login(nodes.a, "seen"), Login(nodes.b, "seen")
    for login in (here, there):
        assert login.wait().startswith(b"a OK"), (nodes.a.log, nodes.b.log)
        assert exists(login) == b"* %d EXISTS" % nodes.old.count
    kept_once(nodes, "seen")
    there.send(b"c IDLE")
    assert there.line().startswith(b"+")
    for number, node in enumerate((nodes.a, nodes.b, nodes.a), 1):
        hand_in(node, "seen")
        while b"EXISTS" not in (line := there.line()):
            assert line
        assert line == b"* %d EXISTS" % (nodes.old.count + number)
    here.command(b"STORE 1:10 +FLAGS.SILENT (\\Deleted)")
    here.command(b"STORE 11:20 +FLAGS (\\Flagged $Label)")
    there.send(b"DONE")
    there.line()
    there.command(b"STORE 15:20 -FLAGS (\\Flagged)")
    there.command(b"EXPUNGE")
    for login in (here, there):
        login.command(b"NOOP")
        assert exists(login) == b"* %d EXISTS" % (nodes.old.count - 7)
        flagged = login.command(b"SEARCH FLAGGED")[0].split()[2:]
        assert flagged == [b"%d" % number for number in range(1, 5)]
        for number in (1, 100, nodes.old.count - 7):
            assert b"BODY[] {" in b"".join(login.command(b"FETCH %d BODY.PEEK[]" % number))
        login.close()
    assert sorted(path.name for path in nodes.mail.iterdir()) == [".mailferry", "123.com"]


_numbers = count(1)


@given(program=programs(clients=3, steps=30, restarts=False))
@settings(
    max_examples=5, deadline=None, derandomize=True, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
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


def test_a_tree_is_not_begun_to_be_carried_while_nodes_are_at_work(nodes: TwoNodes, tmp_path: Path) -> None:
    """Of any state directory."""
    about = nodes.b.config.read_text().replace(f'"{nodes.b.root}/state"', f'"{tmp_path}/state"')
    config = tmp_path / "mailferry.toml"
    config.write_text(about.replace("/{domain}/{local}/", "/{hash}/{domain}/{local}/"))
    (tmp_path / "state").mkdir(mode=0o700)
    done = mailferry("storage", "rehash", "--config", config)
    assert (done.exit_code, "nodes are at work: " in done.stderr) == (1, True), done.stderr
    assert '"carried_to": ""' in (nodes.mail / ".mailferry").read_text()


def test_servers_of_the_volume_that_are_killed(nodes: TwoNodes, volume: gluster.Volume) -> None:
    """In the midst of a first login, with sessions on both nodes; and everybody may go on when they are back."""
    before = Login(nodes.a, "before")
    assert before.wait().startswith(b"a OK"), nodes.a.log
    exists(before)
    nodes.old.held_from = 41
    moving = Login(nodes.b, "moving")
    until(lambda: nodes.done("moving") >= 20)
    volume.end()
    nodes.old.release()
    refused = Login(nodes.b, "before")
    assert refused.wait().startswith(b"a NO [UNAVAILABLE]"), refused.answer
    refused.close()
    newcomer = Login(nodes.a, "newcomer")
    assert newcomer.wait().startswith(b"a NO [UNAVAILABLE]"), newcomer.answer
    newcomer.close()
    for node in (nodes.a, nodes.b):
        with pytest.raises(smtplib.SMTPResponseException) as told:
            hand_in(node, "before")
        assert 400 <= told.value.smtp_code < 500, told.value
    assert before.command(b"APPEND INBOX {5+}\r\nhello")[-1].startswith(b"b NO")
    moved = moving.wait()
    assert moved.startswith((b"a NO [UNAVAILABLE]", b"a OK")), moved
    moving.close()
    volume.begin()
    until(lambda: logged_in(nodes.b, "moving"))
    kept_once(nodes, "moving")
    until(lambda: logged_in(nodes.a, "newcomer"))
    kept_once(nodes, "newcomer")
    assert before.command(b"APPEND INBOX {5+}\r\nhello")[-1].startswith(b"b OK")
    hand_in(nodes.b, "before")
    before.command(b"NOOP")
    assert exists(before) == b"* %d EXISTS" % (nodes.old.count + 2)
    assert message(150) in b"\r\n".join(before.command(b"FETCH 150 BODY.PEEK[]"))
    before.close()


def logged_in(node: Daemon, user: str) -> bool:
    login = Login(node, user)
    try:
        return login.wait().startswith(b"a OK")
    finally:
        login.close()
