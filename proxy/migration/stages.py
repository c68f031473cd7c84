"""The stages of a move, and the ways between them: see `proxy.migration.move`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class Stage(enum.Enum):
    OPENING = "opening"
    LISTING = "listing"
    PLANNING = "planning"
    PULLING = "pulling"
    CLOSING = "closing"
    PAUSING = "pausing"
    DONE = "done"
    FAILED = "failed"


NEXT: Final[Mapping[Stage, frozenset[Stage]]] = {
    Stage.OPENING: frozenset({Stage.LISTING, Stage.PAUSING, Stage.FAILED}),
    Stage.LISTING: frozenset({Stage.PLANNING, Stage.PAUSING, Stage.FAILED}),
    Stage.PLANNING: frozenset({Stage.PULLING, Stage.PAUSING, Stage.FAILED}),
    Stage.PULLING: frozenset({Stage.CLOSING, Stage.PAUSING, Stage.FAILED}),
    Stage.CLOSING: frozenset({Stage.DONE, Stage.FAILED}),
    Stage.PAUSING: frozenset({Stage.OPENING, Stage.FAILED}),
    Stage.DONE: frozenset(),
    Stage.FAILED: frozenset(),
}
