"""ENVELOPE and BODYSTRUCTURE can be read by a strict client, whatever the message is, and say what the walker found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.message.envelope import envelope
from mailstore.message.facts import computed
from mailstore.message.structure import structure
from mailstore.message.walker import Part, walk
from proxy.imap import responses
from tests.mailstore.message.test_message_fuzz import REAL, messages, mutated, values
from tests.proxy.imap.strict import Unfit, read_body, read_envelope

FIELDS = (b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Content-Type", b"Content-Disposition", b"Content-ID",
          b"Content-Language", b"Content-Location", b"Content-MD5", b"Content-Description",
          b"Content-Transfer-Encoding", b"Reply-To", b"Sender", b"Cc", b"Bcc", b"In-Reply-To")  # fmt: skip


def check(data: bytes) -> None:
    root = walk(data)
    found = structure(root, data)
    read_body(responses.body(found, extended=False), extended=False)
    told = read_body(responses.body(found, extended=True), extended=True)
    compare(told, root)
    told_envelope = responses.envelope(envelope(root.header))
    read_envelope(told_envelope)
    facts, _ = computed(data)
    assert responses.envelope(facts.envelope) == told_envelope
    assert responses.body(facts.structure, extended=True) == responses.body(found, extended=True)


def compare(told: dict[str, Any], part: Part) -> None:
    """The same tree, the same sizes."""
    if part.parts:
        assert told["type"] == b"multipart"
        assert len(told["parts"]) == len(part.parts)
        for each, inner in zip(told["parts"], part.parts, strict=True):
            compare(each, inner)
        return
    assert told["octets"] == part.end - part.body
    if part.message is not None:
        compare(told["body"], part.message)
        assert told["lines"] == part.lines


@given(st.one_of(messages, mutated()))
@settings(max_examples=300, deadline=None)
def test_of_anything(data: bytes) -> None:
    check(data)


@given(st.lists(st.tuples(st.sampled_from(FIELDS), values), max_size=5))
@settings(max_examples=300, deadline=None)
def test_fields_of_anything(fields: list[tuple[bytes, bytes]]) -> None:
    check(b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\nbody\r\n")


@pytest.mark.parametrize("data", REAL)
def test_of_real_messages(data: bytes) -> None:
    check(data)


def test_of_messages_as_deep_as_they_may_be() -> None:
    check(b"Content-Type: message/rfc822\r\n\r\n" * 300)
    check(b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(300)))


def test_of_ten_thousand_parts() -> None:
    check(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 10_500 + b"--b--\r\n")


@pytest.mark.parametrize(
    "wrong",
    [
        b'("text" "plain" NIL NIL NIL "7BIT" 3)',  # a text without lines
        b'("text" "plain" () NIL NIL "7BIT" 3 1)',  # a list that is empty
        b'("text" "plain" ("a") NIL NIL "7BIT" 3 1)',
        b'("text" "plain" NIL NIL NIL NIL 3 1)',
        b'("text" "plain" NIL NIL NIL "7BIT" -3 1)',
        b'("te\xffxt" "plain" NIL NIL NIL "7BIT" 3 1)',
        b'("text" "pl\r\nain" NIL NIL NIL "7BIT" 3 1)',
        b'( "mixed")',
        b'("message" "rfc822" NIL NIL NIL "7BIT" 3)',
        b'("text" "plain" NIL NIL NIL "7BIT" 3 1) ',
    ],
)
def test_the_strict_reader_is_strict(wrong: bytes) -> None:
    with pytest.raises(Unfit):
        read_body(wrong, extended=False)
