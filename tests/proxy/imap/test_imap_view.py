"""A session's view against a plain model: whatever happens, the client's numbers and the server's agree."""

from __future__ import annotations

import re
import tracemalloc
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstore.index.rows import Changes, Flagged, Folder, Snapshot, shared_flags
from proxy.imap.grammar.sequences import SAVED, STAR, SequenceSet
from proxy.imap.manner import Manner
from proxy.imap.view import BadSequence, View

FLAG_SETS = [(), ("\\Seen",), ("\\Deleted",), ("\\Seen", "$Work"), ("\\Flagged", "$Later")]


def snapshot(uids: list[int], flags: tuple[str, ...] = (), recent_from: int = 1_000_000) -> Snapshot:
    return Snapshot(
        folder=Folder(1, "INBOX", 7),
        uidnext=(uids[-1] if uids else 0) + 1,
        highestmodseq=1,
        recent_from=recent_from,
        uids=array("I", uids),
        flags=[shared_flags(flags)] * len(uids),
        keywords=(),
        modseqs=array("Q", [1]) * len(uids),
    )


def changes(
    changed: Sequence[tuple[int, tuple[str, ...]]] = (), gone: Sequence[int] = (), recent_from: int = 1_000_000
) -> Changes:
    return Changes(
        highestmodseq=2,
        uidnext=100,
        recent_from=recent_from,
        changed=[Flagged(uid, 2, frozenset(flags)) for uid, flags in changed],
        gone=gone,
    )


class Client:
    """What a client makes of untagged responses, and nothing else (RFC 3501 7)."""

    def __init__(self, view: View) -> None:
        self.flags: list[bytes | None] = [None] * len(view)
        self.keywords: set[bytes] = set()

    def hear(self, data: bytes) -> None:
        for line in data.splitlines():
            if found := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
                del self.flags[int(found[1]) - 1]
            elif found := re.fullmatch(rb"\* (\d+) EXISTS", line):
                assert int(found[1]) > len(self.flags), "EXISTS never shrinks"
                self.flags.extend([None] * (int(found[1]) - len(self.flags)))
            elif found := re.fullmatch(rb"\* (\d+) FETCH \(FLAGS \((.*)\)\)", line):
                self.flags[int(found[1]) - 1] = found[2].replace(b" \\Recent", b"").replace(b"\\Recent", b"")
                heard = {flag for flag in found[2].split() if not flag.startswith(b"\\")}
                assert heard <= self.keywords, "a keyword is announced before it is used"
            elif found := re.fullmatch(rb"\* FLAGS \((.*)\)", line):
                self.keywords = {flag for flag in found[1].split() if not flag.startswith(b"\\")}
            else:
                assert re.fullmatch(rb"\* \d+ RECENT|\* OK \[PERMANENTFLAGS .*", line), line


steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 4)),
        st.tuples(st.just("expunge"), st.sets(st.integers(0, 12), max_size=4)),
        st.tuples(st.just("flag"), st.integers(0, 12), st.sampled_from(FLAG_SETS)),
        st.tuples(st.just("store"), st.integers(0, 12), st.sampled_from(FLAG_SETS)),
        st.tuples(st.just("flush"), st.booleans()),
    ),
    max_size=30,
)


@given(steps)
@settings(max_examples=300, deadline=None)
def test_client_and_mailbox_agree(script: list[tuple]) -> None:
    mailbox: dict[int, tuple[str, ...]] = dict.fromkeys((1, 2, 4, 8), ())
    next_uid = 9
    view = View(snapshot(list(mailbox)), writable=True)
    client = Client(view)
    for step in script:
        uids = list(mailbox)
        if step[0] == "arrive":
            new = list(range(next_uid, next_uid + step[1]))
            next_uid += step[1] + 1
            mailbox.update(dict.fromkeys(new, ()))
            view.apply(changes([(uid, ()) for uid in new]))
            client.hear(view.flush(expunge=False))
        elif step[0] == "expunge":
            gone = [uids[i] for i in step[1] if i < len(uids)]
            for uid in gone:
                del mailbox[uid]
            view.apply(changes(gone=gone))
        elif step[0] == "flag" and step[1] < len(uids):
            mailbox[uids[step[1]]] = step[2]
            view.apply(changes([(uids[step[1]], step[2])]))
        elif step[0] == "store" and step[1] < len(uids):
            mailbox[uids[step[1]]] = step[2]
            view.stored([Flagged(uids[step[1]], 3, frozenset(step[2]))])
        elif step[0] == "flush":
            before = len(client.flags)
            client.hear(view.flush(expunge=step[1]))
            assert step[1] or len(client.flags) == before
        assert len(client.flags) == len(view) or step[0] != "flush"
    client.hear(view.flush(expunge=True))
    assert list(view.uids) == list(mailbox)
    assert len(client.flags) == len(mailbox)
    for heard, flags in zip(client.flags, mailbox.values(), strict=True):
        if heard is not None or flags:
            assert heard is not None
            assert set(heard.decode().split()) == set(flags)


class ModseqClient:
    """A client that keeps UIDs, flags and modseqs, in any manner that knows modseqs (RFC 7162, RFC 9586)."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.uids = list(view.uids)
        self.flags: dict[int, set[str]] = {uid: set() for uid in view.uids}
        self.modseqs = dict(zip(view.uids, view.modseqs, strict=True))

    def hear(self, data: bytes) -> None:
        for line in data.decode().splitlines():
            if found := re.fullmatch(r"\* (\d+) EXPUNGE", line):
                assert not self.view.manner.vanished
                self.uids.pop(int(found[1]) - 1)
            elif found := re.fullmatch(r"\* VANISHED ([0-9:,]+)", line):
                assert self.view.manner.vanished
                for span in found[1].split(","):
                    first, _, last = span.partition(":")
                    for uid in range(int(first), int(last or first) + 1):
                        self.uids.remove(uid)
            elif found := re.fullmatch(r"\* (\d+) EXISTS", line):
                new = self.view.uids[len(self.uids) :]  # as a FETCH of them would tell
                assert int(found[1]) == len(self.uids) + len(new)
                for uid in new:
                    index = self.view.index(uid)
                    assert index is not None
                    self.uids.append(uid)
                    self.flags[uid], self.modseqs[uid] = set(self.view.flags[index]), self.view.modseqs[index]
            elif found := re.fullmatch(
                r"\* (\d+) (UID)?FETCH \((?:UID (\d+) )?(?:FLAGS \((.*?)\) )?MODSEQ \((\d+)\)\)", line
            ):
                assert (found[2] is None) is self.view.manner.numbers
                uid = int(found[1]) if found[2] else self.uids[int(found[1]) - 1]
                assert found[3] is None or int(found[3]) == uid
                assert (found[3] is not None) is self.view.manner.uid
                if found[4] is not None:
                    self.flags[uid] = set(found[4].split()) - {"\\Recent"}
                self.modseqs[uid] = int(found[5])
            else:
                assert re.fullmatch(r"\* \d+ RECENT|\* OK \[PERMANENTFLAGS .*|\* FLAGS .*", line), line


@given(
    steps,
    st.sampled_from(
        [
            Manner(modseq=True),
            Manner(modseq=True, vanished=True, uid=True),
            Manner(modseq=True, vanished=True, numbers=False),
            Manner(modseq=True, uid=True, recent=False),
        ]
    ),
)
@settings(max_examples=300, deadline=None)
def test_modseqs_and_what_vanished_agree(script: list[tuple], manner: Manner) -> None:
    """Whoever knows modseqs is told of each change with its modseq, and never that it knows more than it does."""
    mailbox: dict[int, tuple[set[str], int]] = {uid: (set(), 1) for uid in (1, 2, 4, 8)}
    gone: dict[int, int] = {}  # UID: modseq
    view = View(snapshot(list(mailbox)), writable=True, manner=manner)
    client = ModseqClient(view)
    modseq, next_uid = 1, 9
    for step in script:
        uids = list(mailbox)
        modseq += 1
        changed: list[Flagged] = []
        lost: list[int] = []
        if step[0] == "arrive":
            changed = [Flagged(uid, modseq, shared_flags(())) for uid in range(next_uid, next_uid + step[1])]
            next_uid += step[1] + 1
        elif step[0] == "expunge":
            lost = [uids[i] for i in step[1] if i < len(uids)]
            for uid in lost:
                del mailbox[uid]
                gone[uid] = modseq
        elif step[0] in {"flag", "store"} and step[1] < len(uids):
            changed = [Flagged(uids[step[1]], modseq, shared_flags(step[2]))]
        mailbox.update({message.uid: (set(message.flags), modseq) for message in changed})
        if step[0] == "store":
            view.stored(changed, lambda known, made=step[2]: frozenset(made))
            for message in changed:  # .SILENT: the client works it out
                client.flags[message.uid] = set(message.flags)
        view.apply(Changes(modseq, next_uid, 1_000_000, changed, lost))
        if step[0] == "flush":
            client.hear(view.flush(expunge=step[1]))
            known = {uid for uid, when in gone.items() if when <= view.settled}
            assert not known & set(client.uids), "HIGHESTMODSEQ would cover what was not told"
    client.hear(view.flush(expunge=True))
    assert view.settled == modseq
    assert client.uids == list(view.uids) == list(mailbox)
    for uid, (flags, when) in mailbox.items():
        assert (client.flags[uid], client.modseqs[uid]) == (flags, when)
    assert list(view.modseqs) == [when for _, when in mailbox.values()]


def test_saved_result_follows_expunges() -> None:
    view = View(snapshot([1, 2, 3, 5, 8]), writable=True)
    view.saved = array("I", [2, 3, 8])
    view.apply(changes(gone=[3]))
    assert view.uids_of(view.find(SAVED, uid=False)) == [2, 3, 8]
    view.flush(expunge=True)
    assert view.find(SAVED, uid=True) == [range(1, 2), range(3, 4)]
    assert view.find(SAVED, uid=False) == [range(1, 2), range(3, 4)]


def test_expunged_keeps_its_number_until_told() -> None:
    view = View(snapshot([10, 20, 30]), writable=True)
    view.apply(changes(gone=[20]))
    assert view.flush(expunge=False) == b""
    assert view.uids_of(view.find(SequenceSet(((2, 3),)), uid=False)) == [20, 30]
    assert view.is_gone(20)
    assert view.flush(expunge=True) == b"* 2 EXPUNGE\r\n"
    assert view.uids_of(view.find(SequenceSet(((2, 2),)), uid=False)) == [30]


def test_many_expunges_are_told_from_the_highest_down() -> None:
    view = View(snapshot(list(range(1, 201))), writable=True)
    view.apply(changes(gone=list(range(1, 200, 2))))
    lines = view.flush(expunge=True).splitlines()
    assert lines[:2] == [b"* 199 EXPUNGE", b"* 197 EXPUNGE"]
    assert list(view.uids) == list(range(2, 201, 2))


def test_order_of_untagged_responses() -> None:
    view = View(snapshot([1, 2, 3]), writable=True)
    view.apply(changes([(2, ("\\Seen", "$Hot")), (4, ())], gone=[1], recent_from=4))
    assert view.flush(expunge=True) == (
        b"* 1 EXPUNGE\r\n* 3 EXISTS\r\n* 1 RECENT\r\n"
        b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Hot)\r\n"
        b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Hot \\*)] Flags permitted.\r\n"
        b"* 1 FETCH (FLAGS (\\Seen $Hot))\r\n"
    )
    assert view.flush(expunge=True) == b""


def test_silent_store_tells_only_what_another_changed() -> None:
    view = View(snapshot([1, 2]), writable=True)
    view.stored(
        [Flagged(1, 5, frozenset({"\\Seen"})), Flagged(2, 5, frozenset({"\\Seen", "\\Flagged"}))],
        lambda flags: flags | {"\\Seen"},
    )
    view.apply(changes([(1, ("\\Seen",)), (2, ("\\Seen", "\\Flagged"))]))
    assert view.flush(expunge=False) == b"* 2 FETCH (FLAGS (\\Flagged \\Seen))\r\n"


def test_flags_that_are_not_to_be_told_wait() -> None:
    view = View(snapshot([1, 2, 3]), writable=True, manner=Manner(modseq=True))
    view.tell_only(messages=True, flags=False)
    view.apply(changes([(1, ("\\Seen",)), (2, ("\\Flagged",)), (4, ())], gone=[3]))
    assert view.flush(expunge=True) == b"* 3 EXPUNGE\r\n* 3 EXISTS\r\n"
    assert view.settled == 1  # whoever comes back with this modseq is told the flags then
    view.stored([Flagged(1, 3, frozenset({"\\Answered"}))])
    assert view.flush(expunge=True) == b"* 1 FETCH (FLAGS (\\Answered) MODSEQ (3))\r\n"
    view.apply(changes(gone=[1]))
    view.tell_only(messages=True, flags=True)
    assert view.flush(expunge=True) == b"* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Flagged) MODSEQ (2))\r\n"
    assert view.settled == 2


def test_messages_that_are_not_to_be_told_wait() -> None:
    view = View(snapshot([1, 2, 3]), writable=True)
    view.tell_only(messages=False, flags=False)
    news = changes([(2, ("\\Seen",)), (4, ())], gone=[1, 3])
    view.apply(news)
    view.apply(news)
    view.expunged([3])
    assert view.flush(expunge=True) == b"* 3 EXPUNGE\r\n"
    assert (view.modseq, view.untold_expunges, list(view.uids)) == (1, True, [1, 2])
    assert "\\Seen" in view.flags[1]  # whoever asks is told
    view.tell_only(messages=True, flags=True)
    view.apply(news)
    assert view.untold == [4]
    assert view.flush(expunge=True) == b"* 1 EXPUNGE\r\n* 2 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"
    assert (view.untold, view.modseq, view.settled) == ([], 2, 2)


def test_recent_is_counted_by_ranges() -> None:
    view = View(snapshot([1, 2, 3], recent_from=2), writable=True)
    assert view.recent == 2
    view.apply(changes([(4, ())], recent_from=5))  # another session has it
    view.apply(changes([(5, ())], gone=[2], recent_from=5))
    assert view.flush(expunge=True) == b"* 2 EXPUNGE\r\n* 4 EXISTS\r\n"
    assert [view.is_recent(uid) for uid in view.uids] == [False, True, False, True]


def test_a_late_change_of_a_told_expunge_is_no_new_message() -> None:
    view = View(snapshot([1, 2]), writable=True)
    view.apply(changes(gone=[2]))
    view.flush(expunge=True)
    view.apply(changes([(2, ("\\Seen",))]))
    assert view.flush(expunge=True) == b""


def test_sequence_sets() -> None:
    view = View(snapshot([5, 6, 9]), writable=True)
    assert view.find(SequenceSet(((STAR, 1),)), uid=False) == [range(3)]
    assert view.find(SequenceSet(((3, 3), (1, 1))), uid=False) == [range(1), range(2, 3)]
    assert view.find(SequenceSet(((6, 8),)), uid=True) == [range(1, 2)]
    assert view.find(SequenceSet(((20, STAR),)), uid=True) == [range(2, 3)]
    assert view.find(SequenceSet(((1, 4), (7, 8))), uid=True) == []
    for beyond in [(4, 4), (4, STAR)]:
        with pytest.raises(BadSequence):
            view.find(SequenceSet((beyond,)), uid=False)
    empty = View(snapshot([]), writable=True)
    assert empty.find(SequenceSet(((1, STAR),)), uid=True) == []
    with pytest.raises(BadSequence):
        empty.find(SequenceSet(((1, STAR),)), uid=False)


def test_memory_of_a_large_mailbox() -> None:
    whole = snapshot(list(range(1, 100_001)))
    tracemalloc.start()
    try:
        view = View(whole, writable=True)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(view) == 100_000
    assert used < 20 * 100_000
