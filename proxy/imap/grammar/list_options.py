"""LIST with its options (RFC 5258 6, RFC 5819 4, RFC 6154 6), and CREATE with a use (RFC 6154 6)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.folder_names import SEPARATOR, decode_part
from proxy.imap.grammar.status_items import status_items
from proxy.imap.grammar.syntax import Arguments, BadSyntax, FolderName, ListPattern, StatusItem
from proxy.imap.grammar.tokens import Cursor

MAX_PATTERNS: Final = 100
MAX_OPTIONS: Final = 20
MAX_USES: Final = 20


class Selection(enum.Enum):
    """Which folders (list-select-opts). REMOTE adds nothing here: no folder is on another server."""

    SUBSCRIBED = "SUBSCRIBED"
    REMOTE = "REMOTE"
    RECURSIVEMATCH = "RECURSIVEMATCH"
    SPECIAL_USE = "SPECIAL-USE"


class Returned(enum.Enum):
    """What is told of each (list-return-opts), beside STATUS."""

    SUBSCRIBED = "SUBSCRIBED"
    CHILDREN = "CHILDREN"
    SPECIAL_USE = "SPECIAL-USE"


_SELECTIONS: Final = {option.value: option for option in Selection}
_RETURNED: Final = {option.value: option for option in Returned}


@dataclass(frozen=True, slots=True)
class ListExtended(Arguments):
    """LIST with any of options, several patterns, RETURN. Reference and pattern as in ListPattern."""

    selection: frozenset[Selection]
    reference: str
    patterns: tuple[str, ...]
    returned: frozenset[Returned]
    status: tuple[StatusItem, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateFor(FolderName):
    """CREATE with a USE parameter. `uses` as sent, each once."""

    uses: tuple[str, ...]


def list_arguments(cursor: Cursor) -> ListPattern | ListExtended:
    """list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]"""
    cursor.space()
    selection = None
    if cursor.next_is(b"("):
        selection = frozenset(cursor.listed(lambda: _selection(cursor), MAX_OPTIONS))
        if Selection.RECURSIVEMATCH in selection and not selection & {Selection.SUBSCRIBED, Selection.SPECIAL_USE}:
            raise BadSyntax("RECURSIVEMATCH needs something that children may match")  # RFC 5258 3.1
        cursor.space()
    reference = decode_part(cursor.astring(), utf8=cursor.utf8)
    cursor.space()
    several = cursor.next_is(b"(")
    patterns = cursor.listed(lambda: _pattern(cursor), MAX_PATTERNS) if several else [_pattern(cursor)]
    if not patterns:
        raise BadSyntax("a pattern is missing")
    returned: set[Returned] = set()
    status: list[StatusItem] = []
    asked = cursor.more()
    if asked:
        if cursor.word() != "RETURN":
            raise BadSyntax("there is more than this command takes")
        cursor.space()
        cursor.listed(lambda: _returned(cursor, returned, status), MAX_OPTIONS)
    if selection is None and not several and not asked:
        return ListPattern(reference, patterns[0])
    return ListExtended(
        selection or frozenset(),
        reference,
        tuple(dict.fromkeys(patterns)),
        frozenset(returned),
        tuple(dict.fromkeys(status)),
    )


def _pattern(cursor: Cursor) -> str:
    return decode_part(cursor.astring(), utf8=cursor.utf8)


def _selection(cursor: Cursor) -> Selection:
    try:
        return _SELECTIONS[cursor.word()]
    except KeyError:
        raise BadSyntax("there is no such LIST option") from None  # RFC 5258 3: BAD for what is not known


def _returned(cursor: Cursor, returned: set[Returned], status: list[StatusItem]) -> None:
    """One return option, noted where it belongs."""
    word = cursor.word()
    if word == "STATUS":
        cursor.space()
        status.extend(status_items(cursor))
        return
    try:
        returned.add(_RETURNED[word])
    except KeyError:
        raise BadSyntax("there is no such LIST option") from None


def create(cursor: Cursor) -> FolderName:
    """create = "CREATE" SP mailbox [SP "(" create-param *(SP create-param) ")"]
    create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"

    A "/" at its end only says that there will be folders below; the folder made has none (RFC 3501 6.3.3).
    """
    cursor.space()
    name = cursor.folder()
    name = name[:-1] if name.endswith(SEPARATOR) else name
    if not cursor.more():
        return FolderName(name)
    uses = [use for each in cursor.listed(lambda: _uses(cursor), 1) for use in each]
    return CreateFor(name, tuple(dict.fromkeys(uses)))


def _uses(cursor: Cursor) -> list[str]:
    if cursor.word() != "USE":
        raise BadSyntax("there is no such CREATE parameter")
    cursor.space()
    return cursor.listed(lambda: _use(cursor), MAX_USES)


def _use(cursor: Cursor) -> str:
    """use-attr = "\\" atom"""
    cursor.expect(b"\\")
    return "\\" + cursor.atom().decode("ascii")
