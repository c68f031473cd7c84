"""Dates in header fields: RFC 5322 3.3 with its obsolete forms, and what else is met in mail.

Nothing here raises. A date is taken when it exists in the calendar; whether it is plausible is for the caller.
"""

from __future__ import annotations

import email.utils
import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from mailstore.message.headers import first, unfold, without_comments

_LONGEST: Final = 200  # a date with its comments is shorter
_EPOCH: Final = date(1970, 1, 1).toordinal()

_MONTHS: Final = {
    name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}

# RFC 5322 4.3. All other names, the military letters among them, mean nothing that can be relied on: UTC.
_ZONES: Final = {
    b"edt": -4, b"est": -5, b"cdt": -5, b"cst": -6, b"mdt": -6, b"mst": -7, b"pdt": -7, b"pst": -8,
}  # fmt: skip

# [day-name ","] day month year hour ":" minute [":" second] [zone], also with "-" between day, month and year
_RFC5322 = re.compile(
    rb"\s*+(?:[A-Za-z]{2,9}\.?,?\s*+)?(\d{1,2})[\s-]++([A-Za-z]{3})[a-z]*+\.?[\s-]++(\d{2,4})\s*+,?\s*+"
    rb"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d++)?)?\s*+(?:([+-])(\d{2}):?(\d{2})(?!\d)|([A-Za-z]++))?"
)
# 2008-06-03 09:16:17 +0800 and the like (RFC 3339, asked or not)
_ISO = re.compile(
    rb"\s*+(\d{4})-(\d{2})-(\d{2})[T\s]\s*+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d++)?)?\s*+(?:([+-])(\d{2}):?(\d{2}))?"
)


class Moment(NamedTuple):
    """A date as it is written, and when that was."""

    calendar: date  # in the date's own zone
    seconds: int  # since 1970, UTC


def moment(value: bytes) -> Moment | None:
    """The moment that a raw date value names; None when it names none. Without a zone it is taken as UTC."""
    found = _rfc5322(value) or _iso(value)
    if found is None and len(value) < 10 * _LONGEST:
        plain = without_comments(unfold(value))[:_LONGEST]
        found = _rfc5322(plain) or _by_email_package(plain)
    return found


def sent_date(header: bytes) -> date | None:
    """The calendar date of the Date field, time and zone disregarded: what SENTON and its like compare
    (RFC 3501 6.4.4). None without a readable Date."""
    value = first(header, b"date")
    found = moment(value) if value is not None else None
    return found.calendar if found is not None else None


def _rfc5322(value: bytes) -> Moment | None:
    match = _RFC5322.match(value)
    if match is None:
        return None
    day, name, year, hour, minute, second, sign, zone_hours, zone_minutes, zone = match.groups()
    calendar = _calendar_of(day, name, year)
    if calendar is None:
        return None
    if sign is not None:
        offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
        offset = -offset if sign == b"-" else offset
    else:
        offset = _ZONES.get(zone.lower(), 0) * 3600 if zone is not None else 0
    return _moment(calendar, int(hour), int(minute), int(second or 0), offset)


@lru_cache(maxsize=4096)
def _calendar_of(day: bytes, month: bytes, year: bytes) -> date | None:
    number = _MONTHS.get(month.lower())
    return None if number is None else _calendar(_full_year(year), number, int(day))


def _iso(value: bytes) -> Moment | None:
    match = _ISO.match(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = int(zone_hours or 0) * 3600 + int(zone_minutes or 0) * 60
    offset = -offset if sign == b"-" else offset
    calendar = _calendar(int(year), int(month), int(day))
    return None if calendar is None else _moment(calendar, int(hour), int(minute), int(second or 0), offset)


def _by_email_package(value: bytes) -> Moment | None:
    """Other orders and spellings (asctime's, among them), as the standard library reads them."""
    try:
        parsed = email.utils.parsedate_tz(value.decode("latin-1"))
    except (ValueError, IndexError, TypeError, OverflowError, AttributeError):
        return None  # it has raised each of these for some malformed date
    if parsed is None:
        return None
    year, month, day, hour, minute, second, *_, offset = parsed
    calendar = _calendar(year, month, day)
    return None if calendar is None else _moment(calendar, hour, minute, second, offset or 0)


def _full_year(digits: bytes) -> int:
    """RFC 5322 4.3: two digits are 1950 to 2049, three are years since 1900."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _moment(calendar: date, hour: int, minute: int, second: int, offset: int) -> Moment | None:
    if hour > 24 or minute > 59 or second > 60:
        return None
    if abs(offset) >= 86_400:  # no zone is a day away
        offset = 0
    days = calendar.toordinal() - _EPOCH
    return Moment(calendar, days * 86_400 + hour * 3600 + minute * 60 + second - offset)


@lru_cache(maxsize=4096)
def _calendar(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None
