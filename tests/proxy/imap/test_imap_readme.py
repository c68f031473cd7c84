"""The README's reference: a row for everything that is announced, nothing else, and dialogues that use it.

A new capability needs a row in the README and nothing here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from proxy.imap.state import State
from proxy.imap.table import capabilities
from proxy.pop3.commands import COMMANDS, GENERAL_CAPABILITIES
from proxy.pop3.session import Session
from tests.dialogues.script import read_dialogue

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "README.md").read_text().partition("## IMAP and POP3 reference\n")[2].partition("\n## ")[0]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of one of the two tables. `words` are what the protocol says, `dialogues` paths from the root."""

    protocol: str
    capability: str
    words: tuple[str, ...]
    dialogues: tuple[str, ...]


def rows() -> list[Row]:
    found, protocol = [], ""
    for line in REFERENCE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and not line.startswith("| `"):
            protocol = cells[0].lower()
        elif line.startswith("| `"):
            name, _rfc, _meaning, words, links = cells
            found.append(
                Row(
                    protocol,
                    name.strip("`"),
                    tuple(re.findall(r"`([^`]+)`", words)),
                    tuple(re.findall(r"\]\(([^)]+)\)", links)),
                )
            )
    return found


def announced_by_imap() -> set[str]:
    """Whatever CAPABILITY says in any state, the number of APPENDLIMIT left out."""
    states = [State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED]
    yes_or_no = (False, True)
    names = {
        name.decode()
        for state, tls, login, compress in product(states, yes_or_no, yes_or_no, yes_or_no)
        for name in capabilities(state, tls=tls, login=login, append_limit=1, compress=compress)
    }
    return {re.sub(r"(?<=^APPENDLIMIT=)\d+$", "", name) for name in names}


def announced_by_pop3() -> set[str]:
    """The first words of what CAPA says, encrypted or not, before login and after it."""
    lines = set(GENERAL_CAPABILITIES)
    for login, tls in product((False, True), (False, True)):
        session = cast(Session, SimpleNamespace(login_allowed=login, tls_offered=tls))
        lines |= {line for command in COMMANDS.values() if (line := command.capability(session)) is not None}
    return {line.split()[0].decode() for line in lines}


def said_in(path: str) -> str:
    """What client and server say in a dialogue, in capitals: no comments and no headers."""
    return "\n".join(step.text.decode("utf-8", "replace") for step in read_dialogue(ROOT / path).steps).upper()


@pytest.mark.parametrize(("protocol", "announced"), [("imap", announced_by_imap()), ("pop3", announced_by_pop3())])
def test_a_row_for_each_capability_and_no_other(protocol: str, announced: set[str]) -> None:
    names = [row.capability for row in rows() if row.protocol == protocol]
    assert sorted(names) == sorted(announced)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.protocol}-{row.capability}")
def test_its_dialogues_use_it(row: Row) -> None:
    assert row.words
    assert row.dialogues
    said = {path: said_in(path) for path in row.dialogues}
    for word in row.words:
        assert any(word.upper() in text for text in said.values()), f"{word} is said in none of the dialogues"
    for path, text in said.items():
        assert any(word.upper() in text for word in row.words), f"{path} says nothing of it"


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
