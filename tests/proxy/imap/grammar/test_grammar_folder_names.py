"""Folder names on the wire, and LIST's wildcards."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar.folder_names import FolderPattern, decode, encode, matches, with_inbox
from proxy.imap.grammar.syntax import BadSyntax


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (b"Sent", "Sent"),
        (b"", ""),
        (b"a b", "a b"),
        (b"R&-D", "R&D"),
        (b"&-&-", "&&"),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        (b"&ZTZO9nux-", "收件箱"),
        (b"&ZeVnLIqe-&-x", "日本語&x"),
        (b"&2D3eAA-", "😀"),
        (b"Entw&APw-rfe", "Entwürfe"),
    ],
)
def test_modified_utf_7(wire: bytes, name: str) -> None:
    assert decode(wire) == name
    assert encode(name) == wire


@pytest.mark.parametrize(
    "wire",
    [
        b"R&D",  # not closed
        b"&",
        b"&ZeVnLIqe",
        b"&AEE-",  # "A" stands for itself
        b"&AC8-",  # and so does "/"
        b"&U,BTFw-&ZeVnLIqe-",  # RFC 3501 5.1.3: a superfluous shift
        b"&AOl-",  # bits left over: &AOk- is é
        b"&ZeVnLIq-",  # half a character
        b"&Z-",
        b"&2D0-",  # half a surrogate pair
        b"&3gA-",
        b"&AAA-",  # NUL
        b"&AAo-",  # LF
        b"&IUgh/g-",  # "/" of plain base64
        b"\xe6\x94\xb6",
        b"a\tb",
        b"a\x7f",
    ],
)
def test_what_is_none(wire: bytes) -> None:
    with pytest.raises(BadSyntax):
        decode(wire)


def test_utf_8() -> None:
    assert decode("收件箱/R&D".encode(), utf8=True) == "收件箱/R&D"
    assert encode("收件箱/R&D", utf8=True) == "收件箱/R&D".encode()
    assert decode(b"inbox/x", utf8=True) == "INBOX/x"
    for wire in (b"\xff", b"\xed\xa0\x80", b"a\nb", "\x85".encode(), "\u2028".encode()):
        with pytest.raises(BadSyntax):
            decode(wire, utf8=True)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"inbox", "INBOX"),
        (b"InBox/child", "INBOX/child"),
        (b"inbox/inbox", "INBOX/inbox"),
        (b"x/inbox", "x/inbox"),
        (b"inboxes", "inboxes"),
        (b"inbo", "inbo"),
        (b"inbox*", "inbox*"),
    ],
)
def test_inbox_in_any_case(sent: bytes, name: str) -> None:
    assert decode(sent) == name


def test_only_in_ascii() -> None:
    assert with_inbox("ınbox") == "ınbox"


NAMES = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30).map(with_inbox)


@given(NAMES, st.booleans())
def test_names_come_back(name: str, utf8: bool) -> None:
    wire = encode(name, utf8=utf8)
    assert utf8 or wire.isascii()
    assert decode(wire, utf8=utf8) == name


@given(st.binary(max_size=30) | st.text("&-,+/aAZeVn09", max_size=20).map(str.encode), st.booleans())
def test_any_bytes_are_a_name_with_one_spelling_or_none(wire: bytes, utf8: bool) -> None:
    try:
        name = decode(wire, utf8=utf8)
    except BadSyntax:
        return
    assert encode(name, utf8=utf8).upper() == wire.upper()


# --- Wildcards ---


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "a/b", True),
        ("%", "a", True),
        ("%", "a/b", False),
        ("%/%", "a/b", True),
        ("%/%", "a/b/c", False),
        ("a/*", "a/b/c", True),
        ("a/*", "a", False),
        ("a*", "a", True),
        ("a%", "a", True),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("%", "", True),
        ("%*%", "a/b/c", True),
        ("a%c*", "abcd/e", True),
        ("a%c", "a/c", False),
        ("a", "A", False),
        ("inbox", "INBOX", True),
        ("in*", "INBOX", True),
        ("i%", "INBOX/child", False),
        ("I%/child", "INBOX/child", True),
        ("inbox/CHILD", "INBOX/child", False),
        ("inboxe*", "INBOXES", False),
        ("工*", "工作/报告", True),
        (".*", "a", False),
        ("[a]", "a", False),
    ],
)
def test_wildcards(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


def naive(pattern: str, name: str) -> bool:
    """The same by regular expression: right, and slow on bad days."""
    wild = {"*": "(?s:.*)", "%": "[^/]*"}
    inbox = name == "INBOX" or name.startswith("INBOX/")
    head, tail = (5, name[5:]) if inbox else (0, name)
    variants = [name] if not inbox else [first + tail for first in _cases(name[:head])]
    expression = re.compile("".join(wild.get(character, re.escape(character)) for character in pattern))
    return any(expression.fullmatch(variant) for variant in variants)


def _cases(text: str) -> list[str]:
    found = [""]
    for character in text:
        found = [begun + form for begun in found for form in (character.lower(), character.upper())]
    return found


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
def test_wildcards_against_regular_expressions(pattern: str, name: str) -> None:
    assert matches(pattern, name) is naive(pattern, name)


@given(st.text("iINnbox/*%", max_size=7), st.sampled_from(["INBOX", "INBOX/x", "INBOXx", "Inbox/x"]))
def test_inbox_against_regular_expressions(pattern: str, name: str) -> None:
    assert matches(pattern, name) is naive(pattern, name)


def test_no_pattern_takes_long() -> None:
    start = time.process_time()
    assert not matches("*%" * 30_000 + "x", "a/" * 500)
    assert not matches("*a" * 500 + "b", "a" * 1000)
    assert matches("%a" * 500 + "*", "a" * 1000)
    pattern = FolderPattern("*a%b*c%")
    assert not any(pattern.matches("abab/" * 20 + str(number)) for number in range(2_000))
    assert time.process_time() - start < 3
