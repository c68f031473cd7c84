"""IMAP4rev2 beside IMAP4rev1: what changes for a client that has enabled it, and when it is announced (RFC 9051 E)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from proxy.imap.manner import REV2
from proxy.imap.server import ImapConnection
from proxy.imap.state import SOMEBODY
from proxy.imap.table import CAPABILITIES, REV2_INCLUDES, Capability, with_rev2
from tests.dialogues.memory import MemoryChannel
from tests.proxy.imap.imap_rig import Rig, lines


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, "folders")
    yield rig
    rig.close()


def rev2(rig: Rig) -> MemoryChannel:
    """A client as after ENABLE IMAP4rev2, whether or not that is announced yet."""
    channel = rig.logged_in()
    cast(ImapConnection, channel.protocol).session.enable(REV2)
    return channel


def said(channel: MemoryChannel, command: bytes) -> list[bytes]:
    channel.send(b"a " + command + b"\r\n")
    return lines(channel)


def test_announced_once_all_that_it_includes_is_there() -> None:
    less = tuple(Capability(name, (), SOMEBODY) for name in sorted(REV2_INCLUDES - {b"BINARY"}))
    assert with_rev2(less) == less
    names = [each.name for each in with_rev2((CAPABILITIES[0], *less, Capability(b"BINARY")))]
    assert names[:2] == [b"IMAP4rev1", b"IMAP4rev2"]


def test_select_without_recent_and_with_list(rig: Rig) -> None:
    channel = rev2(rig)
    heard = said(channel, "SELECT 草稿".encode().replace("草稿".encode(), '"草稿"'.encode()))
    assert '* LIST () "/" "草稿"'.encode() in heard
    assert not [line for line in heard if b"RECENT" in line or b"UNSEEN" in line]
    heard = said(channel, b"SELECT INBOX")
    assert heard[0] == b"* OK [CLOSED] Previous mailbox closed."
    assert b'* LIST () "/" INBOX' in heard
    assert said(channel, b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())", b"a OK Fetch completed."]
    assert said(channel, b"STORE 1 +FLAGS (\\Seen)")[0] == b"* 1 FETCH (UID 1 FLAGS (\\Seen))"
    assert said(channel, b"COPY 1 INBOX")[0] == b"* 4 EXISTS"
    channel.hang_up()


def test_search_answers_with_esearch(rig: Rig) -> None:
    channel = rev2(rig)
    said(channel, b"SELECT INBOX")
    assert said(channel, b"SEARCH ALL")[0] == b'* ESEARCH (TAG "a") ALL 1:3'
    assert said(channel, b"UID SEARCH SEEN")[0] == b'* ESEARCH (TAG "a") UID'
    channel.hang_up()


def test_names_in_utf8(rig: Rig) -> None:
    channel = rev2(rig)
    assert '* LIST (\\HasNoChildren) "/" "草稿"'.encode() in said(channel, b'LIST "" *')
    assert said(channel, 'STATUS "草稿" (MESSAGES)'.encode())[0] == '* STATUS "草稿" (MESSAGES 0)'.encode()
    assert said(channel, 'CREATE "R&D \\"文\\""'.encode())[0].startswith(b"a OK")
    assert '* LIST (\\HasNoChildren) "/" "R&D \\"文\\""'.encode() in said(channel, b'LIST "" R*')
    channel.hang_up()
    plain = rig.logged_in()
    assert b'* LIST (\\HasNoChildren) "/" &g0l6Pw-' in said(plain, b'LIST "" *')
    plain.hang_up()
