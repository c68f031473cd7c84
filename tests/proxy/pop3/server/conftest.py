"""Fixtures of the POP3 server's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.pop3.server.desk import Desk


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a desk, with what is in its mailbox and the limits to change; closed afterwards."""
    desks: list[Desk] = []

    def made(setup: str = "letters", **limits: Any) -> Desk:
        desks.append(Desk(tmp_path / str(len(desks)), setup, **limits))
        return desks[-1]

    yield made
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()
