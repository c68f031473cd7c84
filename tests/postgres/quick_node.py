"""`mailferry`, impatient: a node that looks several times a second who else is there, and whose batches are small, so
that there are many barriers. Mailboxes that nobody uses it closes soon."""

from __future__ import annotations

import sys

from proxy.cli.main import main
from proxy.login import allotting, homes, leasing
from proxy.migration import pull

EVERY = 0.4  # seconds
BATCH = 10

if __name__ == "__main__":
    leasing.EVERY = allotting.EVERY = EVERY  # type: ignore[misc]
    leasing.LONG = 600.0  # type: ignore[misc]  # however busy the machine is: `TwoNodes.bury` says who is dead
    leasing.LOOK = leasing.SELDOM = 0.2  # type: ignore[misc]
    homes.KEPT_SECONDS = EVERY  # type: ignore[misc]
    pull.BATCH_MESSAGES = BATCH  # type: ignore[misc]
    sys.exit(main())
