"""The dates of IMAP: ` 1-Feb-2020 12:00:00 +0800` and `1-Feb-2020`, both ways (RFC 3501 9).

Month names are the protocol's own, whatever the locale. Times are seconds since 1970.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from proxy.imap.grammar.syntax import BadSyntax

MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NUMBER_OF_MONTH: Final = {name.upper(): number for number, name in enumerate(MONTHS, 1)}

# date-text = date-day "-" date-month "-" date-year;  date-day = 1*2DIGIT;  date-year = 4DIGIT
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")

# date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
# date-day-fixed = (SP DIGIT) / 2DIGIT (one digit without its space is taken too)
# time = 2DIGIT ":" 2DIGIT ":" 2DIGIT;  zone = ("+" / "-") 4DIGIT
_DATE_TIME = re.compile(
    rb" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)

_EARLIEST: Final = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LATEST: Final = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_date(text: bytes) -> date:
    """A day, without its quotes. Raises BadSyntax."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadSyntax("not a date such as 1-Feb-2020")
    try:
        return date(int(match[3]), _NUMBER_OF_MONTH[match[2].upper()], int(match[1]))
    except (KeyError, ValueError):
        raise BadSyntax("there is no such day") from None


def parse_date_time(text: bytes) -> int:
    """A moment, without its quotes, in seconds since 1970 (below 0 before). A leap second counts as the
    second before it. Raises BadSyntax."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise BadSyntax('not a date and time such as "01-Feb-2020 12:00:00 +0800"')
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    if int(zone_minutes) > 59:
        raise BadSyntax("there is no such time zone")
    ahead = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        moment = datetime(
            int(year),
            _NUMBER_OF_MONTH[month.upper()],
            int(day),
            int(hour),
            int(minute),
            59 if second == b"60" else int(second),
            tzinfo=timezone(-ahead if sign == b"-" else ahead),
        )
    except (KeyError, ValueError):
        raise BadSyntax("there is no such date and time") from None
    return int((moment - _EPOCH).total_seconds())


def internal_date(seconds: int) -> bytes:
    """INTERNALDATE's value with its quotes, in UTC: `" 1-Feb-2020 04:00:00 +0000"` (RFC 3501 7.4.2).

    What lies outside the years 1 to 9999 is moved to the nearest moment inside.
    """
    moment = _EPOCH + timedelta(seconds=min(max(seconds, _EARLIEST), _LATEST))
    return b'"%2d-%s-%04d %02d:%02d:%02d +0000"' % (
        moment.day,
        MONTHS[moment.month - 1],
        moment.year,
        moment.hour,
        moment.minute,
        moment.second,
    )
