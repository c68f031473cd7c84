"""A legacy server that says a line twice, the second time too late to be noticed at once: its yes to USER is then taken
for its yes to PASS. A wrong password must not come in by that, nor a right one be called wrong."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.wire.door import Refusal
from tests.faults.injecting import Fault, Injector, Kind
from tests.faults.matrix import APOP, BOX, PIPELINED, SASL, Manner
from tests.faults.rig import Rig
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.login.login_rig import PASSWORD

WRONG = b"a guess"
NO_CAPA = Manner("no CAPA", behaviour=(("capabilities", None),))
STEPS = [(manner, step) for manner in (PIPELINED, NO_CAPA) for step in ("greeting", "CAPA", "USER", "PASS")]
STEPS += [(APOP, "APOP"), (SASL, "AUTH")]


def late(injector: Injector, data: bytes, _at: int) -> None:
    """The answer's last line comes once more right before the next answer."""
    write = injector.end.write
    again = data[data.rfind(b"\n", 0, -1) + 1 :]

    def once(following: bytes) -> None:
        del injector.end.write  # type: ignore[method-assign]
        write(again + following)

    write(data)
    injector.end.write = once  # type: ignore[method-assign]


def rig_of(manner: Manner, step: str, when: Any) -> Rig:
    fault = Fault(Kind.TWICE, step, does=late)
    behaviour = Behaviour(password=PASSWORD)
    for name, value in manner.behaviour:
        setattr(behaviour, name, value)
    return Rig(LegacyServer(BOX, behaviour), lambda _number: fault if when() else None)


@pytest.mark.parametrize("moved", [False, True], ids=["first login", "moved"])
@pytest.mark.parametrize(("manner", "step"), STEPS, ids=[f"{manner.name}: {step}" for manner, step in STEPS])
def test_a_wrong_password_does_not_come_in(manner: Manner, step: str, *, moved: bool) -> None:
    """Neither with the fault nor after it."""
    faulty = not moved
    with rig_of(manner, step, lambda: faulty) as rig:
        if moved:
            assert rig.login() is None
            rig.settle()
            faulty = True
        before = rig.accounts.find(rig.user, "123.com")
        assert rig.login(WRONG) in {Refusal.WRONG, Refusal.UNAVAILABLE}
        rig.settle()
        assert not moved or rig.account() == before
        faulty = False
        rig.forget_pauses()
        assert rig.login(WRONG) is Refusal.WRONG
        rig.settle()
        assert rig.login() is None
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX


# -ERR to CAPA that comes once more behind USER is -ERR to USER, as far as anybody can tell.
TOLD_APART = [(manner, step) for manner, step in STEPS if (manner, step) != (NO_CAPA, "CAPA")]


@pytest.mark.parametrize(("manner", "step"), TOLD_APART, ids=[f"{manner.name}: {step}" for manner, step in TOLD_APART])
def test_the_right_password_is_not_called_wrong(manner: Manner, step: str) -> None:
    faulty = True
    with rig_of(manner, step, lambda: faulty) as rig:
        assert rig.login() in {None, Refusal.UNAVAILABLE}
        rig.settle()
        faulty = False
        rig.forget_pauses()
        assert rig.login() is None
        rig.settle()
        assert [kept.data for kept in rig.inbox()] == BOX
