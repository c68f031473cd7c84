"""Where the web is, as links that leave a page have it: by the configuration, never by what a request said."""

from __future__ import annotations

from proxy.config import Config
from proxy.config.endpoints import parse_endpoint

_USUAL = {"https": 443, "http": 80}


def portal_address(config: Config) -> str | None:
    """`https://mail.123.com`, with the port where that is not the usual one; None where there is no portal."""
    scheme = "https" if config.tls.certificate is not None else "http"
    for text in config.listen.web:
        endpoint = parse_endpoint(text)
        if endpoint.proxied or endpoint.kind == "unix":
            return f"https://{config.hostname}"  # a proxy is in front of it, which has the usual port
        port = endpoint.port or _USUAL[scheme]  # systemd does not tell
        return f"{scheme}://{config.hostname}" + ("" if port == _USUAL[scheme] else f":{port}")
    return None
