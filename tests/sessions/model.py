"""The mailbox as it should be: folders, messages, and every state that a message was ever in.

Plain lists and dicts; no protocol, no store. Each change is one `tick` of the model's time, and a message's
`versions` say which flags it had from which tick on: a client may be told something old, but never something that
was not, and never something older than it was told before.

Other programs work on the directories, and the server notices when it looks: until then a message's file may have
other letters than the index has flags (`letters`), or be gone (`lies`), and new files wait in `waiting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

Flags = frozenset[str]
LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
NONE: Flags = frozenset()


def on_disk(flags: Flags) -> Flags:
    """Those flags that a file's name carries."""
    return flags & LETTERS.keys()


def combined(mode: str, old: Flags, given: Flags) -> Flags:
    """STORE: `+FLAGS`, `-FLAGS`, `FLAGS`."""
    return {"+": old | given, "-": old - given, "": given}[mode]


@dataclass(eq=False)
class Message:
    """One message in one folder, for ever."""

    uid: int
    body: bytes  # as it is sent
    versions: list[tuple[int, Flags]]  # from which tick on, which flags
    letters: Flags
    lies: bool = True  # is its file where it was put?
    gone: int | None = None  # the tick at which it was expunged
    recent: str | None = None  # the session in which it is \Recent, as far as that was told
    first_told: frozenset[str] | None = None  # sessions of which one was the first to be told of it, all at once

    @property
    def flags(self) -> Flags:
        return self.versions[-1][1]

    @property
    def tick(self) -> int:
        return self.versions[-1][0]


@dataclass(frozen=True)
class Waiting:
    """A file that another program delivered and nobody has noticed."""

    path: str  # "new/NAME" or "cur/NAME"
    body: bytes
    letters: Flags


@dataclass
class ModseqOrder:
    """What clients were told of modseqs, to be held against the order in which things happened."""

    facts: dict[tuple[int, int], Flags] = field(default_factory=dict)  # (modseq, UID) → flags
    highest: list[tuple[int, int]] = field(default_factory=list)  # (HIGHESTMODSEQ, tick at which it was told)

    def told(self, uid: int, modseq: int, flags: Flags | None) -> None:
        if flags is not None:
            before = self.facts.setdefault((modseq, uid), flags)
            assert before == flags, f"modseq {modseq} of UID {uid} stands for {before} and for {flags}"

    def highest_told(self, modseq: int, tick: int) -> None:
        self.highest.append((modseq, tick))

    def settled(self, modseq: int) -> int | None:
        """A tick at which HIGHESTMODSEQ was said to be no more than this: all that is as old is told by it."""
        ticks = [tick for highest, tick in self.highest if highest <= modseq]
        return max(ticks) if ticks else None

    def check(self, folder: Folder) -> None:
        """Is there a way to give each modseq its tick so that both grow together? The earliest tick that fits is as
        good as any later one: if it leads nowhere, no other does."""
        latest = earliest = 0  # the tick of the last modseq, and the first that the next one may have
        reached: dict[int, int] = {}  # UID → index of the version that its last modseq stood for
        happened = [(modseq, 0, uid) for modseq, uid in self.facts]
        happened += [(modseq, 1, tick) for modseq, tick in self.highest]
        highest_before = (0, -1)
        for modseq, kind, value in sorted(happened):
            if kind == 1:
                assert latest <= value, f"HIGHESTMODSEQ {modseq} is that of something later"
                assert highest_before[0] == modseq or highest_before[1] < value, "HIGHESTMODSEQ went back"
                highest_before, earliest = (modseq, value), value + 1
                continue
            message = folder.message(value)
            assert message is not None, f"UID {value} has a modseq and never was"
            for index in range(reached.get(value, -1) + 1, len(message.versions)):
                tick, flags = message.versions[index]
                if tick >= earliest and flags == self.facts[modseq, value]:
                    reached[value], latest, earliest = index, tick, max(earliest, tick)
                    break
            else:
                raise AssertionError(f"modseq {modseq} of UID {value} is not in the order of what happened")


@dataclass(eq=False)
class Folder:
    """A folder by whatever name it has now. `order` is what was told of its modseqs."""

    name: str
    uidvalidity: int = 0  # 0: not told yet
    uidnext: int = 1
    messages: dict[int, Message] = field(default_factory=dict)
    former: dict[int, Message] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    deleted: bool = False
    parted_recent: bool = True  # does one UID part what is \Recent from what is not?
    order: ModseqOrder = field(default_factory=ModseqOrder)

    def message(self, uid: int) -> Message | None:
        """Also one that is gone."""
        return self.messages.get(uid) or self.former.get(uid)

    def unlike(self, message: Message) -> bool:
        """Has another program changed this message since the server last looked?"""
        return not message.lies or message.letters != on_disk(message.flags)


class Model:
    """All folders, and what can be done to them. What names a message is the message itself."""

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {"INBOX": Folder("INBOX")}
        self.tick = 0
        self.serial = count(1)  # for bodies and file names that are all different
        self.validities: set[int] = set()

    @property
    def inbox(self) -> Folder:
        return self.folders["INBOX"]

    def next_tick(self) -> int:
        self.tick += 1
        return self.tick

    def body(self) -> bytes:
        number = next(self.serial)
        return b"Subject: letter %d\r\n\r\nbody %d\r\n" % (number, number)

    # Messages

    def add(self, folder: Folder, new: Iterable[tuple[bytes, Flags]]) -> list[Message]:
        tick, added = self.next_tick(), []
        for body, flags in new:
            message = Message(folder.uidnext, body, [(tick, flags)], on_disk(flags))
            folder.messages[message.uid] = message
            folder.uidnext += 1
            added.append(message)
        return added

    def remove(self, folder: Folder, messages: Iterable[Message]) -> None:
        tick = self.next_tick()
        for message in messages:
            message.gone = tick
            folder.former[message.uid] = folder.messages.pop(message.uid)

    def store(self, messages: Iterable[Message], change: Callable[[Flags], Flags]) -> None:
        """One transaction. A file that another program gave other letters keeps them, as far as `change` lets it."""
        tick = self.next_tick()
        for message in messages:
            old = message.flags
            new = change(old)
            if on_disk(new) != on_disk(old) and message.lies:
                new = change(message.letters | (old - LETTERS.keys()))
                message.letters = on_disk(new)
            if new != old:
                message.versions.append((tick, new))

    def transfer(self, source: Folder, messages: list[Message], target: Folder, *, move: bool) -> list[Message]:
        copied = self.add(target, [(m.body, m.letters | (m.flags - LETTERS.keys())) for m in messages])
        if move:
            self.remove(source, messages)
        return copied

    # Folders

    def create(self, name: str) -> bool:
        if name in self.folders:
            return False
        levels = name.split("/")
        for n in range(1, len(levels) + 1):
            above = "/".join(levels[:n])
            self.folders.setdefault(above, Folder(above))
        return True

    def delete(self, name: str) -> bool:
        if name == "INBOX" or name not in self.folders:
            return False
        self.folders.pop(name).deleted = True
        return True

    def rename(self, old: str, new: str) -> bool:
        if old not in self.folders or new in self.folders or new == old or new.startswith(old + "/"):
            return False
        if old == "INBOX":
            if any(not message.lies for message in self.inbox.messages.values()):
                return False
            self.create(new)
            if self.inbox.messages:
                self.transfer(self.inbox, list(self.inbox.messages.values()), self.folders[new], move=True)
            return True
        moved = {name: new + name[len(old) :] for name in self.folders if name == old or name.startswith(old + "/")}
        if (set(moved.values()) - set(moved)) & set(self.folders):
            return False
        if "/" in new:
            self.create(new.rpartition("/")[0])
        for name in sorted(moved):
            folder = self.folders[moved[name]] = self.folders.pop(name)
            folder.name = moved[name]
        return True

    def validity_told(self, folder: Folder, uidvalidity: int) -> None:
        """It never changes, and a new folder of an old name has a new one (RFC 3501 2.3.1.1)."""
        if not folder.uidvalidity:
            assert uidvalidity not in self.validities, "two folders have one UIDVALIDITY"
            folder.uidvalidity = uidvalidity
            self.validities.add(uidvalidity)
        assert folder.uidvalidity == uidvalidity, "UIDVALIDITY changed"

    # Other programs

    def notice(self, folder: Folder) -> None:
        """The server looks into the folder's directories."""
        missing = [message for message in folder.messages.values() if not message.lies]
        if missing:
            self.remove(folder, missing)
        renamed = [message for message in folder.messages.values() if message.letters != on_disk(message.flags)]
        if renamed:
            tick = self.next_tick()
            for message in renamed:
                message.versions.append((tick, message.letters | (message.flags - LETTERS.keys())))
        if folder.waiting:
            waiting, folder.waiting = folder.waiting, []
            self.add(folder, [(each.body, each.letters) for each in waiting])
            folder.parted_recent = folder.parted_recent and all(each.path.startswith("new/") for each in waiting)

    def check(self) -> None:
        """After a program: whatever was told of modseqs fits together."""
        for folder in self.folders.values():
            folder.order.check(folder)
