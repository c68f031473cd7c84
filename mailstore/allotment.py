"""What a legacy host is not to be asked more than, by all nodes together: connections, logins in a minute, octets a
second, and how soon after it said that it is busy.

Each node has so many *places* at a host: connections that it may have there. All nodes' places together are never more
than the host's limit, since each takes what the others have left, one after the other. A place that is in use stays;
one that is not goes to who is short of some. Who is entitled to how many is the same sum wherever it is done: users who
wait for a login first, then the rest, and evenly among nodes that want more than there are.

Octets a second are shared out in the same way, by rows of their own; none is in use for longer than a moment.

What a dead node had counts as long as its row is there (`mailstore.membership`): its connections may last as long.

PostgreSQL's alone. Each function is a part of its caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from mailstore.membership import NOW

WINDOW: Final = 62_000  # milliseconds in which logins count; a minute, and what it may take from leave to login

# A node that is stopped in its midst keeps the others waiting for no longer.
_ALONE = text("SELECT set_config('idle_in_transaction_session_timeout', '3s', true), pg_advisory_xact_lock(:key)")
_EVERY = text("""
    SELECT places.node, places, wanted, held, short_since
    FROM places JOIN nodes ON nodes.id = places.node WHERE host = :host
""")
_SAVE = text("""
    INSERT INTO places (host, node, places, wanted, held, short_since)
    SELECT :host, id, :places, :wanted, :held, :short_since FROM nodes WHERE id = :node
    ON CONFLICT (host, node)
    DO UPDATE SET places = :places, wanted = :wanted, held = :held, short_since = :short_since
    RETURNING node
""")
_NOW = text(f"SELECT {NOW}")
_PAUSED = text(f"SELECT until - {NOW} FROM host_pauses WHERE host = :host")  # noqa: S608 - a constant of ours
_PAUSE = text(f"""
    INSERT INTO host_pauses (host, until) VALUES (:host, {NOW} + :long)
    ON CONFLICT (host) DO UPDATE SET until = greatest(host_pauses.until, excluded.until)
""")  # noqa: S608
_FORGET = text(f"DELETE FROM host_logins WHERE host = :host AND at < {NOW} - :window")  # noqa: S608
_LOGINS = text(f"""
    SELECT count(*), min(at) + :window - {NOW} FROM host_logins WHERE host = :host
""")  # noqa: S608
_LOGIN = text(f"INSERT INTO host_logins (host, at) SELECT :host, {NOW} FROM generate_series(1, :count)")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Wish:
    """What a node wants of a host: connections, of those for users who wait, those that it has, and logins now."""

    wanted: int
    held: int
    in_use: int
    logins: int = 0


class Allotted(NamedTuple):
    """What it may have."""

    places: int
    short: bool  # are other nodes short of places?
    too_many: int  # connections that it has and that users who wait on other nodes should have
    logins: int  # that it may begin now; what is not begun within a second or two is lost
    again: int  # milliseconds after which there may be more of them; 0: there are enough
    paused: int  # milliseconds until the host is to be asked again
    changed: bool  # would other nodes look at it anew?


class Part(NamedTuple):
    """A node's, as its row has it."""

    places: int
    wanted: int
    held: int
    short_since: int = 0  # when it began to have fewer than it wants; 0: it has enough


def _key(host: str) -> int:
    return int.from_bytes(hashlib.sha256(f"host {host}".encode()).digest()[:8], "big", signed=True)


def _evenly(wanted: Mapping[int, int], parts: Mapping[int, Part], limit: int) -> dict[int, int]:
    """So many to each as it wants, or as evenly as can be. Who has fewest gets the odd one, and of those who waits
    longest: so it goes round."""
    given = dict.fromkeys(wanted, 0)
    left = limit

    def turn(number: int) -> tuple[float, ...]:
        part = parts[number]
        return wanted[number], part.places, part.short_since or float("inf"), number

    ordered = sorted(wanted, key=turn)
    for index, number in enumerate(ordered):
        among = len(ordered) - index
        given[number] = min(wanted[number], -(-left // among))
        left -= given[number]
    return given


def entitled(parts: Mapping[int, Part], limit: int) -> dict[int, int]:
    """How many places each node is entitled to."""
    first = _evenly({node: part.held for node, part in parts.items()}, parts, limit)
    more = {node: max(0, part.wanted - first[node]) for node, part in parts.items()}
    rest = _evenly(more, parts, limit - sum(first.values()))
    return {node: first[node] + rest[node] for node in parts}


def allot(
    connection: Connection, host: str, node: int, limit: int, wish: Wish, *, per_minute: int | None = None
) -> Allotted:
    """A node's places at a host now. It has none where it is dead."""
    connection.execute(_ALONE, {"key": _key(host)})
    parts = {row[0]: Part(*row[1:]) for row in connection.execute(_EVERY, {"host": host})}
    before = parts.pop(node, Part(0, 0, 0))
    left = limit - sum(part.places for part in parts.values())
    due = entitled({**parts, node: before._replace(wanted=wish.wanted, held=wish.held)}, limit)
    short = any(part.places < due[number] for number, part in parts.items())
    kept = due[node] if short else max(due[node], before.places)  # what nobody is short of is at hand
    places = max(wish.in_use, min(kept, left))
    users = any(part.places < min(part.held, due[number]) for number, part in parts.items())
    since = 0
    if places < wish.wanted:
        since = before.short_since or connection.execute(_NOW).scalar_one()
    now = Part(places, wish.wanted, wish.held, since)
    if now != before:
        saved = connection.execute(_SAVE, {"host": host, "node": node, **now._asdict()}).first()
        if saved is None:
            return Allotted(0, short, 0, 0, 0, 0, changed=False)
    logins, again = _logins(connection, host, per_minute, min(wish.logins, places - wish.in_use))
    paused = connection.execute(_PAUSED, {"host": host}).scalar()
    wants = places < due[node]  # others have what it is entitled to
    changed = places < before.places or (wants and now != before)
    too_many = max(0, wish.in_use - due[node]) if users else 0
    return Allotted(places, short, too_many, logins, again, max(0, paused or 0), changed)


def allot_octets(connection: Connection, host: str, node: int, limit: int, wanted: int) -> Allotted:
    """The octets a second that a node may read from a host now: its `places`."""
    return allot(connection, f"{host} octets", node, limit, Wish(wanted, 0, 0))


def _logins(connection: Connection, host: str, per_minute: int | None, wanted: int) -> tuple[int, int]:
    if per_minute is None or wanted <= 0:
        return max(0, wanted), 0
    about = {"host": host, "window": WINDOW}
    connection.execute(_FORGET, about)
    count, again = connection.execute(_LOGINS, about).one()
    given = max(0, min(wanted, per_minute - count))
    if given:
        connection.execute(_LOGIN, {"host": host, "count": given})
    return given, 0 if given == wanted else max(1, again or 1)


def pause(connection: Connection, host: str, milliseconds: int) -> None:
    """The host said that it is busy: no node logs in there for so long."""
    connection.execute(_PAUSE, {"host": host, "long": milliseconds})
