"""Users who are let in before all of their mail is here (`login = "serve"`): what they are served is right all the
same, whatever the legacy server does meanwhile."""

from __future__ import annotations

import pytest

from tests.faults.injecting import Fault, Kind
from tests.faults.matrix import BOX
from tests.faults.rig import Rig
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import PASSWORD


@pytest.mark.parametrize("number", [1, 3, 6, len(BOX) - 1, len(BOX)])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DRIP], ids=lambda kind: kind.value)
def test_whole_in_the_end(kind: Kind, number: int) -> None:
    fault = Fault(kind, f"RETR {number}", 100)
    server = LegacyServer(BOX, Behaviour(password=PASSWORD))
    with Rig(server, lambda connection: fault if connection == 1 else None, login="serve") as rig:
        assert rig.login() is None
        rig.network.until(lambda: "move done" in rig.log.events())
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX
        assert rig.files("tmp") == []
        assert "unexpected" not in rig.log.events(), rig.log.lines
        assert len(rig.warnings()) == 1, rig.warnings()
        assert server.deletions == 0


def test_sizes_without_the_last_line_end_cost_one_more_fetch_each() -> None:
    """Many servers do not count the line end that POP3 adds to a last line without one."""
    off = {number: b"%d" % (len(BOX[number - 1]) - 2) for number in (2, 5, 9)}
    server = LegacyServer(BOX, Behaviour(password=PASSWORD, sizes=off))
    with Rig(server, login="serve") as rig:
        assert rig.login() is None
        rig.network.until(lambda: "move done" in rig.log.events())
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX
        assert server.asked(b"RETR") == len(BOX) + len(off)
        assert rig.warnings() == []
