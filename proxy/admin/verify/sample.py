"""Which messages the legacy server is asked to give once more, so that their bytes can be compared."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mailstore.entries import Listed, Outcome
from proxy.admin.verify.matching import Matching, Pair

USUAL: Final = 20  # messages of each account


@dataclass(frozen=True, slots=True)
class How:
    """What is compared. `content` "none": nothing is fetched from the legacy server; "sample": `sample` of each
    account, chosen with `seed`, which gives the same ones again where the mailbox is the same. `legacy` False: the
    legacy server is not asked for anything."""

    content: Literal["full", "sample", "none"] = "sample"
    sample: int = USUAL
    seed: int = 0
    legacy: bool = True


def how_for(*, full: bool = False, sample: int | None = None, seed: int | None = None, local: bool = False) -> How:
    """As an administrator says it. A sample of 0 is none."""
    return How(
        "full" if full else "none" if sample == 0 else "sample",
        USUAL if sample is None else sample,
        secrets.randbelow(1_000_000) if seed is None else seed,
        legacy=not local,
    )


def to_fetch(how: How, account: str, matching: Matching) -> tuple[list[Pair], list[Listed]]:
    """Messages that are here, to be compared with their rows; and unknown ones, which may be old ones that the legacy
    server has given new names."""
    stored = [pair for pair in matching.pairs if pair.row.entry.outcome is Outcome.STORED]
    if how.content == "full":
        return stored, list(matching.unknown) if matching.unlisted else []
    if how.content == "none" or how.sample == 0:
        return [], []
    pairs = _spread(stored, how.sample, random.Random(f"{how.seed} {account}"))  # noqa: S311 - a choice, no secret
    lost = {row.entry.octets for row in matching.unlisted if row.entry.outcome is Outcome.STORED}
    renamed = [listed for listed in matching.unknown if listed.octets in lost]
    return pairs, renamed[: how.sample]


def _spread(pairs: Sequence[Pair], count: int, random_: random.Random) -> list[Pair]:
    """A quarter from the beginning, from the end, of the largest, and for the rest any; before them, as many of those
    whose octets have changed since, for something is wrong with those."""
    if count >= len(pairs):
        return list(pairs)
    quarter = count // 4
    changed = [pair for pair in pairs if pair.listed.octets != pair.row.entry.octets][:count]
    chosen = {pair.listed.position: pair for pair in changed}
    room = len(chosen) + count
    last = pairs[-quarter:] if quarter else []
    largest = sorted(pairs, key=lambda pair: (-pair.listed.octets, pair.listed.position))[:quarter]
    for pair in (*pairs[:quarter], *last, *largest):
        chosen[pair.listed.position] = pair
    left = [pair for pair in pairs if pair.listed.position not in chosen]
    for pair in random_.sample(left, min(len(left), room - len(chosen))):
        chosen[pair.listed.position] = pair
    return [chosen[position] for position in sorted(chosen)]
