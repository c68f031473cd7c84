"""FETCH, STORE, EXPUNGE, COPY, MOVE and REPLACE: on messages of the selected mailbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.sessions.asking import Asked, OnMessages, fetched, flag_list
from tests.sessions.hearing import Heard, Tagged, Vanished, numbers_of
from tests.sessions.model import Flags, Folder, Message, Model, combined
from tests.sessions.participant import Participant
from tests.sessions.program import Expunge, Fetch, Pick, Replace, Store, Transfer

MUCH = 2**62
ITEMS = {
    "flags": b"(UID FLAGS)",
    "modseq": b"(FLAGS MODSEQ)",
    "peek": b"(UID BODY.PEEK[])",
    "body": b"(UID BODY[])",
    "size": b"(UID RFC822.SIZE)",
}
ANSWER = {"flags": b"FLAGS", "modseq": b"FLAGS", "peek": b"BODY[]", "body": b"BODY[]", "size": b"RFC822.SIZE"}
SEEN = frozenset({"\\Seen"})


class Fetching(OnMessages):
    def __init__(self, model: Model, client: Participant, step: Fetch) -> None:
        pick = step.pick
        self.modifier = step.modifier
        if self.modifier == "vanished":
            pick = replace(pick, by="uid", saved=False)
            if not client.ways.qresync:
                self.modifier = "changed"
        super().__init__(model, client, pick)
        self.items = step.items
        self.flags_asked = step.items in {"flags", "modseq"}
        self.since, self._tick = self._from(step.value)
        self._partial = (1 + step.value % 3, 2 + step.value)
        items = ITEMS[step.items]
        if not client.ways.numbers:
            items = items.replace(b"UID ", b"")
        self.line = b"%bFETCH %b %b%b" % (self.verb, self.set, items, self._modifiers())
        self._before: dict[int, tuple[Flags | None, int | None]] = {}
        self._becoming_seen: set[int] = set()

    def _from(self, value: int) -> tuple[int, int]:
        """A modseq to ask from, and the model's tick of it: of a snapshot, or the first."""
        kept = [each for each in self.client.snapshots if each.folder is self.picture.folder]
        return (kept[value % len(kept)].highest, kept[value % len(kept)].tick) if kept and value % 4 else (1, 0)

    def _modifiers(self) -> bytes:
        match self.modifier:
            case "changed":
                return b" (CHANGEDSINCE %d)" % self.since
            case "vanished":
                return b" (CHANGEDSINCE %d VANISHED)" % self.since
            case "partial":
                return b" (PARTIAL %d:%d)" % self._partial
        return b""

    def begin(self) -> None:
        super().begin()
        picture = self.picture
        if self.items == "modseq" or self.modifier in {"changed", "vanished"}:
            self.client.enable("CONDSTORE")
        if self.modifier == "partial":
            self.targets = self.targets[self._partial[0] - 1 : self._partial[1]]
        self._before = {entry.uid: (entry.flags, entry.modseq) for entry in picture.entries if entry.uid is not None}
        self._optional: set[int] = set()
        if self.modifier in {"changed", "vanished"}:
            modseqs = {uid: self._before[uid][1] for uid in self.targets}
            self._optional = {uid for uid, modseq in modseqs.items() if modseq is None}
            self.targets = [uid for uid in self.targets if (modseqs[uid] or MUCH) > self.since]

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if self.items != "body" or not self.picture.writable:
            return
        answered = {heard.uid for heard in fetched(untagged, b"BODY[]")}
        for uid in self.targets:
            if "\\Seen" not in (self._before[uid][0] or frozenset()) and uid in answered:
                self._becoming_seen.add(uid)
        self.model.store(self.there(self._becoming_seen), lambda flags: flags | SEEN)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        there = [message for message in self.there() if message.lies or self.items in {"flags", "modseq", "size"}]
        answered = {heard.uid or self._uid(heard.number): heard for heard in fetched(untagged, ANSWER[self.items])}
        if self.items in {"flags", "modseq"}:
            must = set(self.targets) - self._optional
        else:
            must = {message.uid for message in there} - self._optional
            assert answered.keys() <= set(self.targets), f"{self.line!r}: more is answered than was asked"
        assert must <= answered.keys(), f"{self.line!r}: nothing is said of {must - answered.keys()}"
        for uid, heard in answered.items():
            message = self.picture.folder.message(uid)
            assert message is not None
            if self.items in {"peek", "body"}:
                assert heard.items[b"BODY[]"] == message.body, f"UID {uid} is another message"
            elif self.items == "size":
                assert int(heard.items[b"RFC822.SIZE"]) == len(message.body)
        if self._becoming_seen:
            self.picture.answered(self._becoming_seen, "\\Seen")
        if self.modifier == "vanished":
            self._check_vanished(untagged)
        self._check_reply(reply, lost=any(not message.lies for message in self.there()))

    def _uid(self, number: int) -> int:
        """Numbers do not change during a command; but they may by its end, if the UIDs were told."""
        uid = self.picture.entries[number - 1].uid
        assert uid is not None
        return uid

    def _check_vanished(self, untagged: Sequence[Heard]) -> None:
        """All that this client ever knew and that went after that modseq."""
        told = {uid for heard in untagged if isinstance(heard, Vanished) and heard.earlier for uid in heard.uids}
        asked = set(self._uids) if not self.all else self.picture.folder.former.keys()
        gone = {u for u, m in self.picture.folder.former.items() if m.gone is not None and m.gone > self._tick}
        kept = (each.flags.keys() for each in self.client.snapshots if each.folder is self.picture.folder)
        missing = (gone & asked & set().union(*kept)) - told - self._before.keys()
        assert not missing, f"{self.line!r}: {missing} went, and nobody says so"

    def _check_reply(self, reply: Tagged, *, lost: bool) -> None:
        if self.items in {"flags", "modseq"}:
            self.expect(reply, b"OK")
        elif lost and not (self._optional and reply.status == b"OK"):
            assert self.items == "size" or reply.status == b"NO", reply
        elif self.some_gone and not self.by_uid and not self._optional:
            self.expect(reply, b"NO", b"EXPUNGEISSUED")
        elif not self._optional:
            self.expect(reply, b"OK")


class Storing(OnMessages):
    def __init__(self, model: Model, client: Participant, step: Store) -> None:
        super().__init__(model, client, step.pick)
        self.step = step
        self.unchanged: int | None = None
        if step.unchanged:
            mine = [entry.modseq or 1 for entry in self.picture.entries] or [1]
            place = step.pick.which[0] % len(mine) if step.pick.which else 0
            values = {"zero": 0, "mine": mine[place], "highest": self.picture.highest, "much": MUCH}
            self.unchanged = values[step.unchanged]
        condition = b"" if self.unchanged is None else b" (UNCHANGEDSINCE %d)" % self.unchanged
        mode = step.mode.encode() + b"FLAGS" + (b".SILENT" if step.silent else b"")
        self.line = b"%bSTORE %b%b %b %b" % (self.verb, self.set, condition, mode, flag_list(step.flags))
        self.stored: list[Message] = []
        self._modified: set[int] = set()

    def outcome(self, flags: Flags) -> Flags:
        return combined(self.step.mode, flags, self.step.flags)

    def begin(self) -> None:
        super().begin()
        if self.unchanged is not None and self.picture.writable:
            self.client.enable("CONDSTORE")
        self.picture.told.clear()
        self._known = {e.uid: (e.flags, e.modseq) for e in self.picture.entries if e.uid is not None}
        self._numbers = {n: e.uid for n, e in enumerate(self.picture.entries, 1)}

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if not self.picture.writable or self.picture.folder.deleted:
            return
        modified = reply.coded(b"MODIFIED")
        if modified is not None:
            named = numbers_of(modified[0])
            self._modified = {uid for n in named if (uid := n if self.by_uid else self._numbers[n]) is not None}
            assert self._modified <= {message.uid for message in self.there()}
        self._check_condition()
        self.stored = [message for message in self.there() if message.uid not in self._modified]
        self.model.store(self.stored, self.outcome)

    def _check_condition(self) -> None:
        """What nobody changed is stored, what somebody changed is not (RFC 7162 3.1.3): as far as the model knows."""
        if self.unchanged is None:
            assert not self._modified
            return
        folder = self.picture.folder
        settled = folder.order.settled(self.unchanged)
        for message in self.there():
            uid, now = message.uid, message.flags
            if self.step.unchanged == "much" or (settled is not None and settled >= message.tick):
                assert uid not in self._modified, f"UID {uid} was left alone and not changed since"
            flags, modseq = self._known.get(uid, (None, None))
            stale = modseq == self.unchanged and flags != now
            later = any(known > self.unchanged for known, of in folder.order.facts if of == uid)
            if self.step.unchanged == "zero" or stale or later:
                assert uid in self._modified, f"UID {uid} was changed by another session, and now by this one"

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if not self.picture.writable:
            self.expect(reply, b"NO", b"READ-ONLY")
            return
        if self.some_gone and not self.by_uid:
            self.expect(reply, b"NO", b"MODIFIED" if self._modified else b"EXPUNGEISSUED")
        else:
            self.expect(reply, b"OK")
        if not self.step.silent:
            self.picture.answered((message.uid for message in self.stored), "STORE")
            return
        for message in self.stored:  # the client works out what it was not told
            entry = self.picture.entry(message.uid)
            if entry is None or message.uid in self.picture.told or entry.flags is None:
                continue
            entry.flags = self.outcome(entry.flags)
            entry.version = max(entry.version, len(message.versions) - 1)
            assert entry.flags == message.flags, f"UID {message.uid}: another change was not told with a silent STORE"
            before = self._known[message.uid][1]
            if entry.modseq is not None and entry.modseq != before:
                self.picture.folder.order.told(message.uid, entry.modseq, entry.flags)
            elif before is not None:
                self.picture.folder.order.told(message.uid, before, entry.flags)


class Expunging(Asked):
    def __init__(self, model: Model, client: Participant, step: Expunge) -> None:
        super().__init__(model, client)
        known = self.picture.uids()
        self.uids = None if step.uids is None or not known else {known[at % len(known)] for at in step.uids}
        self.line = b"EXPUNGE"
        if self.uids is not None:
            self.line = b"UID EXPUNGE " + b",".join(b"%d" % uid for uid in sorted(self.uids))

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if self.picture.writable:
            deleted = [m for m in self.picture.folder.messages.values() if "\\Deleted" in m.flags]
            self.model.remove(self.picture.folder, [m for m in deleted if self.uids is None or m.uid in self.uids])

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if not self.picture.writable:
            self.expect(reply, b"NO", b"READ-ONLY")
            return
        self.expect(reply, b"OK")
        assert not self.client.ways.modseq or reply.code.startswith(b"HIGHESTMODSEQ "), reply


class Transferring(OnMessages):
    """COPY and MOVE."""

    def __init__(self, model: Model, client: Participant, step: Transfer) -> None:
        super().__init__(model, client, step.pick)
        self.expunges = True
        self.step = step
        name = b"MOVE" if step.move else b"COPY"
        self.line = b"%b%b %b %b" % (self.verb, name, self.set, step.folder.encode())
        self._read_only = step.move and not self.picture.writable
        self._target: Folder | None = None

    def begin(self) -> None:
        super().begin()
        self._target = self.model.folders.get(self.step.folder)
        self._there = self.there()

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if reply.status == b"OK" and self._there and self._target is not None:
            copied = self.model.transfer(self.picture.folder, self._there, self._target, move=self.step.move)
            told = [h for h in (*untagged, reply) if isinstance(h, Tagged) and h.coded(b"COPYUID")]
            assert len(told) == 1, f"{self.line!r}: COPYUID is to be told once"
            words = told[0].coded(b"COPYUID")
            assert words is not None
            self.model.validity_told(self._target, int(words[0]))
            assert numbers_of(words[1]) == tuple(message.uid for message in self._there)
            assert numbers_of(words[2]) == tuple(message.uid for message in copied)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if self._read_only:
            self.expect(reply, b"NO", b"READ-ONLY")
        elif not self.targets:
            self.expect(reply, b"OK")
        elif self._target is None:
            self.expect(reply, b"NO", b"TRYCREATE")
        elif not self._there:
            self.expect(reply, *((b"OK",) if self.by_uid else (b"NO", b"EXPUNGEISSUED")))
        elif any(not message.lies for message in self._there):
            self.expect(reply, b"NO")
        else:
            self.expect(reply, b"OK")


class Replacing(OnMessages):
    """REPLACE (RFC 8508): one goes, one comes, at once."""

    def __init__(self, model: Model, client: Participant, step: Replace) -> None:
        super().__init__(model, client, Pick(step.by, (step.place,)))
        self.expunges = True
        self.step = step
        self.body = model.body()
        self.line = b"%bREPLACE %b %b %b {%d+}\r\n%b" % (
            *(self.verb, self.set, step.folder.encode(), flag_list(step.flags)),
            *(len(self.body), self.body),
        )

    @property
    def possible(self) -> bool:
        return bool(self._uids)

    def begin(self) -> None:
        super().begin()
        self._target = self.model.folders.get(self.step.folder)
        self._there = self.there()

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if reply.status != b"OK" or self._target is None:
            return
        self.model.remove(self.picture.folder, self._there)
        (added,) = self.model.add(self._target, [(self.body, self.step.flags)])
        told = [words for h in untagged if isinstance(h, Tagged) and (words := h.coded(b"APPENDUID"))]
        ((uidvalidity, uid),) = told
        self.model.validity_told(self._target, int(uidvalidity))
        assert int(uid) == added.uid

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if not self.picture.writable:
            self.expect(reply, b"NO", b"READ-ONLY")
        elif not self.targets:
            self.expect(reply, b"NO", b"EXPUNGEISSUED")
        elif self._target is None:
            self.expect(reply, b"NO", b"TRYCREATE")
        elif not self._there:
            self.expect(reply, b"NO", b"EXPUNGEISSUED")
        else:
            self.expect(reply, b"OK")
