"""The grammar of what came after RFC 3501: RETURN, "$", modifiers and parameters (RFC 4731, 5182, 7162, 9394)."""

from __future__ import annotations

import pytest

from mailstore.index.rows import StoreMode
from proxy.imap.grammar.search_syntax import All, And, Flag, Modseq, Returns, Search, UidSet
from proxy.imap.grammar.sequences import SAVED, SequenceSet
from proxy.imap.grammar.syntax import (
    Arguments,
    BadSyntax,
    Copy,
    Fetch,
    FetchAttribute,
    FolderName,
    Resync,
    Select,
    Store,
    UidExpunge,
)
from tests.proxy.imap.grammar.spoken import spoken

ALL = SequenceSet(((1, 0),))
FLAGS = (FetchAttribute.FLAGS,)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b"SEARCH RETURN () ALL", Search(None, All(), Returns(all=True))),
        (b"SEARCH return ( min MAX ) ALL", Search(None, All(), Returns(min=True, max=True))),
        (b"UID SEARCH RETURN (SAVE COUNT) CHARSET utf-8 ALL", Search("UTF-8", All(), Returns(count=True, save=True))),
        (b"SEARCH RETURN (PARTIAL 9:3) ALL", Search(None, All(), Returns(partial=(3, 9)))),
        (b"SEARCH RETURN (PARTIAL -20:-1) ALL", Search(None, All(), Returns(partial=(-1, -20)))),
        (b"SEARCH MODSEQ 917162500", Search(None, Modseq(917162500), None, by_modseq=True)),
        (b"SEARCH MODSEQ 0 ALL", Search(None, And((Modseq(0), All())), None, by_modseq=True)),
        (b'SEARCH MODSEQ "/flags/\\\\draft" all 5', Search(None, Modseq(5), None, by_modseq=True)),
        (b"SEARCH UID $ SEEN", Search(None, And((UidSet(SAVED), Flag("\\Seen", True))))),
        (b"UID EXPUNGE $", UidExpunge(SAVED)),
        (b"MOVE $ Archive", Copy(SAVED, "Archive")),
        (b"UID MOVE 1:* inbox", Copy(ALL, "INBOX")),
        (b"FETCH 1:* FLAGS (CHANGEDSINCE 9223372036854775807)", Fetch(ALL, FLAGS, 2**63 - 1)),
        (b"UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 5)", Fetch(ALL, FLAGS, 5, vanished=True)),
        (b"UID FETCH 1:* FLAGS (PARTIAL -1:-30 CHANGEDSINCE 5)", Fetch(ALL, FLAGS, 5, partial=(-1, -30))),
        (b"FETCH 1:* MODSEQ", Fetch(ALL, (FetchAttribute.MODSEQ,))),
        (b"STORE 1:* (UNCHANGEDSINCE 0) FLAGS ()", Store(ALL, StoreMode.REPLACE, False, (), 0)),
        (b"STORE 1:* (UNCHANGEDSINCE 7) +FLAGS.SILENT $x", Store(ALL, StoreMode.ADD, True, ("$x",), 7)),
        (b"SELECT inbox", FolderName("INBOX")),
        (b"SELECT inbox (CONDSTORE)", Select("INBOX")),
        (b"EXAMINE a (QRESYNC (67890007 20050715194045000))", Select("a", Resync(67890007, 20050715194045000, None))),
        (
            b"SELECT a (QRESYNC (7 5 41,43:211 (1,5 41,43)) CONDSTORE)",
            Select("a", Resync(7, 5, SequenceSet(((41, 41), (43, 211))), by_number=True)),
        ),
        (b"SELECT a (QRESYNC (7 5 (1 41)))", Select("a", Resync(7, 5, None, by_number=True))),
    ],
)
def test_good(line: bytes, arguments: Arguments) -> None:
    assert spoken(line).arguments == arguments


@pytest.mark.parametrize(
    "line",
    [
        b"SELECT a ()",
        b"SELECT a (CONDSTORE CONDSTORE)",
        b"SELECT a (QRESYNC)",
        b"SELECT a (QRESYNC ())",
        b"SELECT a (QRESYNC (7))",
        b"SELECT a (QRESYNC (0 5))",
        b"SELECT a (QRESYNC (7 5 1:*))",
        b"SELECT a (QRESYNC (7 5 $))",
        b"SELECT a (QRESYNC (7 5 (1)))",
        b"SELECT a (QRESYNC (7 5 (1 2) 3))",
        b"SELECT a (QRESYNC (7 5)",
        b"STORE 1 (UNCHANGEDSINCE) FLAGS ()",
        b"STORE 1 (UNCHANGEDSINCE 5)FLAGS ()",
        b"STORE 1 () FLAGS ()",
        b"MOVE 1",
        b"MOVE a b",
        b"UNAUTHENTICATE x",
    ],
)
def test_bad(line: bytes) -> None:
    with pytest.raises(BadSyntax):
        spoken(line)
