"""What an account would leave behind: judged from what is known of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailstore.accounts import Account, PasswordState, State
from proxy.admin.finishing import exported, text
from proxy.admin.finishing.behind import Known, Why, in_words, left_behind, to_come
from proxy.admin.finishing.report import Circumstances, Ended, Finished
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome

MOVED = Account(
    *(1, "123.com", "li", State.MOVED, "", "hash", b"sealed", None, 1_700_000_000, 5, 5, 500, 500),
    *(None, None, False, False, 0, PasswordState.KNOWN),
)
NEW = replace(MOVED, state=State.WAITING, refreshed=None, messages_done=0, messages_total=0, password_hash=None)


def outcome(*kinds: Kind, not_compared: str = "") -> AccountOutcome:
    found = AccountOutcome("li@123.com", "123.com", "moved", not_compared=not_compared)
    for kind in kinds:
        found.found(Finding(kind, f"of {kind.value}"))
    return found


@pytest.mark.parametrize(
    ("account", "known", "why"),
    [
        ({}, {}, []),
        ({}, {"outcome": outcome()}, []),
        ({"state": State.FINAL, "sealed_password": None}, {}, []),
        ({"state": State.BLOCKED, "reason": "someone said so"}, {}, [Why.BLOCKED]),
        ({"password_state": PasswordState.REJECTED}, {"missed": "rejected"}, [Why.REJECTED]),
        ({"sealed_password": None}, {"outcome": outcome(not_compared="not known")}, [Why.UNKNOWN]),
        ({}, {"paused": True}, [Why.PAUSED]),
        ({"state": State.MOVING, "messages_done": 2}, {"missed": "away"}, [Why.UNFINISHED]),
        ({"state": State.MOVING, "messages_done": 2}, {"rehearsed": True}, []),
        ({}, {"missed": "away", "outcome": outcome(not_compared="away")}, [Why.UNFINISHED]),
        ({}, {"missed": "1 message", "outcome": outcome(Kind.QUARANTINED)}, [Why.QUARANTINED]),
        ({}, {"missed": "away", "outcome": outcome()}, []),  # compared, and whole: whatever the round met with
        ({}, {"outcome": outcome(not_compared="away")}, [Why.NOT_COMPARED]),
        ({}, {"outcome": outcome(Kind.MISSING, Kind.FILE_MISSING)}, [Why.MISSING, Why.HARMED]),
        ({}, {"outcome": outcome(Kind.UIDL_CHANGED, Kind.WRONG_ORDER, Kind.DOUBLED)}, []),  # nothing is lost
        ({}, {"outcome": outcome(Kind.MISSING), "rehearsed": True}, []),
        ({"sealed_password": None}, {"outcome": outcome(Kind.MISSING), "rehearsed": True}, [Why.UNKNOWN, Why.MISSING]),
    ],
)
def test_of_one_that_is_here(account: dict[str, Any], known: dict[str, Any], why: list[Why]) -> None:
    found = left_behind(Known(replace(MOVED, **account), **known))
    assert [one.why for one in found] == why


@pytest.mark.parametrize(
    ("account", "known", "why"),
    [
        ({"sealed_password": None}, {}, [Why.NEVER]),
        ({"sealed_password": None}, {"paused": True, "rehearsed": True}, [Why.NEVER]),
        ({"password_state": PasswordState.REJECTED}, {}, [Why.REJECTED]),
        ({"password_state": PasswordState.UNTRIED}, {"missed": "away"}, [Why.UNFINISHED]),
        ({"password_state": PasswordState.UNTRIED}, {"rehearsed": True}, []),
    ],
)
def test_of_one_that_never_logged_in(account: dict[str, Any], known: dict[str, Any], why: list[Why]) -> None:
    assert [one.why for one in left_behind(Known(replace(NEW, **account), **known))] == why


def test_a_rehearsal_counts_what_a_round_would_bring() -> None:
    found = outcome(Kind.MISSING, Kind.MISSING)
    assert to_come(Known(MOVED, found, rehearsed=True)) == 2
    assert to_come(Known(MOVED, found)) == 0
    assert to_come(Known(replace(MOVED, sealed_password=None), found, rehearsed=True)) == 0


def test_in_words() -> None:
    (one,) = left_behind(Known(MOVED, outcome(Kind.QUARANTINED)))
    assert in_words(one) == "1 message in quarantine: of quarantined"
    (two,) = left_behind(Known(MOVED, outcome(Kind.MISSING, Kind.MISSING)))
    assert in_words(two) == "2 messages at the old server that are not here"
    (some,) = left_behind(Known(replace(MOVED, state=State.MOVING, messages_done=2), missed="away"))
    assert in_words(some) == "the move has not come to its end: 2 of 5 messages are here; away"


def test_the_report_is_harmless_in_a_spreadsheet_and_narrow_on_paper() -> None:
    account = replace(MOVED, full_name="=1+1", department="销售部/" + "北" * 60)
    behind = left_behind(Known(account, outcome(Kind.QUARANTINED)))
    ended = [Ended(account, behind, outcome(Kind.QUARANTINED), final=True, password=True)]
    said = Circumstances(
        "1", "here", ["123.com"], [("123.com", "x")], 0.0, 1.0, rehearsed=False, leave_behind=True, refused=""
    )
    found = Finished(said, ended)
    rows = list(exported.table(found))
    assert rows[1][1] == "'=1+1"
    assert {len(row) for row in rows} == {len(rows[0])}
    lines = list(text.report(found))
    assert max(map(len, lines)) <= 105
    assert any("final, and something is left behind of 1 account" in line for line in lines)
    assert exported.as_json(found)["left_behind"] == {"quarantined": 1}
