"""`mailferry dns` on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from proxy.admin.dns.looking import Look
from proxy.admin.dns.telling import kind
from proxy.cli.dns_text import COLOURS, details, ending, headline, servers, should_be, state


def render_brief(look: Look) -> RenderableType:
    """What changes from one look to the next, short enough for a screen that is written over."""
    troubled = [Text(f"{who}: {what}", style="red") for who, what, good in servers(look) if not good]
    return Group(Text(headline(look), style="bold"), _records(look), *troubled, *map(Text, ending(look)))


def render(look: Look) -> RenderableType:
    """The records, what differs, who was asked, and what there is to know."""
    parts: list[RenderableType] = [Text(headline(look), style="bold green" if look.right else "bold"), _records(look)]
    differing = [judgement for judgement in look.judgements if not judgement.right]
    for judgement in differing:
        said = list(details(judgement))
        if not said:
            continue
        parts += [Text(), Text(f"{judgement.wish.key.name}  {kind(judgement)}", style=COLOURS[judgement.state])]
        parts += [Text(f"  {line}") for line in said]
    parts += [Text(), *_servers(look)]
    parts += [Text(line, style="cyan") for line in ending(look)]
    for remark in look.remarks:
        parts += [Text(), Text(remark.text, style="red" if remark.weight == "mistake" else "yellow")]
    return Group(*parts)


def _records(look: Look) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("name", "type", "should be", "is"):
        table.add_column(column, no_wrap=column != "should be", overflow="fold")
    for judgement in look.judgements:
        word = Text(state(judgement), style=COLOURS[judgement.state])
        table.add_row(Text(judgement.wish.key.name), Text(kind(judgement)), Text(should_be(judgement)), word)
    return table


def _servers(look: Look) -> list[Text]:
    return [Text(f"{who}: {what}", style="dim" if good else "red") for who, what, good in servers(look)]
