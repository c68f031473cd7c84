"""The README's account of the configuration: its example works, and its table has every key."""

from __future__ import annotations

import re
from pathlib import Path

from proxy.config import Config, Domain, LegacyServer, Listen, Lmtp, Migration, Notices, Storage, Tls
from proxy.config.model import SERVED
from tests.proxy.config.examples import accepted

README = (Path(__file__).parents[3] / "README.md").read_text()


def test_the_smallest_configuration_works() -> None:
    (example,) = re.findall(r"The smallest one that works:\n\n```toml\n(.*?)```", README, re.DOTALL)
    assert accepted(example).warnings == ()


def test_every_key_is_in_the_table() -> None:
    rows = [line.partition("|")[2].partition("|")[0] for line in README.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([^`]+)`", "".join(rows)))
    tables = {"lmtp.": Lmtp, "tls.": Tls, "storage.": Storage, "migration.": Migration, "notices.": Notices}
    keys = {prefix + key for prefix, table in tables.items() for key in table.model_fields}
    keys |= {f'domain."…".legacy.{key}' for key in LegacyServer.model_fields}
    keys |= {f'domain."…".{key}' for key in Domain.model_fields if key != "legacy"}
    keys |= {key for key in Config.model_fields if key in {"hostname", "state"}}
    keys |= {"listen.pop3", *SERVED[1:]}
    assert set(SERVED) <= set(Listen.model_fields)
    assert keys - named == set()
