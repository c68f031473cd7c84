"""A daemon that is started while its database is away waits for it: after a loss of power servers and daemons come back
in any order. Nothing is listened on meanwhile, so that whoever stands in front sends clients to other nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from mailstore.errors import StorageFailed
from mailstore.refusals import passes
from proxy.admin import databases
from proxy.config import Config

PAUSE: Final = 1.0  # seconds between two looks
LONGER: Final = 60  # … that systemd is asked for at each; one takes at most as long as a connection may


def wait_for_database(
    config: Config, told: Callable[[str, int], None], log: Any, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Returns when the tables are there; SIGTERM and SIGINT end the process as ever. `told` hears of each look that was
    in vain. Raises StorageFailed where waiting is of no use: a wrong password, a server that will not do."""
    said = ""
    while True:
        try:
            with closing(databases.accounts(config)):
                break
        except StorageFailed as error:
            if not passes(error):
                raise
            if str(error) != said:  # once for each reason
                log.warning("waiting for the database", reason=databases.reason(config, error))
                said = str(error)
            told(f"waiting for the database: {error}", LONGER)
            sleep(PAUSE)
    if said:
        log.info("the database is there")
