"""Who works on the mailbox beside the IMAP sessions: deliveries, other programs in the Maildir, a POP3 client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.sessions.model import LETTERS, Flags, Folder, Message, Model, Waiting, on_disk
from tests.sessions.program import Deliver, Drop, Pop3, Touch
from tests.sessions.stage import Stage, Wire

ATTEMPTS = 100  # logins while the maildrop is still locked


def info(letters: Flags) -> str:
    return ":2," + "".join(sorted(LETTERS[flag] for flag in letters))


class Neighbours:
    """They know the model only to say what they did to it."""

    def __init__(self, model: Model, stage: Stage) -> None:
        self.model = model
        self.stage = stage
        self._pop3: Wire | None = None
        self._drop: list[Message] = []
        self._marked: set[int] = set()

    def step(self, step: Any) -> None:
        match step:
            case Deliver(folder, flags) if folder in self.model.folders:
                body = self.model.body()
                self.model.add(self.model.folders[folder], [(body, flags)])
                self.stage.deliver(folder, body, flags)
            case Drop(folder, flags) if folder in self.model.folders:
                self._put(self.model.folders[folder], flags)
            case Touch(folder, place, flags) if folder in self.model.folders:
                self._touch(self.model.folders[folder], place, flags)
            case Pop3(command, place):
                self._over_pop3(command, place)

    # Other programs

    def _put(self, folder: Folder, flags: Flags | None) -> None:
        number, body = next(self.model.serial), self.model.body()
        letters = frozenset() if flags is None else on_disk(flags)
        name = f"1600000000.{number:06}.elsewhere"
        place = f"new/{name}" if flags is None else f"cur/{name}{info(letters)}"
        directory = self.stage.directory(folder.name)
        passing = directory / "tmp" / name
        passing.write_bytes(body)
        passing.rename(directory / place)
        folder.waiting.append(Waiting(place, body, letters))
        self._seen(folder)

    def _touch(self, folder: Folder, place: int, flags: Flags | None) -> None:
        known: list[Message | Waiting] = [m for m in folder.messages.values() if m.lies]
        known += folder.waiting
        if not known:
            return
        chosen = known[place % len(known)]
        path = self._file(folder, chosen.body)
        if path is None:
            return
        letters = frozenset() if flags is None else on_disk(flags)
        target = self.stage.directory(folder.name) / "cur" / (path.name.partition(":2,")[0] + info(letters))
        if flags is None:
            path.unlink()
        else:
            path.rename(target)
        if isinstance(chosen, Message):
            chosen.lies, chosen.letters = flags is not None, letters if flags is not None else chosen.letters
        else:
            at = folder.waiting.index(chosen)
            folder.waiting[at : at + 1] = [] if flags is None else [Waiting(f"cur/{target.name}", chosen.body, letters)]
        self._seen(folder)

    def _file(self, folder: Folder, body: bytes) -> Path | None:
        """The only file of this content. Copies of a message are told apart by nobody here."""
        directory = self.stage.directory(folder.name)
        found = [path for sub in ("cur", "new") for path in (directory / sub).iterdir() if path.read_bytes() == body]
        return found[0] if len(found) == 1 else None

    def _seen(self, folder: Folder) -> None:
        """Where nobody can say when the server looks, it has looked before anybody goes on."""
        if not self.stage.prompt:
            self.model.notice(folder)
            self.stage.look(folder.name)

    # POP3

    def gone(self) -> None:
        """The connection broke: nothing is deleted."""
        if self._pop3 is not None:
            self._pop3.hang_up()
        self._pop3, self._drop, self._marked = None, [], set()

    def _over_pop3(self, command: str, place: int) -> None:
        if command == "LOGIN":
            if self._pop3 is None:
                self._log_in()
        elif self._pop3 is None:
            return
        elif command == "DROP":
            self.gone()
        elif command == "QUIT":
            self._quit(self._pop3)
        elif self._drop:
            self._on_message(self._pop3, command, place % len(self._drop))

    def _log_in(self) -> None:
        wire = self._pop3 = self._logged_in()
        self.model.notice(self.model.inbox)
        self._drop, self._marked = list(self.model.inbox.messages.values()), set()
        assert self._say(wire, b"STAT") == b"+OK %d %d" % (len(self._drop), sum(len(m.body) for m in self._drop))

    def _logged_in(self) -> Wire:
        """A session before may have its maildrop for a moment longer where it is another process that ends it."""
        name, password = self.stage.credentials()
        for _ in range(1 if self.stage.prompt else ATTEMPTS):
            wire = self.stage.connect("pop3")
            assert wire.line().startswith(b"+OK")
            assert self._say(wire, b"USER " + name).startswith(b"+OK")
            said = self._say(wire, b"PASS " + password)
            if said.startswith(b"+OK"):
                return wire
            wire.hang_up()
            assert said.startswith(b"-ERR [IN-USE]"), said
        raise AssertionError("the maildrop stays locked")

    def _quit(self, wire: Wire) -> None:
        said = self._say(wire, b"QUIT")
        assert said.startswith(b"+OK"), said
        marked = [self._drop[at] for at in sorted(self._marked)]
        there = [message for message in marked if message.gone is None]
        if there:
            self.model.remove(self.model.inbox, there)
        self.gone()

    def _on_message(self, wire: Wire, command: str, at: int) -> None:
        """Numbers do not change within a session, whatever others do (RFC 1939 5)."""
        message = self._drop[at]
        said = self._say(wire, b"%b %d" % (command.encode(), at + 1))
        if at in self._marked:
            assert said.startswith(b"-ERR")
        elif command == "DELE":
            assert said.startswith(b"+OK")
            self._marked.add(at)
        elif message.gone is not None or not message.lies:
            assert said.startswith(b"-ERR"), said
        else:
            assert said.startswith(b"+OK"), said
            lines = []
            while (line := wire.line()) != b".":
                lines.append(line)
            assert b"".join(line + b"\r\n" for line in lines) == message.body, "a number means another message"

    def _say(self, wire: Wire, line: bytes) -> bytes:
        wire.send(line + b"\r\n")
        return wire.line()
