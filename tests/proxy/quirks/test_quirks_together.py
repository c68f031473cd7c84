"""Habits that are told of one by one in the files beside this one, several at a time: no server has just one.

`MAILFERRY_QUIRKS=500` plays so many mixtures, other ones than the few that every run plays.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred

from tests.legacy.server import unique_id
from tests.proxy.quirks.rig import MAILS, QuirkTestCase
from tests.proxy.quirks.test_quirks_messages import DOTTED, ODD_ENDS

MIXTURES: Final = int(os.environ.get("MAILFERRY_QUIRKS", "10"))
FIRST: Final = 0 if "MAILFERRY_QUIRKS" not in os.environ else random.SystemRandom().randrange(1 << 32)
BOX: Final = (*MAILS, *ODD_ENDS, DOTTED)
NUMBERS: Final = range(1, len(BOX) + 1)
Choices = list[Mapping[str, Any]]

SHUFFLED = random.Random(1).sample(NUMBERS, len(NUMBERS))

HABITS: Final[list[Choices]] = [
    [{}, {"banner": (b"hello", b"*** welcome ***")}],
    [{}, {"welcome": b"Mailbox locked and ready"}, {"welcome": b"\x00\xff"}],
    [{}, {"listed": SHUFFLED}, {"twice": True}],
    [{}, {"line": b"%d (%s octets)"}, {"line": b"%d    %s   "}],
    [{}, {"name": b"%d   %s"}, {"before": b"\r\n"}],
    [{}, {"stat": b"nonsense"}],
    [{}, {"status": b"x" * 2_000}, {"status": b"\x00\xff"}],
    [{}, {"retrievals": 5}, {"retrievals": 7, "over": b"-ERR Download exceed. msg=7"}, {"commands": 14}],
    [{}, {"one_session": b"-ERR [IN-USE] locked", "stale": 2}],
]
BEHAVIOUR: Final[list[Choices]] = [
    [{}, {"capabilities": None}, {"capabilities": (b"UIDL",)}, {"capabilities": (b"USER", b"EXPIRE NEVER", b"UIDL")}],
    [{}, {"pieces": 900}],
    [{}, {"pipelining": "drops"}],
    [
        {},
        {"sizes": dict.fromkeys(NUMBERS, b"0")},
        {"sizes": dict.fromkeys(NUMBERS, b"1")},
        {"sizes": dict.fromkeys(NUMBERS, b"999999999999999999")},
        {"sizes": {n: b"-5" for n in NUMBERS if n % 2}},
    ],
    [{}, {"apop": "works"}, {"apop": "refused"}, {"apop": "hangs up"}],
]


def mixture(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    dice = random.Random(seed)
    habits: dict[str, Any] = {}
    behaviour: dict[str, Any] = {}
    for choices in HABITS:
        habits |= dice.choice(choices)
    for choices in BEHAVIOUR:
        behaviour |= dice.choice(choices)
    return habits, behaviour


class Together(QuirkTestCase):
    async def comes_over(self, seed: int) -> None:
        habits, behaviour = mixture(seed)
        server = await self.quirky(habits, BOX, **behaviour)
        home = await self.admitted()
        await self.assert_here(home, BOX, list(map(unique_id, BOX)))
        await self.settled()
        self.assertEqual((await self.reasons(home), server.deletions), ([], 0))
        await self.look_again()
        await self.assert_here(home, BOX)


def plays(seed: int) -> Callable[[Together], Deferred[None]]:
    def test(self: Together) -> Deferred[None]:
        return self.run_async(self.comes_over(seed))

    return test


for mixed in range(FIRST, FIRST + MIXTURES):
    setattr(Together, f"test_mixture_{mixed}", plays(mixed))
