"""A curve in characters, for `mailferry status --watch`: how much mail was here at each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailstore.samples import Sample

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def columns(samples: Sequence[Sample], width: int) -> list[float]:
    """From 0 to 1, for each of `width` equal spans of time: how high the curve is at its end. A row of samples holds
    until the next one, but for two that are close: between these it rises in a line."""
    if len(samples) < 2:
        return []
    begin, span = samples[0].taken, samples[-1].taken - samples[0].taken
    low, high = samples[0].bytes, max(sample.bytes for sample in samples)
    if span <= 0 or high <= low:
        return []
    heights, at = [], 0
    for column in range(1, width + 1):
        moment = begin + span * column / width
        while at + 2 < len(samples) and samples[at + 1].taken <= moment:
            at += 1
        left, right = samples[at], samples[at + 1]
        share = min(1.0, (moment - left.taken) / max(1, right.taken - left.taken))
        value = left.bytes + (right.bytes - left.bytes) * share
        heights.append(max(0.0, min(1.0, (value - low) / (high - low))))
    return heights


def drawn(heights: Sequence[float], rows: int) -> list[str]:
    """As lines of characters, the top one first; none where there is nothing to draw."""
    if not heights:
        return []
    lines = []
    for row in range(rows - 1, -1, -1):
        filled = (max(0.0, min(1.0, height * rows - row)) for height in heights)
        lines.append("".join(_BLOCKS[round(part * (len(_BLOCKS) - 1))] for part in filled))
    return lines
