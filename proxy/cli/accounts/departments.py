"""`mailferry accounts tree`: departments, below their domains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from proxy.admin.overview import Department

NO_DEPARTMENT: Final = "(no department)"


def _here(node: Department) -> int:
    return node.whole.moved + node.whole.final


def _figures(node: Department) -> str:
    whole = node.whole
    others = ((whole.moving, "moving"), (whole.blocked, "blocked"))
    said = [f"{_here(node):,} here", *(f"{number:,} {word}" for number, word in others if number)]
    return f"{whole.accounts:,} ({', '.join(said)})"


def lines(nodes: Iterable[Department], depth: int = 0) -> Iterator[str]:
    """For a pipe: two spaces a level."""
    for node in nodes:
        yield f"{'  ' * depth}{node.name or NO_DEPARTMENT}  {_figures(node)}"
        yield from lines(node.children(), depth + 1)


def draw(nodes: Iterable[Department]) -> None:
    """For a terminal."""
    from rich.console import Console  # noqa: PLC0415 - rich, only where there is a terminal
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    def label(node: Department, style: str) -> Text:
        return Text.assemble((node.name or NO_DEPARTMENT, style), ("  " + _figures(node), "dim"))

    def hang(node: Department, under: Tree) -> None:
        for child in node.children():
            hang(child, under.add(label(child, "")))

    for node in nodes:
        top = Tree(label(node, "bold"))
        hang(node, top)
        Console().print(top)


def as_json(nodes: Iterable[Department]) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name or NO_DEPARTMENT,
            "accounts": node.whole.accounts,
            "waiting": node.whole.waiting,
            "moving": node.whole.moving,
            "here": _here(node),
            "blocked": node.whole.blocked,
            "below": as_json(node.children()),
        }
        for node in nodes
    ]
