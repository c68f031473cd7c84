"""The facts of a message: the same after they were kept, object ids that never change, and the preview."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.message.envelope import envelope
from mailstore.message.facts import KEPT_FIELDS, LONGEST, Facts, computed
from mailstore.message.section import header_fields
from mailstore.message.structure import structure
from mailstore.message.walker import walk
from tests.dialogues.fixtures import ATTACHMENT, DOTS, GB18030, NESTED

SAMPLES = (ATTACHMENT, GB18030, DOTS, NESTED, b"", b"\n", b"Subject: x", bytes(range(256)) * 3)
FIELDS = (
    b"From: a <a@b>, \xe4 <x@y>",
    b"Sender: s@t",
    b"Content-Type: multipart/mixed; boundary=x",
    b"--x",
    b"--x--",
    b"Content-Type: message/rfc822",
    b"Content-Disposition: attachment; filename=\xff",
    b"Content-Language: de, en",
    b"",
    b"Message-ID: <a@b>",
    b"References: <r@b> <s@b>",
    b"Content-Type: text/html",
    b"<b>&amp;</b>",
)
LINES = st.lists(
    st.one_of(
        st.sampled_from(FIELDS),
        st.binary(max_size=30),
    ),
    max_size=30,
).map(b"\r\n".join)


def kept(data: bytes) -> Facts:
    facts, _ = computed(data)
    packed = facts.packed()
    assert packed is not None
    found = Facts.unpacked(facts.email_id, facts.thread_id, packed)
    assert found is not None
    return found


@pytest.mark.parametrize("data", SAMPLES)
def test_what_is_kept_is_what_the_message_says(data: bytes) -> None:
    facts, root = kept(data), walk(data)
    assert facts.envelope == envelope(root.header)
    assert facts.structure == structure(root, data)
    assert facts.header == header_fields(root.header, KEPT_FIELDS, exclude=False)


@given(LINES)
def test_it_is_so_of_anything(data: bytes) -> None:
    test_what_is_kept_is_what_the_message_says(data)
    facts = kept(data)
    assert len(facts.preview) <= 200
    assert "\n" not in facts.preview
    for name in (b"from", b"references", b"content-type"):
        assert header_fields(facts.header, [name], exclude=False) == header_fields(
            walk(data).header, [name], exclude=False
        )


def test_what_is_too_long_is_not_packed() -> None:
    assert computed(b"To: " + bytes(33 + n * 7 % 90 for n in range(20 * LONGEST)) + b"\r\n\r\n")[0].packed() is None


@given(st.binary(max_size=200))
def test_damage_is_noticed_or_harmless(packed: bytes) -> None:
    assert Facts.unpacked("M", "T", packed) is None


def ids(header: str, body: str = "x") -> Facts:
    return computed(f"{header}\r\n\r\n{body}".encode())[0]


def test_one_content_one_email_id() -> None:
    assert ids("Subject: a").email_id == ids("Subject: a").email_id
    assert ids("Subject: a").email_id != ids("Subject: b").email_id
    assert len(ids("Subject: a").email_id) == 25
    assert set(ids("Subject: a").email_id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_conversation_has_the_thread_id_of_its_first_message() -> None:
    first = ids("Message-ID: <1@a>")
    reply = ids("Message-ID: <2@a>\r\nIn-Reply-To: <1@a>")
    later = ids("Message-ID: <3@a>\r\nIn-Reply-To: <2@a>\r\nReferences: <1@a>\r\n <2@a>")
    other = ids("Message-ID: <9@a>")
    assert first.thread_id == reply.thread_id == later.thread_id != other.thread_id
    assert ids("Subject: no id").thread_id == "T" + ids("Subject: no id").email_id[1:]


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("Subject: a", "  one\r\n\r\ntwo\tthree ", "one two three"),
        ("Content-Type: text/html", "<style>p {}</style><p>Hi&nbsp;<b>you</b><!-- no --></p>&lt;3", "Hi you <3"),
        ("Content-Type: image/png", "abc", ""),
        ("Content-Type: text/plain; charset=utf-8", "会议" * 200, "会议" * 100),
        ("Content-Type: text/html", "<" * 20_000, ""),
    ],
)
def test_preview(header: str, body: str, expected: str) -> None:
    assert ids(header, body).preview == expected


def test_the_preview_prefers_plain_text() -> None:
    assert kept(NESTED).preview == "forwarded below"
    both = "--b\r\nContent-Type: text/html\r\n\r\n<p>rich\r\n--b\r\n\r\nplain\r\n--b--"
    assert ids("Content-Type: multipart/alternative; boundary=b", both).preview == "plain"
