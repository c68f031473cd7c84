"""What can go wrong at the legacy server, each kind one type.

The text of every error here is fit for a log line and for an administrator: no password, no byte of mail,
one line. Where it quotes the server, `replies.readable` has cleaned the words first.
"""

from __future__ import annotations


class LegacyError(Exception):
    """Anything that the legacy side cannot do. `message` is the number of the message that was under way.

    `text` is the cause, `remedy` what an administrator can do about it; "" where the cause says it itself.
    """

    usual_remedy = "the next login tries again; if this goes on, look at the legacy server's own log"

    def __init__(self, text: str, *, message: int | None = None, remedy: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.message = message
        self.remedy = self.usual_remedy if remedy is None else remedy

    @property
    def advice(self) -> str:
        """Cause and remedy, for the log and for `status`."""
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


class LegacyUnreachable(LegacyError):
    """No connection, or none any more: name not known, refused, reset, closed."""

    usual_remedy = (
        "the next login tries again; if this goes on, look at the legacy server's own log and at firewalls in between"
    )


class LegacyTimeout(LegacyError):
    """The server was silent for too long, or did not get on with an answer."""

    usual_remedy = (
        "the next login tries again; if this goes on, lower `connections`, and look for what slows the server down"
    )


class BareLineEnds(LegacyError):
    """The server ends the lines of messages in a bare LF, and a message with a dot and CRLF behind one of these."""


class LegacyProtocolError(LegacyError):
    """The server said something that is none of its protocol."""

    usual_remedy = (
        "the next login tries again; if this goes on, look for a proxy or a virus scanner between here and the server"
    )


class TlsFailed(LegacyError):
    """No encryption, or not with whom it should be. `reason` says what is wrong, `remedy` what can be done."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}", remedy="")
        self.reason = reason
        self.remedy = remedy

    @property
    def advice(self) -> str:
        return self.text


class ServerRefused(LegacyError):
    """The server answered -ERR, NO or BAD. `code` is its response code (RFC 2449 8, RFC 3501 7.1) without brackets, or
    None."""

    usual_remedy = "its words say why; the next login asks again"

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class CommandRefused(ServerRefused):
    """The same to a command that is not part of a login."""


class LoginRejected(ServerRefused):
    """The server says that name or password is wrong. Nothing else is ever reported as this."""

    usual_remedy = "let the user log in here with the password that is right there"


class MaildropInUse(ServerRefused):
    """The password may well be right: another session holds the mailbox ([IN-USE])."""

    usual_remedy = "close what else fetches this mailbox there; a session that died is let go after some minutes"


class LegacyBusy(ServerRefused):
    """The server does not want to now, and says nothing of the password ([SYS/TEMP], [LOGIN-DELAY])."""

    usual_remedy = "the next login asks again; if this goes on, lower `connections`"


class LoginNotPossible(ServerRefused):
    """The server will not let this login in until a person changes something ([SYS/PERM], POP3 switched off,
    TLS demanded, account suspended). Says nothing of the password."""

    usual_remedy = "its words say what is to be changed there"
