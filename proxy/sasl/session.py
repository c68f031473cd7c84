"""One client of the password service, without a transport: octets and events in, octets out through a `Wire`.

    greeting ── VERSION ── CPID ── AUTH … CONT … ── OK, FAIL
                                   AUTH … ── …                 several at a time, each with its id

Rules:

1. A request is answered once, within `ANSWER_SECONDS`: Postfix waits for ten.
2. "Wrong" is said only when the gate says so (invariant 5). What is temporary is FAIL with `temp`, and to clients of
   version 1.0 the end of the connection: those, Postfix and Exim, read every FAIL as a wrong password, and the
   end as "try again later" (SMTP's 454 4.7.0). They have one request at a time on a connection.
3. An id that is in use, a command that is none and a version that is not ours end the connection.
4. All is bounded: the length of a line, requests under way, logins that are not gone on with, the time of the greeting.
   Who asks for more is read from more slowly.
5. Where the user's client is, and whether it uses TLS, is what the program says that asks, if it is one that is
   believed: on this machine, where a socket's place and mode say who may ask, or trusted (`trusted`).

Made and driven by `proxy.sasl.server`.
"""

from __future__ import annotations

import os
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from proxy.config.names import is_loopback
from proxy.sasl import replies
from proxy.sasl.mechanisms import MECHANISMS, Exchange, Given, Malformed
from proxy.sasl.requests import (
    Begin,
    Cancel,
    ClientProcess,
    Continue,
    NotTheProtocol,
    Request,
    UnfitRequest,
    Version,
    id_of,
    parse,
)
from proxy.wire import trace
from proxy.wire.arrivals import Arrivals
from proxy.wire.door import Credentials, LoginRefused, Refusal, Terms
from proxy.wire.faults import kind, where
from proxy.wire.lines import LineReader, LineTooLong

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PROTOCOL: Final = "submission"  # for logs and metrics; which program it is for does not matter
ANSWER_SECONDS: Final = 8.0
LONGEST: Final = 8_192  # octets of a line
AT_ONCE: Final = 100  # checks under way for one connection …
ALL_AT_ONCE: Final = 400  # … and for all
UNFINISHED: Final = 100  # logins whose client has not gone on; the oldest is forgotten first
GREETING_SECONDS: Final = 30.0
REST_SECONDS: Final = 1.0  # without reading, for a client that asks for more at a time than may be

_BROKEN: Final = "something went wrong here, try again later"
_STOPPING: Final = "the server is going down, try again later"
_TOO_MANY: Final = "too many logins at the same time, try again later"

Vouch = Callable[[Credentials, float], Awaitable[str]]  # `LoginGate.vouch`


class Wire(Protocol):
    """What a session needs of its connection."""

    @property
    def peer(self) -> str:
        """Who asks, where it is not said for whom."""

    @property
    def loopback(self) -> bool: ...

    @property
    def believed(self) -> bool:
        """Does it count what the program says of its users?"""

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Send what was written, then close."""

    def abort(self) -> None:
        """Close so that the client notices before it writes again."""


class Session:
    """See the module's text. `begin`, `received`, `lost` and `drain` are for the server."""

    def __init__(
        self,
        wire: Wire,
        vouch: Vouch,
        terms: Terms,
        log: FilteringBoundLogger,
        clock: IReactorTime,
        *,
        connection: int,
        places: Arrivals,
    ) -> None:
        """`connection` is its number, `places` count checks by it."""
        self._wire = wire
        self._vouch = vouch
        self._terms = terms
        self._log = log
        self._clock = clock
        self._connection = connection
        self._places = places
        self._reader = LineReader(LONGEST)
        self._version: Version | None = None
        self._greeted = False
        self._over = False
        self._unfinished: OrderedDict[int, tuple[Exchange, Begin]] = OrderedDict()
        self._checks: dict[int, Deferred[None]] = {}
        self._timer: IDelayedCall | None = None
        self._resting: IDelayedCall | None = None

    def begin(self) -> None:
        """Say who this is; the client does not wait for it."""
        self._timer = self._clock.callLater(GREETING_SECONDS, self._end, "no greeting")
        self._wire.write(replies.greeting(MECHANISMS, os.getpid(), self._connection, secrets.token_hex(16)))

    def received(self, data: bytes) -> None:
        """Octets from the client."""
        self._reader.feed(data)
        self._read()

    def _read(self) -> None:
        while not self._over and self._resting is None:
            try:
                request = self._next()
                if request is None:
                    return
                self._obey(request)
            except UnfitRequest as unfit:
                self._refuse_unfit(unfit)
            except NotTheProtocol as error:
                self._end(str(error))

    def lost(self) -> None:
        """The connection is gone, and with it whoever waited. What was begun at the old server goes on there."""
        self._over = True
        self._stop_timer()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._unfinished.clear()
        for check in list(self._checks.values()):
            check.cancel()

    def drain(self) -> None:
        """Have whoever waits come again later, and end."""
        if self._over:
            return
        waiting = [*self._checks, *self._unfinished]
        if not self._wants_the_end:
            for id_ in waiting:
                self._wire.write(replies.refused(id_, _STOPPING, replies.TEMPORARY))
        self.lost()
        if self._wants_the_end:
            self._wire.abort()
        else:
            self._wire.close()

    # Within

    def _next(self) -> Request | None:
        """Raises NotTheProtocol, UnfitRequest."""
        try:
            line = self._reader.next()
        except LineTooLong as error:
            id_ = id_of(error.beginning)
            if id_ is None:
                raise NotTheProtocol("a line that is too long") from None
            raise UnfitRequest(id_, "too long") from None
        return None if line is None else parse(line)

    @property
    def _wants_the_end(self) -> bool:
        """Does the client take the connection's end for temporary trouble, and nothing else?"""
        return self._version is None or self._version.minor == 0

    def _obey(self, request: Request) -> None:
        match request:
            case Version():
                self._take_version(request)
            case ClientProcess() if self._version is not None and not self._greeted:
                self._greeted = True
                self._stop_timer()
            case _ if not self._greeted:
                raise NotTheProtocol("no greeting before the first request")
            case Begin():
                self._begin(request)
            case Continue():
                exchange, begin = self._unfinished.pop(request.id, (None, None))
                if exchange is None or begin is None:
                    raise UnfitRequest(request.id, "no such login, or it took too long")
                self._go_on(begin, lambda: exchange.take(request.response), exchange)
            case Cancel():
                self._unfinished.pop(request.id, None)
                if (check := self._checks.get(request.id)) is not None:
                    check.cancel()
            case _:
                raise NotTheProtocol("a second greeting")

    def _take_version(self, version: Version) -> None:
        if self._version is not None:
            raise NotTheProtocol("a second greeting")
        if version.major != replies.MAJOR:
            raise NotTheProtocol(f"version {version.major}.{version.minor} of the protocol")
        self._version = version

    def _begin(self, begin: Begin) -> None:
        if begin.id in self._checks or begin.id in self._unfinished:
            raise NotTheProtocol("the id of a request that is not answered yet")
        if begin.mechanism not in MECHANISMS:
            self._wire.write(replies.refused(begin.id, "no such mechanism", replies.NO_SUCH_MECHANISM))
            return
        if not self._wire.believed:
            begin = replace(begin, address="", secured=False)
        loopback = is_loopback(begin.address) if begin.address else self._wire.loopback
        if not self._terms.login_allowed(secure=begin.secured, loopback=loopback):
            text = "no login without encryption"
            self._log.info("submission login refused", peer=self._peer(begin), reason=text)
            self._wire.write(replies.refused(begin.id, text, replies.UNENCRYPTED))
            return
        exchange = Exchange(begin.mechanism)
        self._go_on(begin, lambda: exchange.begin(begin.response), exchange)

    def _go_on(self, begin: Begin, step: Callable[[], bytes | Given], exchange: Exchange) -> None:
        try:
            taken = step()
        except Malformed as error:
            self._log.info("submission login refused", peer=self._peer(begin), reason=str(error))
            raise UnfitRequest(begin.id, str(error)) from None
        if isinstance(taken, Given):
            self._check(begin, taken)
            return
        self._unfinished[begin.id] = exchange, begin
        self._wire.write(replies.goes_on(begin.id, taken))
        if len(self._unfinished) > UNFINISHED:
            self._unfinished.popitem(last=False)

    def _peer(self, begin: Begin) -> str:
        return begin.address or self._wire.peer

    def _check(self, begin: Begin, given: Given) -> None:
        leave = self._places.admit(str(self._connection))
        if leave is None:
            self._refuse_for_now(begin.id, _TOO_MANY)
            self._rest()
            return
        credentials = Credentials(given.username, given.password, PROTOCOL, self._peer(begin), trace.new())
        check = Deferred.fromCoroutine(self._checked(begin.id, credentials, leave))
        if not check.called:
            self._checks[begin.id] = check

    async def _checked(self, id_: int, credentials: Credentials, leave: Callable[[], None]) -> None:
        """Ask the gate and answer: the one place where what goes wrong is answered."""
        account, refusal, text = "", Refusal.UNAVAILABLE, _BROKEN
        try:
            account = await self._vouch(credentials, ANSWER_SECONDS)
        except LoginRefused as refused:
            refusal, text = refused.refusal, refused.text
        except CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - the connection's one place; this is a defect of ours
            failure = Failure(error)  # type: ignore[no-untyped-call]
            self._log.error("submission fault", error=kind(failure), where=where(failure))
        finally:
            self._checks.pop(id_, None)
            leave()
        if self._over:
            return
        if account:
            self._wire.write(replies.in_order(id_, account))
        elif refusal is Refusal.WRONG:
            self._wire.write(replies.refused(id_, text))
        elif refusal is Refusal.BLOCKED:
            self._wire.write(replies.refused(id_, text, replies.DISABLED))
        else:
            self._refuse_for_now(id_, text)

    def _refuse_for_now(self, id_: int, text: str) -> None:
        if not self._wants_the_end:
            self._wire.write(replies.refused(id_, text, replies.TEMPORARY))
            return
        self.lost()
        self._wire.abort()

    def _rest(self) -> None:
        if not self._over:
            self._wire.pause_reading()
            self._resting = self._clock.callLater(REST_SECONDS, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._wire.resume_reading()
        self._read()

    def _refuse_unfit(self, unfit: UnfitRequest) -> None:
        if not self._greeted or unfit.id in self._checks:
            self._end("a request that is wrong, before the greeting or with an id in use")
            return
        self._unfinished.pop(unfit.id, None)
        self._wire.write(replies.refused(unfit.id, unfit.text))

    def _end(self, reason: str) -> None:
        self._log.info("submission session ended", peer=self._wire.peer, reason=reason)
        self.lost()
        self._wire.close()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
