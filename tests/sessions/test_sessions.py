"""Two to four sessions, a POP3 client, deliveries and other programs on one account: every answer against a model.

`MAILFERRY_SESSIONS=N` plays N programs, longer ones, and others each time; without it always the same ones.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from tests.memory import in_memory
from tests.sessions.playing import Player
from tests.sessions.program import By, Client, Leave, Pick, Program, Select, Store, Transfer, programs
from tests.sessions.stage import MemoryStage

MANY = int(os.environ.get("MAILFERRY_SESSIONS", "0"))


def played(program: Program) -> None:
    with tempfile.TemporaryDirectory(prefix="sessions-", dir=in_memory()) as directory:
        stage = MemoryStage(Path(directory))
        player = Player(stage, program)
        try:
            player.play()
        except BaseException as error:
            error.add_note(player.transcript())
            raise
        stage.close()


DELETED = frozenset({"\\Deleted"})
# CLOSE by a client that was not told yet of a message that went: HIGHESTMODSEQ would keep that from it for ever.
UNTOLD_AT_CLOSE = Program(
    (Client(("QRESYNC",)), Client()),
    (
        By(1, Transfer(Pick(which=(1,)), "A", move=True)),
        By(0, Store(Pick(which=(0,)), "+", DELETED)),
        By(0, Leave("CLOSE")),
        By(0, Select("INBOX", parameter="qresync", snapshot=1)),
    ),
    letters=3,
    folders=("A",),
)


@example(UNTOLD_AT_CLOSE)
@given(programs(steps=100 if MANY else 40))
@settings(
    max_examples=MANY or 150,
    deadline=None,
    derandomize=not MANY,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
def test_every_answer_is_what_the_model_says(program: Program) -> None:
    played(program)
