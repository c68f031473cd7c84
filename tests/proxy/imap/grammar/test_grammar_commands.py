"""Every command but FETCH and SEARCH, with good and with bad arguments."""

from __future__ import annotations

import pytest

from mailstore.index.rows import StoreMode
from proxy.imap.grammar.parse import ARGUMENTS, parse
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.grammar.syntax import (
    Append,
    Arguments,
    Authenticate,
    BadSyntax,
    Copy,
    Enable,
    FolderName,
    Id,
    ListPattern,
    Login,
    NoArguments,
    Rename,
    StatusItem,
    StatusItems,
    Store,
    UidExpunge,
)
from proxy.imap.table import TABLE
from proxy.wire.commands import UNTAGGED, Ready
from tests.proxy.imap.grammar.spoken import spoken

ONE = SequenceSet(((1, 1),))
ADD, REMOVE, REPLACE = StoreMode.ADD, StoreMode.REMOVE, StoreMode.REPLACE


def test_the_grammar_and_the_server_know_the_same_commands() -> None:
    assert set(ARGUMENTS) == set(TABLE)


@pytest.mark.parametrize(
    "name",
    [name for name, read in ARGUMENTS.items() if read is ARGUMENTS["NOOP"]],
)
def test_without_arguments(name: str) -> None:
    line = name.encode()
    for form in (line, line.lower(), line + b"  "):
        command = spoken(form)
        assert (command.tag, command.name, command.uid) == (b"a", name, False)
        assert command.arguments == NoArguments()
    for form in (line + b" x", line + b" ()", line + b" {1+}\r\nx", line + b"x"):
        with pytest.raises(BadSyntax):
            spoken(form)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b"AUTHENTICATE PLAIN", Authenticate("PLAIN")),
        (b"authenticate plain", Authenticate("PLAIN")),
        (b"AUTHENTICATE PLAIN ", Authenticate("PLAIN")),
        (b"AUTHENTICATE PLAIN =", Authenticate("PLAIN", b"=")),
        (b"AUTHENTICATE PLAIN AHVzZXIAcGFzcw==", Authenticate("PLAIN", b"AHVzZXIAcGFzcw==")),
        (b"AUTHENTICATE SCRAM-SHA-256", Authenticate("SCRAM-SHA-256")),
        (b"SELECT INBOX", FolderName("INBOX")),
        (b"select inbox", FolderName("INBOX")),
        (b"select  inbox", FolderName("INBOX")),
        (b'SELECT "inbox/Sub"', FolderName("INBOX/Sub")),
        (b"SELECT {5+}\r\nInBox", FolderName("INBOX")),
        (b"SELECT {5+}\r\nInBox ", FolderName("INBOX")),
        (b"EXAMINE &ZTZO9nux-", FolderName("收件箱")),
        (b'DELETE "a \\"b\\" \\\\c"', FolderName('a "b" \\c')),
        (b"DELETE a]b", FolderName("a]b")),
        (b"CREATE a/b", FolderName("a/b")),
        (b"CREATE a/b/", FolderName("a/b")),
        (b"CREATE inbox/", FolderName("INBOX")),
        (b"DELETE a/", FolderName("a/")),
        (b'SUBSCRIBE ""', FolderName("")),
        (b"UNSUBSCRIBE NIL", FolderName("NIL")),
        (b"RENAME old new", Rename("old", "new")),
        (b'RENAME "old one" {7+}\r\nnew one', Rename("old one", "new one")),
        (b'LIST "" *', ListPattern("", "*")),
        (b"list {0+}\r\n {1+}\r\n%", ListPattern("", "%")),
        (b'LIST "a/" "%/b*"', ListPattern("a/", "%/b*")),
        (b'LIST "" ""', ListPattern("", "")),
        (b'LSUB "" "&ZTZO9nux-*"', ListPattern("", "收件箱*")),
        (b'LSUB "" Inbox', ListPattern("", "Inbox")),
        (b'LIST "a/" inbox', ListPattern("a/", "inbox")),
        (b"STATUS INBOX (MESSAGES)", StatusItems("INBOX", (StatusItem.MESSAGES,))),
        (
            b"status x ( uidnext recent UIDNEXT unseen uidvalidity )",
            StatusItems("x", (StatusItem.UIDNEXT, StatusItem.RECENT, StatusItem.UNSEEN, StatusItem.UIDVALIDITY)),
        ),
        (b"COPY 1 Sent", Copy(ONE, "Sent")),
        (b'UID COPY 1:3,*,7:* "Sent"', Copy(SequenceSet(((1, 3), (0, 0), (7, 0))), "Sent")),
        (b"UID EXPUNGE 1", UidExpunge(ONE)),
        (b"STORE 1 FLAGS ()", Store(ONE, REPLACE, False, ())),
        (b"STORE 1 +FLAGS \\seen", Store(ONE, ADD, False, ("\\Seen",))),
        (b"STORE 1 +flags \\SEEN $Junk", Store(ONE, ADD, False, ("\\Seen", "$Junk"))),
        (b"store 1 -flags.silent (\\Deleted \\deleted)", Store(ONE, REMOVE, True, ("\\Deleted",))),
        (b"UID STORE 1 FLAGS.SILENT ( Junk  NonJunk )", Store(ONE, REPLACE, True, ("Junk", "NonJunk"))),
        (b"ID NIL", Id(())),
        (b"ID ()", Id(())),
        (b"id nil", Id(())),
        (b'ID ("name" "x" "os" NIL "v" {1+}\r\n2)', Id(((b"name", b"x"), (b"os", None), (b"v", b"2")))),
        (b"ENABLE condstore UTF8=ACCEPT Condstore", Enable(("CONDSTORE", "UTF8=ACCEPT"))),
    ],
)
def test_good_arguments(line: bytes, arguments: Arguments) -> None:
    command = spoken(line)
    assert command.arguments == arguments
    words = line.upper().split()
    assert command.uid is (words[0] == b"UID")
    assert command.name.encode() == words[command.uid]


@pytest.mark.parametrize(
    ("line", "username", "password"),
    [
        (b"LOGIN ann secret", b"ann", b"secret"),
        (b'login "ann" "se\\"cr\\\\et"', b"ann", b'se"cr\\et'),
        (b'LOGIN ann ""', b"ann", b""),
        (b'LOGIN {3+}\r\nann {8+}\r\n\xe5\xaf\x86 \r\n("', b"ann", b'\xe5\xaf\x86 \r\n("'),
        (b'LOGIN ann "\xe5\xaf\x86"', b"ann", b"\xe5\xaf\x86"),
        (b"LOGIN 123.COM\\ann p%s*]}word", b"123.COM\\ann", b"p%s*]}word"),
        (b"LOGIN ann@123.com secret ", b"ann@123.com", b"secret"),
    ],
)
def test_login(line: bytes, username: bytes, password: bytes) -> None:
    arguments = spoken(line).arguments
    assert isinstance(arguments, Login)
    assert (arguments.username, arguments.password.reveal()) == (username, password)


def test_no_value_prints_a_password() -> None:
    assert "c2VjcmV0" not in repr(spoken(b"AUTHENTICATE PLAIN c2VjcmV0"))
    assert "secret" not in repr(spoken(b"LOGIN ann secret"))


@pytest.mark.parametrize(
    ("line", "folder", "flags", "internal_date"),
    [
        (b"APPEND INBOX ", "INBOX", (), None),
        (b"append inbox () ", "INBOX", (), None),
        (b"APPEND x (\\SEEN $A \\Recent $A) ", "x", ("\\Seen", "$A"), None),
        (b'APPEND "a b" " 1-Feb-1970 00:00:00 +0100" ', "a b", (), 31 * 86_400 - 3_600),
        (b'APPEND {3+}\r\na b (\\Draft) "01-Jan-1970 00:00:00 +0000" ', "a b", ("\\Draft",), 0),
    ],
)
def test_append(line: bytes, folder: str, flags: tuple[str, ...], internal_date: int | None) -> None:
    arguments = spoken(line + b"{6+}\r\na\r\n\0\xffb").arguments
    assert isinstance(arguments, Append)
    assert (arguments.folder, arguments.flags, arguments.internal_date) == (folder, flags, internal_date)
    message = arguments.message
    assert message.size == 6
    assert not isinstance(message.data, bytes)
    assert message.data.read() == b"a\r\n\0\xffb"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b"NONSENSE",
        b"NO\xffOP",
        b"UID",
        b"UID NOOP",
        b"UID UID FETCH 1 FLAGS",
        b"UID CLOSE",
        b"(NOOP)",
        b'"NOOP"',
        b"{4+}\r\nNOOP",
        b"LOGIN",
        b"LOGIN ann",
        b"LOGIN ann ",
        b"LOGIN  ann",
        b"LOGIN ann secret more",
        b"LOGIN (ann secret)",
        b"LOGIN ann {5}x",
        b"LOGIN ann {3+}\r\na\0b",
        b"LOGIN ann p\xe4ss",
        b'LOGIN ann "sec',
        b'LOGIN ann "a\0b"',
        b'LOGIN ann"x" y',
        b"AUTHENTICATE",
        b'AUTHENTICATE "PLAIN"',
        b"AUTHENTICATE PLAIN a b",
        b"SELECT",
        b"SELECT ",
        b"SELECT a b",
        b"SELECT a\0b",
        b"SELECT a\tb",
        b"SELECT R&D",
        b"SELECT \xe6\x94\xb6",
        b"SELECT {-5}",
        b"SELECT {2+}\r\na\n",
        b"SELECT a{1+}\r\nb",
        b"SELECT {1+}\r\na{1+}\r\nb",
        b"SELECT {1+}\r\nab",
        b"RENAME a",
        b"RENAME a b c",
        b"LIST",
        b'LIST ""',
        b'LIST "" (a b)',
        b'LIST "" * RETURN (CHILDREN)',
        b"STATUS INBOX",
        b"STATUS INBOX ()",
        b"STATUS INBOX MESSAGES",
        b"STATUS INBOX (NONSENSE)",
        b"STATUS INBOX (MESSAGES",
        b"STATUS INBOX (MESSAGES)x",
        b"STATUS INBOX (MESSAGES(UNSEEN))",
        b"STATUS INBOX (" + b"MESSAGES " * 1000 + b")",
        b"APPEND",
        b"APPEND INBOX",
        b"APPEND INBOX ",
        b'APPEND INBOX "text"',
        b"APPEND INBOX text",
        b"APPEND INBOX (\\Seen",
        b"APPEND INBOX (\\Nonsense) {1+}\r\nx",
        b"APPEND INBOX (a,b{1+}\r\nx",
        b"APPEND INBOX \\Seen {1+}\r\nx",
        b'APPEND INBOX "yesterday" {1+}\r\nx',
        b'APPEND INBOX "01-Jan-1970 00:00:00 +0000" (\\Seen) {1+}\r\nx',
        b"APPEND INBOX ~{1+}\r\nx",
        b"APPEND INBOX {1+}\r\nx {1+}\r\ny",
        b"APPEND INBOX {1+}\r\nxy",
        b"APPEND {1+}\r\nx",
        b"STORE",
        b"STORE 1",
        b"STORE 1 FLAGS",
        b"STORE 1 +FLAGS",
        b"STORE 1 + FLAGS (\\Seen)",
        b"STORE 1 *FLAGS (\\Seen)",
        b"STORE 1 FLAGS.LOUD (\\Seen)",
        b"STORE 1 FLAGS (\\Recent)",
        b"STORE 1 FLAGS (\\Nonsense)",
        b"STORE 1 FLAGS (\\)",
        b"STORE 1 FLAGS (\\*)",
        b'STORE 1 FLAGS ("x")',
        b"STORE 1 FLAGS (x\xe4)",
        b"STORE 1 FLAGS ((x))",
        b"STORE 1 FLAGS (" + b"x" * 129 + b")",
        b"STORE 1 FLAGS (" + b" ".join(b"x%d" % number for number in range(201)) + b")",
        b"STORE 1 FLAGS " + b" ".join(b"x%d" % number for number in range(202)),
        b"STORE x FLAGS (\\Seen)",
        b"COPY 1",
        b"COPY Sent",
        b"COPY 1 2 Sent",
        b"UID EXPUNGE",
        b"UID EXPUNGE 1 2",
        b"ID",
        b'ID "x"',
        b"ID (x y)",
        b'ID ("x")',
        b'ID ("x" "y" "z")',
        b'ID (NIL "y")',
        b"ID (" + b'"x" "y" ' * 31 + b")",
        b'ID ("' + b"x" * 31 + b'" NIL)',
        b'ID ("x" "' + b"y" * 1025 + b'")',
        b"ID NILS",
        b"ENABLE",
        b"ENABLE ",
        b"ENABLE (X)",
        b"ENABLE" + b" x" * 200,
    ],
)
def test_bad_arguments(line: bytes) -> None:
    with pytest.raises(BadSyntax) as raised:
        spoken(line)
    assert raised.value.text.isascii()
    assert raised.value.text.isprintable()


def test_a_command_without_a_tag() -> None:
    with pytest.raises(BadSyntax):
        parse(Ready(UNTAGGED, (b"NOOP",)))


def test_names_in_utf_8() -> None:
    assert spoken('SELECT "收件箱/R&D"'.encode(), utf8=True).arguments == FolderName("收件箱/R&D")
    assert spoken('LIST "" "收*"'.encode(), utf8=True).arguments == ListPattern("", "收*")
    with pytest.raises(BadSyntax):
        spoken(b'SELECT "\xff"', utf8=True)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (b"1", ((1, 1),)),
        (b"*", ((0, 0),)),
        (b"1:*", ((1, 0),)),
        (b"*:1", ((0, 1),)),
        (b"5:3", ((5, 3),)),
        (b"1,2:3,*", ((1, 1), (2, 3), (0, 0))),
        (b"4294967295", ((4_294_967_295, 4_294_967_295),)),
    ],
)
def test_sequence_sets(text: bytes, ranges: tuple[tuple[int, int], ...]) -> None:
    assert spoken(b"UID EXPUNGE " + text).arguments == UidExpunge(SequenceSet(ranges))


@pytest.mark.parametrize(
    "text",
    [b"0", b"0:1", b"1:0", b"1,", b",1", b"1,,2", b"1:", b":1", b"1:2:3", b"**", b"1*", b"*1", b"-1", b"1-2", b"1.5",
     b"4294967296", b"9" * 5000, b"1:" + b"9" * 5000, b"a", b"$1", b"$,1", b"$$", b"1,:"],
)  # fmt: skip
def test_no_sequence_sets(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        spoken(b"UID EXPUNGE " + text)
