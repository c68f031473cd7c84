"""Fixtures of the LMTP server's tests."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.memory import in_memory
from tests.proxy.lmtp.lmtp_rig import Desk


@pytest.fixture
def open_desk() -> Iterator[Callable[..., Desk]]:
    """Makes a desk, with the limits to change; closed afterwards."""
    desks: list[Desk] = []
    with tempfile.TemporaryDirectory(dir=in_memory()) as path:

        def made(**limits: Any) -> Desk:
            place = Path(path) / str(len(desks))
            place.mkdir()
            desks.append(Desk(place, **limits))
            return desks[-1]

        yield made
        for desk in desks:
            desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()
