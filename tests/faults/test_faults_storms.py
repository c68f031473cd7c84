"""Each fault of a whole installation, small: what `tests/bench/run faults` plays in full."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crowds import CROWDS
from tests.faults.places import PLACES
from tests.faults.stage import Stage
from tests.faults.storms import Fault, numbered, play, play_on, usual

FAULTS = (*CROWDS, *PLACES)
ALIKE = [fault for fault in FAULTS if fault.stage is usual]
OTHERS = [fault for fault in FAULTS if fault.stage is not usual]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """For all that need no other one: each finds the daemon as the one before has left it."""
    with tempfile.TemporaryDirectory(prefix="storm.", dir="/tmp") as directory:
        with Stage(Path(directory), finals=numbered("user", 20)) as running:
            yield running


@pytest.mark.parametrize("fault", ALIKE, ids=lambda fault: fault.name)
def test_service_to_others_goes_on_and_nothing_is_lost(fault: Fault, stage: Stage) -> None:
    found = play_on(stage, fault, small=True)
    assert found.wrong == [], found.warnings


@pytest.mark.parametrize("fault", OTHERS, ids=lambda fault: fault.name)
def test_the_same_on_a_stage_of_its_own(fault: Fault) -> None:
    with tempfile.TemporaryDirectory(prefix="storm.", dir="/tmp") as directory:
        found = play(fault, Path(directory), small=True)
    assert found.wrong == [], found.warnings
