"""HTTP as far as strangers can send it: how long, how slowly and how much (invariant 10).

Twisted's channel with what it lacks: a limit for the body, which is refused before it is read where its length is
said, and a time by which a request has to be here, however busily it trickles. The limits are the site's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from proxy.web.security import is_loopback
from proxy.wire.arrivals import Arrivals

MIB: Final = 1024 * 1024
IDLE_SECONDS: Final = 60  # between two requests of a connection
HEADER_SECONDS: Final = 20.0  # from a request's first byte to the end of its headers
BODY_SECONDS: Final = 60.0  # to the end of a form
UPLOAD_SECONDS: Final = 900.0  # to the end of a file
LINGER_SECONDS: Final = 5.0  # for which what comes behind a refusal is thrown away, so that the refusal is read

_Request: Any = Request  # Twisted's web has hardly any types
_Channel: Any = HTTPChannel
_Site: Any = Site

TooLarge = Callable[["WebRequest"], bytes]


class WebRequest(_Request):  # type: ignore[misc]
    """One request. Forms are parsed where they are needed (`proxy.web.visit`), by their own limits."""

    path: bytes
    most = MIB

    def handleContentChunk(self, data: bytes) -> None:
        """Also of a body whose length was not said."""
        if self.content.tell() + len(data) > self.most:
            self.channel.refuse(self)
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """A path that is no UTF-8 is none of ours; programs write those of autodiscover in any case of letters."""
        self.path = quote(unquote_to_bytes(self.path).decode(errors="replace"), safe="/").encode()
        if self.path.lower().startswith(b"/autodiscover/"):
            self.path = self.path.lower()
        super().process()

    def render(self, resrc: IResource) -> None:
        """With the headers that every answer has."""
        self.site.dress(self)
        super().render(resrc)


def _counted_as(peer: Any) -> str:
    """Those from one address are counted together; a proxy's on this machine are many visitors'."""
    address = str(getattr(peer, "host", ""))
    return f"{address} {getattr(peer, 'port', id(peer))}" if is_loopback(address) else address


class WebChannel(_Channel):  # type: ignore[misc]
    """One connection."""

    maxHeaders = 100
    totalHeadersSize = 16 * 1024
    site: WebSite
    length: int | None
    _deadline: Any = None
    _refused = False
    _eased = False
    _leave: Callable[[], None] | None = None

    def connectionMade(self) -> None:
        self._leave = self.site.arrivals.admit(_counted_as(self.transport.getPeer()))
        super().connectionMade()
        if self._leave is None:
            self.transport.abortConnection()
            return
        self.site.channels.add(self)
        self._expect(HEADER_SECONDS)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._expect(None)
        self.site.channels.discard(self)
        if self._leave is not None:
            self._leave()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self._deadline is None and not self._handlingRequest and not self._refused:
            self._expect(HEADER_SECONDS)
        super().dataReceived(data)

    def ease(self) -> None:
        """Close, if no request is here or on its way."""
        if self._deadline is None and not self._handlingRequest and not self._eased:
            self._eased = True
            self.loseConnection()

    def _expect(self, seconds: float | None) -> None:
        """What is under way has to be here by then."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.site.clock.callLater(seconds, self._late)

    def _late(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def headerReceived(self, line: bytes) -> bool:
        """One host alone is asked (RFC 9112 3.2). Gives back whether the request is still one."""
        if not super().headerReceived(line):
            return False
        if len(self.requests[-1].requestHeaders.getRawHeaders(b"host", [])) > 1:
            self._respondToBadRequestAndDisconnect()
            return False
        return True

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        upload = self.site.is_upload(self._path) and self.site.may_upload(request)
        request.most = self.site.most_upload if upload else MIB
        self._expect(UPLOAD_SECONDS if upload else BODY_SECONDS)
        if self.length is not None and self.length > request.most:
            request.gotLength(0)
            self.refuse(request)
            self.length = None  # it does not come to its end
        else:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        self._expect(None)
        if not self._refused:
            super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A request line or a header: with an answer, and without waiting for anything."""
        self._respondToBadRequestAndDisconnect()

    def refuse(self, request: WebRequest) -> None:
        """The body is too large: say so, and read no more of it than is needed for that to arrive."""
        if self._refused:
            return
        self._refused = True
        page = self.site.too_large(request)
        self.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
            b"Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\n"
            b"Cache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % len(page) + page
        )
        self._expect(LINGER_SECONDS)


@implementer(IProtocolFactory)
class WebSite(_Site):  # type: ignore[misc]
    """One listener's."""

    protocol: Any = WebChannel

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: Any,
        dress: Callable[[WebRequest], None],
        too_large: TooLarge,
        uploads: tuple[bytes, ...] = (),
        may_upload: Callable[[WebRequest], bool] = lambda _request: True,
        most_upload: int = 64 * MIB,
        arrivals: Arrivals | None = None,
    ) -> None:
        """`dress` puts on the headers that every answer has; `too_large` is the page for a body over the limit, 1 MiB,
        or `most_upload` for the paths `uploads`, from those whose request's headers show that they `may_upload`."""
        super().__init__(
            resource, requestFactory=WebRequest, timeout=IDLE_SECONDS, reactor=reactor, parsePOSTFormSubmission=False
        )
        self.clock = reactor
        self.dress = dress
        self.too_large = too_large
        self.may_upload = may_upload
        self.most_upload = most_upload
        self.arrivals = arrivals or Arrivals()
        self.channels: set[WebChannel] = set()
        self._uploads = uploads

    def is_upload(self, target: bytes) -> bool:
        """May this take a file?"""
        return target.partition(b"?")[0] in self._uploads

    def log(self, request: Any) -> None:
        """What is worth it is logged where it happens: addresses and account names are in paths."""

    def ease(self) -> None:
        """Close the connections on which nothing is asked for."""
        for channel in list(self.channels):
            channel.ease()

    def end(self) -> None:
        """Close every connection."""
        for channel in list(self.channels):
            channel.loseConnection()
