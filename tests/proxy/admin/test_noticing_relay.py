"""How notices reach a relay that behaves badly: what is told, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.notices import Choice, Notices, Standing
from proxy.admin.noticing import sending
from proxy.admin.noticing.facts import When, facts
from proxy.admin.noticing.relay import Refused, Relay, Unreachable, Unusable
from proxy.admin.noticing.sending import Counts, Sending
from proxy.admin.noticing.texts import Texts
from proxy.config import Config
from tests.proxy.admin import relay as peers
from tests.proxy.config.examples import accepted, changed

DAY = When(date(2030, 12, 5))


@dataclass
class Told:
    """Keeps what it is told; time passes at once."""

    lines: list[str] = field(default_factory=list)

    def sent(self, account: Account) -> None:
        self.lines.append(f"{account.local} sent")

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        self.lines.append(f"{account.local} {'later' if later else 'refused'} {words}")

    def unknown(self, account: Account, words: str) -> None:
        self.lines.append(f"{account.local} unknown {words}")

    def waits(self, seconds: float, why: str) -> None:
        self.lines.append(f"waits {seconds:.0f} {why}")

    def now(self) -> datetime:
        return datetime(2030, 12, 1, 8, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def wait(self, seconds: float) -> bool:
        return True


class Rig:
    def __init__(self, root: Path, relay: peers.Relay) -> None:
        self.relay = relay
        self.database = AccountsDatabase(root / "accounts.db")
        self.notices = Notices(self.database)
        self.told = Told()

    def config(self, more: str = "", sender: str = "it@123.com") -> Config:
        notices = f'[notices]\nsender = "{sender}"\nrelay = "{self.relay.address}"\nrate = 100000\n{more}'
        return accepted(changed(('accounts = "open"', 'contact = "IT"')) + notices)

    def send(self, *locals_: str, config: Config | None = None) -> Counts:
        accounts = [Accounts(self.database).add(local, "123.com") for local in locals_]
        config = config or self.config()
        said = facts(config, config.domains["123.com"], DAY, same_names=None)
        texts = Texts("notice", ("en",), None)
        relay = Relay(config.notices, config.hostname)
        run = Sending(config, "notice", said, texts, self.notices, relay, told=self.told, waiting=self.told)
        return run.run(accounts, self.notices.mark())

    def standings(self) -> dict[str, Standing]:
        found = self.notices.recipients(Choice("123.com"), "notice")
        return {one.account.local: one.standing for one in found}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with peers.Relay() as relay:
        made = Rig(tmp_path, relay)
        yield made
        made.database.close()


def test_a_relay_that_answers_no_message_is_not_handed_all_of_them(rig: Rig) -> None:
    rig.relay.say(".", *["drop"] * 10)
    counts = rig.send(*(f"u{n}" for n in range(6)))
    assert (counts.unknown, counts.left) == (3, 3)
    assert "3 messages in a row had no answer, the last: the relay had the whole message" in counts.stopped
    assert list(rig.standings().values()) == [Standing.UNKNOWN] * 3 + [Standing.NONE] * 3


def test_one_answer_between_those_that_are_missing_lets_it_go_on(rig: Rig) -> None:
    rig.relay.say(".", "drop", "drop", "250 ok", "drop", "550 no", "drop")
    counts = rig.send(*(f"u{n}" for n in range(7)))
    assert (counts.unknown, counts.sent, counts.refused, counts.stopped) == (4, 2, 1, "")


def test_an_answer_without_meaning_is_no_refusal(rig: Rig) -> None:
    rig.relay.say(".", "nonsense", "252 taken, in a way", "250 ok")
    counts = rig.send("a", "b")
    assert (counts.unknown, counts.sent) == (1, 1)
    assert "a unknown the relay had the whole message and gave no answer that means anything" in rig.told.lines[0]
    assert rig.standings() == {"a": Standing.UNKNOWN, "b": Standing.SENT}


def test_a_relay_that_takes_nothing_for_a_while_is_left_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IN_A_ROW", 3)
    for n in range(1, 20):
        rig.relay.say(f"u{n:02}@123.com", "450 4.7.1 too many")
    counts = rig.send(*(f"u{n:02}" for n in range(20)))
    assert (counts.sent, counts.refused, counts.left) == (1, 0, 19)
    assert counts.stopped == "the relay takes nothing just now; its last words: 450 4.7.1 too many"
    assert [line for line in rig.told.lines if line.startswith("waits")] == [
        "waits 300 3 in a row were refused for now"
    ]
    assert list(rig.standings().values()).count(Standing.REFUSED) == 6  # tried again by the next run
    rig.relay.answers.clear()
    assert (rig.send(*(f"u{n:02}" for n in range(1, 20))).sent, len(set(rig.relay.recipients))) == (19, 20)


def test_a_relay_that_has_rested_goes_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IN_A_ROW", 3)
    for n in range(1, 5):
        rig.relay.say(f"u{n}@123.com", "450 4.7.1 too many")
    counts = rig.send(*(f"u{n}" for n in range(9)))
    assert (counts.sent, counts.stopped) == (9, "")


def test_odd_local_parts_are_quoted(rig: Rig) -> None:
    assert rig.send("o'brien", "a..b", "x+tag").sent == 3
    assert rig.relay.recipients == ["o'brien@123.com", '"a..b"@123.com', "x+tag@123.com"]
    for one in rig.relay.taken:
        assert f"\r\nTo: {one.recipient}\r\n".encode() in one.octets


def test_a_sender_beyond_ascii_needs_a_relay_that_takes_it(rig: Rig) -> None:
    config = rig.config(sender="服务台 <服务@123.com>")
    assert rig.send("a", config=config).sent == 1
    rig.relay.extensions = ()
    counts = rig.send("b", config=config)
    assert "and notices.sender is one: 服务@123.com" in counts.stopped and counts.left == 1


def test_the_mail_as_it_goes_over_the_wire(rig: Rig) -> None:
    rig.send("a")
    (taken,) = rig.relay.taken
    head = taken.octets.partition(b"\r\n\r\n")[0].decode()
    found = message_from_bytes(taken.octets, policy=policy.default)
    assert "Date: Sun, 01 Dec 2030 08:00:00 +0000" in head.splitlines()
    assert (found["Auto-Submitted"], found["X-Auto-Response-Suppress"]) == ("auto-generated", "OOF, AutoReply")
    assert (found["Content-Type"], found["Content-Transfer-Encoding"]) == (
        'text/plain; charset="utf-8"',
        "quoted-printable",
    )
    assert found["Message-ID"].endswith("@mail.123.com>")
    assert max(map(len, taken.octets.split(b"\r\n"))) <= 78


# Without a message


def test_trying_a_relay_out_sends_nothing(rig: Rig) -> None:
    config = rig.config()
    relay = Relay(config.notices, config.hostname)
    assert relay.try_out("it@123.com") is False
    relay.close()
    assert (rig.relay.connections, rig.relay.taken) == (1, [])
    rig.relay.say("MAIL", "553 not yours", "451 later", "drop")
    for expected in (Unusable, Refused):
        with pytest.raises(expected):
            relay.try_out("it@123.com")
    relay.close()
    rig.relay.greeting = "554 go away"
    with pytest.raises(Unreachable, match="554 go away"):
        Relay(config.notices, config.hostname).try_out("it@123.com")


def test_a_ca_file_that_is_none(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name, words in (("ca.pem", "holds no certificate"), ("none.pem", "No such file")):
        config = rig.config(f'tls = "implicit"\nca = "{tmp_path}/{name}"\n')
        with pytest.raises(Unusable, match=f"{name}.*{words}.*notices.ca"):
            Relay(config.notices, config.hostname).try_out("it@123.com")


def test_a_password_beyond_ascii_is_told_without_it(rig: Rig, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("密码-s3cret")
    secret.chmod(0o600)
    rig.relay.login = ("bot", "x")
    config = rig.config(f'user = "bot"\npassword_file = "{secret}"\n')
    with pytest.raises(Unusable, match="must be in ASCII") as raised:
        Relay(config.notices, config.hostname).try_out("it@123.com")
    assert "s3cret" not in str(raised.value)
