"""Which messages contain a text: an index of trigrams, and the folded texts themselves (SQLite FTS5).

The index is over folded text (`mailstore.message.text.fold`), header and body together, and says for each trigram
in which contents it is; where, it does not (`detail=none`): that keeps it small. So it gives candidates, and the kept
text, which is compressed, decides. A text of one or two characters, as most Chinese words are, is looked for as the
beginning of trigrams: each text ends with two line ends, so every character begins one.

A text is entered when it is first searched, in the transaction that keeps it. When no message has it any more,
`sweep` takes it out, some at a time. Contents of which only the beginning is kept (`text_limit`) are never ruled out.
PostgreSQL has no such index of its own: there the kept texts are looked through (`mailstore.index.plaintext`).

Functions over an open transaction. The index is made when it is first used: most accounts never search.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, text

from mailstore import schema
from mailstore.index import plaintext
from mailstore.message import text as message_text
from mailstore.message.walker import Part
from mailstore.prepared import Prepared

TEXT_LIMIT: Final = 256 * 1024  # characters of a body that are kept
HEADER_LIMIT: Final = 32 * 1024  # … and of a header
MOST_TRIGRAMS: Final = 48  # of a long needle that are asked for
SWEPT: Final = 100  # contents taken out at a time

_APART: Final = "\0"  # between two texts: nobody searches for it

_m = schema.messages.c
_t = schema.texts.c
_c = schema.contents.c

_MAKE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS fulltext USING fts5("
    "content, content='', columnsize=0, detail=none, tokenize='trigram case_sensitive 1')",
    "CREATE VIRTUAL TABLE IF NOT EXISTS fulltext_terms USING fts5vocab(fulltext, 'instance')",
)
_MADE = text("SELECT count(*) FROM sqlite_master WHERE name IN ('fulltext', 'fulltext_terms')")
_ENTER = text("INSERT INTO fulltext(rowid, content) VALUES (:id, :content)")
_TAKE_OUT = text("INSERT INTO fulltext(fulltext, rowid, content) VALUES ('delete', :id, :content)")
_CONTAIN = "SELECT rowid FROM fulltext WHERE fulltext MATCH :query"
_BEGIN = "SELECT DISTINCT doc FROM fulltext_terms WHERE term >= :low AND term < :high"
_CANDIDATES = (
    "SELECT m.uid, t.{column} FROM ({found}) AS f "  # CROSS JOIN: SQLite keeps the order
    "CROSS JOIN messages AS m ON m.account_id = :a AND m.content_id = f.{key} AND +m.folder_id = :f "  # by content
    "CROSS JOIN texts AS t ON t.account_id = :a AND t.content_id = f.{key}"
)
_LONG = (
    select(_m.uid)
    .join_from(schema.messages, schema.texts, (_t.account_id == _m.account_id) & (_t.content_id == _m.content_id))
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"), _t.partial == 1)
)
_KNOWN = (
    select(_m.uid)
    .join_from(schema.messages, schema.texts, (_t.account_id == _m.account_id) & (_t.content_id == _m.content_id))
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"))
)
_HAVE = select(_t.content_id).where(
    _t.account_id == bindparam("a"), _t.content_id.in_(bindparam("ids", expanding=True))
)
_KEEP = Prepared(insert(schema.texts))
_ORPHANS = (
    select(_t.content_id, _t.header, _t.body)
    .where(
        _t.account_id == bindparam("a"),
        ~exists().where(_c.account_id == _t.account_id, _c.id == _t.content_id).correlate(schema.texts),
    )
    .limit(SWEPT)
)


@dataclass(frozen=True, slots=True)
class Texts:
    """The folded texts of one message as they are kept."""

    header: bytes
    body: bytes
    partial: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What the index says of a needle, in UIDs of one folder. Whoever is in neither set does not match."""

    matching: frozenset[int]
    unclear: frozenset[int]  # only the message itself can say


def texts_of(root: Part, data: Any) -> Texts:
    """The texts of a message that `walk` found in `data`."""
    header, cut_header = _joined(map(message_text.fold, message_text.all_header_text(root.header)), HEADER_LIMIT)
    body, cut_body = _joined(map(message_text.fold, message_text.body_texts(root, data)), TEXT_LIMIT)
    return Texts(header, body, cut_header or cut_body)


def _joined(values: Iterable[str], limit: int) -> tuple[bytes, bool]:
    kept: list[str] = []
    length = 0
    for value in values:
        kept.append(value.replace(_APART, "\ufffd"))
        length += len(value) + 1
        if length > limit:
            return _APART.join(kept)[:limit].encode("utf-8", "replace"), True
    return _APART.join(kept).encode("utf-8", "replace"), False


def make(connection: Connection) -> None:
    if not plaintext.is_for(connection) and connection.scalar(_MADE) < 2:
        for statement in _MAKE:
            connection.exec_driver_sql(statement)


def enter(connection: Connection, account_id: int, found: Mapping[int, Texts]) -> None:
    """Keep and index the texts of contents, by their ids, if they are not: some hundreds at the most."""
    if not found:
        return
    there = set(connection.scalars(_HAVE, {"a": account_id, "ids": list(found)}))
    new = {content_id: texts for content_id, texts in found.items() if content_id not in there}
    plain = plaintext.is_for(connection)
    kept = plaintext.kept if plain else partial(zlib.compress, level=6)
    rows = [
        {
            "account_id": account_id,
            "content_id": content_id,
            "header": kept(texts.header),
            "body": kept(texts.body),
            "partial": int(texts.partial),
        }
        for content_id, texts in new.items()
    ]
    _KEEP.many(connection, rows)
    if not plain and new:
        indexed = [{"id": each, "content": _indexed(texts.header, texts.body)} for each, texts in new.items()]
        connection.execute(_ENTER, indexed)


def _indexed(header: bytes, body: bytes) -> str:
    """What goes into the index: the tokenizer ends at a NUL."""
    return (header + b"\0" + body).decode().replace(_APART, "\n\n") + "\n\n"


def sweep(connection: Connection, account_id: int) -> None:
    """Take out what no message has any more, a bounded number."""
    if plaintext.is_for(connection):
        orphans = _ORPHANS.with_only_columns(_t.content_id)
        connection.execute(
            delete(schema.texts).where(_t.account_id == account_id, _t.content_id.in_(orphans)), {"a": account_id}
        )
        return
    for content_id, header, body in connection.execute(_ORPHANS, {"a": account_id}).all():
        content = _indexed(zlib.decompress(header), zlib.decompress(body))
        connection.execute(_TAKE_OUT, {"id": content_id, "content": content})
        connection.execute(delete(schema.texts).where(_t.account_id == account_id, _t.content_id == content_id))


def known(connection: Connection, account_id: int, folder_id: int) -> set[int]:
    """The UIDs of a folder whose texts are in the index."""
    return set(connection.scalars(_KNOWN, {"a": account_id, "f": folder_id}))


def search(connection: Connection, account_id: int, folder_id: int, needle: str, columns: Collection[str]) -> Found:
    """The messages of a folder whose kept `columns` ("header", "body") contain `needle`: folded, not empty."""
    key: dict[str, Any] = {"a": account_id, "f": folder_id}
    unclear = set(connection.scalars(_LONG, key))
    matching: set[int] = set()
    plain = plaintext.is_for(connection)
    if plain or connection.scalar(_MADE) == 2:
        for column in columns:
            wanted = message_text.spaced(needle) if column == "header" else needle
            if plain:
                matching |= plaintext.containing(connection, key, wanted.encode(), column)
            else:
                matching |= _containing(connection, key, wanted, column)
    return Found(frozenset(matching), frozenset(unclear - matching))


def _containing(connection: Connection, key: dict[str, Any], needle: str, column: str) -> set[int]:
    if len(needle) >= 3:
        asked, found, name = {"query": _query(needle)}, _CONTAIN, "rowid"
    else:
        asked, found, name = {"low": needle, "high": needle + "\U0010ffff"}, _BEGIN, "doc"
    statement = text(_CANDIDATES.format(column=column, found=found, key=name))
    octets = needle.encode()
    return {uid for uid, packed in connection.execute(statement, key | asked) if octets in zlib.decompress(packed)}


def _query(needle: str) -> str:
    """All trigrams of a needle, as FTS5 wants them: each in quotes."""
    trigrams = list(dict.fromkeys(needle[at : at + 3] for at in range(len(needle) - 2)))
    step = max(1, len(trigrams) // MOST_TRIGRAMS)
    return " AND ".join('"{}"'.format(each.replace('"', '""')) for each in trigrams[::step])
