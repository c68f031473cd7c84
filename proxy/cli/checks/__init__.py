"""The checks behind `mailferry check`. Each looks and tells; none changes anything, and only what is asked to contacts
anybody."""

from __future__ import annotations

from proxy.cli.checks.certificate import certificate_findings
from proxy.cli.checks.finding import Finding
from proxy.cli.checks.limits import limit_findings
from proxy.cli.checks.notices import notice_findings
from proxy.cli.checks.places import place_findings
from proxy.cli.checks.ports import port_findings
from proxy.cli.checks.storage.brief import storage_findings
from proxy.config import Config, ConfigErrors


def of_mistakes(error: ConfigErrors) -> list[Finding]:
    """A configuration that cannot be used."""
    return [Finding("configuration", "fail", mistake.key or error.source, mistake.text) for mistake in error.mistakes]


def all_findings(config: Config, source: str, *, connect: bool = False) -> list[Finding]:
    """Everything there is to say of a configuration that is right in itself. `connect`: also of the relay."""
    listed = ", ".join(sorted(config.domains))
    found = [Finding("configuration", "ok", source, f"right; serves {listed}")]
    found += [Finding("configuration", "warn", remark.key, remark.text) for remark in config.warnings]
    found += [*certificate_findings(config), *place_findings(config), *storage_findings(config)]
    found += [*port_findings(config), *limit_findings()]
    return [*found, *notice_findings(config, connect=connect)]
