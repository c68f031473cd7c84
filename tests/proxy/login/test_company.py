"""A whole company in the background: its order, its limits, and what it costs while it waits. Moves are simulated."""

from __future__ import annotations

import time
import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from mailstore.accounts import State
from tests.proxy.login.simulated import Company
from tests.proxy.migration.scripted import folder


class TenThousand(SynchronousTestCase):
    def company(self, domains: dict[str, str], **options: int) -> Company:
        company = Company(folder(self), domains, **options)  # type: ignore[arg-type]
        self.addCleanup(company.end)
        return company

    def test_always_as_many_as_are_allowed_never_more_and_domains_in_turn(self) -> None:
        company = self.company({"large.example": "pop.old", "small.example": "pop.old", "other.example": "pop.other"})
        company.hire("large.example", 9_000)
        company.hire("small.example", 500)
        company.hire("other.example", 500)
        company.begin()
        company.pass_time(300)
        done = company.mover.done
        self.assertEqual(company.mover.most, {"pop.old": 20, "pop.other": 20})
        self.assertEqual(done["large.example"], done["small.example"])
        self.assertEqual(done["other.example"], 500)
        self.assertGreaterEqual(done["large.example"] + done["small.example"], 560)  # of 600, had none waited

    def test_what_was_asked_for_comes_first(self) -> None:
        company = self.company({"a.example": "pop.old", "b.example": "pop.old"})
        company.hire("a.example", 2_000)
        company.hire("b.example", 100, asked=True)
        company.begin()
        company.pass_time(80)
        self.assertEqual({name.partition("@")[2] for name in company.mover.order[:100]}, {"b.example"})

    def test_while_they_wait_they_cost_neither_memory_nor_time(self) -> None:
        company = self.company({"a.example": "pop.old"}, seconds=100_000)
        company.hire("a.example", 10_000)
        company.begin()
        company.pass_time(10)
        self.assertEqual(company.mover.inside["pop.old"], 20)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        company.pass_time(600)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        self.assertLess(after - before, 20_000)
        began = time.process_time()
        company.pass_time(600)
        self.assertLess(time.process_time() - began, 0.3)  # of ten minutes
        self.assertEqual(company.clock.seconds(), 1_210)
        self.assertLess(len(company.clock.getDelayedCalls()), 25)  # those of the moves under way, and one

    def test_a_host_that_allows_fewer_is_found_out_and_all_get_their_turn(self) -> None:
        company = self.company({"a.example": "pop.old"}, allows=6, seconds=5)
        company.hire("a.example", 300)
        company.begin()
        company.pass_time(450)
        self.assertEqual(company.mover.done["a.example"], 300)
        self.assertLessEqual(company.mover.most["pop.old"], 6)
        self.assertLess(company.mover.refused, 40)
        self.assertEqual({account.state for account in company.accounts.list()}, {State.MOVED})
