"""Several sessions on one mailbox: each client's numbers stay right, whatever the others do.

Every client keeps what RFC 3501 lets it keep: a list that EXISTS lengthens, EXPUNGE shortens and FETCH fills
in. It asks by number and checks that it is answered about the message it means; in the end all agree. One of
them has enabled QRESYNC (RFC 7162): it keeps modseqs too, and when it selects again it asks only for what it
has missed.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.imap.imap_rig import Rig, lines

CLIENTS = 3
step = st.tuples(
    st.integers(0, CLIENTS - 1),
    st.one_of(
        st.tuples(
            st.sampled_from(["flag", "delete", "silent", "uid flag", "peek", "copy", "move", "conditional"]),
            st.integers(0, 9),
        ),
        st.tuples(st.sampled_from(["expunge", "append", "noop", "idle", "search", "reselect"]), st.just(0)),
    ),
)


class Client:
    """A mail client that believes what it is told, and checks it."""

    def __init__(self, rig: Rig, *, resyncs: bool = False) -> None:
        self.channel = rig.logged_in()
        self.resyncs = resyncs
        self.validity = self.highest = 0  # as it was told last
        self.modseqs: dict[int, int] = {}
        self.uids: list[int | None] = []
        self.flags: dict[int, set[bytes]] = {}
        self.idling = False
        if resyncs:
            self.do(b"ENABLE QRESYNC")
        self.select()

    def select(self) -> None:
        if self.highest and self.resyncs:
            if None in self.uids:  # new ones, which EXISTS told: who keeps HIGHESTMODSEQ asks for them before
                self.do(b"FETCH %d:* (UID FLAGS)" % (self.uids.index(None) + 1))
            self.uids = []
            self.do(b"SELECT INBOX (QRESYNC (%d %d))" % (self.validity, self.highest))
            self.do(b"FETCH 1:* UID")
            assert set(self.uids) == set(self.flags), "something was missed"
            return
        self.uids, self.flags, self.modseqs = [], {}, {}
        self.do(b"SELECT INBOX")
        self.do(b"FETCH 1:* (UID FLAGS)")

    def do(self, command: bytes) -> bytes:
        """Send a command; take in all that comes; its tagged reply."""
        self.stop_idling()
        expunge_allowed = not command.startswith((b"FETCH", b"STORE", b"SEARCH"))
        self.channel.send(b"t " + command + b"\r\n")
        heard = lines(self.channel)
        assert heard, command
        for line in heard[:-1]:
            self.hear(line, expunge_allowed=expunge_allowed)
        assert heard[-1].startswith(b"t "), heard
        if found := re.search(rb"\[HIGHESTMODSEQ (\d+)\]", heard[-1]):
            self.highest = int(found[1])
        return heard[-1]

    def hear(self, line: bytes, *, expunge_allowed: bool = True) -> None:
        if found := re.fullmatch(rb"\* VANISHED (\(EARLIER\) )?([0-9:,]+)", line):
            assert self.resyncs
            assert expunge_allowed or found[1]
            self.vanished(found[2], earlier=bool(found[1]))
        elif found := re.match(rb"\* OK \[(UIDVALIDITY|HIGHESTMODSEQ) (\d+)\]", line):
            if found[1] == b"UIDVALIDITY":
                self.validity = int(found[2])
            else:
                self.highest = int(found[2])
        elif found := re.fullmatch(rb"\* (\d+) EXPUNGE", line):
            assert expunge_allowed
            assert not self.resyncs
            uid = self.uids.pop(int(found[1]) - 1)
            if uid is not None:
                self.flags.pop(uid, None)
        elif found := re.fullmatch(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self.uids)
            self.uids.extend([None] * (int(found[1]) - len(self.uids)))
        elif found := re.match(rb"\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))?", line):
            index = int(found[1]) - 1
            if found[2]:
                assert self.uids[index] in (None, int(found[2])), "a number means another message than before"
                self.uids[index] = int(found[2])
            uid = self.uids[index]
            if found[3] is not None and uid is not None:
                self.flags[uid] = set(found[3].split()) - {b"\\Recent"}
            if uid is not None and (modseq := re.search(rb"MODSEQ \((\d+)\)", line)):
                self.modseqs[uid] = int(modseq[1])

    def vanished(self, uids: bytes, *, earlier: bool) -> None:
        for span in uids.split(b","):
            first, _, last = span.partition(b":")
            for uid in range(int(first), int(last or first) + 1):
                self.flags.pop(uid, None)
                self.modseqs.pop(uid, None)
                if not earlier:
                    del self.uids[self.place(uid)]

    def place(self, uid: int) -> int:
        """Where a message is. UIDs ascend: one not known by its UID is among the nameless behind the next lower."""
        if uid in self.uids:
            return self.uids.index(uid)
        below = [place for place, known in enumerate(self.uids) if known is not None and known < uid]
        where = below[-1] + 1 if below else 0
        assert self.uids[where] is None, "a message is said to be gone that was never there"
        return where

    def stop_idling(self) -> None:
        if self.idling:
            self.idling = False
            self.channel.send(b"DONE\r\n")
            heard = lines(self.channel)
            for line in heard[:-1]:
                self.hear(line)
            assert heard[-1].startswith(b"i OK")

    def idle(self) -> None:
        self.stop_idling()
        self.channel.send(b"i IDLE\r\n")
        heard = lines(self.channel)
        assert heard[0] == b"+ idling"
        for line in heard[1:]:
            self.hear(line)
        self.idling = True

    def act(self, name: str, which: int) -> None:
        if self.idling:
            for line in lines(self.channel):
                self.hear(line)
        number = which % len(self.uids) + 1 if self.uids else 0
        if name == "idle":
            self.idle()
        elif name == "expunge":
            assert self.do(b"EXPUNGE").startswith(b"t OK")
        elif name == "append":
            assert self.do(b"APPEND INBOX {4+}\r\nabcd").startswith(b"t OK")
        elif name == "search":
            self.do(b"SEARCH UNSEEN BODY body")
        elif name == "reselect":
            self.select()
        elif name == "noop":
            self.do(b"NOOP")
        elif number:
            command = {
                "flag": b"STORE %d +FLAGS (\\Flagged)" % number,
                "delete": b"STORE %d +FLAGS (\\Deleted)" % number,
                "silent": b"STORE %d -FLAGS.SILENT (\\Flagged \\Deleted)" % number,
                "uid flag": b"UID STORE %d FLAGS (\\Answered)" % (self.uids[number - 1] or 1),
                "peek": b"FETCH %d (UID FLAGS BODY.PEEK[TEXT])" % number,
                "copy": b"COPY %d INBOX" % number,
                "move": b"MOVE %d INBOX" % number,
                "conditional": b"STORE %d (UNCHANGEDSINCE %d) FLAGS (\\Draft)"
                % (number, self.modseqs.get(self.uids[number - 1] or 0, 1)),
            }[name]
            reply = self.do(command)
            uid = self.uids[number - 1] if number <= len(self.uids) else None
            if name == "silent" and reply.startswith(b"t OK") and uid in self.flags:
                # The client works its own change out; what another did was told before the reply, and includes it.
                self.flags[uid] -= {b"\\Flagged", b"\\Deleted"}


@given(st.lists(step, max_size=25))
@settings(max_examples=60, deadline=None)
def test_all_clients_agree_in_the_end(script: list[tuple[int, tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        rig = Rig(Path(directory), "letters")
        try:
            clients = [Client(rig, resyncs=who == 1) for who in range(CLIENTS)]
            for who, (name, which) in script:
                clients[who].act(name, which)
            for client in clients:
                client.do(b"NOOP")
            modseqs = {row.uid: row.modseq for row in rig.mail.maildrop()}
            for uid, modseq in clients[1].modseqs.items():
                assert modseqs[uid] == modseq, "a modseq was not told"
            truth = {row.uid: {flag.encode() for flag in row.flags} for row in rig.mail.maildrop()}
            for client in clients:
                known = dict(client.flags)
                client.do(b"FETCH 1:* (UID FLAGS)")
                assert client.uids == list(truth)
                assert client.flags == truth
                assert all(known[uid] == truth[uid] for uid in known), "a change was not told"
            for client in clients:
                client.channel.hang_up()
        finally:
            rig.close()
