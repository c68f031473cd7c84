"""`mailferry` where authoritative name servers are at a port of their own, and looks follow each other fast:

python -m tests.peers.at_dns_port PORT serve --config FILE
"""

from __future__ import annotations

import sys

from proxy.admin.dns import keeping
from proxy.cli.main import main

if __name__ == "__main__":
    vars(keeping).update(PORT=int(sys.argv.pop(1)), EVERY=1)
    main(prog_name="mailferry")
