"""The tables of commands and capabilities hold together, and the start fails where they do not."""

from __future__ import annotations

import pytest

from proxy.imap.answers import Bad
from proxy.imap.commands import anytime
from proxy.imap.grammar.syntax import Command, NoArguments
from proxy.imap.state import ANY, State
from proxy.imap.table import (
    CAPABILITIES,
    COMMANDS,
    BrokenTable,
    Capability,
    Entry,
    capabilities,
    find,
    indexed,
)


def test_a_capability_without_its_command_fails_the_start() -> None:
    with pytest.raises(BrokenTable, match="UID EXPUNGE"):
        indexed([entry for entry in COMMANDS if entry.name != "UID EXPUNGE"], CAPABILITIES)
    with pytest.raises(BrokenTable, match="IDLE promises IDLE"):
        indexed((), [Capability(b"IDLE", ("IDLE",))])


def test_a_command_is_there_once() -> None:
    with pytest.raises(BrokenTable, match="twice"):
        indexed([Entry("NOOP", ANY, anytime.noop)] * 2, ())


def test_no_expunge_while_the_client_counts_on_its_numbers() -> None:
    assert {entry.name for entry in COMMANDS if not entry.expunge} == {"FETCH", "STORE", "SEARCH", "SORT", "THREAD"}


def test_capabilities_follow_state_and_privacy() -> None:
    stranger = capabilities(State.NOT_AUTHENTICATED, tls=True, login=False)
    assert {b"STARTTLS", b"LOGINDISABLED"} <= set(stranger)
    assert b"AUTH=PLAIN" not in stranger
    assert b"UIDPLUS" not in stranger
    inside = capabilities(State.SELECTED, tls=False, login=True)
    assert {b"UIDPLUS", b"NAMESPACE", b"CHILDREN", b"UNSELECT"} <= set(inside)
    assert not [name for name in inside if name.startswith(b"AUTH=")]


def test_a_command_in_the_wrong_state_is_bad() -> None:
    noop = Command(b"a", "NOOP", False, NoArguments())
    assert find(noop, State.SELECTED).name == "NOOP"
    with pytest.raises(Bad):
        find(Command(b"a", "NOOP", True, NoArguments()), State.SELECTED)
    with pytest.raises(Bad):
        find(Command(b"a", "FETCH", False, NoArguments()), State.AUTHENTICATED)
