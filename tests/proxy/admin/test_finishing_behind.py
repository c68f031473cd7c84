"""What an account would leave behind: judged from what is known of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailstore.accounts import Account, PasswordState, State
from mailstore.finishing import Standing
from proxy.admin.filing import NotFiled
from proxy.admin.finishing import exported, filed, text
from proxy.admin.finishing.behind import Behind, Known, Why, in_words, left_behind, to_come
from proxy.admin.finishing.report import Circumstances, Ended, Finished
from proxy.admin.finishing.summary import NAMED, foreseen, summed
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


@pytest.mark.parametrize(
    ("why", "accounts", "said"),
    [
        (Why.NEVER, [NEW], "remind them: `mailferry notify 123.com --to li@123.com --reminder --send`; or"),
        (
            Why.NEVER,
            [NEW, replace(NEW, id=2, local="wang"), replace(NEW, id=3, domain="456.com")],
            "`mailferry notify 123.com --reminder --send`, `mailferry notify 456.com --reminder --send`; or",
        ),
        (Why.BLOCKED, [MOVED], "`mailferry retry li@123.com`"),
        (Why.BLOCKED, [MOVED, replace(MOVED, id=2)], "`mailferry retry 123.com`"),
        (Why.PAUSED, [replace(MOVED, paused=True)], "`mailferry resume li@123.com`, and"),
        (Why.PAUSED, [MOVED], "`mailferry resume 123.com`, and"),  # its domain is
        (Why.MISSING, [MOVED], "`mailferry migrate li@123.com`"),
        (
            Why.MISSING,
            [MOVED, replace(MOVED, domain="456.com")],
            "`mailferry migrate --domain 123.com --domain 456.com`",
        ),
        (Why.HARMED, [MOVED], "`mailferry verify li@123.com` names"),
    ],
)
def test_what_can_be_done_names_who_is_meant(why: Why, accounts: list[Account], said: str) -> None:
    assert said in why.remedy(accounts)


def test_no_remedy_has_a_gap() -> None:
    assert not any(mark in why.remedy([MOVED]) for why in Why for mark in ("{", "DOMAIN", "ACCOUNT"))


def finished(*ended: Ended) -> Finished:
    said = Circumstances(
        "1",
        "here",
        ["all"],
        [("123.com", "x"), ("456.com", "y")],
        0.0,
        1.0,
        rehearsed=False,
        leave_behind=True,
        refused="",
    )
    return Finished(said, ended)


def test_since_when_they_are_final_is_in_the_report() -> None:
    final = replace(MOVED, state=State.FINAL, finalized=1_700_000_000)
    old = replace(final, local="old", finalized=None)
    before = [Ended(one, [], None, final=True, password=True, since=one.finalized) for one in (final, old)]
    found = finished(*before, Ended(MOVED, [], None, final=True, password=True, since=1_700_000_001))
    lines = "\n".join(text.report(found))
    assert "li@123.com  final since 2023-11-14 22:13:20 UTC;" in lines and "old@123.com  final since before;" in lines
    assert [row[-1] for row in exported.table(found)] == [
        "final_since",
        "2023-11-14T22:13:20Z",
        "",
        "2023-11-14T22:13:21Z",
    ]


def test_a_report_is_kept_for_each_domain_with_that_domains_accounts_alone(tmp_path: Path) -> None:
    behind = left_behind(Known(MOVED, outcome(Kind.QUARANTINED)))
    mine = Ended(MOVED, behind, None, final=True, password=True)
    theirs = Ended(replace(MOVED, domain="456.com"), [], None, final=True, password=True)
    kept = filed.keep(tmp_path, finished(mine, theirs))
    assert [(report.domain, report.kind, report.forms) for report in kept] == [
        ("123.com", "final", (".txt", ".csv", ".json")),
        ("456.com", "final", (".txt", ".csv", ".json")),
    ]
    for domain, other in (("123.com", "456.com"), ("456.com", "123.com")):
        for file in (tmp_path / "reports" / domain).iterdir():
            content = file.read_text(encoding="utf-8-sig")
            assert f"li@{domain}" in content and f"@{other}" not in content
    (tmp_path / "file").touch()
    with pytest.raises(NotFiled, match="Not a directory"):
        filed.keep(tmp_path / "file", finished(mine))


def test_a_summary_names_the_first_and_has_all_of_them_as_a_sheet() -> None:
    behind = left_behind(Known(replace(NEW, sealed_password=None)))
    many = [Ended(replace(NEW, id=n, local=f"u{n}"), behind, None, final=False, password=False) for n in range(120)]
    found = summed(finished(*many), 0, agreed=range(100))
    (kind,) = found.kinds
    assert (kind.count, len(kind.accounts), len(found.left), found.unforeseen) == (120, NAMED, 120, 20)
    assert found.sheet.decode("utf-8-sig").count("never-logged-in") == 120


def test_what_is_foreseen_is_what_the_rows_say_now_and_what_only_a_look_has_found() -> None:
    quarantined = [Behind(Why.QUARANTINED, "", 1)]
    never = [Behind(Why.NEVER, "")]
    looked = [
        Ended(replace(MOVED, id=1), quarantined, None, final=False, password=True),
        Ended(replace(NEW, id=2, local="came"), never, None, final=False, password=True),
    ]
    last = summed(finished(*looked), 0, agreed=())
    now = [
        Standing(1, State.MOVED, True, PasswordState.KNOWN, False),
        Standing(2, State.MOVED, True, PasswordState.KNOWN, False),  # has logged in since
        Standing(3, State.WAITING, False, PasswordState.KNOWN, True),
    ]
    found = foreseen(now, last)
    assert (found.left, found.todo, found.looked) == ({1, 3}, 3, True)
    assert found.kinds == {Why.NEVER: 1, Why.QUARANTINED: 1}
    assert foreseen(now, None).left == {3}


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
