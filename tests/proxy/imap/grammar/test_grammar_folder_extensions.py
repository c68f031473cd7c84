"""LIST with options, CREATE with a use, GETMETADATA, SETMETADATA, GETQUOTA."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar.list_options import CreateFor, ListExtended, Returned, Selection
from proxy.imap.grammar.metadata import GetMetadata, QuotaRoot, SetMetadata
from proxy.imap.grammar.syntax import Arguments, BadCharset, BadSyntax, ListPattern, StatusItem
from tests.proxy.imap.grammar.spoken import spoken

NOTHING: frozenset[Selection] = frozenset()
PLAIN: frozenset[Returned] = frozenset()


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b'LIST "" *', ListPattern("", "*")),
        (b'LIST () "" *', ListExtended(NOTHING, "", ("*",), PLAIN)),
        (b'LIST "" (a "b c" {1+}\r\nd a)', ListExtended(NOTHING, "", ("a", "b c", "d"), PLAIN)),
        (b'list "" * return ()', ListExtended(NOTHING, "", ("*",), PLAIN)),
        (
            b'LIST (subscribed RECURSIVEMATCH remote) "x/" % RETURN (children Special-Use SUBSCRIBED)',
            ListExtended(
                frozenset({Selection.SUBSCRIBED, Selection.RECURSIVEMATCH, Selection.REMOTE}),
                "x/",
                ("%",),
                frozenset(Returned),
            ),
        ),
        (
            b'LIST "" % RETURN (STATUS (messages UNSEEN) CHILDREN STATUS (UNSEEN SIZE))',
            ListExtended(
                NOTHING,
                "",
                ("%",),
                frozenset({Returned.CHILDREN}),
                (StatusItem.MESSAGES, StatusItem.UNSEEN, StatusItem.SIZE),
            ),
        ),
        (b"CREATE a/ (USE (\\Sent \\Sent \\x))", CreateFor("a", ("\\Sent", "\\x"))),
        (b"CREATE a (use ())", CreateFor("a", ())),
        (b"GETMETADATA INBOX /Shared/Comment", GetMetadata("INBOX", ("/shared/comment",))),
        (b'GETMETADATA "" (/private)', GetMetadata("", ("/private",))),
        (
            b"GETMETADATA (depth infinity MAXSIZE 10) a (/private/a /PRIVATE/A /shared/b)",
            GetMetadata("a", ("/private/a", "/shared/b"), None, 10),
        ),
        (b"GETMETADATA a (DEPTH 1) (/private/a)", GetMetadata("a", ("/private/a",), 1)),
        (
            b'SETMETADATA a (/private/a NIL /private/b ~{2+}\r\n\0b /private/c "x")',
            SetMetadata("a", (("/private/a", None), ("/private/b", b"\0b"), ("/private/c", b"x"))),
        ),
        (b'GETQUOTA ""', QuotaRoot(b"")),
        (b"GETQUOTA root", QuotaRoot(b"root")),
    ],
)
def test_good_arguments(line: bytes, arguments: Arguments) -> None:
    assert spoken(line).arguments == arguments


@pytest.mark.parametrize(
    "line",
    [
        b'LIST (RECURSIVEMATCH) "" *',
        b'LIST (SUBSCRIBED "" *',
        b'LIST "" * RETURN',
        b'LIST "" * RETURN (STATUS ())',
        b'LIST "" * RETURN (STATUS MESSAGES)',
        b'LIST "" * RETURN (CHILDREN) x',
        b'LIST "" * (CHILDREN)',
        b'LIST "" (' + b"a " * 200 + b")",
        b"CREATE a ()",
        b"CREATE a USE",
        b"CREATE a (USE (Sent))",
        b"CREATE a (USE (\\Sent) USE (\\Trash))",
        b"GETMETADATA a",
        b"GETMETADATA (DEPTH 1) a",
        b"GETMETADATA a (DEPTH 3) (/private/a)",
        b"GETMETADATA a /privatex/a",
        b"GETMETADATA a /private/" + b"a" * 300,
        b"GETMETADATA a (" + b"/private/a " * 101 + b")",
        b'SETMETADATA a (/shared "x")',
        b'SETMETADATA a /private/a "x"',
        b"SETMETADATA a (/private/a x)",
        b"GETQUOTA",
        b"GETQUOTAROOT",
    ],
)
def test_bad_arguments(line: bytes) -> None:
    with pytest.raises(BadSyntax):
        spoken(line)


WORDS = st.sampled_from(
    b'( ) "" * RETURN STATUS MESSAGES SUBSCRIBED SPECIAL-USE USE \\Sent INBOX DEPTH MAXSIZE 1 '.split()
    + b'infinity /private/a NIL "'.split()
).flatmap(lambda word: st.sampled_from([word, b" ", b"~{1+}\r\n\0", b"{1+}\r\nx"]))


@given(st.sampled_from([b"LIST", b"CREATE", b"GETMETADATA", b"SETMETADATA", b"GETQUOTA"]), st.lists(WORDS, max_size=30))
def test_nothing_else_is_raised(name: bytes, words: list[bytes]) -> None:
    with contextlib.suppress(BadSyntax, BadCharset):
        spoken(name + b" " + b"".join(words))
