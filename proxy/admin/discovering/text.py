"""What was found, for a person and for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from proxy.admin.discovering.found import Candidate, Discovery
from proxy.config.mistakes import key_path, quoted_key

MOST_SILENT: Final = 12  # places where nothing answers that a person is told of
_LOGIN: Final = {
    "full": "the whole address",
    "local": "the part before the @",
    "": "not known: `mailferry probe` finds it out",
}


def lines(found: Discovery) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is a heading."""
    if found.best is None:
        yield f"{found.domain}: no POP3 or IMAP server answers", True
    else:
        yield f"{found.domain}: best is {where(found.best)}", True
        yield from ((line, False) for line in _described(found.best))
        yield "", False
        yield from ((line, False) for line in as_toml(found.best, found.domain))
    if found.candidates[1:]:
        yield "", False
        yield "something answers at", True
        yield from ((f"  {where(c)}: {_in_short(c)}", False) for c in found.candidates[1:])
    if found.silent:
        yield "", False
        yield "nothing of use at", True
        yield from ((f"  {where(c)}: {c.heard.trouble}", False) for c in found.silent[:MOST_SILENT])
        if len(found.silent) > MOST_SILENT:
            yield f"  and {len(found.silent) - MOST_SILENT} more: see --json", False
    for remark in found.remarks:
        yield "", False
        yield remark, False


def _in_short(candidate: Candidate) -> str:
    tls = candidate.tls
    proof = "not encrypted" if tls is None else tls.trouble or f"{tls.version}, certificate {tls.certificate}"
    return f"{proof}; {found_by(candidate)}"


def found_by(candidate: Candidate) -> str:
    return ", ".join(dict.fromkeys(hint.text for hint in candidate.hints))


def where(candidate: Candidate) -> str:
    place = candidate.place
    return f'{place.protocol.upper()} at {place.host} port {place.port}, tls = "{place.tls}"'


def _described(candidate: Candidate) -> Iterator[str]:
    yield f"  found by   {found_by(candidate)}"
    yield f"  greeting   {candidate.heard.greeting}"
    if candidate.heard.capabilities:
        yield f"  can        {', '.join(word for word in candidate.heard.capabilities if word != 'CAPA')}"
    if candidate.tls is not None:
        yield f"  TLS        {candidate.tls.version}, certificate {candidate.tls.certificate}"
        if candidate.tls.trouble:
            yield f"             but {candidate.tls.trouble}"
    else:
        yield "  TLS        none: every password would cross the network in the clear"
    yield f"  login      {_LOGIN[candidate.login]}"


def as_toml(candidate: Candidate, domain: str) -> Iterator[str]:
    """The lines of the configuration."""
    settings = candidate.settings(domain)
    yield f"[{key_path(('domain', domain, 'legacy'))}]"
    for keys, value in settings.items():
        yield f"{quoted_key(keys[-1])} = " + (str(value) if isinstance(value, int) else f'"{value}"')
    if remark := advice(candidate):
        yield from (f"# {line}" for line in remark.splitlines())


def advice(candidate: Candidate) -> str:
    """What has to be decided by a person before this server is spoken to, in lines, those of the configuration each by
    itself; "" where nothing has to."""
    tls = candidate.tls
    if tls is None or not tls.trouble:
        return ""
    return re.sub(r":? `(fingerprint = [^`]*)`", r":\n\1", f"{tls.trouble}; {tls.remedy}")


def as_json(found: Discovery) -> dict[str, Any]:
    """As `--json` prints it; `candidates` has the best first."""
    return {
        "domain": found.domain,
        "candidates": [_candidate_json(candidate) for candidate in found.candidates],
        "silent": [
            {
                "host": c.place.host,
                "port": c.place.port,
                "protocol": c.place.protocol,
                "tls": c.place.tls,
                "address": c.heard.address,
                "found_by": [hint.text for hint in c.hints],
                "trouble": c.heard.trouble,
            }
            for c in found.silent
        ],
        "remarks": list(found.remarks),
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    place, tls = candidate.place, candidate.tls
    return {
        "host": place.host,
        "port": place.port,
        "protocol": place.protocol,
        "tls": place.tls,
        "login": candidate.login or None,
        "address": candidate.heard.address,
        "found_by": [hint.text for hint in candidate.hints],
        "greeting": candidate.heard.greeting,
        "capabilities": list(candidate.heard.capabilities),
        "encryption": None
        if tls is None
        else {
            "version": tls.version,
            "certificate": tls.certificate,
            "fingerprint": tls.fingerprint,
            "verifies": not tls.trouble,
            "trouble": tls.trouble,
            "remedy": tls.remedy,
        },
    }
