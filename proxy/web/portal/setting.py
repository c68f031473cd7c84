"""Mail programs: what to set them to, the profile for Apple's devices, and the QR code that brings a telephone here.

All of it is the same for everybody: for a name that nobody has as for one that somebody has, so that it tells nothing
about accounts and needs no login. No password is in any of it.
"""

from __future__ import annotations

import io
import plistlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from proxy.admin.offered import Server, best, offered
from proxy.config import Config
from proxy.login.names import Name, parse
from proxy.web.address import portal_address
from proxy.web.visit import Visit, Web

_NAMESPACE: Final = uuid.UUID("0f3b3f3e-6d0b-5c39-8b8b-6a3a8f4d2c11")  # of what profiles call themselves


@dataclass(frozen=True, slots=True)
class Settings:
    """What a page shows. `servers` are all ways in, the best of each service first."""

    login: str
    servers: Sequence[Server]
    profile: str  # "" where there is none to offer
    phone: str  # the address that the QR code has, "" where there is none

    @property
    def first(self) -> list[Server]:
        """The best of each service."""
        seen: dict[str, Server] = {}
        for server in self.servers:
            seen.setdefault(server.service, server)
        return list(seen.values())

    @property
    def others(self) -> list[Server]:
        """All others."""
        return [server for server in self.servers if server not in self.first]


def settings_of(config: Config, login: str) -> Settings:
    """Of the account that is called so; `login` may be ""."""
    asked = f"?account={quote(login)}" if login else ""
    address = portal_address(config)
    return Settings(
        login=login,
        servers=offered(config),
        profile=f"/profile.mobileconfig{asked}" if login and _incoming(config) and best(config, "submission") else "",
        phone=f"{address}/phone{asked}" if address else "",
    )


def _incoming(config: Config) -> Server | None:
    return best(config, "imap") or best(config, "pop3")


def named(visit: Visit) -> Name | None:
    """The account that a page is asked for, if it can be one of ours."""
    return parse(visit.query.get("account", "").encode(), visit.web.config.spellings)


@lru_cache(maxsize=1_000)
def picture(text: str) -> bytes:
    """A QR code in SVG: ten milliseconds."""
    import segno  # noqa: PLC0415 - for few pages

    made = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        made, kind="svg", scale=5, border=3, light="#fff", dark="#000", svgclass=None, lineclass=None
    )
    return made.getvalue()


class Setting:
    """The pages."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def phone(self, visit: Visit) -> bytes:
        """What the QR code leads to."""
        name = named(visit)
        login = str(name) if name is not None else ""
        return visit.page("portal/phone.html", settings=settings_of(self._web.config, login))

    async def qr(self, visit: Visit) -> bytes:
        """The QR code as a picture (ISO/IEC 18004), dark on light in either scheme: cameras want it so."""
        name = named(visit)
        address = settings_of(self._web.config, str(name) if name is not None else "").phone
        if not address:
            visit.refuse(404, "error.notfound")
        visit.request.setHeader("Content-Type", "image/svg+xml")
        return picture(address)

    async def profile(self, visit: Visit) -> bytes:
        """A configuration profile for Apple's devices, signed where there is a key."""
        name = named(visit)
        if name is None or not settings_of(self._web.config, str(name)).profile:
            visit.refuse(404, "error.notfound")
        plain = plistlib.dumps(profile(self._web.config, name, visit.say("portal.profile.about")))
        shown = self._web.shown()
        signing = None if shown is None else _signer(*shown)
        data = plain if signing is None else signing.sign(plain)
        visit.request.setHeader("Content-Type", "application/x-apple-aspen-config")
        visit.request.setHeader("Content-Disposition", 'attachment; filename="mail.mobileconfig"')
        return data


@lru_cache(maxsize=1)
def _signer(certificate: bytes, key: bytes) -> Any:
    from proxy.web.portal.signing import signer  # noqa: PLC0415

    return signer(certificate, key)


def profile(config: Config, name: Name, about: str) -> dict[str, Any]:
    """Apple's "Configuration Profile Reference": one payload of the kind com.apple.mail.managed. The device asks for
    the password. The same account has the same identifiers each time, so that a newer profile replaces an older one."""
    incoming, outgoing = _incoming(config), best(config, "submission")
    assert incoming is not None and outgoing is not None
    identifier = f"{'.'.join(reversed(config.hostname.split('.')))}.mail.{name.local}.{name.domain}"
    mail = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.account",
        "PayloadUUID": str(uuid.uuid5(_NAMESPACE, f"account {name}")).upper(),
        "PayloadDisplayName": str(name),
        "EmailAccountDescription": str(name),
        "EmailAddress": str(name),
        "EmailAccountType": "EmailTypeIMAP" if incoming.service == "imap" else "EmailTypePOP",
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": incoming.host,
        "IncomingMailServerPortNumber": incoming.port,
        "IncomingMailServerUseSSL": incoming.security != "none",
        "IncomingMailServerUsername": str(name),
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": outgoing.host,
        "OutgoingMailServerPortNumber": outgoing.port,
        "OutgoingMailServerUseSSL": outgoing.security != "none",
        "OutgoingMailServerUsername": str(name),
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    return {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(uuid.uuid5(_NAMESPACE, f"profile {name}")).upper(),
        "PayloadDisplayName": str(name),
        "PayloadDescription": about,
        "PayloadOrganization": name.domain,
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [mail],
    }
