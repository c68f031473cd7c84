"""The rows of contents: what was computed of a message's bytes, one row for all messages that have the same bytes.

Functions over an open transaction. A row lives as long as a message of any folder points to it: `index.mailbox` and
`index.folders` let go of it in the transaction that removes the last one.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from mailstore import schema
from mailstore.message.facts import Facts

_m = schema.messages.c
_c = schema.contents.c
_t = schema.texts.c

_JOINED = (
    select(_m.uid, _c.email_id, _c.thread_id, _c.facts)
    .join_from(schema.messages, schema.contents, (_c.account_id == _m.account_id) & (_c.id == _m.content_id))
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"))
)
_SPAN = _JOINED.where(_m.uid.between(bindparam("low"), bindparam("high")))
_AMONG = _JOINED.where(_m.uid.in_(bindparam("uids", expanding=True)))
_BY_EMAIL = select(_c.id).where(_c.account_id == bindparam("a"), _c.email_id == bindparam("e"))
_HIGHEST = (
    select(func.max(_c.id)).where(_c.account_id == bindparam("a")).scalar_subquery(),
    select(func.max(_t.content_id)).where(_t.account_id == bindparam("a")).scalar_subquery(),
)
_POINT = (
    update(schema.messages)
    .where(
        _m.account_id == bindparam("a"),
        _m.folder_id == bindparam("f"),
        _m.uid == bindparam("u"),
        _m.file == bindparam("was"),  # the same message still
    )
    .values(content_id=bindparam("to"))
)
_PACK = (
    update(schema.contents)
    .where(_c.account_id == bindparam("a"), _c.id == bindparam("i"))
    .values(facts=bindparam("packed"))
)
_UNUSED = ~exists().where(_m.account_id == _c.account_id, _m.content_id == _c.id)
_LET_GO = delete(schema.contents).where(
    _c.account_id == bindparam("a"), _c.id.in_(bindparam("ids", expanding=True)), _UNUSED
)
_SWEEP = delete(schema.contents).where(_c.account_id == bindparam("a"), _UNUSED)

_AT_ONCE = 500  # names in one IN list


def facts(connection: Connection, account_id: int, folder_id: int, uids: Collection[int]) -> dict[int, Facts]:
    """Those that are kept, by UID."""
    if not uids:
        return {}
    wanted = uids if isinstance(uids, (set, frozenset, range)) else set(uids)
    key: dict[str, Any] = {"a": account_id, "f": folder_id}
    low, high = min(wanted), max(wanted)
    if high - low < 4 * len(wanted):
        found = [row for row in connection.execute(_SPAN, key | {"low": low, "high": high}) if row[0] in wanted]
    else:
        some = sorted(wanted)
        found = []
        for at in range(0, len(some), _AT_ONCE):
            found += connection.execute(_AMONG, key | {"uids": some[at : at + _AT_ONCE]}).all()
    kept: dict[int, Facts] = {}
    for uid, email_id, thread_id, packed in found:
        value = Facts.unpacked(email_id, thread_id, packed) if packed is not None else None
        if value is not None:
            kept[uid] = value
    return kept


def keep(connection: Connection, account_id: int, folder_id: int, uid: int, file: str, value: Facts) -> int | None:
    """Keep a message's facts; gives back the id of its content, None when the message has gone meanwhile."""
    content_id = connection.scalar(_BY_EMAIL, {"a": account_id, "e": value.email_id})
    new = content_id is None
    if content_id is None:
        highest = connection.execute(select(*_HIGHEST), {"a": account_id}).one()
        content_id = max(highest[0] or 0, highest[1] or 0) + 1
    point = {"a": account_id, "f": folder_id, "u": uid, "was": file, "to": content_id}
    if connection.execute(_POINT, point).rowcount == 0:
        return None
    if new:
        row = {
            "account_id": account_id,
            "id": content_id,
            "email_id": value.email_id,
            "thread_id": value.thread_id,
            "facts": value.packed(),
        }
        connection.execute(insert(schema.contents), row)
    else:
        connection.execute(_PACK, {"a": account_id, "i": content_id, "packed": value.packed()})
    return int(content_id)


def let_go(connection: Connection, account_id: int, ids: Collection[int]) -> None:
    """Forget those of `ids` that no message has any more."""
    if ids:
        connection.execute(_LET_GO, {"a": account_id, "ids": list(ids)})


def sweep(connection: Connection, account_id: int) -> None:
    """Forget whatever no message has any more."""
    connection.execute(_SWEEP, {"a": account_id})
