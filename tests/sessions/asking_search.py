"""SEARCH, SORT and THREAD: what must be found, worked out over the client's own picture.

A key is true, false, or open (None): whether a message that is gone and was not told of still has its text, and
what its modseq is where the client has not asked, only the server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.sessions.asking import Asked, has
from tests.sessions.hearing import Figures, Found, Heard, Tagged, Threads
from tests.sessions.model import Model
from tests.sessions.participant import Participant
from tests.sessions.picture import Entry
from tests.sessions.program import Search

Answer = bool | None


class Searching(Asked):
    def __init__(self, model: Model, client: Participant, step: Search) -> None:
        super().__init__(model, client)
        self.step = step
        self.by_uid = step.by == "uid" or not client.ways.numbers
        self.expunges = self.by_uid
        self.partial = step.partial
        returns = set(step.returns) if step.returns is not None and step.kind == "SEARCH" else None
        if returns is None:
            self.partial = None
        elif self.partial is not None:
            returns.discard("ALL")
        self.returns = returns
        self._uids = self.picture.uids()
        self.by_modseq = False
        self._modseqs: dict[tuple[str, int], int] = {}
        key = self._written(step.key)
        words = [b"UID"] if self.by_uid else []
        if step.kind == "SORT":
            words += [b"SORT (SUBJECT) UTF-8"]
        elif step.kind == "THREAD":
            words += [b"THREAD ORDEREDSUBJECT UTF-8"]
        else:
            words += [b"SEARCH", *self._options()]
        self.line = b" ".join((*words, key))

    def _options(self) -> list[bytes]:
        if self.returns is None:
            return []
        options = [option.encode() for option in sorted(self.returns)]
        if self.partial is not None:
            options.append(b"PARTIAL %d:%d" % self.partial)
        return [b"RETURN (" + b" ".join(options) + b")"]

    def _some(self, places: Sequence[int]) -> list[int]:
        return sorted({place % len(self._uids) for place in places}) if self._uids else []

    def _written(self, key: Any) -> bytes:
        match key:
            case ("FLAG", flag):
                return has(flag)
            case ("MODSEQ", kind, place):
                self.by_modseq = True
                return b"MODSEQ %d" % self._modseq(kind, place)
            case ("UIDS", places):
                return b"UID " + (b",".join(b"%d" % self._uids[at] for at in self._some(places)) or b"1:*")
            case ("NUMBERS", places):
                if not self.client.ways.numbers or not self._uids:
                    return b"ALL"
                return b",".join(b"%d" % (at + 1) for at in self._some(places))
            case ("BODY", place):
                return b'BODY "body %d"' % place
            case ("SAVED",):
                return b"$"
            case ("NOT", inner):
                return b"NOT " + self._written(inner)
            case ("OR", one, other):
                return b"OR %b %b" % (self._written(one), self._written(other))
            case ("AND", one, other):
                return b"(%b %b)" % (self._written(one), self._written(other))
        return b"ALL"

    def _modseq(self, kind: str, place: int) -> int:
        """As it was when the line was written."""
        return self._modseqs.setdefault((kind, place), self._modseq_now(kind, place))

    def _modseq_now(self, kind: str, place: int) -> int:
        if kind == "highest":
            return self.picture.highest
        mine = [entry.modseq or 0 for entry in self.picture.entries]
        return mine[place % len(mine)] if mine and kind == "mine" else 0

    def begin(self) -> None:
        if self.by_modseq:
            self.client.enable("CONDSTORE")
        self._saved_before, self._saved_known = list(self.picture.saved), self.picture.saved_known
        entries = self.picture.entries
        self.answers = [
            None if entry.uid is None else self._test(self.step.key, at, entry) for at, entry in enumerate(entries)
        ]
        if self.step.kind != "SEARCH":  # what is gone cannot be sorted
            self.answers = [None if self._lost(e) and a else a for e, a in zip(entries, self.answers, strict=True)]
        self._entries = [Entry(entry.uid, entry.flags, entry.modseq) for entry in entries]

    def _lost(self, entry: Entry) -> bool:
        message = self.picture.folder.messages.get(entry.uid or 0)
        return message is None or not message.lies

    def _test(self, key: Any, at: int, entry: Entry) -> Answer:
        match key:
            case ("FLAG", flag):
                return None if entry.flags is None else flag in entry.flags
            case ("MODSEQ", kind, place):
                return None if entry.modseq is None else entry.modseq >= self._modseq(kind, place)
            case ("UIDS", places):
                return not self._uids or entry.uid in [self._uids[at] for at in self._some(places)]
            case ("NUMBERS", places):
                return not self.client.ways.numbers or not self._uids or at in self._some(places)
            case ("BODY", place):
                message = self.picture.folder.messages.get(entry.uid or 0)
                return None if message is None or self._lost(entry) else b"body %d" % place in message.body
            case ("SAVED",):
                return entry.uid in self._saved_before if self._saved_known else None
            case ("NOT", inner):
                answer = self._test(inner, at, entry)
                return None if answer is None else not answer
            case ("OR", one, other):
                answers = (self._test(one, at, entry), self._test(other, at, entry))
                return True if True in answers else None if None in answers else False
            case ("AND", one, other):
                answers = (self._test(one, at, entry), self._test(other, at, entry))
                return False if False in answers else None if None in answers else True
        return True

    def _said(self, numbers: Iterable[int]) -> list[int]:
        """The places of what the server names, but for UIDs that the client has not learned yet."""
        if not self.by_uid:
            assert all(1 <= number <= len(self._entries) for number in numbers)
            return [number - 1 for number in numbers]
        places = {entry.uid: at for at, entry in enumerate(self._entries)}
        assert None in places or places.keys() >= set(numbers)
        return [places[number] for number in numbers if number in places]

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        """`$` is set by this command, before an EXPUNGE that comes with its answer takes from it."""
        if self.returns is None or "SAVE" not in self.returns or reply.status == b"BAD":
            return
        if reply.status == b"NO" or None in self.answers:
            self.picture.saved = []
            self.picture.saved_known = reply.status == b"NO"
            return
        found = [at for at, answer in enumerate(self.answers) if answer]
        self.picture.saved_known = True
        self.picture.saved = [uid for at in self._of_interest(found) if (uid := self._entries[at].uid) is not None]

    def _of_interest(self, found: list[int]) -> list[int]:
        """RFC 5182 2.1, RFC 9394 3.1"""
        assert self.returns is not None
        few = self.returns & {"MIN", "MAX"}
        if not found or self.returns & {"ALL", "COUNT"} or not (few or self.partial):
            return found
        chosen = set(self._part(found)) if self.partial else set()
        chosen |= {found[0]} if "MIN" in few else set()
        chosen |= {found[-1]} if "MAX" in few else set()
        return sorted(chosen)

    def _part(self, found: list[int]) -> list[int]:
        assert self.partial is not None
        near, far = self.partial
        if near > 0:
            return found[near - 1 : far]
        return found[max(0, len(found) + far) : len(found) + near + 1]

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        self.expect(reply, b"OK")
        if self.step.kind == "THREAD":
            (threads,) = [heard for heard in untagged if isinstance(heard, Threads)]
            self._check_found(self._said(threads.members))
            assert len(threads.members) == len(set(threads.members))
        elif self.step.kind == "SORT":
            (sorted_,) = [heard for heard in untagged if isinstance(heard, Found)]
            places = self._said(sorted_.numbers)
            self._check_found(places)
            places = [at for at in places if not self._lost(self._entries[at])]
            assert places == sorted(places, key=lambda at: (self._subject(at), at)), f"{self.line!r} is out of order"
        elif self.returns is None and not self.client.ways.rev2:
            (found,) = [heard for heard in untagged if isinstance(heard, Found)]
            places = self._said(found.numbers)
            self._check_found(places)
            self._check_modseq(found.modseq, places)
        else:
            self._check_figures(untagged, reply.tag)

    def _subject(self, at: int) -> bytes:
        message = self.picture.folder.message(self._entries[at].uid or 0)
        assert message is not None
        return message.body.partition(b"\r\n")[0]

    def _check_found(self, places: list[int]) -> None:
        for at, answer in enumerate(self.answers):
            assert answer is not True or at in places, f"{self.line!r}: UID {self._entries[at].uid} is not found"
            assert answer is not False or at not in places, f"{self.line!r}: UID {self._entries[at].uid} is found"

    def _check_modseq(self, modseq: int | None, places: list[int]) -> None:
        """The highest of what was found, where the key has MODSEQ (RFC 7162 3.1.5)."""
        assert (modseq is not None) is (self.by_modseq and bool(places)) or None in self.answers
        known = [self._entries[at].modseq for at in places]
        if modseq is not None and None not in known:
            assert modseq == max(each for each in known if each is not None)

    def _check_figures(self, untagged: Sequence[Heard], tag: bytes) -> None:
        returns = set(self.returns or ())
        found = [heard for heard in untagged if isinstance(heard, Figures)]
        if returns == {"SAVE"} and self.partial is None:
            assert not found
            return
        if not returns - {"SAVE"} and self.partial is None:
            returns |= {"ALL"}
        (said,) = found
        assert (said.tag, said.uid) == (tag, self.by_uid)
        figures = {name: value for name, value in said.figures.items() if name != b"MODSEQ"}
        if None in self.answers:
            if b"ALL" in figures:
                self._check_found(self._said(figures[b"ALL"]))
            return
        places = [at for at, answer in enumerate(self.answers) if answer]
        named = [self._name(at) for at in places]
        expected: dict[bytes, Any] = {b"COUNT": len(named)} if "COUNT" in returns else {}
        if named:
            expected |= {b"MIN": named[0]} if "MIN" in returns else {}
            expected |= {b"MAX": named[-1]} if "MAX" in returns else {}
            expected |= {b"ALL": tuple(named)} if "ALL" in returns else {}
        if self.partial is not None:
            expected[b"PARTIAL"] = tuple(self._name(at) for at in self._part(places))
        assert figures == expected, f"{self.line!r}: {said}, not {expected}"
        of_interest = self._of_interest(places) if self.returns is not None else places
        self._check_modseq(said.figures.get(b"MODSEQ"), of_interest)

    def _name(self, at: int) -> int:
        uid = self._entries[at].uid
        return at + 1 if not self.by_uid or uid is None else uid
