"""What `mailferry status` says beside the figures: how fast each domain goes, when it is done, and its departments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mailstore.overview import Figures, Wanted
from proxy.admin.moments import iso_or_none
from proxy.admin.overview import Department, DomainView, Pace
from proxy.config.sizes import size

Departments = Mapping[str, Sequence[Department]]  # by domain


def pace_words(pace: Pace) -> str:
    """ "12.4 messages/s, 1.3 MB/s; 2.1 GB to come, done about 2026-11-26T18:05Z"; "" where nothing moves."""
    if not pace.moves:
        return ""
    words = f"{pace.messages_rate:.1f} messages/s, {size(pace.bytes_rate)}/s"
    if pace.ends is None:
        return words
    about = "about " if pace.estimated else ""
    end = datetime.fromtimestamp(pace.ends, UTC)
    return f"{words}; {about}{size(pace.bytes_left)} to come, at this rate until {end:%Y-%m-%dT%H:%MZ}"


def pace_lines(views: Sequence[DomainView]) -> Iterator[str]:
    """A line for each domain that moves."""
    for view in views:
        if words := pace_words(view.pace):
            yield f"{view.name}  {words}"


def paces_json(views: Sequence[DomainView]) -> dict[str, Any]:
    """By domain, of those that move. Rates are of a second; `ends` in ISO 8601, UTC, null where nothing tells."""
    return {
        view.name: {
            "messages_per_second": round(view.pace.messages_rate, 3),
            "bytes_per_second": round(view.pace.bytes_rate),
            "messages_left": view.pace.messages_left,
            "bytes_left": view.pace.bytes_left,
            "estimated": view.pace.estimated,
            "ends": iso_or_none(view.pace.ends),
        }
        for view in views
        if view.pace.moves
    }


def within(departments: Sequence[Department], wanted: Wanted) -> list[Department]:
    """The part of a tree that is asked for: all of it where the path is ""."""
    path = wanted.department
    if not path:
        return list(departments)
    return [node for top in departments for node in top.walk() if node.path == path]


def department_lines(departments: Departments) -> Iterator[str]:
    """A line for each department, indented as they lie in each other; figures are those of all below it."""
    for domain, tops in departments.items():
        for top in tops:
            for node in top.walk():
                indent = "  " * (node.depth - top.depth)
                yield f"{domain}  {indent}{node.path or '(no department)'}  {_figures(node.whole)}"


def _figures(figures: Figures) -> str:
    counts = ("accounts", "waiting", "moving", "moved", "final", "blocked")
    return "  ".join(f"{name} {getattr(figures, name)}" for name in counts)


def departments_json(departments: Departments) -> dict[str, Any]:
    """By domain a list of all nodes, those above before those below."""
    return {
        domain: [{"department": node.path, **node.whole._asdict()} for top in tops for node in top.walk()]
        for domain, tops in departments.items()
    }
