"""What responses say, as values: however servers spell them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.client.commands import Verb
from proxy.imap.client.names import levels, text_of
from proxy.imap.client.replies import (
    NO_DATE,
    CapabilityList,
    FolderList,
    FolderState,
    Headers,
    NamespaceList,
    Namespaces,
    Summaries,
    capabilities_in,
    folders,
    message_id,
)
from proxy.imap.client.responses import Untagged, parse_state, parse_untagged, values
from proxy.imap.grammar.folder_names import encode
from proxy.legacy.errors import LegacyProtocolError


def said(line: bytes, *more: bytes) -> Untagged:
    return parse_untagged([line, *more])


def test_values_of_every_form() -> None:
    assert values([b'(a NIL "q\\"\\\\" (1 ()) BODY[HEADER.FIELDS (X Y)]<0>', b"lit (", b" z)"]) == [
        [b"a", None, b'q"\\', [b"1", []], b"BODY[HEADER.FIELDS (X Y)]<0>", b"lit (", b"z"]
    ]


@pytest.mark.parametrize("text", [b"(", b")", b'"open', b"(" * 40 + b")" * 40, b"\x01", b"(a))"])
def test_what_is_no_list_is_refused_without_being_quoted(text: bytes) -> None:
    with pytest.raises(LegacyProtocolError) as caught:
        values([b"secret", b"x", text])
    assert "secret" not in str(caught.value)


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_whatever_it_is_it_is_read_or_refused(parts: list[bytes]) -> None:
    with suppress(LegacyProtocolError):
        values(parts)


def test_a_status_with_its_code() -> None:
    reply = parse_state(b"no [ALERT] Too many connections. \xe4\xbd\xa0\xe5\xa5\xbd")
    assert reply is not None
    assert (reply.status, reply.code, reply.text) == ("NO", "ALERT", "Too many connections. 你好")
    assert parse_state(b"EXISTS 3") is None
    greeting = parse_state(b"OK [CAPABILITY imap4rev1 AUTH=plain] ready")
    assert greeting is not None
    assert capabilities_in(greeting) == {"IMAP4REV1", "AUTH=PLAIN"}


def test_capabilities_in_one_line_or_several() -> None:
    listed = CapabilityList()
    for line in (b"CAPABILITY imap4rev1", b"CAPABILITY ID", b"EXISTS 3"):
        listed.take(said(line))
    assert listed.names == {"IMAP4REV1", "ID"}


def namespaces(line: bytes) -> Namespaces:
    listed = NamespaceList()
    listed.take(said(b"NAMESPACE " + line))
    return listed.found


def test_namespaces() -> None:
    courier = namespaces(b'(("INBOX." ".")) NIL (("#shared." ".")("shared." "."))')
    assert courier == Namespaces((b"INBOX.",), (b"#shared.", b"shared."))
    assert namespaces(b"NIL NIL NIL") == Namespaces((b"",), ())
    assert namespaces(b"garbage") == Namespaces((b"",), ())
    assert NamespaceList().found == Namespaces((b"",), ())


def listed(*lines: bytes) -> FolderList:
    found = FolderList()
    for line in lines:
        found.take(said(line))
    return found


def shown(found: FolderList, spaces: Namespaces | None = None, subscribed: frozenset[bytes] = frozenset()) -> list[str]:
    return ["/".join(folder.levels) for folder in folders(found.found, subscribed, spaces or Namespaces())]


def test_folders_of_the_personal_namespace_without_its_prefix() -> None:
    cyrus = listed(
        b'LIST () "." INBOX.Sent',
        b'LIST () "." INBOX',
        b'LIST () "." "INBOX.Sent.2009"',
        b'LIST () "." user.other.Secret',
        b'LIST () "." Bulletins',
    )
    spaces = namespaces(b'(("INBOX." ".")) (("user." ".")) (("" "."))')
    assert shown(cyrus, spaces) == ["INBOX", "Sent", "Sent/2009"]


def test_folders_of_others_within_the_personal_namespace() -> None:
    found = listed(b'LIST () "/" inbox', b'LIST () "/" Shared/x', b'LIST () "/" Sharedness', b"LIST () NIL a/b")
    assert shown(found, namespaces(b'(("" "/")) NIL (("Shared/" "/"))')) == ["INBOX", "Sharedness", "a/b"]
    (last,) = (folder for folder in folders(found.found, frozenset(), Namespaces()) if folder.name == b"a/b")
    assert last.levels == ("a/b",)  # there is no delimiter: it is one level


def test_attributes_and_subscriptions() -> None:
    found = listed(
        b'LIST (\\HasNoChildren \\Sent) "/" "Sent Items"',
        b'LIST (\\NoSelect) "/" Parent',
        b'LIST (\\NonExistent \\Subscribed) "/" Gone',
    )
    made = {folder.name: folder for folder in folders(found.found, frozenset([b"Parent"]), Namespaces())}
    assert "\\sent" in made[b"Sent Items"].attributes
    assert [made[name].selectable for name in (b"Sent Items", b"Parent", b"Gone")] == [True, False, False]
    assert [made[name].subscribed for name in (b"Sent Items", b"Parent", b"Gone")] == [False, True, True]


def test_a_name_as_literal() -> None:
    found = FolderList()
    found.take(said(b'LIST () "/" ', b'a "b"', b""))
    assert list(found.found) == [b'a "b"']


@pytest.mark.parametrize("line", [b"LIST", b"LIST () NIL NIL", b"LIST x y z", b"LIST () () a"])
def test_what_is_no_folder(line: bytes) -> None:
    with pytest.raises(LegacyProtocolError):
        listed(line)


@pytest.mark.parametrize("name", ["工作", "Entwürfe", "a&b", "&", "日本語/にほんご", "plain", "~peter/mail/台北"])
def test_names_in_modified_utf_7(name: str) -> None:
    assert text_of(encode(name)) == name
    assert levels(encode(name), b"/") == tuple(name.split("/"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("工作".encode(), "工作"),
        ("工作".encode("gb18030"), "工作"),
        (b"R&D", "R&D"),
        (b"&AGE", "&AGE"),
        (b"&!!!-", "&!!!-"),
        (b"&2D0-", "&2D0-"),  # half a surrogate pair
        (b"\xff\xff", "ÿÿ"),
        (b"&-", "&"),
    ],
)
def test_names_that_are_no_modified_utf_7(name: bytes, text: str) -> None:
    assert text_of(name) == text


def test_a_delimiter_within_base64_parts_nothing() -> None:
    assert levels(b"&XeVPXA-.&,,8-", b".") == ("工作", "\uffff")


def test_a_folders_state() -> None:
    state = FolderState()
    for line in (b"3 EXISTS", b"0 RECENT", b"OK [uidvalidity 7] ok", b"OK [UIDNEXT 12]"):
        state.take(said(line))
    assert (state.exists, state.uidvalidity) == (3, 7)


def summaries(*lines: bytes) -> Summaries:
    found = Summaries()
    for line in lines:
        found.take(said(line))
    return found


def test_a_folders_messages_with_items_in_any_order() -> None:
    found = summaries(
        b'1 FETCH (UID 4 RFC822.SIZE 100 INTERNALDATE " 1-Feb-2020 12:00:00 +0800" FLAGS (\\Seen \\Recent $Junk))',
        b'2 fetch (FLAGS (\\*FLAGGED \\flagged \\Important) internaldate "garbage" uid 9 MODSEQ (12))',
        b"1 FETCH (FLAGS (\\Deleted))",
        b"3 EXPUNGE",
        b"4 EXISTS",
    )
    assert list(found.uids) == [4, 9]
    assert list(found.octets) == [100, 0]
    assert list(found.dates) == [1_580_529_600, NO_DATE]
    assert found.flags == [{"\\Seen", "$Junk"}, {"\\Flagged"}]
    assert found.gone == 1


def test_a_listing_out_of_order_and_with_one_twice() -> None:
    found = summaries(*(b"%d FETCH (UID %d RFC822.SIZE %d)" % (n, uid, uid) for n, uid in enumerate((5, 3, 9, 3), 1)))
    found.settle()
    assert list(found.uids) == list(found.octets) == [3, 5, 9]
    assert len(found.dates) == len(found.flags) == 3


@pytest.mark.parametrize("line", [b"1 FETCH x", b"1 FETCH (UID)"])
def test_a_listing_that_makes_no_sense(line: bytes) -> None:
    with pytest.raises(LegacyProtocolError):
        summaries(line)


def test_message_ids() -> None:
    found = Headers()
    found.take(said(b"1 FETCH (UID 4 BODY[HEADER.FIELDS (MESSAGE-ID)] ", b"Message-Id:\r\n <a@b>\r\n\r\n", b")"))
    found.take(said(b'2 FETCH (BODY[HEADER.FIELDS ("MESSAGE-ID")] "" UID 5)'))
    assert {uid: message_id(header) for uid, header in found.by_uid.items()} == {4: b"<a@b>", 5: b""}
    assert message_id(b"X-Message-ID: no\r\nmessage-id : <1@x> \r\n\r\n") == b"<1@x>"
    assert message_id(b"Subject: x\r\n") == b""


def test_nothing_that_changes_a_mailbox_can_be_said() -> None:
    said_ones = {word for verb in Verb for word in verb.value.split()}
    assert said_ones.isdisjoint(
        b"SELECT STORE EXPUNGE APPEND COPY MOVE DELETE CREATE RENAME SUBSCRIBE UNSUBSCRIBE CLOSE REPLACE SETMETADATA "
        b"SETACL DELETEACL".split()
    )
