"""`mailferry` of the next version (`tests.postgres.later`), with its revisions in the directory that
MAILFERRY_LATER names. It writes the new columns."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sqlalchemy import Column, Text

from mailstore import schema
from mailstore.migrations import carry
from tests.postgres import later

if __name__ == "__main__":
    for module in later.HEADS:
        module.HEAD = later.NEXT  # type: ignore[misc]
    carry.configuration = later.with_revisions(Path(os.environ["MAILFERRY_LATER"]))
    schema.accounts.append_column(Column("nickname", Text, nullable=False, server_default="", default="new"))
    from proxy.cli.main import main

    sys.exit(main())
