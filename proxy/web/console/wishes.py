"""What a form says of a notice or a reminder: who is meant, and what they are told, when it is said so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date as Day
from typing import Final

from proxy.admin.noticing.facts import Language, When, when
from proxy.admin.noticing.texts import Kind
from proxy.web.console.filters import Listing, listing_of, picked_of
from proxy.web.visit import Visit

_DAY: Final = 86_400
# What was sent so long ago, or longer, does not count; "again": nothing does.
SINCE: Final = {"": None, "7": 7 * _DAY, "1": _DAY, "again": 0}
LANGUAGES: Final[dict[str, tuple[Language, ...]]] = {"both": ("zh", "en"), "zh": ("zh",), "en": ("en",)}
NAMES: Final = {"": None, "same": True, "new": False}  # do users keep their server names? "": as the configuration says
_LONGEST: Final = 16  # characters of a day, or of a time


@dataclass(frozen=True, slots=True)
class Wish:
    """One form. With a `domain` those of that one alone are meant."""

    kind: Kind
    domain: str
    picked: Sequence[int]
    listing: Listing
    language: str
    day: str
    time: str
    since: str
    names: str

    @property
    def languages(self) -> Sequence[Language]:
        return LANGUAGES[self.language]

    @property
    def again(self) -> bool:
        return self.since == "again"

    @property
    def same_names(self) -> bool | None:
        return NAMES[self.names]

    @property
    def date(self) -> str:
        """As `noticing.facts.when` takes it, if it is one."""
        return f"{self.day} {self.time}".strip()

    def after(self, now: float) -> int:
        """From which second on what was sent counts."""
        seconds = SINCE[self.since]
        return int(now) - seconds if seconds else 0

    def day_problem(self) -> str:
        """What is wrong with the date, as a key of words; "" where nothing is."""
        if not self.date:
            return "console.notice.date.none" if self.kind == "notice" else ""
        try:
            found: When = when(self.date)
        except ValueError:
            return "console.remind.date.wrong"
        return "console.remind.date.over" if found.day < Day.today() else ""

    def fields(self) -> dict[str, str]:
        """All but who is meant."""
        found = {"language": self.language, "date": self.day, "since": self.since}
        return found | ({"time": self.time, "names": self.names} if self.kind == "notice" else {})


def wish_of(visit: Visit, kind: Kind, domain: str = "", *, everybody: bool = False) -> Wish | None:
    """From the form, or, where there is none, from the query. None where nobody is chosen, unless `everybody` is then.
    Raises Refused."""
    form, picked = visit.form or visit.query, picked_of(visit)
    wish = Wish(
        kind=kind,
        domain=domain,
        picked=[] if form.get("which") == "all" else picked,
        listing=listing_of(form),
        language=form.get("language", "both"),
        day=form.get("date", "").strip(),
        time=form.get("time", "").strip(),
        since=form.get("since", ""),
        names=form.get("names", ""),
    )
    known = wish.language in LANGUAGES and wish.since in SINCE and wish.names in NAMES
    if not known or len(wish.day) > _LONGEST or len(wish.time) > _LONGEST:
        visit.refuse(400, "error.malformed")
    if not wish.picked and form.get("which") != "all" and not everybody:
        return None
    if domain:
        listing = wish.listing
        wish = replace(wish, listing=replace(listing.first(), wanted=replace(listing.wanted, domain=domain)))
    return wish
