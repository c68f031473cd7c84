"""The rows of contents: what was computed of a message's bytes, one row for all messages that have the same bytes.

Functions over an open transaction. A row lives as long as a message of any folder points to it: `index.mailbox` and
`index.folders` let go of it in the transaction that removes the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from mailstore import schema
from mailstore.message.facts import Facts
from mailstore.prepared import Prepared

_m = schema.messages.c
_c = schema.contents.c
_t = schema.texts.c

_JOINED = (
    select(_m.uid, _c.email_id, _c.thread_id, _c.facts)
    .join_from(schema.messages, schema.contents, (_c.account_id == _m.account_id) & (_c.id == _m.content_id))
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"))
)
_SPAN = Prepared(_JOINED.where(_m.uid.between(bindparam("low"), bindparam("high"))))
_AMONG = _JOINED.where(_m.uid.in_(bindparam("uids", expanding=True)))
_BY_EMAIL = select(_c.email_id, _c.id).where(
    _c.account_id == bindparam("a"), _c.email_id.in_(bindparam("emails", expanding=True))
)
_STILL = select(_m.uid, _m.file).where(
    _m.account_id == bindparam("a"), _m.folder_id == bindparam("f"), _m.uid.in_(bindparam("uids", expanding=True))
)
_HIGHEST = Prepared(
    select(
        select(func.max(_c.id)).where(_c.account_id == bindparam("a")).scalar_subquery(),
        select(func.max(_t.content_id)).where(_t.account_id == bindparam("a")).scalar_subquery(),
    )
)
_ADD = Prepared(insert(schema.contents))
_POINT = Prepared(
    update(schema.messages)
    .where(
        _m.account_id == bindparam("a"),
        _m.folder_id == bindparam("f"),
        _m.uid == bindparam("u"),
        _m.file == bindparam("was"),  # the same message still
    )
    .values(content_id=bindparam("to"))
)
_PACK = Prepared(
    update(schema.contents)
    .where(_c.account_id == bindparam("a"), _c.id == bindparam("i"))
    .values(facts=bindparam("packed"))
)
_UNUSED = ~exists().where(_m.account_id == _c.account_id, _m.content_id == _c.id)
_LET_GO = Prepared(delete(schema.contents).where(_c.account_id == bindparam("a"), _c.id == bindparam("i"), _UNUSED))
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
        found = [row for row in _SPAN.all(connection, key | {"low": low, "high": high}) if row[0] in wanted]
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


def keep(
    connection: Connection, account_id: int, folder_id: int, known: Sequence[tuple[int, str, Facts]]
) -> dict[int, int]:
    """Keep the facts of messages, each with its UID and its file: some hundreds at the most. Gives back the ids of
    their contents, by UID; those of messages that have gone meanwhile are left out."""
    here = {"a": account_id, "f": folder_id}
    still = {(uid, file) for uid, file in connection.execute(_STILL, here | {"uids": [uid for uid, _, _ in known]})}
    there = [(uid, file, value) for uid, file, value in known if (uid, file) in still]
    emails = {"a": account_id, "emails": list({value.email_id for _, _, value in there})}
    packing: dict[str, int] = {row.email_id: row.id for row in connection.execute(_BY_EMAIL, emails)}
    ids = dict(packing)
    highest = max(number or 0 for number in _HIGHEST.first(connection, {"a": account_id}))
    values = {value.email_id: value for _, _, value in there}
    for number, email in enumerate((email for email in values if email not in packing), highest + 1):
        ids[email] = number
    _POINT.many(
        connection,
        [here | {"u": uid, "was": file, "to": ids[value.email_id]} for uid, file, value in there],
    )
    _ADD.many(
        connection,
        [
            {
                "account_id": account_id,
                "id": ids[email],
                "email_id": email,
                "thread_id": value.thread_id,
                "facts": value.packed(),
            }
            for email, value in values.items()
            if email not in packing
        ],
    )
    _PACK.many(
        connection,
        [{"a": account_id, "i": packing[email], "packed": values[email].packed()} for email in packing],
    )
    return {uid: ids[value.email_id] for uid, _, value in there}


def let_go(connection: Connection, account_id: int, ids: Collection[int]) -> None:
    """Forget those of `ids` that no message has any more."""
    _LET_GO.many(connection, [{"a": account_id, "i": content_id} for content_id in ids])


def sweep(connection: Connection, account_id: int) -> None:
    """Forget whatever no message has any more."""
    connection.execute(_SWEEP, {"a": account_id})
