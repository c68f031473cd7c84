"""Every dialogue in imap/ and pop3/, played whole and octet by octet, and against Dovecot where it says so."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from tests.dialogues.dovecot import DovecotStage
from tests.dialogues.player import MemoryStage, play_to_the_end
from tests.dialogues.script import Dialogue, read_dialogue
from tests.legacy import dovecot as legacy

HERE = Path(__file__).parent
FACTORIES = {"imap": ("proxy.imap.server", "ImapFactory"), "pop3": ("proxy.pop3.server", "Pop3Factory")}


def dialogues(*, peer: str = "") -> list[Any]:
    """Every dialogue, or those that a peer is to play too."""
    read = [read_dialogue(path) for folder in FACTORIES for path in sorted((HERE / folder).glob("*.dialogue"))]
    return [
        pytest.param(each, id=f"{each.protocol}-{each.path.stem}")
        for each in read
        if not peer or each.headers["peer"] == peer
    ]


def factories_for(dialogue: Dialogue) -> dict[str, Any]:
    needed = {dialogue.protocol_of(session) for session in (1, 2)}
    return {
        name: getattr(importlib.import_module(module), factory)
        for name, (module, factory) in FACTORIES.items()
        if name in needed
    }


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("dialogue", dialogues())
def test_dialogue(dialogue: Dialogue, bytewise: bool, tmp_path: Path) -> None:
    lines = LogCapture()
    log = structlog.wrap_logger(None, processors=[lines], wrapper_class=structlog.make_filtering_bound_logger(0))
    stage = MemoryStage(tmp_path, factories_for(dialogue), dialogue, log, bytewise=bytewise)
    play_to_the_end(dialogue, stage)
    faults = [line for line in lines.entries if {"where", "exception", "exc_info"} & line.keys()]
    assert not faults, f"a defect, says the log: {faults}"


@pytest.fixture(scope="session")
def dovecot() -> Iterator[legacy.Dovecot]:
    if legacy.program() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Dovecot is not installed, and in CI it has to be")
        pytest.skip("Dovecot is not installed")
    root = Path(tempfile.mkdtemp(prefix="dovecot-"))
    try:
        server = legacy.Dovecot(root)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.peers
@pytest.mark.parametrize("dialogue", dialogues(peer="dovecot"))
def test_dialogue_with_dovecot(dialogue: Dialogue, dovecot: legacy.Dovecot) -> None:
    play_to_the_end(dialogue, DovecotStage(dovecot, dialogue))
