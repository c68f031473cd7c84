"""A company with name servers of its own: its daemon finds and asks those of a small Internet on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.company import Company
from tests.peers.dns_world import World


@dataclass
class Moving:
    """The world's `mailferry dns` has the daemon's configuration."""

    world: World
    company: Company


@contextmanager
def moving(root: Path) -> Iterator[Moving]:
    (root / "w").mkdir()
    world = World(root / "w")
    try:
        company = Company(
            root / "company",
            settings=f'resolvers = ["{world.resolver.place}"]',
            hostname="mail.123.com",
            program=("tests.peers.at_dns_port", str(world.addresses.port)),
        )
        world.config = company.daemon.config
        try:
            yield Moving(world, company.start())
        finally:
            company.close()
    finally:
        world.stop()
