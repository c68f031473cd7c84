"""Bytes to commands: one table of what each command's arguments look like (RFC 3501 6 and 9).

`parse` raises BadSyntax or BadCharset and nothing else, in time linear in the command's length.

An extension adds a row to ARGUMENTS and a file with its parser and its subclass of `Arguments`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from mailstore.index.rows import StoreMode
from proxy.imap.grammar.appending import append, replace
from proxy.imap.grammar.fetch_items import fetch
from proxy.imap.grammar.folder_names import decode_part
from proxy.imap.grammar.list_options import create, list_arguments
from proxy.imap.grammar.metadata import get_metadata, quota_root, set_metadata
from proxy.imap.grammar.modifiers import select, store_modifiers
from proxy.imap.grammar.notify import notify
from proxy.imap.grammar.search_keys import search
from proxy.imap.grammar.sort_keys import sort, thread
from proxy.imap.grammar.status_items import status_items
from proxy.imap.grammar.syntax import (
    Arguments,
    Authenticate,
    BadSyntax,
    Command,
    Compress,
    Copy,
    Enable,
    FolderName,
    Id,
    ListPattern,
    Login,
    NoArguments,
    Rename,
    StatusItems,
    Store,
    UidExpunge,
)
from proxy.imap.grammar.tokens import MAX_FLAGS, Cursor
from proxy.wire.commands import UNTAGGED, Ready
from proxy.wire.door import Secret

MAX_ENABLE: Final = 100
# RFC 2971 3.3: at most 30 pairs, names of 30 octets, values of 1,024
MAX_ID_PAIRS: Final = 30
MAX_ID_NAME: Final = 30
MAX_ID_VALUE: Final = 1_024

_NOTHING: Final = NoArguments()
_STORE_MODES: Final = {b"+": StoreMode.ADD, b"-": StoreMode.REMOVE}


def parse(ready: Ready, *, utf8: bool = False) -> Command:
    """What a client said. Raises BadSyntax, BadCharset.

    `utf8`: the client has said ENABLE UTF8=ACCEPT, so folder names are UTF-8 (RFC 6855 3). Whatever
    comes of it, the caller sees to `ready.close()`, which closes the file of an APPEND's message.
    """
    if ready.tag == UNTAGGED:
        raise BadSyntax("a command begins with a tag")
    cursor = Cursor(ready.fragments, utf8=utf8)
    name = cursor.word()
    uid = name == "UID"
    if uid:
        cursor.space()
        name = cursor.word()
    read = ARGUMENTS.get(f"UID {name}" if uid else name)
    if read is None:
        raise BadSyntax("unknown command")
    arguments = read(cursor)
    cursor.finish()
    return Command(ready.tag, name, uid, arguments)


def _nothing(_cursor: Cursor) -> NoArguments:
    return _NOTHING


def _login(cursor: Cursor) -> Login:
    """login = "LOGIN" SP userid SP password; both astring"""
    cursor.space()
    username = cursor.astring()
    cursor.space()
    return Login(username, Secret(cursor.astring()))


def _authenticate(cursor: Cursor) -> Authenticate:
    """authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] (RFC 4959 7)"""
    cursor.space()
    mechanism = cursor.atom().upper().decode("ascii")
    return Authenticate(mechanism, cursor.atom() if cursor.more() else None)


def _compress(cursor: Cursor) -> Compress:
    """compress = "COMPRESS" SP algorithm"""
    cursor.space()
    return Compress(cursor.word())


def _folder(cursor: Cursor) -> FolderName:
    """create = "CREATE" SP mailbox, and others alike"""
    cursor.space()
    return FolderName(cursor.folder())


def _rename(cursor: Cursor) -> Rename:
    """rename = "RENAME" SP mailbox SP mailbox"""
    cursor.space()
    old = cursor.folder()
    cursor.space()
    return Rename(old, cursor.folder())


def _lsub(cursor: Cursor) -> ListPattern:
    """lsub = "LSUB" SP mailbox SP list-mailbox"""
    cursor.space()
    reference = decode_part(cursor.astring(), utf8=cursor.utf8)
    cursor.space()
    return ListPattern(reference, decode_part(cursor.astring(), utf8=cursor.utf8))


def _status(cursor: Cursor) -> StatusItems:
    """status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" """
    cursor.space()
    folder = cursor.folder()
    cursor.space()
    return StatusItems(folder, status_items(cursor))


def _store(cursor: Cursor) -> Store:
    """store = "STORE" SP sequence-set [SP store-modifiers] SP ["+" / "-"] "FLAGS" [".SILENT"] SP
    (flag-list / (flag *(SP flag)))"""
    cursor.space()
    sequence = cursor.sequence_set()
    cursor.space()
    unchanged_since = store_modifiers(cursor)
    mode = next((mode for sign, mode in _STORE_MODES.items() if cursor.skip(sign)), StoreMode.REPLACE)
    word = cursor.word()
    if word not in {"FLAGS", "FLAGS.SILENT"}:
        raise BadSyntax("STORE changes FLAGS only")
    cursor.space()
    if cursor.next_is(b"("):
        flags = cursor.listed(cursor.flag, MAX_FLAGS)
    else:
        flags = [cursor.flag()]
        while cursor.more():
            flags.append(cursor.flag())
            if len(flags) > MAX_FLAGS:
                raise BadSyntax("a list is too long")
    return Store(sequence, mode, word == "FLAGS.SILENT", tuple(dict.fromkeys(flags)), unchanged_since)


def _copy(cursor: Cursor) -> Copy:
    """copy = "COPY" SP sequence-set SP mailbox; move alike (RFC 6851 5)"""
    cursor.space()
    sequence = cursor.sequence_set()
    cursor.space()
    return Copy(sequence, cursor.folder())


def _uid_expunge(cursor: Cursor) -> UidExpunge:
    """uid-expunge = "UID" SP "EXPUNGE" SP sequence-set (RFC 4315 4)"""
    cursor.space()
    return UidExpunge(cursor.sequence_set())


def _id(cursor: Cursor) -> Id:
    """id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil) (RFC 2971 4)"""
    cursor.space()
    if not cursor.next_is(b"("):
        if cursor.nstring() is not None:
            raise BadSyntax("ID takes a list or NIL")
        return Id(())
    return Id(tuple(cursor.listed(lambda: _id_pair(cursor), MAX_ID_PAIRS)))


def _id_pair(cursor: Cursor) -> tuple[bytes, bytes | None]:
    name = cursor.string()
    cursor.space()
    value = cursor.nstring()
    if len(name) > MAX_ID_NAME or (value is not None and len(value) > MAX_ID_VALUE):
        raise BadSyntax("an ID field is too long")
    return name, value


def _enable(cursor: Cursor) -> Enable:
    """enable = "ENABLE" 1*(SP capability) (RFC 5161 4)"""
    cursor.space()
    names = [cursor.atom()]
    while cursor.more():
        names.append(cursor.atom())
        if len(names) > MAX_ENABLE:
            raise BadSyntax("a list is too long")
    return Enable(tuple(dict.fromkeys(name.upper().decode("ascii") for name in names)))


ARGUMENTS: Final[Mapping[str, Callable[[Cursor], Arguments]]] = {
    "CAPABILITY": _nothing,
    "NOOP": _nothing,
    "LOGOUT": _nothing,
    "ID": _id,
    "STARTTLS": _nothing,
    "AUTHENTICATE": _authenticate,
    "LOGIN": _login,
    "UNAUTHENTICATE": _nothing,
    "ENABLE": _enable,
    "COMPRESS": _compress,
    "SELECT": select,
    "EXAMINE": select,
    "CREATE": create,
    "DELETE": _folder,
    "RENAME": _rename,
    "SUBSCRIBE": _folder,
    "UNSUBSCRIBE": _folder,
    "LIST": list_arguments,
    "LSUB": _lsub,
    "NAMESPACE": _nothing,
    "STATUS": _status,
    "GETMETADATA": get_metadata,
    "SETMETADATA": set_metadata,
    "GETQUOTA": quota_root,
    "GETQUOTAROOT": _folder,
    "APPEND": append,
    "REPLACE": replace,
    "UID REPLACE": replace,
    "IDLE": _nothing,
    "NOTIFY": notify,
    "CHECK": _nothing,
    "CLOSE": _nothing,
    "UNSELECT": _nothing,
    "EXPUNGE": _nothing,
    "UID EXPUNGE": _uid_expunge,
    "SEARCH": search,
    "UID SEARCH": search,
    "SORT": sort,
    "UID SORT": sort,
    "THREAD": thread,
    "UID THREAD": thread,
    "FETCH": fetch,
    "UID FETCH": fetch,
    "STORE": _store,
    "UID STORE": _store,
    "COPY": _copy,
    "UID COPY": _copy,
    "MOVE": _copy,
    "UID MOVE": _copy,
}
