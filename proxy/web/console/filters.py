"""Which accounts a list shows, in which order and from where on: from a query, and back to one.

A query may be anything that somebody typed. What cannot be meant is left out, and the list is shown without it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from mailstore.accounts import Account, State
from mailstore.overview import Key, Sort, Wanted, is_key, key_of
from proxy.web.visit import Visit

ATTENTION: Final = "attention"
PAUSED: Final = "paused"
STATES: Final = (*(state.value for state in State), ATTENTION, PAUSED)
WITHOUT: Final = "/"  # the department of those that have none; no department is called so
_MOST_PICKED: Final = 1_000
_LONGEST: Final = 500  # characters of a field


@dataclass(frozen=True, slots=True)
class Listing:
    """One list."""

    wanted: Wanted
    sort: Sort = Sort.NAME
    behind: Key | None = None
    before: Key | None = None

    @property
    def state(self) -> str:
        """As the query has it."""
        if self.wanted.attention:
            return ATTENTION
        if self.wanted.paused:
            return PAUSED
        return "" if self.wanted.state is None else self.wanted.state.value

    @property
    def department(self) -> str:
        """As the query has it."""
        return "" if self.wanted.department is None else self.wanted.department or WITHOUT

    def fields(self) -> dict[str, str]:
        """The filter and the order, without the place."""
        everything = {
            "domain": self.wanted.domain or "",
            "department": self.department,
            "state": self.state,
            "text": self.wanted.text,
            "sort": "" if self.sort is Sort.NAME else self.sort.value,
        }
        return {name: value for name, value in everything.items() if value}

    def query(self) -> str:
        """All of it, with a "?" where there is any."""
        fields = self.fields()
        if self.behind is not None:
            fields["behind"] = _written(self.behind)
        elif self.before is not None:
            fields["before"] = _written(self.before)
        return "?" + urlencode(fields) if fields else ""

    def first(self) -> Listing:
        """From the beginning on."""
        return replace(self, behind=None, before=None)

    def after(self, account: Account) -> Listing:
        return replace(self, behind=key_of(account, self.sort), before=None)

    def ahead_of(self, account: Account) -> Listing:
        return replace(self, behind=None, before=key_of(account, self.sort))


def listing_of(query: Mapping[str, str]) -> Listing:
    """What is meant."""
    get = {name: query.get(name, "")[:_LONGEST] for name in ("domain", "department", "state", "text", "sort")}
    department = get["department"]
    wanted = Wanted(
        domain=get["domain"].strip().lower() or None,
        department=department.strip("/") if department else None,
        state=State(get["state"]) if get["state"] in set(State) else None,
        attention=get["state"] == ATTENTION,
        paused=get["state"] == PAUSED,
        text=get["text"].strip(),
    )
    sort = Sort(get["sort"]) if get["sort"] in set(Sort) else Sort.NAME
    return Listing(wanted, sort, _read(query.get("behind", ""), sort), _read(query.get("before", ""), sort))


def picked_of(visit: Visit) -> list[int]:
    """The accounts that were ticked. Raises Refused."""
    numbers = visit.lists.get("pick", [])
    if len(numbers) > _MOST_PICKED or not all(n.isascii() and n.isdigit() and len(n) <= 18 for n in numbers):
        visit.refuse(400, "error.malformed")
    return list(dict.fromkeys(map(int, numbers)))


def _written(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def _read(text: str, sort: Sort) -> Key | None:
    if not text or len(text) > 4 * _LONGEST:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, RecursionError):
        return None
    return tuple(found) if is_key(found, sort) else None
