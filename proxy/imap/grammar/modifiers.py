"""What may follow a command in parentheses: SELECT's parameters, FETCH's and STORE's modifiers.

RFC 4466 2.1, 2.4, 2.5; RFC 7162 7; RFC 9394 4. A parameter that is not known is BAD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.search_returns import partial_range
from proxy.imap.grammar.sequences import LAST_NUMBER, STAR, SequenceSet
from proxy.imap.grammar.syntax import BadSyntax, FolderName, Resync, Select
from proxy.imap.grammar.tokens import Cursor

MAX_MODIFIERS: Final = 10


def select(cursor: Cursor) -> FolderName:
    """select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]; examine alike"""
    cursor.space()
    name = cursor.folder()
    if not cursor.more():
        return FolderName(name)
    found = cursor.listed(lambda: _select_parameter(cursor), MAX_MODIFIERS)
    if not found or len(found) != len({type(each) for each in found}):
        raise BadSyntax("a parameter of SELECT is missing, or there twice")
    resync = next((each for each in found if isinstance(each, Resync)), None)
    return Select(name, resync)


def _select_parameter(cursor: Cursor) -> Resync | None:
    """ "CONDSTORE", which is None here, or "QRESYNC" SP "(" … ")" """
    word = cursor.word()
    if word == "CONDSTORE":
        return None
    if word != "QRESYNC":
        raise BadSyntax("SELECT knows no such parameter")
    cursor.space()
    return _resync(cursor)


def _resync(cursor: Cursor) -> Resync:
    """ "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" """
    cursor.expect(b"(")
    uidvalidity = cursor.number()
    cursor.space()
    modseq = cursor.modseq()
    if not 0 < uidvalidity <= LAST_NUMBER:
        raise BadSyntax("UIDVALIDITY is 0 or too large")
    known = None
    if cursor.more() and not cursor.next_is(b"("):
        known = _plain_set(cursor)
        cursor.more()
    by_number = cursor.skip(b"(")
    if by_number:  # seq-match-data = "(" known-sequence-set SP known-uid-set ")"
        _plain_set(cursor)
        cursor.space()
        _plain_set(cursor)
        cursor.expect(b")")
    cursor.expect(b")")
    return Resync(uidvalidity, modseq, known, by_number)


def _plain_set(cursor: Cursor) -> SequenceSet:
    """A set without "*" (RFC 7162 3.2.5.1) and without "$"."""
    found = cursor.sequence_set()
    if found.saved or any(STAR in span for span in found.ranges):
        raise BadSyntax('neither "*" nor "$" may stand here')
    return found


@dataclass(slots=True)
class FetchModifiers:
    changed_since: int | None = None
    vanished: bool = False
    partial: tuple[int, int] | None = None


def fetch_modifiers(cursor: Cursor) -> FetchModifiers:
    """fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")", or nothing"""
    given = FetchModifiers()
    if not cursor.more():
        return given

    def modifier() -> str:
        word = cursor.word()
        if word == "CHANGEDSINCE":
            cursor.space()
            given.changed_since = cursor.modseq()
        elif word == "PARTIAL":
            cursor.space()
            given.partial = partial_range(cursor)
        elif word == "VANISHED":
            given.vanished = True
        else:
            raise BadSyntax("FETCH knows no such modifier")
        return word

    words = cursor.listed(modifier, MAX_MODIFIERS)
    if not words or len(words) != len(set(words)):
        raise BadSyntax("a modifier of FETCH is missing, or there twice")
    if given.vanished and given.changed_since is None:
        raise BadSyntax("VANISHED needs CHANGEDSINCE")  # RFC 7162 3.2.6
    return given


def store_modifiers(cursor: Cursor) -> int | None:
    """store-modifiers = SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")", the space behind it read too"""
    if not cursor.skip(b"("):
        return None
    if cursor.word() != "UNCHANGEDSINCE":
        raise BadSyntax("STORE knows no such modifier")
    cursor.space()
    value = cursor.modseq()
    cursor.expect(b")")
    cursor.space()
    return value
