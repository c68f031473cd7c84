"""What FETCH may ask for (RFC 3501 6.4.5): items, macros, and BODY[section]<partial>.

An extension's item is a row in ITEMS, or in SECTIONED if it has a section of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from proxy.imap.grammar.modifiers import fetch_modifiers
from proxy.imap.grammar.sequences import LAST_NUMBER
from proxy.imap.grammar.syntax import BadSyntax, BinarySection, BodySection, Fetch, FetchAttribute, FetchItem
from proxy.imap.grammar.tokens import Cursor

MAX_ITEMS: Final = 500
MAX_FIELDS: Final = 1_000
MAX_PATH: Final = 100  # part numbers of one section; a message is not nested deeper

_A = FetchAttribute
FAST: Final = (_A.FLAGS, _A.INTERNALDATE, _A.RFC822_SIZE)

# fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
MACROS: Final[Mapping[str, tuple[FetchItem, ...]]] = {
    "FAST": FAST,
    "ALL": (*FAST, _A.ENVELOPE),
    "FULL": (*FAST, _A.ENVELOPE, _A.BODY),
}

# fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
#             "BODY" ["STRUCTURE"] / "UID" / "BODY" section ["<" number "." nz-number ">"] /
#             "BODY.PEEK" section ["<" number "." nz-number ">"]
ITEMS: Final[Mapping[str, FetchItem]] = {item.value: item for item in FetchAttribute}

# section = "[" [section-spec] "]"; section-spec = section-msgtext / (section-part ["." section-text])
# section-part = nz-number *("." nz-number); section-text = section-msgtext / "MIME"
# section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
_SECTION: Final = re.compile(r"((?:[0-9]+\.)*[0-9]+)?(?:(?:\A|(?<=[0-9])\.)([A-Z][A-Z.]*))?")
_WITH_FIELDS: Final = frozenset({"HEADER.FIELDS", "HEADER.FIELDS.NOT"})
_TEXTS: Final = frozenset({"", "HEADER", "TEXT", "MIME"}) | _WITH_FIELDS

# header-fld-name = astring. RFC 5322 3.6.8 has no name with other octets than these.
_FIELD_NAME: Final = re.compile(rb"[\x20-\x7e]*")
_UNQUOTED: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')  # an atom


def fetch(cursor: Cursor) -> Fetch:
    """The arguments of FETCH and UID FETCH."""
    cursor.space()
    sequence = cursor.sequence_set()
    cursor.space()
    if cursor.next_is(b"("):
        chosen = fetch_items(cursor)
    else:
        word = cursor.word()
        chosen = MACROS.get(word) or (_item_of(word, cursor),)
    modifiers = fetch_modifiers(cursor)
    return Fetch(sequence, chosen, modifiers.changed_since, modifiers.vanished, modifiers.partial)


def fetch_items(cursor: Cursor) -> tuple[FetchItem, ...]:
    """ "(" fetch-att *(SP fetch-att) ")": each once, in the order asked"""
    items = cursor.listed(lambda: _item(cursor), MAX_ITEMS)
    if not items:
        raise BadSyntax("FETCH has to ask for something")
    return tuple(dict.fromkeys(items))


def _item(cursor: Cursor) -> FetchItem:
    return _item_of(cursor.word(), cursor)


def _item_of(word: str, cursor: Cursor) -> FetchItem:
    if cursor.next_is(b"["):
        sectioned = SECTIONED.get(word)
        if sectioned is None:
            raise BadSyntax("this FETCH item takes no section")
        return sectioned(cursor)
    item = ITEMS.get(word)
    if item is None:
        raise BadSyntax("there is no such FETCH item")
    if item is _A.PREVIEW:
        cursor.skip_word(b" (LAZY)")  # RFC 8970 3.1: "PREVIEW" [SP "(" preview-mod ")"]
    return item


def _body(cursor: Cursor, *, peek: bool) -> BodySection:
    cursor.expect(b"[")
    path, what = ((), "") if cursor.next_is(b"]") else _spec(cursor.word())
    fields: tuple[bytes, ...] = ()
    if what in _WITH_FIELDS:
        cursor.space()
        fields = tuple(cursor.listed(lambda: _field_name(cursor), MAX_FIELDS))
        if not fields:
            raise BadSyntax("a list of header fields is empty")
    cursor.expect(b"]")
    partial = _partial(cursor)
    return BodySection(path, what, fields, peek, partial, _echo(path, what, fields, partial))


def _binary(cursor: Cursor, *, peek: bool) -> BinarySection:
    """fetch-att =/ "BINARY" [".PEEK"] section-binary [partial] (RFC 3516 7)"""
    path = _section_binary(cursor)
    partial = _partial(cursor)
    return BinarySection(path, peek, False, partial, _echo(path, "", (), partial, name=b"BINARY"))


def _binary_size(cursor: Cursor) -> BinarySection:
    """fetch-att =/ "BINARY.SIZE" section-binary"""
    path = _section_binary(cursor)
    return BinarySection(path, True, True, None, _echo(path, "", (), None, name=b"BINARY.SIZE"))


def _section_binary(cursor: Cursor) -> tuple[int, ...]:
    """section-binary = "[" [section-part] "]" """
    cursor.expect(b"[")
    path, what = ((), "") if cursor.next_is(b"]") else _spec(cursor.word())
    if what:
        raise BadSyntax("BINARY takes a part number only")
    cursor.expect(b"]")
    return path


SECTIONED: Final[Mapping[str, Callable[[Cursor], FetchItem]]] = {
    "BODY": lambda cursor: _body(cursor, peek=False),
    "BODY.PEEK": lambda cursor: _body(cursor, peek=True),
    "BINARY": lambda cursor: _binary(cursor, peek=False),
    "BINARY.PEEK": lambda cursor: _binary(cursor, peek=True),
    "BINARY.SIZE": _binary_size,
}


def body_section(section: bytes) -> BodySection:
    """What stands between the brackets of BODY[…], from elsewhere than a FETCH. Raises BadSyntax."""
    cursor = Cursor((b"[" + section + b"]",))
    found = _body(cursor, peek=True)
    cursor.finish()
    return found


def _spec(word: str) -> tuple[tuple[int, ...], str]:
    """`1.2.HEADER` taken apart."""
    match = _SECTION.fullmatch(word)
    if match is None or (match[2] or "") not in _TEXTS:
        raise BadSyntax("there is no such section")
    numbers = match[1].split(".") if match[1] else []
    if len(numbers) > MAX_PATH or any(len(number) > 10 for number in numbers):
        raise BadSyntax("a section's part number is too large")
    path = tuple(map(int, numbers))
    if not all(0 < number <= LAST_NUMBER for number in path):
        raise BadSyntax("a section's part number is 0 or too large")
    what = match[2] or ""
    if what == "MIME" and not path:
        raise BadSyntax("MIME needs a part number")  # RFC 3501 6.4.5
    return path, what


def _field_name(cursor: Cursor) -> bytes:
    name = cursor.astring()
    if _FIELD_NAME.fullmatch(name) is None:
        raise BadSyntax("not the name of a header field")
    return name


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    """`<first.count>`. A count of 0, which the RFC has not, asks for nothing and gets it."""
    if not cursor.skip(b"<"):
        return None
    first = cursor.number()
    cursor.expect(b".")
    count = cursor.number()
    cursor.expect(b">")
    return first, count


def _echo(
    path: tuple[int, ...],
    what: str,
    fields: tuple[bytes, ...],
    partial: tuple[int, int] | None,
    *,
    name: bytes = b"BODY",
) -> bytes:
    """The item's name in the response (RFC 3501 7.4.2): no PEEK, and of the partial only its first octet."""
    section = ".".join([*map(str, path), what] if what else map(str, path)).encode("ascii")
    if fields:
        section += b" (" + b" ".join(map(_quoted, fields)) + b")"
    origin = b"" if partial is None else b"<%d>" % partial[0]
    return name + b"[" + section + b"]" + origin


def _quoted(name: bytes) -> bytes:
    if _UNQUOTED.fullmatch(name):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
