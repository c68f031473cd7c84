"""What mail programs ask for by themselves: Thunderbird's autoconfig, and Outlook's autodiscover.

Any address of a domain that is served gets the same answer, whether or not somebody has it.
"""

from __future__ import annotations

import json
from typing import Final
from xml.etree import ElementTree

from proxy.admin.offered import offered
from proxy.login.names import Name, parse
from proxy.web.address import portal_address
from proxy.web.visit import Refused, Visit, Web

_RESPONSE: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_LARGEST: Final = 64 * 1024  # octets of a question


class Discovery:
    """The answers."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def _xml(self, visit: Visit, template: str, **values: object) -> bytes:
        visit.request.setHeader("Content-Type", "text/xml; charset=utf-8")
        return self._web.pages.render(template, **values)

    async def autoconfig(self, visit: Visit) -> bytes:
        """Thunderbird's `config-v1.1.xml` (Mozilla's "Autoconfig file format"), for all domains at once: they have the
        same servers. An `emailaddress` of another domain is none of ours."""
        asked = visit.query.get("emailaddress", "")
        domain = asked.rpartition("@")[2].lower().rstrip(".")
        if asked and domain not in self._web.config.spellings:
            raise Refused(404, "error.notfound")
        servers = offered(self._web.config)
        return self._xml(
            visit,
            "portal/autoconfig.xml",
            hostname=self._web.config.hostname,
            domains=list(self._web.config.spellings),
            incoming=[server for server in servers if server.service != "submission"],
            outgoing=[server for server in servers if server.service == "submission"],
            portal=portal_address(self._web.config),
        )

    async def autodiscover(self, visit: Visit) -> bytes:
        """Outlook's "plain old XML" ([MS-OXDSCLI]): a POST with the address; a GET may have it as `emailaddress`."""
        if visit.request.method == b"POST":
            visit.request.content.seek(0)
            asked, schema = _question(visit.request.content.read(_LARGEST + 1))
        else:
            asked = visit.query.get("emailaddress", "") or visit.query.get("EMailAddress", "")
            schema = _RESPONSE
        if schema != _RESPONSE:
            return self._xml(visit, "portal/autodiscover_error.xml", code=601, message="No such response is offered")
        name = parse(asked.encode(), self._web.config.spellings) if "@" in asked else None
        if name is None:
            return self._xml(visit, "portal/autodiscover_error.xml", code=600, message="No address of a domain here")
        return self._found(visit, name)

    def _found(self, visit: Visit, name: Name) -> bytes:
        firsts = {server.service: server for server in reversed(offered(self._web.config))}  # the best of each last
        kinds = {"imap": "IMAP", "pop3": "POP3", "submission": "SMTP"}
        servers = [(kinds[service], firsts[service]) for service in kinds if service in firsts]
        return self._xml(visit, "portal/autodiscover.xml", login=str(name), servers=servers)

    async def where(self, visit: Visit, address: str = "") -> bytes:
        """Outlook's question where autodiscover is ([MS-OXDSCLI] 2.2.4, "autodiscover.json")."""
        asked = visit.query.get("Protocol", visit.query.get("protocol", "")).lower()
        portal = portal_address(self._web.config)
        visit.request.setHeader("Content-Type", "application/json")
        if asked != "autodiscoverv1" or portal is None:
            visit.request.setResponseCode(400)
            words = "The protocol that is offered is AutodiscoverV1"
            return json.dumps({"ErrorCode": "ProtocolNotSupported", "ErrorMessage": words}).encode()
        return json.dumps({"Protocol": "AutodiscoverV1", "Url": f"{portal}/autodiscover/autodiscover.xml"}).encode()


def _question(body: bytes) -> tuple[str, str]:
    """The address, and the schema that the answer shall have; "" for what is not said. A document type is refused:
    the question needs none, and entities can be made to grow without end. Raises Refused."""
    if len(body) > _LARGEST or b"<!" in body or b"\0" in body:
        raise Refused(400, "error.malformed")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no document type, so no entities
    except (ElementTree.ParseError, ValueError, LookupError):
        raise Refused(400, "error.malformed") from None
    found = {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()}
    return found.get("EMailAddress", ""), found.get("AcceptableResponseSchema", _RESPONSE)
