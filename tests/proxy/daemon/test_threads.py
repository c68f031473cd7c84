"""The store's threads: results and errors come back in the reactor's thread, in one wake-up for many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from proxy.daemon.threads import Threads


class ThreadsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.calls: Queue[Callable[[], None]] = Queue()
        self.threads = Threads(2, self.calls.put)
        self.addCleanup(self.threads.stop)

    def hear(self, result: Deferred[object]) -> None:
        """Be the reactor until there is a result."""
        while not result.called:
            self.calls.get(timeout=10)()

    def test_a_result_and_an_error(self) -> None:
        added: Deferred[object] = self.threads.run(lambda a, b: a + b, 1, 2)
        broken: Deferred[object] = self.threads.run(lambda: 1 / 0)
        self.hear(added)
        self.hear(broken)
        self.assertEqual(self.successResultOf(added), 3)
        self.failureResultOf(broken, ZeroDivisionError)

    def test_results_are_told_in_the_reactor_s_thread(self) -> None:
        result: Deferred[object] = self.threads.run(threading.get_ident)
        heard: list[int] = []
        result.addCallback(lambda ident: heard.extend([ident, threading.get_ident()]))
        self.hear(result)
        self.assertNotEqual(heard[0], heard[1])
        self.assertEqual(heard[1], threading.get_ident())

    def test_no_more_threads_than_are_allowed(self) -> None:
        gate = threading.Event()
        waiting: list[Deferred[object]] = [self.threads.run(gate.wait) for _ in range(5)]
        self.assertEqual(len(self.threads._threads), 2)
        gate.set()
        for result in waiting:
            self.hear(result)

    def test_one_thread_does_for_those_who_come_one_by_one(self) -> None:
        for _ in range(5):
            result: Deferred[object] = self.threads.run(threading.get_ident)
            self.hear(result)
        self.assertEqual(len(self.threads._threads), 1)

    def test_who_leaves_stops_the_wait_and_not_the_work(self) -> None:
        gate, done = threading.Event(), threading.Event()

        def work() -> None:
            gate.wait()
            done.set()

        leaving: Deferred[object] = self.threads.run(work)
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        gate.set()
        after: Deferred[object] = self.threads.run(lambda: None)
        self.hear(after)
        self.assertTrue(done.wait(10))

    def test_stop_waits_for_what_was_asked_for(self) -> None:
        done: list[int] = []
        for n in range(20):
            self.threads.run(done.append, n)
        self.threads.stop()
        self.assertEqual(sorted(done), list(range(20)))
