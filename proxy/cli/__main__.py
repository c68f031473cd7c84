"""`python -m proxy.cli`: the same as `mailferry`."""

from __future__ import annotations

from proxy.cli.main import main

main(prog_name="mailferry")
