"""Landing: bytes off the wire become files, the same whether a message came whole or in pieces."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstore import landing as module
from mailstore.entries import Entry, Listed, Outcome
from mailstore.errors import StorageFailed
from mailstore.landing import Arriving, Landing, Written
from mailstore.mailhome import MailHome
from mailstore.scribe import Scribed, hand_over, serve
from mailstore.writing import HEADER_LIMIT, SPOILT, Writer, Writes
from tests.mailstore.store_rig import (
    HARD_MESSAGES,
    NOW,
    bodies,
    check_whole,
    debris,
    files,
    full_disk,
    open_descriptors,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

DATED = b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
DATED_SECONDS = 1_700_000_000


def entry(number: int = 1) -> Entry:
    return Entry(number, number, f"u{number}", 100, Outcome.LISTED, number, 0, 0)


class New(Protocol):
    def __call__(self, home: MailHome, seen: str = "headers", now: int = NOW) -> Landing: ...


@pytest.fixture(params=["here", "there"])
def new_landing(request: pytest.FixtureRequest) -> Iterator[New]:
    """With what writes in the same thread, and as in a process of its own."""
    ours, theirs = socket.socketpair()
    serving = threading.Thread(target=serve, args=(theirs,))
    serving.start()

    def scribed(tmp: Path, token: str, seen: str) -> Writes:
        return Scribed(lambda landing: hand_over(ours, landing), tmp, token, seen)

    def make(home: MailHome, seen: str = "headers", now: int = NOW) -> Landing:
        open_writer = Writer if request.param == "here" else scribed
        return Landing(home.maildir, home.token, seen=seen, clock=lambda: now, open_writer=open_writer)

    yield make
    ours.close()
    serving.join()
    theirs.close()


@pytest.fixture
def landing(home: MailHome, new_landing: New) -> Iterator[Landing]:
    made = new_landing(home)
    yield made
    made.close()


def in_pieces(landing: Landing, which: Entry, pieces: Sequence[bytes]) -> Written:
    for piece in pieces:
        assert landing.write([Arriving(which, [piece])]) == []
    (written,) = landing.write([Arriving(which, ended=True)])
    return written


def passing_bytes(home: MailHome, written: Written) -> bytes:
    return (home.maildir.root / "tmp" / written.passing).read_bytes()


@pytest.mark.parametrize("data", HARD_MESSAGES.values(), ids=HARD_MESSAGES.keys())
def test_bytes_are_kept_whole_or_in_pieces(home: MailHome, landing: Landing, data: bytes) -> None:
    whole = landing.write([(entry(), data)])[0]
    assert passing_bytes(home, whole) == data
    third = len(data) // 3 + 1
    pieces = in_pieces(landing, entry(), [data[:third], data[third : 2 * third], data[2 * third :]])
    assert passing_bytes(home, pieces) == data
    assert pieces == whole
    assert whole.landed.size == len(data)
    assert whole.landed.sha256 == hashlib.sha256(data).digest()
    w = len(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert whole.landed.file.endswith(f",S={len(data)},W={w}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60, derandomize=True)
@given(
    pieces=st.lists(
        st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"Status: RO\r\n", DATED, b"x", b"\x00"])).map(b"".join),
        max_size=6,
    )
)
def test_cuts_make_no_difference(home: MailHome, landing: Landing, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    (whole,) = landing.write([(entry(), data)])
    assert in_pieces(landing, entry(), pieces) == whole
    assert landing.write([Arriving(entry(), pieces, ended=True)]) == [whole]
    assert passing_bytes(home, whole) == data


def test_a_long_header_makes_no_difference(landing: Landing) -> None:
    """What stands beyond the limit is not looked at, however the message came."""
    for filler in (HEADER_LIMIT - 200, HEADER_LIMIT - 20, HEADER_LIMIT + 20):
        data = b"X: " + b"x" * filler + b"\r\n" + DATED + b"Status: R\r\n\r\nbody"
        (whole,) = landing.write([(entry(), data)])
        assert in_pieces(landing, entry(), [data[:1000], data[1000:-3], data[-3:]]) == whole
        assert whole.landed.internal_date in {DATED_SECONDS, NOW}


def test_two_that_are_large_in_one_go(home: MailHome, landing: Landing) -> None:
    one, two = (bytes([n]) * 99_998 + b"\r\n" for n in b"ab")
    written = landing.write([Arriving(entry(1), [one, one], ended=True), Arriving(entry(2), [two, one], ended=True)])
    assert [passing_bytes(home, each) for each in written] == [one + one, two + one]


def test_several_in_one_go(home: MailHome, landing: Landing) -> None:
    large = Arriving(entry(2), [b"be", b"gin"])
    done = landing.write([(entry(1), b"one"), large])
    done += landing.write([Arriving(entry(2), [b" and "])])
    done += landing.write([Arriving(entry(2), [b"end"], ended=True), (entry(3), b"three")])
    assert [(w.landed.entry.id, passing_bytes(home, w)) for w in done] == [
        (1, b"one"),
        (2, b"begin and end"),
        (3, b"three"),
    ]
    assert landing.write([]) == []


# Dates and flags

HEADERS = [
    (b"", NOW, set()),
    (DATED, DATED_SECONDS, set()),
    (b"Received: by x; Tue, 14 Nov 2023 22:13:21 +0000\r\n" + DATED, DATED_SECONDS + 1, set()),
    (b"Date: nonsense\r\n", NOW, set()),
    (b"Date: Tue, 14 Nov 1900 22:13:20 +0000\r\n", NOW, set()),
    (b"Status: RO\r\n", NOW, {"\\Seen"}),
    (b"Status: O\r\n", NOW, set()),
    (b"Status: RO\r\nX-Status: AF\r\n", NOW, {"\\Seen", "\\Answered", "\\Flagged"}),
    (b"\r\n" + DATED + b"Status: RO\r\n", NOW, set()),  # that is body
]


@pytest.mark.parametrize(("head", "date", "flags"), HEADERS)
@pytest.mark.parametrize("seen", ["headers", "all", "none"])
def test_date_and_flags(home: MailHome, new_landing: New, head: bytes, date: int, flags: set[str], seen: str) -> None:
    landing = new_landing(home, seen)
    for end in (b"\r\n\r\nbody", b""):
        (written,) = landing.write([(entry(), head + end)])
        assert written.landed.internal_date == date
        expected = {"headers": flags, "all": flags | {"\\Seen"}, "none": set()}[seen]
        assert written.landed.flags == expected
        assert written.landed.file.startswith(f"{date}.L1_{home.token}.")
    landing.close()


# The barrier


def pulled(home: MailHome, count: int) -> list[Entry]:
    return home.ledger.record_listing([Listed(n, f"u{n}", 10) for n in range(1, count + 1)], (), hold_uids=True)


def test_nothing_is_visible_before_its_transaction(home: MailHome, landing: Landing) -> None:
    entries = pulled(home, 6)
    written = landing.write([(e, b"Status: R\r\n\r\n%d" % e.id) for e in entries])
    assert files(home) == []
    landing.settle(written)
    assert len(files(home)) == 6
    assert all(name.endswith(":2,S") for name in files(home))
    assert (home.status("INBOX").messages, home.ledger.sums().messages_done) == (0, 0)
    home.ledger.enter([w.landed for w in written])
    assert list(bodies(home).values()) == [b"Status: R\r\n\r\n%d" % n for n in range(1, 7)]
    check_whole(home)
    assert debris(home) == []
    assert {oct((home.maildir.root / "cur" / name).stat().st_mode & 0o777) for name in files(home)} == {"0o600"}


def test_bytes_then_names(home: MailHome, landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 2: message files, then their directory entries."""
    order: list[str] = []
    monkeypatch.setattr(module, "sync_files", lambda fd, names: order.append(f"bytes of {len(names)}"))
    monkeypatch.setattr(module, "sync_directory", lambda path: order.append(f"entries of {path.name}"))
    monkeypatch.setattr(os, "rename", lambda *_, **__: order.append("rename"))
    landing.settle(landing.write([(entry(1), b"a"), (entry(2), b"b")]))
    assert order == ["bytes of 2", "rename", "rename", "entries of cur"]


def test_bytes_that_did_not_reach_the_disk_get_no_name(
    home: MailHome, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    written = landing.write([(entry(1), b"a")])
    monkeypatch.setattr(module, "sync_files", failing)
    with pytest.raises(StorageFailed, match="Input/output error"):
        landing.settle(written)
    assert files(home) == []


def test_a_full_disk(home: MailHome, new_landing: New, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = open_descriptors(home.maildir.root.parent)
    landing = new_landing(home)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert landing.write([Arriving(entry(2), [b"x" * 900])]) == []
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFailed, match="No space left on device"):
        landing.write([Arriving(entry(2), [b"x" * 200])])
    with pytest.raises(StorageFailed):
        landing.write([(entry(1), b"x" * 1001)])
    assert landing.take_spoilt() == []
    landing.close()
    landing.close()
    assert open_descriptors(home.maildir.root.parent) == descriptors
    assert debris(home) == []  # half a message takes no room


def test_nothing_is_written_behind_what_a_full_disk_refuses(
    home: MailHome, new_landing: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = new_landing(home)
    refused: list[bytes] = []

    def full(_fd: int, data: bytes) -> None:
        refused.append(data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFailed, match="No space left on device"):
        for number, data in enumerate((b"one", b"two"), 1):
            landing.hand_over([(entry(number), data)])
    landing.close()
    assert refused == [b"one"]
    assert debris(home) == []


def test_a_file_that_the_disk_refuses_by_itself_is_left_out(home: MailHome, landing: Landing) -> None:
    with full_disk(1000):  # no file may be larger
        pieces = [Arriving(entry(3), [b"x" * 900]), Arriving(entry(3), [b"x" * 900]), Arriving(entry(3), [b"x"])]
        arrivals = [(entry(1), b"one"), (entry(2), b"x" * 1001), *pieces, Arriving(entry(3), [b"x"], ended=True)]
        written = landing.write([*arrivals, (entry(4), b"four")])
    assert [message.landed.entry.id for message in written] == [1, 4]
    assert [(refused.id, text) for refused, text in landing.take_spoilt()] == [
        (2, "File too large"),
        (3, "File too large"),
    ]
    assert landing.take_spoilt() == []
    landing.settle(written)
    assert len(files(home)) == 2
    assert list(home.maildir.root.glob("tmp/*")) == []  # half a message takes no room


def test_a_disk_that_refuses_file_after_file_is_no_matter_of_files(home: MailHome, landing: Landing) -> None:
    with full_disk(10):
        for number in range(1, SPOILT + 1):
            assert landing.write([(entry(number), b"x" * 11)]) == []
        landing.write([(entry(8), b"short")])
        for number in range(1, SPOILT + 1):
            assert landing.write([(entry(number), b"x" * 11)]) == []
        with pytest.raises(StorageFailed, match="File too large"):
            landing.write([(entry(9), b"x" * 11)])


def test_a_write_that_is_cut_short_goes_on(home: MailHome, landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:7]))
    (written,) = landing.write([(entry(), b"0123456789" * 5)])
    monkeypatch.undo()
    assert passing_bytes(home, written) == b"0123456789" * 5


# What an interrupted batch left


def test_leftovers_go_when_their_rows_are_fetched_again(home: MailHome, landing: Landing, new_landing: New) -> None:
    root: Path = home.maildir.root
    landing.settle(landing.write([(entry(1), b"one"), (entry(2), b"two"), (entry(11), b"eleven")]))
    landing.write([(entry(3), b"three"), Arriving(entry(4), [b"half"])])
    foreign = ["1.L1_ffffffffffff.host:2,", f"1.M1_{home.token}.host:2,", "1.other", "L1"]
    for name in foreign:
        (root / "cur" / name).touch()
    landing.close()
    again = new_landing(home)
    again.clear_leftovers([])
    assert len(files(home)) == 7
    again.clear_leftovers([entry(1), entry(3), entry(4), entry(5)])
    assert sorted(set(files(home)) & set(foreign)) == sorted(foreign)
    left = [name for name in files(home) if name not in foreign]
    assert sorted(name.split(".")[1] for name in left) == [f"L11_{home.token}", f"L2_{home.token}"]
    assert list((root / "tmp").iterdir()) == []
    again.close()


def test_a_message_that_comes_again_has_one_file(home: MailHome, new_landing: New) -> None:
    """… though its date, and so its name, may be another one the second time."""
    entries = pulled(home, 1)
    for date in (NOW, NOW + 5):
        landing = new_landing(home, now=date)
        landing.clear_leftovers(entries)
        written = landing.write([(entries[0], b"x")])
        landing.settle(written)
        landing.close()
    home.ledger.enter([w.landed for w in written])
    check_whole(home)
    assert debris(home) == []


def test_a_maildir_without_its_directories(home: MailHome, new_landing: New) -> None:
    (home.maildir.root / "cur").rmdir()
    descriptors = open_descriptors(home.maildir.root.parent)
    with pytest.raises(StorageFailed):
        new_landing(home)
    assert open_descriptors(home.maildir.root.parent) == descriptors
