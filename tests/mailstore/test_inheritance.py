"""Dovecot's and Courier's files, read: what they say, and what is made of those that are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstore.inheritance import courier, dovecot
from mailstore.inheritance.names import dovecot_directory, folder_of
from mailstore.inheritance.tree import Manner, NoMaildir, read_tree
from mailstore.inheritance.values import Numbered


def test_uidlists() -> None:
    found = dovecot.parse_uidlist(b"3 V1700 N9 Gabc\n3 Pone S12 W13 :a,S=12,W=13\nx :b\n7 :c:2,S\n")
    assert (found.uidvalidity, found.uidnext, found.broken) == (1700, 9, 1)
    assert found.by_file == {"a": Numbered(3, "one"), "c": Numbered(7)}
    old = dovecot.parse_uidlist(b"1 1700 5\n3 a,S=12\n9 b\n")
    assert (old.uidvalidity, old.uidnext, old.by_file["b"].uid) == (1700, 10, 9)
    for broken in (b"", b"2 V1 N1\n", b"3 N4\n", b"3 V0 N4\n", b"1 x 3\n", b"\0" * 50):
        with pytest.raises(ValueError):
            dovecot.parse_uidlist(broken)


def test_uidls_by_a_format() -> None:
    assert dovecot.uidl("%08Xu%08Xv", 10, 255, "f") == "0000000a000000ff"
    assert dovecot.uidl("mf%Xv.%u", 10, 255, "f") == "mfff.10"
    assert dovecot.uidl("%f%%", 1, 1, "name") == "name%"
    with pytest.raises(ValueError, match="%m"):
        dovecot.check_format("%m")


def test_subscriptions() -> None:
    assert dovecot.parse_subscriptions(b"V\t2\n\na\tb\nINBOX\nt\x01tx\n") == [["a", "b"], ["INBOX"], ["t\tx"]]
    assert dovecot.parse_subscriptions(b"a.b\nc\n") == [["a", "b"], ["c"]]
    assert dovecot.parse_subscriptions(dovecot.subscriptions([["a\tb", "c"]])) == [["a\tb", "c"]]


def test_courier() -> None:
    found = courier.parse_uiddb(b"1 900 4\n1 a,S=1\n3 b\nbad\n")
    assert (found.uidvalidity, found.uidnext, found.broken) == (900, 4, 1)
    assert found.by_file == {"a": Numbered(1), "b": Numbered(3)}
    assert courier.parse_sizelist(b"/3 2 77\na,S=1:2,S 24 1:77:0\nb 9 0:0\n") == {"a": "UID1-77", "b": "b"}
    assert courier.parse_subscribed(b"INBOX.a.b\nINBOX\n") == [["a", "b"], ["INBOX"]]
    keywords = courier.parse_keywords(b"one\ntwo\n\na:0 1\nb:1\n", {"b": b"three\n"})
    assert keywords == {"a": {"one", "two"}, "b": {"three"}}
    files = [":list", "a", ".9.a", ".10.b", ".9.b", "b.c"]
    assert courier.latest_keywords(files) == {"a": "a", "b": ".10.b", "b.c": "b.c"}
    for broken in (b"", b"2 1 1\n", b"1 0 1\n"):
        with pytest.raises(ValueError):
            courier.parse_uiddb(broken)


@pytest.mark.parametrize(
    ("directory", "charset", "escape", "name"),
    [
        (".Entw&APw-rfe.x", "auto", "", "Entwürfe/x"),
        (".文件", "auto", "", "文件"),
        (".R&D", "auto", "", "R&D"),
        (".R&-D", "auto", "", "R&D"),
        (".R&-D", "utf-8", "", "R&-D"),
        (".a%2eb", "utf-8", "%", "a.b"),
        (".a\\2eb", "auto", "\\", "a.b"),
    ],
)
def test_names(directory: str, charset: str, escape: str, name: str) -> None:
    assert folder_of(directory, charset, escape) == name


@pytest.mark.parametrize("name", ["a.b/100%", "~x", "文件/合同", "a~b"])
def test_dovecots_directories_come_back(name: str) -> None:
    assert folder_of(dovecot_directory(name), "utf-8", "%") == name


def maildir(root: Path, directory: str, **files: str) -> Path:
    """With files by their names in `cur`."""
    for sub in ("cur", "new", "tmp"):
        (root / directory / sub).mkdir(parents=True)
    for name in files.values():
        (root / directory / "cur" / name).write_bytes(b"Subject: x\r\n\r\n")
    return root / directory


def test_a_tree_with_what_cannot_be_read(tmp_path: Path) -> None:
    maildir(tmp_path, "", one="1.a:2,Sb", two="2.b:2,")
    (tmp_path / "dovecot-uidlist").write_text("3 V9 N5 G1\n4 :1.a\n")
    (tmp_path / "dovecot-keywords").write_text("0 x\n1 y\n")
    maildir(tmp_path, ".Broken", one="1.c:2,")
    (tmp_path / ".Broken" / "dovecot-uidlist").write_bytes(b"\xff\0")
    maildir(tmp_path, ".inbox")
    maildir(tmp_path, "fs-layout")
    (tmp_path / ".A&APw-").mkdir()
    maildir(tmp_path, ".&APw-")
    maildir(tmp_path, ".ü")
    found = read_tree(tmp_path)
    inbox = found.folders[0]
    assert [(m.uid, sorted(m.keywords)) for m in inbox.messages if m.uid] == [(4, ["y"])]
    assert inbox.messages[0].uidl == "0000000400000009" or inbox.messages[1].uidl == "0000000400000009"
    assert [folder.name for folder in found.folders] == ["INBOX", "ü", "Broken"]
    said = sorted(str(remark).partition(":")[0] for remark in found.remarks)
    assert said == ["'fs-layout'", ".inbox", ".ü", "Broken"]
    with pytest.raises(NoMaildir):
        read_tree(tmp_path / ".A&APw-")
    with pytest.raises(ValueError):
        read_tree(tmp_path, Manner(pop3_format="%m"))
