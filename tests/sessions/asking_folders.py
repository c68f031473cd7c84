"""Commands on mailboxes as a whole: SELECT and what ends it, APPEND, STATUS, LIST, CREATE, DELETE, RENAME, ENABLE."""

from __future__ import annotations

from collections.abc import Sequence

from tests.sessions.asking import Asked, flag_list
from tests.sessions.hearing import Exists, Fetched, Heard, Listed, Status, Tagged, Vanished, numbers_of
from tests.sessions.model import Flags, Folder, Model
from tests.sessions.participant import Participant, Snapshot
from tests.sessions.picture import Entry, Picture
from tests.sessions.program import Append, Enable, Leave, OnFolder, Select, Simple
from tests.sessions.program import Status as StatusStep

FIGURES = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE")


def code(untagged: Sequence[Heard], name: bytes) -> int | None:
    """The number in the last untagged OK of this code."""
    found = [words for heard in untagged if isinstance(heard, Tagged) and (words := heard.coded(name))]
    return int(found[-1][0]) if found else None


class Selecting(Asked):
    """SELECT and EXAMINE, with a resynchronisation from what the client kept (RFC 7162 3.2.5)."""

    def __init__(self, model: Model, client: Participant, step: Select) -> None:
        super().__init__(model, client)
        self.step = step
        self.kept: Snapshot | None = None
        kept = [each for each in client.snapshots if each.folder.name == step.folder or each.folder.deleted]
        parameter = step.parameter
        if parameter in {"qresync", "known", "matched"}:
            if client.ways.qresync and kept:
                self.kept = kept[step.snapshot % len(kept)]
            else:
                parameter = "condstore"
        if parameter == "matched" and not client.ways.numbers:
            parameter = "known"
        self.parameter = parameter
        verb = b"EXAMINE" if step.examine else b"SELECT"
        self.line = b"%b %b%b" % (verb, step.folder.encode(), self._parameters())

    def _parameters(self) -> bytes:
        if self.parameter == "":
            return b""
        if self.kept is None:
            return b" (CONDSTORE)"
        known = b",".join(b"%d" % uid for uid in sorted(self.kept.flags))
        words = b"%d %d" % (self.kept.folder.uidvalidity, self.kept.highest)
        if self.parameter in {"known", "matched"} and known:
            words += b" " + known
            if self.parameter == "matched":
                words += b" (1:%d %b)" % (len(self.kept.flags), known)
        elif self.parameter != "qresync":
            self.parameter = "qresync"
        return b" (QRESYNC (%b))" % words

    def begin(self) -> None:
        self.before = self.client.picture
        self.client.picture = None
        if self.parameter:
            self.client.enable("CONDSTORE")
        self.folder = self.model.folders.get(self.step.folder)
        if self.folder is not None:
            self.model.notice(self.folder)
            ways, session = self.client.ways, self.client.selection()
            self.client.picture = Picture(session, self.folder, not self.step.examine, ways)

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if reply.status != b"OK":
            self.client.picture = None
            return
        assert self.folder is not None
        uidvalidity = code(untagged, b"UIDVALIDITY")
        assert uidvalidity is not None
        self.model.validity_told(self.folder, uidvalidity)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        closed = any(isinstance(heard, Tagged) and heard.code == b"CLOSED" for heard in untagged)
        assert closed is (self.before is not None)
        if self.folder is None:
            self.expect(reply, b"NO", b"NONEXISTENT")
            return
        self.expect(reply, b"OK", b"READ-ONLY" if self.step.examine else b"READ-WRITE")
        folder, highest = self.folder, code(untagged, b"HIGHESTMODSEQ")
        assert [h.count for h in untagged if isinstance(h, Exists)] == [len(folder.messages)]
        assert code(untagged, b"UIDNEXT") == folder.uidnext
        assert highest is not None
        folder.order.highest_told(highest, self.model.tick)
        if not self.client.ways.rev2 and self.client.ways.numbers:
            unseen = [n for n, m in enumerate(folder.messages.values(), 1) if "\\Seen" not in m.flags]
            assert code(untagged, b"UNSEEN") == (unseen[0] if unseen else None)
        if self.kept is not None:
            self._check_resynced(self.kept, folder, untagged)

    def _check_resynced(self, kept: Snapshot, folder: Folder, untagged: Sequence[Heard]) -> None:
        """What the client kept, and what it is told now, make the whole of what is there."""
        said = [heard for heard in untagged if isinstance(heard, Vanished | Fetched)]
        if kept.folder is not folder:
            assert not said, "another mailbox is resynchronised"
            return
        cache: dict[int, Flags] = dict(kept.flags)
        modseqs: dict[int, int] = {}
        for heard in said:
            if isinstance(heard, Vanished):
                assert heard.earlier
                assert self.parameter == "qresync" or set(heard.uids) <= kept.flags.keys()
                for uid in heard.uids:
                    cache.pop(uid, None)
            else:
                assert heard.uid is not None
                assert heard.flags is not None
                assert heard.modseq is not None
                cache[heard.uid], modseqs[heard.uid] = heard.flags - {"\\Recent"}, heard.modseq
        truth = {message.uid: message.flags for message in folder.messages.values()}
        if self.parameter != "qresync":
            truth = {uid: flags for uid, flags in truth.items() if uid in kept.flags}
        assert cache == truth, f"{self.line!r}: resynchronised to {cache}, not to {truth}"
        if self.parameter == "qresync":
            told = {entry.uid: entry for entry in self.picture.entries if entry.uid is not None}
            self.picture.entries = [told.get(uid) or self._kept(uid, flags) for uid, flags in sorted(cache.items())]

    def _kept(self, uid: int, flags: Flags) -> Entry:
        """As it is known without having been told again."""
        return Entry(uid, flags, version=len(self.picture.folder.messages[uid].versions) - 1)


class Leaving(Asked):
    """CLOSE and UNSELECT."""

    def __init__(self, model: Model, client: Participant, step: Leave) -> None:
        super().__init__(model, client)
        self.line = step.how.encode()

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        picture = self.picture
        if self.line == b"CLOSE" and picture.writable:
            deleted = [m for m in picture.folder.messages.values() if "\\Deleted" in m.flags]
            self.model.remove(picture.folder, deleted)
            if (words := reply.coded(b"HIGHESTMODSEQ")) is not None:  # the client knows what went: what it knew
                assert self.client.ways.modseq
                picture.entries = [entry for entry in picture.entries if "\\Deleted" not in (entry.flags or ())]
                self.client.keep(self.model.tick, int(words[0]))
        self.client.picture = None


class Appending(Asked):
    """APPEND of one or more messages, or of one made from what is there (RFC 3502, RFC 4469)."""

    def __init__(self, model: Model, client: Participant, step: Append) -> None:
        super().__init__(model, client)
        self.step = step
        self.bodies = [model.body() for _ in step.flags]
        words = [b"APPEND " + step.folder.encode()]
        self.source = next(iter(model.inbox.messages.values()), None) if step.catenate else None
        for flags, body in zip(step.flags, self.bodies, strict=True):
            words.append(flag_list(flags))
            if self.source is not None:
                words.append(b'CATENATE (URL "/INBOX/;UID=%d" TEXT {%d+}\r\n%b)' % (self.source.uid, len(body), body))
            else:
                words.append(b"{%d+}\r\n%b" % (len(body), body))
        self.line = b" ".join(words)
        self._target: Folder | None = None

    def begin(self) -> None:
        self._target = self.model.folders.get(self.step.folder)
        self._lost = self.source is not None and (self.source.gone is not None or not self.source.lies)
        if self.source is not None:
            self.bodies = [self.source.body + body for body in self.bodies]

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if reply.status == b"OK":
            assert self._target is not None
            added = self.model.add(self._target, list(zip(self.bodies, self.step.flags, strict=True)))
            words = reply.coded(b"APPENDUID")
            assert words is not None
            self.model.validity_told(self._target, int(words[0]))
            assert numbers_of(words[1]) == tuple(message.uid for message in added)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        if self._lost:
            self.expect(reply, b"NO")
        elif self._target is None:
            self.expect(reply, b"NO", b"TRYCREATE")
        else:
            self.expect(reply, b"OK")


class Plain(Asked):
    """NOOP, CHECK, LIST."""

    def __init__(self, model: Model, client: Participant, step: Simple) -> None:
        super().__init__(model, client)
        self.line = b'LIST "" *' if step.command == "LIST" else step.command.encode()
        self.looks = step.command in {"NOOP", "CHECK"}

    def begin(self) -> None:
        if self.looks and self.client.picture is not None:
            self.model.notice(self.picture.folder)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        self.expect(reply, b"OK")
        if not self.looks:
            listed = [heard for heard in untagged if isinstance(heard, Listed)]
            names = [each.name.decode() for each in listed if not each.attributes & {b"\\Noselect", b"\\NonExistent"}]
            assert sorted(names) == sorted(self.model.folders)


class AskingStatus(Asked):
    def __init__(self, model: Model, client: Participant, step: StatusStep, *, prompt: bool) -> None:
        super().__init__(model, client)
        self.step = step
        self._prompt = prompt
        self.items = list(FIGURES)
        if client.ways.modseq:
            self.items.append("HIGHESTMODSEQ")
        if not client.ways.rev2:
            self.items.append("RECENT")
        self.line = b"STATUS %b (%b)" % (step.folder.encode(), " ".join(self.items).encode())

    def begin(self) -> None:
        self.folder = self.model.folders.get(self.step.folder)
        if self.folder is not None:
            self.model.notice(self.folder)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        folder = self.folder
        if folder is None:
            self.expect(reply, b"NO", b"NONEXISTENT")
            return
        self.expect(reply, b"OK")
        (said,) = [heard for heard in untagged if isinstance(heard, Status)]
        self.model.validity_told(folder, said.figures[b"UIDVALIDITY"])
        messages = folder.messages.values()
        expected = {
            b"MESSAGES": len(messages),
            b"UIDNEXT": folder.uidnext,
            b"UIDVALIDITY": folder.uidvalidity,
            b"UNSEEN": sum("\\Seen" not in message.flags for message in messages),
            b"DELETED": sum("\\Deleted" in message.flags for message in messages),
            b"SIZE": sum(len(message.body) for message in messages),
        }
        assert {name: said.figures[name] for name in expected} == expected
        assert said.figures.keys() == {name.encode() for name in self.items}
        if "HIGHESTMODSEQ" in self.items:
            folder.order.highest_told(said.figures[b"HIGHESTMODSEQ"], self.model.tick)
        if "RECENT" in self.items and self._prompt and folder.parted_recent:
            assert said.figures[b"RECENT"] == sum(message.first_told is None for message in messages)


class OnFolders(Asked):
    def __init__(self, model: Model, client: Participant, step: OnFolder) -> None:
        super().__init__(model, client)
        self.step = step
        names = [step.folder, step.new] if step.command == "RENAME" else [step.folder]
        self.line = " ".join((step.command, *names)).encode()

    def begin(self) -> None:
        step, model = self.step, self.model
        if step.command == "CREATE":
            self._done = model.create(step.folder)
        elif step.command == "DELETE":
            self._done = model.delete(step.folder)
        else:
            self._done = model.rename(step.folder, step.new)
        picture = self.client.picture
        if picture is not None and picture.folder.deleted:
            self.client.picture = None

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        self.expect(reply, b"OK" if self._done else b"NO")


class Enabling(Asked):
    """Of what becomes aware of modseqs, HIGHESTMODSEQ is told (RFC 7162 3.1)."""

    def __init__(self, model: Model, client: Participant, step: Enable) -> None:
        super().__init__(model, client)
        self.line = b"ENABLE " + step.name.encode()
        self._name = step.name

    def begin(self) -> None:
        self._news = self.client.picture is not None and not self.client.ways.modseq
        self.client.enable(self._name)

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        self.expect(reply, b"OK")
        assert (code(untagged, b"HIGHESTMODSEQ") is not None) is self._news
