"""The legacy side as a migration uses it over IMAP: connect, log in, list, retrieve, log out, over one connection.

    connection = await connect(reactor, legacy)      # greeting, CAPABILITY, STARTTLS
    await connection.login(b"user", password)        # the user's own password is checked here
    for folder in await connection.folders():
        survey = await connection.survey(folder)     # EXAMINE, UID FETCH of everything but the bodies
    await connection.retrieve(wanted, sink, Reach())
    await connection.logout()

Invariants: nothing is ever changed (there is no such command, see `commands`); the password is in no error and no
log; every failure is a `LegacyError`. Cancelling anything that is awaited here drops the connection.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime

from proxy.imap.client import replies
from proxy.imap.client.commands import (
    ALL,
    EXTENDED,
    HEADER,
    INTRODUCTION,
    SUMMARY,
    SUMMARY_WITH_GMAIL,
    Name,
    Raw,
    Verb,
    nameable,
    sequence_set,
)
from proxy.imap.client.login import log_in
from proxy.imap.client.opening import learn, open_session
from proxy.imap.client.protocol import ClientProtocol, Expectation
from proxy.imap.client.refusals import for_now, refused
from proxy.imap.client.replies import Folder, FolderList, FolderState, Headers, NamespaceList, Summaries
from proxy.imap.client.responses import Reply
from proxy.imap.client.retrieval import Retrieval
from proxy.imap.client.session import Session
from proxy.imap.client.wanted import Place, Reach, Sink, Wanted
from proxy.legacy.connection import LegacyConnection
from proxy.legacy.dialling import Dial, dialling
from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.settings import Legacy
from proxy.wire.door import Secret

HEADERS_AT_ONCE = 100  # UIDs in one request


@dataclass(frozen=True, slots=True)
class Survey:
    """What a folder holds, or why the server does not open it."""

    folder: Folder
    place: Place
    messages: Summaries
    refused: str | None = None
    for_now: bool = False  # the server says that it is a refusal for the moment


class Connection(LegacyConnection[Session]):
    """A connection to a legacy IMAP server, made by `connect`."""

    def __init__(self, session: Session, legacy: Legacy, clock: IReactorTime) -> None:
        super().__init__(session, legacy, clock)
        self._selected: Place | None = None

    @classmethod
    async def open(cls, dial: Dial[Expectation], legacy: Legacy, clock: IReactorTime) -> Connection:
        """As `connect`, over a transport of the caller's making. Raises LegacyError."""
        return cls(await open_session(dial, legacy.tls), legacy, clock)

    @property
    def session(self) -> Session:
        """For `giving`, which alone may write there; a migration has no use for it."""
        return self._session

    @property
    def capabilities(self) -> Mapping[str, tuple[str, ...]]:
        """What the server announced last, names in capitals; of POP3's they would have arguments."""
        return dict.fromkeys(self._session.capabilities, ())

    @property
    def greeting(self) -> str:
        """What the server said first, readable: which software it is, if it says."""
        return self._session.greeting

    def one_at_a_time(self) -> None:
        """From now on no command goes out before the one before it is answered."""
        self._session.pipelining = False

    async def login(self, user: bytes, password: Secret, *, once: bool = False) -> None:
        """Check a password. Raises LoginRejected (wrong), MaildropInUse, LegacyBusy, LoginNotPossible, or another
        LegacyError. A name or password that IMAP cannot carry is LoginRejected. `once`: by one command, whatever it is
        answered."""
        await log_in(self._session, user, password, once=once)

    async def folders(self) -> list[Folder]:
        """All folders of the user's own, also those that hold no messages. INBOX first."""
        session = self._session
        await learn(session)
        namespaces, listed, subscribed = NamespaceList(), FolderList(), FolderList()
        extended = {"LIST-EXTENDED", "SPECIAL-USE"} <= session.capabilities
        asked: list[Coroutine[Deferred[Any], Any, Reply]] = []
        if "ID" in session.capabilities:
            # NetEase's servers (163.com, 126.com) refuse EXAMINE to clients that have not said who they are:
            # "EXAMINE Unsafe Login. Please contact kefu@188.com for help".
            asked.append(session.run(Verb.ID, INTRODUCTION))
        if "NAMESPACE" in session.capabilities:
            asked.append(session.run(Verb.NAMESPACE, take=namespaces.take))
        by_x = "XLIST" in session.capabilities and "SPECIAL-USE" not in session.capabilities
        more: list[Raw] = [EXTENDED] if extended else []
        verb = Verb.XLIST if by_x else Verb.LIST
        asked.append(session.run(verb, b"", Raw(b'"*"'), *more, take=listed.take, slow=True))
        asked.append(session.run(Verb.LSUB, b"", Raw(b'"*"'), take=subscribed.take, slow=True))
        *_, listing, _lsub = await _together(asked)  # without ID, NAMESPACE and LSUB it goes on well
        if not listing.ok:
            raise refused(verb.name, listing)
        return replies.folders(listed.found, frozenset(subscribed.found), namespaces.found)

    async def survey(self, folder: Folder) -> Survey:
        """Open a folder, and list its messages. What is awaited side by side goes out at once."""
        state, messages = FolderState(), Summaries()
        if not nameable(folder.name):
            return Survey(folder, Place(folder.name, 0), messages, "its name cannot be sent")
        session = self._session
        items = SUMMARY_WITH_GMAIL if "X-GM-EXT-1" in session.capabilities else SUMMARY
        opened, listed = await _together(
            [
                session.run(Verb.EXAMINE, Name(folder.name), take=state.take, slow=True),
                session.run(Verb.FETCH, ALL, items, take=messages.take, slow=True),
            ]
        )
        messages.settle()
        place = Place(folder.name, state.uidvalidity or 0)
        if not opened.ok:
            self._selected = None
            return Survey(folder, place, messages, opened.text or "it does not say why", for_now(opened))
        self._selected = place
        if not listed.ok and state.exists:  # 1:* is an error to some where there is nothing
            return Survey(folder, place, messages, listed.text or "it does not say why", for_now(listed))
        if len(messages.uids) + messages.gone < state.exists:
            told = f"{len(messages.uids)} of its {state.exists} messages"
            return Survey(folder, place, messages, f"the server lists only {told}")
        return Survey(folder, place, messages)

    async def headers(self, place: Place, uids: Sequence[int], items: Raw = HEADER) -> dict[int, bytes]:
        """Headers of messages of a folder, or with `MESSAGE_ID` that field alone, by UID; those that the server does
        not show are left out. Raises LegacyError."""
        found = Headers()
        asked: list[Coroutine[Deferred[Any], Any, Reply]] = []
        if place != self._selected:
            asked.append(self._session.run(Verb.EXAMINE, Name(place.name), slow=True))
            self._selected = place
        for at in range(0, len(uids), HEADERS_AT_ONCE):
            chosen = sequence_set([uid] for uid in uids[at : at + HEADERS_AT_ONCE])
            asked.append(self._session.run(Verb.FETCH, chosen, items, take=found.take, slow=True))
        for reply in await _together(asked):
            if for_now(reply):
                raise refused("FETCH", reply)
        return found.by_uid

    async def retrieve(self, wanted: Iterable[Wanted], sink: Sink, reach: Reach) -> None:
        """Hand messages to `sink`, in this order, while nothing else is awaited.

        Raises LegacyError, whose `message` is the number of the one that was under way, or whatever the sink raised.
        """
        session = self._session
        retrieval = Retrieval(wanted, sink, reach, session.send, session.next_tag, session.wire.abort, self._selected)
        try:
            result = retrieval.pending()
            retrieval.start()
            await result
        finally:
            self._selected = retrieval.selected

    async def noop(self) -> None:
        """Keep the session from timing out at the server."""
        reply = await self._session.run(Verb.NOOP)
        if not reply.ok:
            raise refused("NOOP", reply)

    async def logout(self) -> None:
        """End the session politely, and return when the connection is closed. Raises nothing."""
        await self._leave(self._session.run(Verb.LOGOUT, ends_session=True))

    def spoilt(self, why: str) -> LegacyProtocolError:
        """Drop a connection whose answers make no sense; gives back the error to raise."""
        error = LegacyProtocolError(why)
        self._session.wire.end(error)
        return error


async def _together(asked: Sequence[Coroutine[Deferred[Any], Any, Reply]]) -> list[Reply]:
    """Commands that go out at once, in this order. Raises what the first of them to fail raises."""
    sent = [Deferred.fromCoroutine(each) for each in asked]
    try:
        return await gatherResults(sent, consumeErrors=True)
    except FirstError as error:
        cause = error.subFailure.value
        assert cause is not None
        raise cause from error


async def connect(reactor: Any, legacy: Legacy) -> Connection:
    """Connect to a legacy server, up to where a login can follow. Raises LegacyError."""
    return await Connection.open(dialling(reactor, legacy, ClientProtocol), legacy, reactor)
