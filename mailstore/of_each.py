"""A question of each of several domains.

PostgreSQL is asked it once for all of them: they may be thousands, and each way to the server takes longer than what is
done there. SQLite is asked of one after the other, which costs it next to nothing (`mailstore.prepared`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Select, String, bindparam, collate, func, select, true

from mailstore.prepared import Prepared


class OfEach:
    """The question, written once."""

    def __init__(self, question: Callable[[ColumnElement[str]], Select[Any]]) -> None:
        """`question` of a domain. What stands in it within others names its own tables (`correlate_except`)."""
        self._of_one = Prepared(question(bindparam("d", type_=String)))
        several = func.unnest(bindparam("several", type_=ARRAY(String))).table_valued("domain", name="several")
        each = several.render_derived()
        rows = question(collate(each.c.domain, "C")).lateral("found")
        self._of_all = select(each.c.domain, *rows.c).select_from(each.join(rows, true()))

    def rows(self, connection: Connection, domains: Iterable[str], **about: Any) -> Iterator[tuple[str, list[Any]]]:
        """Each domain that there are rows of, in the order of `domains`."""
        if connection.dialect.name == "postgresql":
            found: dict[str, list[Any]] = {domain: [] for domain in domains}
            for domain, *row in connection.execute(self._of_all, {"several": list(found), **about}):
                found[domain].append(row)
        else:
            found = {domain: self._of_one.all(connection, {"d": domain, **about}) for domain in domains}
        return ((domain, rows) for domain, rows in found.items() if rows)
