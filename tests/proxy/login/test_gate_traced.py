"""Which lines of the log have the same id: those of a login and of the move that it begins; and what joins two ids."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from proxy.legacy.errors import LegacyUnreachable
from proxy.wire import trace
from proxy.wire.door import Credentials, Hold, Home, Refusal, Secret
from tests.proxy.login.login_rig import PASSWORD, LoginTestCase
from tests.proxy.recording import RecordingLog


class TracedLog(RecordingLog):
    """Keeps also what each line was part of."""

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[tuple[str, str]] = []

    def note(self, event: str) -> None:
        self.traces.append((trace.current(), event))

    def info(self, event: str, **fields: object) -> None:
        super().info(event, **fields)
        self.note(event)

    def warning(self, event: str, **fields: object) -> None:
        super().warning(event, **fields)
        self.note(event)

    def of(self, wanted: str) -> list[str]:
        return [event for current, event in self.traces if current == wanted]


class Traced(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.traced = TracedLog()
        self.start()
        self.old.add(1)

    def enter(self, trace_: str, password: bytes = PASSWORD) -> Deferred[Home]:
        credentials = Credentials(b"user@123.com", Secret(password), "imap", "192.0.2.1", trace_)
        return Deferred.fromCoroutine(self.gate.login(credentials, Hold()))

    def fields(self, event: str) -> dict[str, object]:
        return [fields for _, said, fields in self.log.lines if said == event][-1]

    def test_a_first_login_and_its_move(self) -> None:
        self.admitted(self.enter("one"))
        self.assertEqual(self.traced.of("one"), ["move started", "move done", "login"])
        self.assertEqual(self.fields("move started")["by"], "login")
        self.assertEqual(self.account().trace, "one")
        self.assertEqual([move.trace for move in self.mover.recently.moves("user@123.com")], ["one"])
        self.assertEqual(trace.current(), "")

    def test_who_joins_a_move_says_which(self) -> None:
        self.old.held = {"u1": Deferred()}
        first, second = self.enter("one"), self.enter("two")
        self.assertNoResult(first)
        self.assertEqual(self.traced.of("two"), ["login joins a move"])
        self.assertEqual(self.fields("login joins a move")["move"], "one")
        self.old.held["u1"].callback(None)
        self.admitted(first)
        self.admitted(second)
        self.assertEqual(self.traced.of("two"), ["login joins a move", "login"])
        self.assertIn("move done", self.traced.of("one"))

    def test_what_was_refused_names_itself_to_the_administrator(self) -> None:
        self.moved()
        self.legacy.trouble = LegacyUnreachable("nobody is there")
        self.assert_refused(Refusal.UNAVAILABLE, self.enter("three", b"another"))
        self.assertEqual(self.traced.of("three"), ["legacy server unavailable", "login refused"])
        self.assertEqual([each.trace for each in self.mover.recently.refusals("user@123.com")], ["three"])

    def test_a_look_at_a_later_login_is_part_of_it_and_its_failure_is_kept(self) -> None:
        self.moved()
        self.later = -301
        self.accounts.moved(self.account().id)
        self.later = 0
        self.legacy.trouble = LegacyUnreachable("nobody is there")
        self.clock.advance(301)
        self.admitted(self.enter("four"))
        self.assertEqual(set(self.traced.of("four")), {"nothing new fetched", "login"})
        self.assertEqual(self.account().trace, "four")

    def test_what_was_asked_for_has_the_id_of_the_act_and_a_round_one_of_its_own(self) -> None:
        account = self.moved()
        self.old.add(2)
        self.queue.ask([account.id], trace="act")
        self.background()
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.traced.of("act"), ["move started", "move done"])
        self.assertEqual(self.fields("move started")["by"], "request")
        self.later = 2 * self.config.migration.round
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.fields("move started")["by"], "round")
        own = self.account().trace
        self.assertNotIn(own, {"", "act"})
        self.assertEqual(self.traced.of(own), ["move started", "move done"])
