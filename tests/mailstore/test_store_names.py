"""Folder names as Maildir++ directories, and the names of message files."""

from __future__ import annotations

import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.errors import BadFolderName
from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailstore.maildir import crlf_size, flags_of, folder_directory, info, ledger_of, unique_name, unique_of

TOKEN = "0123456789ab"


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("INBOX", ""),
        ("Sent", ".Sent"),
        ("a/b/c", ".a.b.c"),
        ("INBOX/x", ".INBOX.x"),
        ("v1.0", ".v1%2E0"),
        ("..", ".%2E%2E"),
        (".", ".%2E"),
        ("../../etc", ".%2E%2E.%2E%2E.etc"),
        ("100%", ".100%25"),
        ("a%2Eb", ".a%252Eb"),
        ("已发送", ".已发送"),
        ("Entwürfe/Ä", ".Entwürfe.Ä"),
        ("a b", ".a b"),
        (" a", ". a"),
        ("cur", ".cur"),
        ("x:2,S", ".x:2,S"),
        ("a\\b", ".a\\b"),
        ("~", ".~"),
        ("😀", ".😀"),
    ],
)
def test_a_name_has_its_directory(name: str, directory: str) -> None:
    assert folder_directory(name) == directory


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        " ",
        "a/ /b",
        "a\nb",
        "\x00",
        "a\x7f",
        "\x1b[2J",
        "\ud800",
        "a/\udfff",
        "x" * 250,
        "ä" * 125,
        "." * 84,
        "/".join(["a"] * 126),
    ],
)
def test_a_name_that_cannot_be_a_folders(name: str) -> None:
    with pytest.raises(BadFolderName):
        folder_directory(name)


@pytest.mark.parametrize("name", ["x" * 249, "ä" * 124, "." * 83, "/".join(["a"] * 125)])
def test_the_longest_name(name: str) -> None:
    assert len(folder_directory(name).encode()) <= 250


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_two_names_share_a_directory(one: str, other: str) -> None:
    """… and none leads out of the Maildir, or into the INBOX's own directories."""
    made = {}
    for name in {one, other}:
        try:
            made[name] = folder_directory(name)
        except BadFolderName:
            continue
        if name != "INBOX":
            assert made[name].startswith(".")
            assert made[name] not in {".", ".."}
            assert "/" not in made[name]
            assert "\x00" not in made[name]
    assert len(set(made.values())) == len(made)


@given(st.lists(st.sampled_from(["a", "b", ".", "%", "2E", "."]), min_size=1, max_size=4).map("/".join))
def test_levels_are_told_from_dots(name: str) -> None:
    levels = folder_directory(name)[1:].split(".")
    assert [level.replace("%2E", ".").replace("%25", "%") for level in levels] == name.split("/")


ALL = (DRAFT, FLAGGED, ANSWERED, SEEN, DELETED)


@given(st.sets(st.sampled_from([*ALL, "Work", "$Junk"])))
def test_flags_stand_in_the_name_in_ascii_order(flags: set[str]) -> None:
    letters = info(flags).removeprefix(":2,")
    assert letters == "".join(sorted(letters))
    assert flags_of("1.x,S=1" + info(flags)) == flags & set(ALL)  # keywords stand in the index alone


@pytest.mark.parametrize(
    ("name", "unique", "flags"),
    [
        ("1.x.host", "1.x.host", set()),
        ("1.x.host:2,", "1.x.host", set()),
        ("1.x.host:2,SZPa", "1.x.host", {SEEN}),  # P(assed) and a, b, c… are other programs' business
        ("1.x.host:1,S", "1.x.host:1,S", set()),  # an experimental form
        ("1.x.host,S=5:2,TS:2,F", "1.x.host,S=5", {DELETED, SEEN, FLAGGED}),
        (":2,S", "", {SEEN}),
    ],
)
def test_names_that_others_make(name: str, unique: str, flags: set[str]) -> None:
    assert unique_of(name) == unique
    assert flags_of(name) == flags


def test_no_two_files_have_one_name() -> None:
    made = {unique_name(TOKEN, 10, 12, now=1_700_000_000.5) for _ in range(2000)}
    assert len(made) == 2000
    name = made.pop()
    assert name.startswith("1700000000.M500000P")
    assert name.endswith(",S=10,W=12")
    assert set(name) <= set(string.ascii_letters + string.digits + ".-_=,\\")
    assert ledger_of(name, TOKEN) is None


def test_a_pulled_file_tells_its_ledger_row() -> None:
    name = unique_name(TOKEN, 10, 12, now=1_700_000_000.5, ledger_id=42) + ":2,S"
    assert ledger_of(name, TOKEN) == 42
    assert ledger_of(name, "ba9876543210") is None  # another mailbox's, copied here by hand
    assert ledger_of(f"0.L42_{TOKEN}.passing", TOKEN) == 42
    assert ledger_of("1700000000.V801I2M3.host:2,S", TOKEN) is None
    assert ledger_of("", TOKEN) is None


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x"])).map(b"".join))
def test_w_counts_each_bare_lf_as_crlf(data: bytes) -> None:
    assert crlf_size(data) == len(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_the_hosts_name_cannot_break_a_file_name() -> None:
    assert os.sep not in unique_name(TOKEN, 1, 1, now=0.0)
    assert ":" not in unique_name(TOKEN, 1, 1, now=0.0)
