"""IMAP URLs of messages (RFC 5092), whole and hostile."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imap.grammar.imap_urls import message_url


def test_every_piece_of_a_url() -> None:
    url = message_url(
        b"imap://user%40123.com;AUTH=*@Mail.123.com:143/%E8%8D%89%E7%A8%BF;UIDVALIDITY=7/;UID=20/;SECTION=1.2.MIME"
        b"/;PARTIAL=5.10"
    )
    assert url is not None
    assert (url.user, url.host, url.folder) == ("user@123.com", "mail.123.com", "草稿")
    assert (url.uidvalidity, url.uid, url.partial) == (7, 20, (5, 10))
    assert url.section is not None
    assert (url.section.path, url.section.what) == ((1, 2), "MIME")


@pytest.mark.parametrize(
    ("text", "folder", "uid"),
    [(b"/inbox/;UID=1", "INBOX", 1), (b"/a/b/;uid=2", "a/b", 2), (b";UID=3", None, 3), (b"/;UID=4", None, 4)],
)
def test_short_forms(text: bytes, folder: str | None, uid: int) -> None:
    url = message_url(text)
    assert url is not None
    assert (url.folder, url.uid, url.host, url.section, url.partial) == (folder, uid, None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"http://x/INBOX/;UID=1",
        b"imap://x/",
        b"imap://x/;UID=1",
        b"/INBOX",
        b"/INBOX/;UID=0",
        b"/INBOX/;UID=4294967296",
        b"/INBOX/;UID=1;x",
        b"/INBOX/;UID=1/;SECTION=NONSENSE",
        b"/INBOX/;UID=1/;SECTION=MIME",
        b"/INBOX/;UID=1/;SECTION=1]x",
        b"/%ff/;UID=1",
        b"/a%00b/;UID=1",
        b"/INBOX/;UID=1/;URLAUTH=anonymous:internal:00",
        b"/" + b"a/" * 5000 + b";UID=1",
    ],
)
def test_what_is_none(text: bytes) -> None:
    assert message_url(text) is None


@given(st.lists(st.sampled_from([b"imap://", b"/", b";", b"UID=", b"1", b"SECTION=", b"%", b"@", b"a"])).map(b"".join))
def test_anything_is_a_url_or_none(text: bytes) -> None:
    message_url(text)


@pytest.mark.parametrize("piece", [b"/", b"/;UID=1", b"a;", b"imap://", b"@"])
def test_hostile_urls_take_little_time(piece: bytes) -> None:
    started = time.process_time()
    message_url((piece * 4096)[:4096])
    message_url(b"/" + (piece * 4096)[:4000])
    assert time.process_time() - started < 1
