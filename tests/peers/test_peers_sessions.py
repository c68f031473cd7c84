"""Three sessions, a POP3 client, deliveries and other programs at a running daemon: every answer against a model.

`MAILFERRY_SESSIONS=N` plays N programs, others each time; without it the same few.
"""

from __future__ import annotations

import os
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.sessions import DaemonStage
from tests.sessions.playing import Player
from tests.sessions.program import (
    Append,
    By,
    Client,
    Deliver,
    Expunge,
    Fetch,
    OnFolder,
    Pick,
    Program,
    Restart,
    Select,
    Simple,
    Store,
    Touch,
    Transfer,
    programs,
)

pytestmark = pytest.mark.peers
MANY = int(os.environ.get("MAILFERRY_SESSIONS", "0"))
_numbers = count(1)

# What every session needs to have seen once, whatever hypothesis comes upon.
SOME = frozenset({"\\Deleted"})
STORY = Program(
    (Client(), Client(("QRESYNC", "IMAP4rev2")), Client(("UIDONLY",), bytewise=True)),
    (
        By(1, Simple("IDLE")),
        By(0, Append("INBOX", (frozenset(), frozenset({"\\Seen"}), SOME))),
        Deliver("INBOX", frozenset()),
        By(2, Simple("IDLE")),
        By(0, Fetch(Pick(), "body")),
        Touch("INBOX", 1, frozenset({"\\Flagged"})),
        By(1, Transfer(Pick("uid", (0,)), "INBOX", move=True)),
        By(0, Expunge()),
        Restart(),
        By(1, Select("INBOX", parameter="qresync")),
        By(0, OnFolder("CREATE", "A/c")),
        By(0, Select("A/c")),
        By(0, Simple("IDLE")),
        By(2, Select("INBOX")),
        By(2, Transfer(Pick("uid"), "A/c")),
        By(2, Store(Pick("uid"), "+", SOME, silent=True)),
        By(2, Expunge((0, 1))),
        By(1, OnFolder("DELETE", "A/c")),
        By(2, Simple("NOOP")),
    ),
)


def played(program: Program, daemon: Daemon, legacy: Dovecot) -> None:
    stage = DaemonStage(daemon, legacy, f"session{next(_numbers)}")
    player = Player(stage, program, stage.model())
    try:
        player.play()
    except BaseException as error:
        error.add_note(player.transcript())
        raise
    finally:
        stage.close()
        player.hang_up()


def test_a_story(legacy: Dovecot, daemon: Daemon) -> None:
    played(STORY, daemon, legacy)


@given(program=programs(clients=3, steps=100 if MANY else 30, restarts=False))
@settings(
    max_examples=MANY or 10,
    deadline=None,
    derandomize=not MANY,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_what_the_model_says(program: Program, legacy: Dovecot, daemon: Daemon) -> None:
    played(program, daemon, legacy)
