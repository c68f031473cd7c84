"""One connection to the mail server that takes notices: SMTP (RFC 5321), TLS and a login where that is wanted.

What matters is known of every message at its end: whether the relay took it (`hand_over` returns), refused it for now
or for good (Refused), was lost before it had the whole of it (Lost), or after that and before it answered (Unknown); or
that it could not be handed over at all (Unreachable, Unusable).
"""

from __future__ import annotations

import smtplib
import ssl
from pathlib import Path
from typing import Any, Final

from proxy.admin.noticing.message import Addressed
from proxy.admin.secret_file import SecretUnusable, read_secret
from proxy.config import Notices

TIMEOUT: Final = 600.0  # seconds: what a server may take to answer a whole message (RFC 5321 4.5.3.2.6)
CONNECTING: Final = 30.0
LONGEST: Final = 500  # characters of a server's words


class RelayError(Exception):
    """The text is for the administrator."""


class Unusable(RelayError):
    """No message can be handed over: it cannot be trusted, or wants another login, or refuses the sender."""


class Unreachable(RelayError):
    """Nobody answers there, or not for long enough to be spoken to."""


class Refused(RelayError):
    """The relay does not take this message, and took the connection's others. `later`: it may take it then."""

    def __init__(self, text: str, *, later: bool) -> None:
        super().__init__(text)
        self.later = later


class Lost(RelayError):
    """The connection ended before the relay had the whole message: it was not sent."""


class Unknown(RelayError):
    """The connection ended when the relay had the whole message and had not answered."""


def split(relay: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = relay.rpartition(":")
    return host.strip("[]"), int(port)


def read_password(path: Path) -> str:
    """From a file that nobody else may read. Raises Unusable."""
    try:
        return read_secret(path, "the relay's")
    except SecretUnusable as error:
        raise Unusable(str(error)) from None


class Relay:
    """Made without a connection: the first message opens it, and one that was lost is opened again."""

    def __init__(self, settings: Notices, hostname: str, address: str | None = None) -> None:
        """`hostname` is ours; `address` goes before the configuration's relay. Raises Unusable for a password file that
        cannot be used."""
        self._settings = settings
        self._hostname = hostname
        self.address = address or settings.relay
        self._password = read_password(settings.password_file) if settings.password_file is not None else ""
        self._smtp: smtplib.SMTP | None = None

    def hand_over(self, addressed: Addressed) -> None:
        """Returns when the relay has taken it. Raises RelayError, one of those above."""
        if self._smtp is None:
            self._smtp = self._connect()
        smtp = self._smtp
        self._envelope(smtp, addressed)
        data = _dot_stuffed(addressed.octets())
        code, words = self._say(smtp, "DATA")
        if code != 354:
            self._refuse(smtp, code, words)
        try:
            smtp.send(data)
        except OSError as error:
            self.drop()
            raise Lost(f"the relay closed the connection: {_words(error)}") from None
        try:
            code, words = smtp.getreply()
        except OSError as error:
            self.drop()
            raise Unknown(f"the relay had the whole message and did not answer: {_words(error)}") from None
        if 200 <= code < 300:
            return
        if not 400 <= code < 600:
            self.drop()
            raise Unknown(
                f"the relay had the whole message and gave no answer that means anything: {_said(code, words)}"
            )
        self._refuse(smtp, code, words)

    def try_out(self, sender: str) -> bool:
        """Go as far as one can without sending anything: connect, log in, and name the sender. Gives back whether it is
        encrypted. Raises Unreachable, Unusable, Refused, Lost."""
        if self._smtp is None:
            self._smtp = self._connect()
        smtp = self._smtp
        if smtp.sock is not None:
            smtp.sock.settimeout(CONNECTING)
        self._sender(smtp, sender, international=not sender.isascii())
        try:
            smtp.rset()
        except OSError as error:
            self.drop()
            raise Lost(f"the relay closed the connection: {_words(error)}") from None
        return isinstance(smtp.sock, ssl.SSLSocket)

    def _envelope(self, smtp: smtplib.SMTP, addressed: Addressed) -> None:
        self._sender(smtp, addressed.sender, international=addressed.international)
        code, words = self._say(smtp, f"RCPT TO:<{addressed.recipient}>")
        if code not in {250, 251}:
            self._refuse(smtp, code, words)

    def _sender(self, smtp: smtplib.SMTP, sender: str, *, international: bool) -> None:
        parameters = ""
        if international:
            if not smtp.has_extn("smtputf8"):
                no = "the relay takes no address with letters beyond ASCII (it has no SMTPUTF8)"
                if not sender.isascii():
                    raise Unusable(f"{no}, and notices.sender is one: {sender}")
                raise Refused(no, later=False)
            parameters = " SMTPUTF8 BODY=8BITMIME"
            smtp.command_encoding = "utf-8"
        code, words = self._say(smtp, f"MAIL FROM:<{sender}>{parameters}")
        if code == 250:
            return
        if code >= 500 and code != 552:
            self.drop()
            raise Unusable(f"the relay refuses the sender {sender}: {_said(code, words)}")
        self._refuse(smtp, code, words)

    def _say(self, smtp: smtplib.SMTP, line: str) -> tuple[int, bytes]:
        try:
            return smtp.docmd(line)
        except OSError as error:
            self.drop()
            raise Lost(f"the relay closed the connection: {_words(error)}") from None

    def _refuse(self, smtp: smtplib.SMTP, code: int, words: bytes) -> None:
        """Have the connection ready for the next message."""
        if code == 421:  # RFC 5321 3.8: it is closing
            self.drop()
            raise Lost(f"the relay closes the connection: {_said(code, words)}")
        try:
            smtp.rset()
        except OSError:
            self.drop()
        raise Refused(_said(code, words), later=code < 500)

    def _connect(self) -> smtplib.SMTP:
        """Connected, encrypted as the configuration wants it, and logged in. Raises Unusable, Unreachable."""
        host, port = split(self.address)
        settings, where = self._settings, f"the relay {self.address}"
        smtp: smtplib.SMTP | None = None
        try:
            if settings.tls == "implicit":
                context = trust(settings, verified=True)
                smtp = smtplib.SMTP_SSL(host, port, self._hostname, timeout=CONNECTING, context=context)
            else:
                smtp = smtplib.SMTP(host, port, self._hostname, timeout=CONNECTING)
            self._greet(smtp, where)
            self._encrypt(smtp, where)
            if settings.user is not None:
                smtp.login(settings.user, self._password)
            assert smtp.sock is not None
            smtp.sock.settimeout(TIMEOUT)
        except BaseException as error:
            if smtp is not None:
                smtp.close()
            if isinstance(error, smtplib.SMTPAuthenticationError):
                said = _said(error.smtp_code, error.smtp_error)
                raise Unusable(f"{where} does not take the login of {settings.user}: {said}") from None
            if isinstance(error, smtplib.SMTPNotSupportedError):
                raise Unusable(f"{where} offers no login: leave out notices.user") from None
            if isinstance(error, UnicodeError):  # it would have the password in it
                raise Unusable(f"{where}: notices.user and its password must be in ASCII") from None
            if isinstance(error, ssl.SSLCertVerificationError):
                raise Unusable(f"{where}: its certificate is not right: {error.verify_message}") from None
            if isinstance(error, OSError):  # smtplib's own are
                raise Unreachable(f"{where} cannot be used: {_words(error)}") from None
            raise
        return smtp

    def _greet(self, smtp: smtplib.SMTP, where: str) -> None:
        code, words = smtp.ehlo()
        if not 200 <= code < 300:
            code, words = smtp.helo()
        _expect(where, "does not take our greeting", code, words, wanted=250)

    def _encrypt(self, smtp: smtplib.SMTP, where: str) -> None:
        wanted = self._settings.tls
        offers = smtp.has_extn("starttls")
        if wanted == "starttls" and not offers:
            raise Unusable(f'{where} offers no STARTTLS: notices.tls = "implicit" is TLS from the first byte')
        if wanted == "starttls" or (wanted == "offered" and offers):
            context = trust(self._settings, verified=wanted == "starttls")
            code, words = smtp.starttls(context=context)
            _expect(where, "does not begin TLS", code, words, wanted=220)
            self._greet(smtp, where)

    def drop(self) -> None:
        """Without a word."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    def close(self) -> None:
        """Say good-bye."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except OSError:
                smtp.close()


def trust(settings: Notices, *, verified: bool) -> ssl.SSLContext:
    """Encryption without knowing to whom is better than none where that would be the other choice (RFC 7435). Raises
    Unusable."""
    try:
        context = ssl.create_default_context(cafile=settings.ca)
    except ssl.SSLError:
        raise Unusable(f"{settings.ca} holds no certificate in PEM form: notices.ca") from None
    except OSError as error:
        raise Unusable(f"{settings.ca}: {error.strerror}: notices.ca") from None
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _expect(where: str, what: str, code: int, words: bytes, *, wanted: int) -> None:
    if code != wanted:
        raise Unusable(f"{where} {what}: {_said(code, words)}")


def _dot_stuffed(octets: bytes) -> bytes:
    """As DATA wants it (RFC 5321 4.5.2), with the final dot. Lines end with CRLF already."""
    lines = octets.split(b"\r\n")
    stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    return stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _said(code: int, words: bytes | str) -> str:
    """A server's answer, in a line without control characters."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return "".join(c if c.isprintable() else " " for c in f"{code} {text}")[:LONGEST]


def _words(error: Any) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error.smtp_code, error.smtp_error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return _said(0, str(error)).removeprefix("0 ")
