"""Departments as a tree, from the paths that accounts have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from mailstore.people import Department

NO_DEPARTMENT: Final = "(no department)"


@dataclass(slots=True)
class Branch:
    """A department with all that is below it; a domain at the top. Counts are of all of it."""

    name: str
    accounts: int = 0
    waiting: int = 0
    moving: int = 0
    here: int = 0
    blocked: int = 0
    below: dict[str, Branch] = field(default_factory=dict)

    def count(self, department: Department) -> None:
        for word in ("accounts", "waiting", "moving", "here", "blocked"):
            setattr(self, word, getattr(self, word) + getattr(department, word))

    @property
    def figures(self) -> str:
        others = ((self.moving, "moving"), (self.blocked, "blocked"))
        said = [f"{self.here:,} here", *(f"{number:,} {word}" for number, word in others if number)]
        return f"{self.accounts:,} ({', '.join(said)})"


def grown(departments: Iterable[Department]) -> list[Branch]:
    """A tree for each domain."""
    domains: dict[str, Branch] = {}
    for department in departments:
        branch = domains.setdefault(department.domain, Branch(department.domain))
        branch.count(department)
        for name in department.path.split("/"):
            name = name or NO_DEPARTMENT  # noqa: PLW2901
            branch = branch.below.setdefault(name, Branch(name))
            branch.count(department)
    return list(domains.values())


def lines(branches: Iterable[Branch], depth: int = 0) -> Iterator[str]:
    """For a pipe: two spaces a level."""
    for branch in branches:
        yield f"{'  ' * depth}{branch.name}  {branch.figures}"
        yield from lines(branch.below.values(), depth + 1)


def draw(branches: Iterable[Branch]) -> None:
    """For a terminal."""
    from rich.console import Console  # noqa: PLC0415 - rich, only where there is a terminal
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    def label(branch: Branch, style: str) -> Text:
        return Text.assemble((branch.name, style), ("  " + branch.figures, "dim"))

    def hang(branch: Branch, under: Tree) -> None:
        for child in branch.below.values():
            hang(child, under.add(label(child, "")))

    for branch in branches:
        top = Tree(label(branch, "bold"))
        hang(branch, top)
        Console().print(top)


def as_json(branches: Iterable[Branch]) -> list[dict[str, Any]]:
    return [
        {
            "name": branch.name,
            "accounts": branch.accounts,
            "waiting": branch.waiting,
            "moving": branch.moving,
            "here": branch.here,
            "blocked": branch.blocked,
            "below": as_json(branch.below.values()),
        }
        for branch in branches
    ]
