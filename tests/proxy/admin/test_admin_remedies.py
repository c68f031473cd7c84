"""`proxy.admin.remedies`: each kind of trouble is known by the words that are written of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.accounts import Account, PasswordState, State
from mailstore.entries import Quarantined, Sums
from mailstore.errors import DiskFull, StorageCorrupt, StorageFailed
from mailstore.secrets import Sealer
from proxy.admin.advice import ADVICE, Action, Kind
from proxy.admin.remedies import about_passwords, advices, kinds_of, remedy_line
from proxy.legacy.errors import (
    LegacyBusy,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    MaildropInUse,
    ServerRefused,
    TlsFailed,
)
from proxy.legacy.tls_faults import not_pinned
from proxy.login import reasons
from proxy.migration.quarantine import in_words


def account(**values: Any) -> Account:
    usual: dict[str, Any] = {
        "id": 1,
        "domain": "123.com",
        "local": "li",
        "state": State.MOVED,
        "reason": "",
        "password_hash": "hash",
        "sealed_password": b"sealed",
        "last_login": None,
        "refreshed": None,
        "messages_done": 0,
        "messages_total": 0,
        "bytes_done": 0,
        "bytes_total": 0,
        "due": None,
        "asked": None,
        "again": False,
        "paused": False,
        "tries": 0,
        "password_state": PasswordState.KNOWN,
    }
    return Account(**{**usual, **values})


def kinds(domain_paused: bool = False, **values: Any) -> list[Kind]:
    return [advice.kind for advice in advices(account(**values), domain_paused=domain_paused)]


def sealed_by_another() -> str:
    try:
        Sealer(b"k" * 32).open("li@123.com", Sealer(b"o" * 32).seal("li@123.com", b"secret"))
    except Exception as error:  # noqa: BLE001 - its text is what is wanted
        return str(error)
    raise AssertionError


WRITTEN = [
    (MaildropInUse("-ERR [IN-USE] locked").advice, Kind.IN_USE),
    (LegacyBusy("-ERR too many connections").advice, Kind.LIMIT),
    (LoginNotPossible("-ERR POP3 is switched off").advice, Kind.NOT_POSSIBLE),
    (LegacyUnreachable("the server closed the connection").advice, Kind.UNREACHABLE),
    ("pop.old port 110 refuses connections; check `host` and `port`, and whether that server runs", Kind.UNREACHABLE),
    (LegacyTimeout("no answer to RETR for 60 s").advice, Kind.SLOW),
    (LegacyProtocolError("the answer to STAT is not two numbers").advice, Kind.PROTOCOL),
    (ServerRefused("-ERR no").advice, Kind.REFUSED),
    (TlsFailed("the server does not offer STLS", "let it").advice, Kind.TLS),
    (not_pinned(None).advice, Kind.TLS),
    (reasons.of_the_store(DiskFull("the disk refused: full"), Sums(1, 2, 1, 2, 0), Path("/")), Kind.DISK_FULL),
    (reasons.of_the_store(StorageFailed("the disk refused: read-only"), None, Path("/")), Kind.DISK),
    (reasons.of_the_store(StorageCorrupt("the database is damaged: x"), None, Path("/")), Kind.DAMAGED),
    (sealed_by_another(), Kind.KEY),
    (in_words([Quarantined(3, "u", 10, "-ERR no", 4, 0)]), Kind.QUARANTINE),
    (
        "the legacy server lists no messages any more, of 3 that it listed before; 3 came over and are kept",
        Kind.EMPTIED,
    ),
    ("something unexpected went wrong; the log says where", Kind.DEFECT),
    ("the moon is full", Kind.OTHER),
]


@pytest.mark.parametrize(("reason", "kind"), WRITTEN)
def test_kinds_by_the_words_that_are_written(reason: str, kind: Kind) -> None:
    assert kinds_of(reason) == [kind]
    assert kinds(reason=reason) == [kind]


def test_remarks_may_be_several() -> None:
    reason = in_words([Quarantined(3, "u", 10, "-ERR no", 4, 0)]) + (
        "; the legacy server contradicts itself: STAT counts 3 messages, and LIST names 2; "
        "what it does not list does not come over"
    )
    assert kinds(reason=reason) == [Kind.QUARANTINE, Kind.PARTIAL]


def test_what_the_state_says() -> None:
    assert kinds() == []
    assert kinds(state=State.BLOCKED) == [Kind.BLOCKED]
    assert kinds(state=State.BLOCKED, reason="nobody knows") == [Kind.BLOCKED]
    assert kinds(state=State.BLOCKED, reason=MaildropInUse("x").advice) == [Kind.BLOCKED, Kind.IN_USE]
    assert kinds(paused=True, domain_paused=True) == [Kind.PAUSED, Kind.DOMAIN_PAUSED]
    assert kinds(state=State.FINAL, paused=True, domain_paused=True) == []
    assert kinds(state=State.WAITING, sealed_password=None) == [Kind.NEVER]
    rejected = {"password_state": PasswordState.REJECTED, "reason": "the legacy server no longer takes the password"}
    assert kinds(**rejected) == [Kind.REJECTED]
    assert kinds(**rejected, password_hash=None) == [Kind.GIVEN_REJECTED]


def test_the_line_of_a_terminal_has_a_command_that_can_be_typed() -> None:
    assert remedy_line(account()) == ""
    assert remedy_line(account(state=State.WAITING, sealed_password=None)) == ""
    assert "(`mailferry resume li@123.com`)" in remedy_line(account(paused=True))
    assert "(`mailferry resume 123.com`)" in remedy_line(account(), domain_paused=True)
    assert "(`mailferry retry li@123.com`)" in remedy_line(account(reason="x"))


def test_beside_a_reason_that_says_what_helps_stands_the_command_alone() -> None:
    in_use = account(reason=MaildropInUse("-ERR locked").advice)
    assert remedy_line(in_use, beside_reason=True) == "`mailferry retry li@123.com`"
    assert remedy_line(account(reason=LegacyBusy("-ERR busy").advice), beside_reason=True) == ""
    assert remedy_line(account(reason="x"), beside_reason=True) == remedy_line(account(reason="x"))


def test_a_password_is_wrong_where_it_is_checked() -> None:
    assert "old server" in about_passwords(account())["en"]
    assert "checked here alone" in about_passwords(account(state=State.FINAL))["en"]


def test_every_kind_has_words_in_both_languages() -> None:
    assert set(ADVICE) == set(Kind)
    for advice in ADVICE.values():
        for texts in (advice.cause, advice.remedy):
            assert set(texts) == {"en", "zh"}
            assert all(texts.values())
            assert all(letter >= "\u4e00" for letter in texts["zh"][:1])
            assert texts["en"].isascii()
        assert advice.action is Action.NONE or advice.command(account()).startswith("mailferry ")


@given(st.text(min_size=1, max_size=200))
def test_any_reason_is_of_some_kind(reason: str) -> None:
    assert kinds_of(reason)
