"""How something grew over time, as the points of an SVG: drawn by the browser without a program of ours.

The drawing has no words of its own: the page has them beside it, and the same figures as a table for those who cannot
see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.samples import Sample

WIDTH: Final = 640
HEIGHT: Final = 140
_PAD: Final = 4
ROWS: Final = 12  # of the table


@dataclass(frozen=True, slots=True)
class Curve:
    """`line` and `area` are paths in a view of WIDTH × HEIGHT; `rows` are samples for the table, the latest first."""

    line: str
    area: str
    low: int
    high: int
    rows: Sequence[Sample]


def curve(samples: Sequence[Sample], value: Callable[[Sample], int]) -> Curve | None:
    """None where there is nothing to draw: less than two samples, or no time between them."""
    if len(samples) < 2 or samples[-1].taken <= samples[0].taken:
        return None
    values = [value(sample) for sample in samples]
    low, high = min(values), max(values)
    begin, span = samples[0].taken, samples[-1].taken - samples[0].taken

    def point(sample: Sample, number: int) -> str:
        across = _PAD + (WIDTH - 2 * _PAD) * (sample.taken - begin) / span
        up = (number - low) / (high - low) if high > low else 0.0
        return f"{across:.1f} {HEIGHT - _PAD - (HEIGHT - 2 * _PAD) * up:.1f}"

    line = "M" + " L".join(point(sample, number) for sample, number in zip(samples, values, strict=True))
    foot = HEIGHT - _PAD
    area = f"{line} L{WIDTH - _PAD} {foot} L{_PAD} {foot} Z"
    step = max(1, -(-len(samples) // ROWS))
    return Curve(line, area, low, high, list(samples[::-1])[::step])
