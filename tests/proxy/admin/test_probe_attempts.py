"""How often a probe logs in: counted at the server. Twice at most, and the second time only behind a plain refusal."""

from __future__ import annotations

from typing import Any

import pytest

from proxy import config
from proxy.admin.probing.advice import changes
from proxy.admin.probing.attempts import forms, plainly_wrong
from proxy.admin.probing.finding import Answer, Lock, LoginForm
from proxy.legacy.errors import LegacyBusy, LegacyUnreachable, LoginNotPossible, LoginRejected
from proxy.login.names import Name
from tests.legacy.quirks import Habits, QuirkyServer
from tests.legacy.server import Behaviour
from tests.proxy.admin.probe_rig import BOX, CONFIG, PASSWORD, ProbeCase
from tests.proxy.admin.test_verify_found import from_coroutine

FULL = b"li@123.com"
BROKEN_AT = (("hang_up_at", b"PASS"), ("silent_at", b"PASS"), ("hang_up_at", b"USER"))
ONE_ANSWER = (  # behind which nothing more is tried, and what it is taken for
    (b"-ERR [IN-USE] another session has it", Answer.IN_USE),
    (b"-ERR maildrop already locked", Answer.IN_USE),
    (b"-ERR [SYS/TEMP] try again later", Answer.BUSY),
    (b"-ERR too many failed logins", Answer.BUSY),
    (b"-ERR [LOGIN-DELAY 60] minimum time between mail checks violation", Answer.BUSY),
    (b"-ERR [SYS/PERM] POP3 is switched off for you", Answer.NOT_POSSIBLE),
    (b"-ERR your account has been suspended", Answer.NOT_POSSIBLE),
    (b"-ERR [AUTH] account locked", Answer.WRONG),
    (b"-ERR [AUTH] wrong password, 2 attempts remaining", Answer.WRONG),
    ("-ERR 密码错误，还可以尝试3次".encode("gb18030"), Answer.WRONG),
    (b"-ERR wrong password " + PASSWORD, Answer.WRONG),
)


class Attempts(ProbeCase):
    def quirky(self, habits: Habits, **behaviour: Any) -> QuirkyServer:
        server: QuirkyServer = self.listening(QuirkyServer(BOX, Behaviour(password=PASSWORD, **behaviour), habits))
        return server

    @from_coroutine
    async def test_one_where_the_configured_form_is_right(self) -> None:
        server = self.serve()
        found = await self.probed()
        self.assertEqual((found.trouble, server.passwords, server.connections), ("", 1, 1))
        self.assertEqual(
            [(each.login, each.answer) for each in found.attempts], [(LoginForm("local", "li"), "accepted")]
        )
        self.assertEqual(changes(self.settings().domains["123.com"], found), [])

    @from_coroutine
    async def test_two_where_the_other_form_is(self) -> None:
        server = self.quirky(Habits(names=frozenset({FULL})))
        found = await self.probed()
        self.assertEqual((found.trouble, server.passwords, server.connections), ("", 2, 2))
        self.assertEqual([each.answer for each in found.attempts], [Answer.WRONG, Answer.ACCEPTED])
        (change,) = changes(self.settings().domains["123.com"], found)
        self.assertEqual((change.key, change.was, change.value), ("login", "local", "full"))

    @from_coroutine
    async def test_full_is_configured_and_local_is_right(self) -> None:
        server = self.quirky(Habits(names=frozenset({b"li"})))
        found = await self.probed('tls = "none"\nlogin = "full"')
        self.assertEqual([each.login.user for each in found.attempts], ["li@123.com", "li"])
        self.assertEqual((found.trouble, server.passwords), ("", 2))

    @from_coroutine
    async def test_a_wrong_password_is_sent_twice_and_never_again(self) -> None:
        server = self.serve()
        found = await self.probed(password=b"mistyped")
        self.assertEqual((server.passwords, server.connections, found.mailbox), (2, 2, None))
        self.assertIn("neither as li nor as li@123.com", found.trouble)
        self.assertNotIn("mistyped", repr(found))

    @from_coroutine
    async def test_whatever_else_it_answers_ends_it(self) -> None:
        server = self.serve()
        for number, (line, answer) in enumerate(ONE_ANSWER, 1):
            server.behaviour.login_refusal = line
            found = await self.probed(lock=True)
            self.assertEqual([each.answer for each in found.attempts], [answer], line)
            self.assertEqual(server.passwords, number, line)
            self.assertTrue(found.trouble)

    @from_coroutine
    async def test_whatever_breaks_off_ends_it(self) -> None:
        server = self.serve()
        for way, command in BROKEN_AT:
            for name in ("hang_up_at", "silent_at"):
                setattr(server.behaviour, name, frozenset({command} if name == way else ()))
            found = await self.probed(timeout=0.1)
            self.assertEqual([each.answer for each in found.attempts], [Answer.BROKEN], (way, command))
        self.assertEqual(server.passwords, 2)  # the third hung up at USER
        self.assertEqual(server.asked(b"USER"), 3)

    @from_coroutine
    async def test_apop_is_not_tried_besides(self) -> None:
        server = self.serve(apop="refused")
        found = await self.probed()
        self.assertEqual((found.trouble, server.asked(b"APOP"), server.passwords), ("", 0, 1))

    @from_coroutine
    async def test_sasl_plain_is_one(self) -> None:
        server = self.serve(capabilities=(b"SASL PLAIN", b"UIDL", b"TOP"))
        found = await self.probed()
        self.assertEqual((found.trouble, server.asked(b"AUTH"), server.passwords), ("", 1, 1))

    @from_coroutine
    async def test_a_name_of_its_own_is_tried_alone(self) -> None:
        server = self.quirky(Habits(names=frozenset({b"u00317"})))
        found = await self.probed(own_login="u00317")
        self.assertEqual((found.trouble, server.passwords), ("", 1))
        found = await self.probed(own_login="u00318")
        self.assertEqual(server.passwords, 2)
        self.assertIn("is not taken, as u00318", found.trouble)
        self.assertEqual(changes(self.settings().domains["123.com"], found), [])

    @from_coroutine
    async def test_the_second_is_spent_on_the_lock_if_it_is_asked_for(self) -> None:
        server = self.quirky(Habits(one_session=b"-ERR [IN-USE] maildrop locked"))
        found = await self.probed()
        assert found.maildrop is not None
        self.assertEqual((server.passwords, found.maildrop.lock), (1, Lock.NOT_TRIED))
        found = await self.probed(lock=True)
        assert found.maildrop is not None
        self.assertEqual((server.passwords, found.maildrop.lock), (3, Lock.ONE_SESSION))
        self.assertEqual((found.trouble, found.maildrop.lock_words), ("", "[IN-USE] maildrop locked"))
        server.habits.one_session = b""
        found = await self.probed(lock=True)
        assert found.maildrop is not None
        self.assertEqual((server.passwords, found.maildrop.lock), (5, Lock.SHARED))

    @from_coroutine
    async def test_where_both_are_used_up_the_lock_is_not_tried(self) -> None:
        server = self.quirky(Habits(names=frozenset({FULL}), one_session=b"-ERR [IN-USE] locked"))
        found = await self.probed(lock=True)
        assert found.maildrop is not None
        self.assertEqual((server.passwords, found.maildrop.lock, found.trouble), (2, Lock.NOT_TRIED, ""))
        self.assertIn("both logins were needed", found.remarks[-1])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("local", ["li", "li@123.com"]),
        ("full", ["li@123.com", "li"]),
        ("{local}%{domain}", ["li%123.com", "li@123.com"]),
        ("{local}@{domain}", ["li@123.com"]),
    ],
)
def test_the_forms(form: str, expected: list[str]) -> None:
    settings = config.parse(CONFIG.format(port=110, more=f'login = "{form}"').encode())
    assert [each.user for each in forms(settings.domains["123.com"], Name("li", "123.com"))] == expected


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("authorization failed", True),
        ("[AUTH] Authentication failed.", True),
        ("invalid user name or password, please try again", True),
        ("Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited", False),
        ("密码错误", True),
        ("[AUTH] login failed, account will be locked", False),
        ("access denied", False),
        ("wrong; 3 tries left", False),
        ("您的帐号已被冻结", False),
        ("请稍后再试", False),
        ("(its words are not repeated here)", False),
    ],
)
def test_what_is_plainly_wrong(words: str, plain: bool) -> None:
    assert plainly_wrong(LoginRejected(f"the legacy server refused the login: {words}")) is plain


def test_what_is_no_refusal_of_a_password_is_never_plain() -> None:
    for error in (LegacyBusy("wrong"), LoginNotPossible("wrong"), LegacyUnreachable("wrong")):
        assert not plainly_wrong(error)
