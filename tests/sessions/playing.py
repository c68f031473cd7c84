"""Plays a program at a stage, and holds every answer against the model.

At a prompt stage (in memory) a session that was answered, or that idles, agrees with the model at once, but for what
may not be told yet. Elsewhere it has to agree within PATIENCE, while it says NOOP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.sessions.asking import Asked, OnMessages
from tests.sessions.asking_folders import (
    Appending,
    AskingStatus,
    Enabling,
    Leaving,
    OnFolders,
    Plain,
    Selecting,
)
from tests.sessions.asking_messages import Expunging, Fetching, Replacing, Storing, Transferring
from tests.sessions.asking_search import Searching
from tests.sessions.hearing import Continue, Heard, Tagged
from tests.sessions.model import Folder, Model
from tests.sessions.neighbours import Neighbours
from tests.sessions.participant import Disconnected, Participant
from tests.sessions.picture import Picture
from tests.sessions.program import (
    Append,
    By,
    Deliver,
    Enable,
    Expunge,
    Fetch,
    Leave,
    OnFolder,
    Pick,
    Pipelined,
    Pop3,
    Program,
    Replace,
    Restart,
    Search,
    Select,
    Simple,
    Status,
    Store,
    Transfer,
)
from tests.sessions.stage import Stage

PATIENCE: Final = 5.0  # seconds in which what one session does has to be known to another, on a busy machine
MOMENT: Final = 0.05  # seconds between two looks at whether it is
SELECTED: Final = (Fetch, Store, Search, Transfer, Expunge, Replace, Leave)

ASKED: Final[dict[type, Callable[[Model, Participant, Any], Asked]]] = {
    Select: Selecting,
    Fetch: Fetching,
    Store: Storing,
    Search: Searching,
    Transfer: Transferring,
    Expunge: Expunging,
    Replace: Replacing,
    Append: Appending,
    Leave: Leaving,
    OnFolder: OnFolders,
    Enable: Enabling,
    Simple: Plain,
}


class Player:
    """One program at one stage."""

    def __init__(self, stage: Stage, program: Program, model: Model | None = None) -> None:
        self.stage = stage
        self.model = Model() if model is None else model
        self.program = program
        self.clients = [Participant(f"c{n}", client, stage) for n, client in enumerate(program.clients)]
        self.neighbours = Neighbours(self.model, stage)

    def play(self) -> None:
        for name in self.program.folders:
            self._by(self.clients[0], OnFolder("CREATE", name))
        for _ in range(self.program.letters):
            self.neighbours.step(Deliver("INBOX", frozenset()))
        for client in self.clients:
            self._by(client, Select("INBOX"))
        for step in self.program.steps:
            self._step(step)
        self._finish()

    def transcript(self) -> str:
        return "\n".join(line for client in self.clients for line in (f"--- {client.name}", *client.transcript))

    def hang_up(self) -> None:
        self.neighbours.gone()
        for client in self.clients:
            client.wire.hang_up()

    def _step(self, step: Any) -> None:
        match step:
            case By(who, its):
                self._by(self.clients[who], its)
            case Restart():
                self._restart()
            case _:
                self.neighbours.step(step)
        self._listen()

    # One client's step

    def _by(self, client: Participant, step: Any) -> None:
        try:
            self._done(client)
            if client.picture is not None and client.picture.folder.deleted:
                self._farewell(client)
            elif isinstance(step, SELECTED) and client.picture is None:
                self._perform(client, Select("INBOX"))
            else:
                self._perform(client, step)
        except Disconnected:
            self._left(client)

    def _left(self, client: Participant) -> None:
        """BYE is for a client whose mailbox was deleted."""
        assert client.picture is not None
        assert client.picture.folder.deleted, "the server said BYE"
        client.wire.hang_up()
        client.connect()

    def _farewell(self, client: Participant) -> None:
        """Its mailbox was deleted by another: it is told so, and disconnected. Raises Disconnected."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            client.until(client.send(b"NOOP"))
            for _ in client.pending(MOMENT):
                pass
            assert not self.stage.prompt, "the mailbox was deleted, and nobody says so"
        raise AssertionError("the mailbox was deleted, and the session goes on")

    def _perform(self, client: Participant, step: Any) -> None:
        self._learn(client)
        if isinstance(step, Pipelined):
            self._pipeline(client, step.steps)
        elif step == Simple("IDLE"):
            self._idle(client)
        elif step != Simple("CHECK") or client.picture is not None:
            self._exchange(client, [self._asked(client, step)])
        if step == Simple("NOOP") or isinstance(step, Select):
            self._agree(client)

    def _learn(self, client: Participant) -> None:
        if client.learn():
            self._answered(client, expunges=False)

    def _asked(self, client: Participant, step: Any) -> Asked:
        if isinstance(step, Status):
            return AskingStatus(self.model, client, step, prompt=self.stage.prompt)
        return ASKED[type(step)](self.model, client, step)

    def _pipeline(self, client: Participant, steps: Sequence[Any]) -> None:
        """Where one of them names messages by number, none before it may bring an EXPUNGE (RFC 3501 5.5). All messages
        are known before, so that it is known what a search finds and what `$` stands for."""
        if client.picture is None or not client.picture.entries:
            return
        *first, last = steps
        by = next((step.pick.by for step in first if isinstance(step, Fetch | Store)), "number")
        saves = any(isinstance(step, Search) and step.returns is not None and "SAVE" in step.returns for step in first)
        if by == "number" or saves:
            first = [step for step in first if not isinstance(step, Append)]
        if self.stage.prompt:
            self._exchange(client, [self._asked(client, Fetch(Pick(which=(0,)), "flags"))])
            self._learn(client)
        else:
            self._agree(client)
        if client.picture.entries:
            self._exchange(client, [self._asked(client, _named(step, by)) for step in (*first, last)])

    def _exchange(self, client: Participant, several: Sequence[Asked]) -> None:
        possible = [asked for asked in several if not isinstance(asked, OnMessages) or asked.possible]
        if not possible:
            return
        tags = client.send_several([asked.line for asked in possible])
        for asked, tag in zip(possible, tags, strict=True):
            if client.picture is not None:
                client.picture.told.clear()
            asked.begin()
            untagged, reply = client.until(tag)
            asked.effect(reply, untagged)
            for heard in (*untagged, reply):
                client.hear(heard, expunges=asked.expunges, flags_alone=asked.flags_asked)
            asked.check(reply, untagged)
            self._answered(client, expunges=asked.expunges)
        self._keep(client, (*untagged, reply))

    def _keep(self, client: Participant, said: Sequence[Heard]) -> None:
        """A client that resyncs keeps what it knows when HIGHESTMODSEQ is told; what is newer may be in it."""
        told = any(isinstance(heard, Tagged) and heard.coded(b"HIGHESTMODSEQ") for heard in said)
        if client.ways.qresync and client.picture is not None and told:
            tick = self.model.tick
            self._learn(client)
            client.keep(tick)

    # IDLE

    def _idle(self, client: Participant) -> None:
        if client.picture is not None:
            self.model.notice(client.picture.folder)
        client.idle_tag = client.send(b"IDLE")
        while not isinstance(heard := client.next(), Continue):
            client.hear(heard)
        client.idling = True
        self._hear_idling(client)

    def _done(self, client: Participant) -> None:
        if client.idling:
            client.idling = False
            client.send_raw(b"DONE")
            untagged, reply = client.until(client.idle_tag)
            assert reply.status == b"OK"
            for heard in untagged:
                client.hear(heard)
            self._answered(client, expunges=True)

    def _hear_idling(self, client: Participant) -> None:
        """What it is told, until it knows all: at once at a prompt stage, elsewhere within PATIENCE."""
        end = time.monotonic() + PATIENCE
        while True:
            for heard in client.pending(0 if self.stage.prompt else MOMENT):
                client.hear(heard)
            try:
                if client.picture is not None:
                    assert not client.picture.folder.deleted, "the mailbox was deleted, and the idling session not told"
                    assert_agreed(client.picture, expunges=True)
            except AssertionError:
                if self.stage.prompt or time.monotonic() > end:
                    raise
            else:
                return

    def _listen(self) -> None:
        """Those who idle are told, and none before the one who did something."""
        for client in self.clients:
            try:
                if client.idling:
                    self._hear_idling(client)
            except Disconnected:
                self._left(client)
        pictures = [client.picture for client in self.clients if client.idling and client.picture is not None]
        for picture in pictures if self.stage.prompt else ():
            rivals = {each.session for each in pictures if each.folder is picture.folder and each.writable}
            _first_told(picture.folder, rivals)

    def _answered(self, client: Participant, *, expunges: bool) -> None:
        picture = client.picture
        if not self.stage.prompt or picture is None or picture.folder.deleted:
            return
        if picture.writable:
            _first_told(picture.folder, {picture.session})
        assert_agreed(picture, expunges=expunges)

    def _agree(self, client: Participant) -> None:
        """Everything is told: NOOP, and that as long as it may take."""
        end = time.monotonic() + PATIENCE
        while True:
            self._learn(client)
            picture = client.picture
            if picture is None:
                return
            try:
                assert_agreed(picture, expunges=True)
            except AssertionError:
                if self.stage.prompt or time.monotonic() > end:
                    raise
                for heard in client.pending(MOMENT):
                    client.hear(heard)
                self._exchange(client, [Plain(self.model, client, Simple("NOOP"))])
            else:
                self._check_recent(picture)
                return

    def _check_recent(self, picture: Picture) -> None:
        if picture.recent is not None and not any(entry.recent is None for entry in picture.entries):
            assert picture.recent == sum(bool(entry.recent) for entry in picture.entries), "RECENT is another number"

    # The whole

    def _restart(self) -> None:
        self.hang_up()
        self.stage.restart()
        for client in self.clients:
            client.connect()

    def _finish(self) -> None:
        """All stop, look once more, and know the same."""
        self.neighbours.step(Pop3("QUIT"))
        for client in self.clients:
            self._by(client, Simple("NOOP"))
        for client in self.clients:
            if client.picture is None:
                self._by(client, Select("INBOX"))
            self._by(client, Simple("NOOP"))
            if client.picture is not None:
                self._by(client, Fetch(Pick("uid"), "peek"))
        self.model.check()


def _named(step: Any, by: str) -> Any:
    """Messages named one by one and in the same way: what "*" is may change within a pipeline."""
    match step:
        case Fetch(pick=pick, modifier=modifier):
            named = Pick(by, pick.which or (0, 1, 2, 3), saved=pick.saved)
            return Fetch(named, step.items, "" if modifier in {"vanished", "partial"} else modifier, step.value)
        case Store(pick=pick):
            named = Pick(by, pick.which or (0, 1, 2, 3), saved=pick.saved)
            return Store(named, step.mode, step.flags, step.silent, step.unchanged)
        case Transfer(pick=pick):
            return Transfer(Pick(by, pick.which or (0, 1, 2, 3), saved=pick.saved), step.folder, step.move)
        case Search():
            return Search(step.key, by, step.returns, step.partial, step.kind)
    return step


def _first_told(folder: Folder, sessions: set[str]) -> None:
    for message in folder.messages.values():
        if message.first_told is None and sessions:
            message.first_told = frozenset(sessions)


def assert_agreed(picture: Picture, *, expunges: bool) -> None:
    """The client's picture is the model, but for what it asks for next, and for those whose EXPUNGE may not come."""
    folder = picture.folder
    entries = [entry for entry in picture.entries if expunges or entry.uid not in folder.former]
    messages = list(folder.messages.values())
    known = [entry.uid for entry in picture.entries]
    assert len(entries) == len(messages), f"{picture.session} has {known}, there are {list(folder.messages)}"
    if not picture.ways.numbers:  # the nameless may be anywhere
        assert {entry.uid for entry in entries} - {None} <= folder.messages.keys()
        entries = [entry for entry in entries if entry.uid is not None]
        messages = [folder.messages[entry.uid] for entry in entries if entry.uid is not None]
    newest = {uid: modseq for modseq, uid in sorted(folder.order.facts)}
    for entry, message in zip(entries, messages, strict=True):
        assert entry.uid in (None, message.uid), f"{picture.session} has {known}, there are {list(folder.messages)}"
        assert entry.flags in (None, message.flags), f"{picture.session} was not told of a change of UID {message.uid}"
        if picture.ways.modseq and entry.modseq is not None:
            modseq = newest.get(message.uid, 0)
            assert entry.modseq >= modseq, f"{picture.session} was not told a modseq of UID {message.uid}: {modseq}"
