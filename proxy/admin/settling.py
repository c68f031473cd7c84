"""What was found about a domain's legacy server, put into the configuration: by `discover --write`, `probe --write` and
the console.

The file is what counts for a look at the legacy server, also where the daemon was started with an older one: whoever
finds a server and writes it down wants to try it before the daemon is started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.admin.discovering.found import Candidate
from proxy.admin.discovering.text import advice
from proxy.admin.probing.advice import to_be_written
from proxy.admin.probing.outcome import Outcome
from proxy.admin.proving import changed
from proxy.admin.settings_file import Edit, Keys, edit
from proxy.config import Config, ConfigErrors, load


@dataclass(frozen=True, slots=True)
class Settling:
    """Keys of the configuration with their values, and comments for some of them."""

    changes: Mapping[Keys, Any]
    remarks: Mapping[Keys, str] = field(default_factory=dict)

    def edit(self, path: Path) -> Edit:
        """Raises ConfigErrors where the file would not be right with it, and OSError."""
        return edit(path, self.changes, self.remarks)


def of_candidate(best: Candidate, domain: str) -> Settling:
    """What `discover` found. A certificate that does not verify is not taken by itself: its line is a comment."""
    remark = advice(best)
    return Settling(best.settings(domain), {("domain", domain, "legacy", "tls"): remark} if remark else {})


def of_probe(config: Config, ended: Outcome) -> Settling:
    """What `probe` found to be otherwise."""
    return Settling(to_be_written(config, config.domains[ended.found.domain], ended.new))


@dataclass(frozen=True, slots=True)
class Filed:
    """The configuration as its file is now. `trouble` says why it is not taken, and then `config` is the daemon's."""

    config: Config
    trouble: str = ""

    def changed(self, config: Config, domain: str) -> tuple[str, ...]:
        """What decides how the domain's legacy server is spoken to and is otherwise in `config`, in words."""
        return changed(config.domains[domain], self.config.domains[domain])


def filed(config: Config, domain: str) -> Filed:
    """Read the file again from which a configuration is."""
    path = Path(config.origin.source)
    try:
        found = load(path)
    except ConfigErrors as error:
        return Filed(config, str(error))
    if domain not in found.domains:
        return Filed(config, f"{path}: {domain} is not in it any more")
    return Filed(found)
