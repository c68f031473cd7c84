from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.proxy.sasl.desk import Desk


@pytest.fixture
def open_desk() -> Iterator[Callable[..., Desk]]:
    """Makes a desk, which is closed afterwards."""
    desks: list[Desk] = []

    def made(**about: Any) -> Desk:
        desks.append(Desk(**about))
        return desks[-1]

    yield made
    for desk in desks:
        desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()
