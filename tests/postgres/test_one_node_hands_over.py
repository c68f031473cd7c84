"""One node hands a mailbox over, takes it back, adopts another one: what the other node does with it at that moment,
and that it serves nothing that is out of date."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.custody import Custody
from mailstore.inheritance.tree import Manner
from mailstore.secrets import hash_password
from proxy.admin import databases
from proxy.admin.adopting import Adopting
from proxy.config import load
from proxy.login.names import Name
from tests.peers.daemon import Daemon
from tests.postgres.nodes import PASSWORD, Login, TwoNodes
from tests.postgres.server import PostgresServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TwoNodes]:
    made = TwoNodes(tmp_path_factory.mktemp("handing"), postgres, workers=1)
    made.old.count = 5
    try:
        made.start()
        yield made
    finally:
        made.close()


def mailferry(node: Daemon, *arguments: str | Path) -> tuple[int, str]:
    """A command on a node: its status, and what it says."""
    command = [sys.executable, "-m", "proxy.cli.main", *map(str, arguments), "--config", str(node.config)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    return ran.returncode, ran.stdout + ran.stderr


def into(node: Daemon, user: str) -> Login:
    """Somebody who is let in."""
    login = Login(node, user)
    assert login.wait().startswith(b"a OK"), login.answer
    return login


def refused(node: Daemon, user: str) -> bytes:
    """What somebody is told who is not."""
    login = Login(node, user)
    answer = login.wait()
    login.close()
    assert answer.startswith(b"a NO [UNAVAILABLE]"), answer
    return answer


def uids(login: Login) -> tuple[list[bytes], bytes]:
    """UIDs of the inbox, with flags, and what is said of the next one."""
    said = login.command(b"EXAMINE INBOX")
    (following,) = [line for line in said if b"UIDNEXT" in line]
    return [line for line in login.command(b"UID FETCH 1:* (FLAGS)") if b"FETCH" in line], following


def test_over_and_back(nodes: TwoNodes, tmp_path: Path) -> None:
    user, here, there = "handed", nodes.a, nodes.b
    session = into(there, user)
    before = uids(session)
    words = ("handoff", "dovecot", f"{user}@123.com", "--to", tmp_path)

    status, said = mailferry(here, *words, "--all", "--wait", "0")
    assert (status, "has a session" in said) == (1, True), said
    session.command(b"APPEND INBOX {5+}\r\nhello")  # it goes on, and others come in as ever
    into(there, user).close()
    session.close()

    status, said = mailferry(here, *words, "--all")
    assert (status, "handed over: 6 folders, 6 messages" in said) == (0, True), said
    asked = nodes.old.logins[user]
    for node in (here, there):
        assert b"handed over to another mail server" in refused(node, user)
    maildrop = there.ask("pop3", f"USER {user}@123.com".encode(), f"PASS {PASSWORD}".encode())
    assert maildrop[-1].startswith(b"-ERR [SYS/TEMP]")
    status, said = mailferry(there, "retry", f"{user}@123.com")  # on the node that did not do it
    assert (status, "handed over to Dovecot" in said) == (1, True), said
    nodes.rows("UPDATE accounts SET state = 'moved', due = 1 WHERE local = %s RETURNING 1", user)  # by whomever
    refused(there, user)
    assert nodes.old.logins[user] == asked

    # what Dovecot does with it: the first message is gone, the second is read, another one has come
    maildir = nodes.maildir(user)
    names = (maildir / "dovecot-uidlist").read_text().splitlines()
    first, second = (line.partition(" :")[2] for line in names[1:3])
    for name in (first, second):
        (path,) = (path for sub in ("cur", "new") for path in (maildir / sub).glob(f"{name}*"))
        path.unlink() if name is first else path.rename(maildir / "cur" / f"{name}:2,S")
    names[0] = names[0].replace(" N7 ", " N12 ")
    names.append("11 Pdovecots :1900000000.M1P1.heir")
    (maildir / "dovecot-uidlist").write_text("\n".join(names) + "\n")
    (maildir / "new" / "1900000000.M1P1.heir").write_bytes(b"Subject: new\r\n\r\n")

    status, said = mailferry(there, *words, "--undo")  # by the node that did not hand it over
    assert (status, "1 new, 1 removed, 1 changed" in said) == (0, True), said
    sessions = [into(node, user) for node in (there, here)]
    found = [uids(session) for session in sessions]
    for session in sessions:
        session.close()
    assert len(before[0]) == 5 and b"UIDNEXT 6" in before[1]
    assert found[0] == found[1]
    assert [line.split(b"UID ")[1].split()[0].rstrip(b")") for line in found[0][0]] == [
        *(b"%d" % uid for uid in range(2, 7)),
        b"11",
    ]
    assert b"\\Seen" in found[0][0][0] and b"UIDNEXT 12" in found[0][1]


def old_maildir(root: Path) -> Path:
    for sub in ("cur", "new", "tmp"):
        (root / sub).mkdir(parents=True)
    (root / "cur" / "1700000000.a.h:2,S").write_bytes(b"Subject: a\r\n\r\n")
    (root / "dovecot-uidlist").write_text("3 V1234 N50 G1\n7 Plegacy :1700000000.a.h\n")
    return root


def test_the_other_node_lets_nobody_into_what_is_being_adopted(nodes: TwoNodes, tmp_path: Path) -> None:
    user = "adopted"
    source = old_maildir(tmp_path / "old")
    users = tmp_path / "users"
    users.write_text(f"{user}@123.com:{{ARGON2ID}}{hash_password(PASSWORD.encode())}\n")
    config = load(nodes.a.config)
    database = databases.accounts(config)
    adopting = Adopting(
        config,
        Accounts(database),
        Custody(database),
        databases.mailboxes(database),
        manner=Manner(),
        in_place=False,
        passwords={},
    )
    seen: list[bytes] = []
    take = adopting._take

    def meanwhile(*about: object) -> object:
        seen.append(refused(nodes.b, user))
        raise OSError("the power failed")

    adopting._take = meanwhile  # type: ignore[method-assign, assignment]
    assert "the power failed" in adopting.adopt(source, Name(user, "123.com")).why
    seen.append(refused(nodes.b, user))
    assert all(b"mail is being brought into the mailbox" in answer for answer in seen), seen
    assert nodes.old.logins[user] == 0
    adopting._take = take  # type: ignore[method-assign]
    database.close()

    words = ("adopt", source, "--account", f"{user}@123.com", "--passwords", users)
    status, said = mailferry(nodes.b, *words)  # gone on with by the other one
    assert (status, "adopted: 1 folders, 1 messages" in said) == (0, True), said
    for node in (nodes.a, nodes.b):
        session = into(node, user)
        found, following = uids(session)
        session.close()
        assert (len(found), b"UID 7" in found[0], b"UIDNEXT 50" in following) == (1, True, True)
    assert nodes.old.logins[user] == 0


def test_what_the_other_node_moves_is_not_adopted(nodes: TwoNodes, tmp_path: Path) -> None:
    user = "moving"
    source = old_maildir(tmp_path / "old")
    nodes.old.held_from = 3
    login = Login(nodes.b, user)
    while not nodes.rows("SELECT 1 FROM accounts WHERE local = %s AND state = 'moving'", user):
        pass
    status, said = mailferry(nodes.a, "adopt", source, "--account", f"{user}@123.com")
    assert (status, "it is moving; adopt into a new one" in said) == (1, True), said
    nodes.old.release()
    assert login.wait().startswith(b"a OK")
    assert len(uids(login)[0]) == 5
    login.close()
