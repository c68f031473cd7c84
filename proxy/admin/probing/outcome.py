"""A probe and all that follows from it, for whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.admin.probing.advice import Change, advice, changes
from proxy.admin.probing.estimate import Estimate, estimate
from proxy.admin.probing.finding import Probed
from proxy.config import Domain


@dataclass(frozen=True, slots=True)
class Outcome:
    """`new` is what the configuration should have otherwise, `advice` what nobody but a person should decide."""

    found: Probed
    estimated: Estimate | None
    new: Sequence[Change]
    advice: Sequence[str]


def outcome(domain: Domain, found: Probed) -> Outcome:
    """Of a probe with this domain's settings."""
    return Outcome(found, estimate(found, domain), changes(domain, found), advice(domain, found))
