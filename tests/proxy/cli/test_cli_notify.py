"""`mailferry notify`: what it shows, writes and sends, and what it remembers of that."""

from __future__ import annotations

import base64
import email.policy
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from pathlib import Path

import pytest
from click.testing import Result

from mailstore.database import AccountsDatabase
from proxy.admin.noticing import sending
from tests.legacy.certificates import Authority
from tests.proxy.admin.relay import Relay
from tests.proxy.cli.command import mailferry
from tests.proxy.cli.noticing import DAY, Company

ROOT = Path(__file__).parents[3]


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(sending, "RECONNECTS", (0.0, 0.0, 0.0))


def sent(result: Result) -> dict[str, object]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


# What would be sent


def test_without_more_it_says_what_would_be_sent_to_how_many(company: Company) -> None:
    result = company.notify("--date", "2030-12-05 20:00")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "notice for 123.com, in Chinese and English"
    assert "  date       Thursday, 5 December 2030, 20:00" in lines
    assert "  changes    server names" in lines
    assert "  from       IT 服务台 <it@123.com>" in lines
    assert "  to send    3" in lines
    assert lines[-1].startswith("nothing was sent: --preview shows it")


def test_the_preview_is_complete_in_both_languages(company: Company) -> None:
    text = company.notify("--preview", "li", "--date", "2030-12-05").stdout
    head, _, body = text.partition("\n\n")
    assert "To: 李伟 <li@123.com>" in head
    assert (
        "Subject: 您的邮箱将于2030年12月5日（星期四）迁移到新的邮件服务器 / Your mail moves to a new server on" in head
    )
    for words in ("李伟，您好！", "mail.123.com，端口 993，加密方式 SSL/TLS", "https://mail.123.com:8443/", "不要修改"):
        assert words in body
    for words in ("Dear 李伟,", "port 110, encryption STARTTLS", "port 587, encryption STARTTLS", "IMAP or POP3"):
        assert words in body
    assert body.count("the IT help desk, telephone 8001") == 2
    assert "{" not in body
    assert all(len(line) <= 80 for line in body.splitlines())


def test_where_names_stay_nothing_changes(company: Company) -> None:
    arguments = ("--preview", "--language", "en", "--date", DAY)
    assert "Nothing that you would have to set." in company.notify(*arguments, "--same-names").stdout
    assert "port 993" not in company.notify(*arguments, "--same-names").stdout
    company.configure("", ("pop.old.123.com", "mail.123.com"))
    assert "Nothing that you would have to set." in company.notify(*arguments).stdout
    assert "port 993" in company.notify(*arguments, "--new-names").stdout


def test_the_text_knows_how_a_first_login_goes_and_who_must_change_the_user_name(company: Company) -> None:
    arguments = ("--preview", "--language", "en", "--date", DAY, "--same-names")
    assert "If it gives up" in company.notify(*arguments).stdout
    more = '[domain."456.com"]\ncontact = "x"\n[domain."456.com".legacy]\nhost = "a"\n[domain."123.com"]\ncontact'
    company.configure(
        "", ("[notices]", '[migration]\nlogin = "serve"\n[notices]'), ('[domain."123.com"]\ncontact', more)
    )
    text = company.notify(*arguments).stdout
    assert "If it gives up" not in text
    assert "the user name in your mail program: from then on it is your whole address" in text


def test_reminders_are_for_those_who_have_not_logged_in(company: Company) -> None:
    company.add("li", last_login=1_700_000_000)
    company.add("wang", state="final")
    found = json.loads(company.notify("--reminder", "--json").stdout)
    assert (found["kind"], found["users"], found["to_send"]) == ("reminder", 1, 1)
    text = company.notify("--reminder", "--preview", "--date", "2030-12-05").stdout
    assert "Please do so before Thursday, 5 December 2030" in text
    assert "请务必在2030年12月5日（星期四）之前登录" in text
    company.add("anna", refreshed=1_700_000_000)
    text = company.notify("--reminder", "--preview", "anna").stdout
    assert "your old mail is there already" in text
    assert "您的旧邮件已经迁移到新服务器上" in text
    company.add("anna", last_login=1_700_000_000)
    result = company.notify("--reminder", "--preview")
    assert "nobody of 123.com is to be told anything: all have logged in" in result.stderr


def test_a_department_has_those_below_it_and_not_those_that_sound_like_it(company: Company) -> None:
    def users(*arguments: str) -> int:
        found = json.loads(company.notify("--json", *arguments).stdout)["users"]
        assert isinstance(found, int)
        return found

    assert users("--department", "Sales") == 2
    assert users("--department", "/Sales/North/") == 1
    assert users("--department", "Sal%") == 0
    assert users("--to", "li", "--to", "wang@123.com") == 2
    assert users("--to", "anna", "--department", "Salesroom") == 0


# Files


def test_files_are_whole_mails_that_can_be_read_as_they_are(company: Company, tmp_path: Path) -> None:
    company.add("o'brien$x")
    result = company.notify("--write", str(tmp_path / "out"), "--date", DAY)
    assert (result.exit_code, result.stderr) == (0, "")
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["anna@123.com.eml", "li@123.com.eml", "o'brien%24x@123.com.eml", "wang@123.com.eml"]
    assert "您好".encode() in files["li@123.com.eml"]
    message = message_from_bytes(files["li@123.com.eml"], policy=email.policy.default)
    assert message["To"] == "李伟 <li@123.com>"
    assert message["Content-Language"] == "zh, en"
    assert json.loads(company.notify("--json").stdout)["had_it"] == 0
    again = company.notify("--write", str(tmp_path / "out"), "--date", DAY)
    assert (again.exit_code, "name a new directory" in again.stderr) == (1, True)


def test_no_half_of_the_files_is_left(company: Company, tmp_path: Path) -> None:
    result = company.notify("--write", str(tmp_path / "no" / "such"), "--date", DAY)
    assert (result.exit_code, result.stderr.startswith("mailferry: ")) == (1, True)
    assert "No such file or directory" in result.stderr
    assert not (tmp_path / "no").exists()


# Sending


def test_each_is_sent_once_over_one_connection(company: Company, relay: Relay) -> None:
    result = company.send(relay)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-4:] == [
        "anna@123.com  sent",
        "li@123.com  sent",
        "wang@123.com  sent",
        "3 sent, 0 refused, 0 not known, 0 not sent",
    ]
    assert relay.recipients == ["anna@123.com", "li@123.com", "wang@123.com"]
    assert {(one.connection, one.sender) for one in relay.taken} == {(1, "it@123.com")}
    again = company.send(relay, "--json")
    assert (sent(again)["to_send"], sent(again)["had_it"], len(relay.taken)) == (0, 3, 3)
    assert company.send(relay, "--again", "--to", "li").exit_code == 0
    assert relay.recipients[3:] == ["li@123.com"]


def test_what_is_sent_is_a_mail_as_it_should_be(company: Company, relay: Relay) -> None:
    company.send(relay)
    anna, li, wang = relay.taken
    message = li.message
    assert (message["From"], message["To"]) == ("IT 服务台 <it@123.com>", "李伟 <li@123.com>")
    assert anna.message["To"] == "Anna Müller <anna@123.com>"
    assert wang.message["To"] == "wang@123.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "zh, en"
    assert message["Date"].datetime.tzinfo is not None
    assert message["Message-ID"].endswith("@mail.123.com>")
    assert len({one.message["Message-ID"] for one in relay.taken}) == 3
    assert message.get_content_type() == "text/plain"
    assert "您好" in message.get_content()
    assert "Dear 李伟" in message.get_content()
    assert li.octets.isascii()
    assert max(map(len, li.octets.split(b"\r\n"))) <= 998
    assert b"\n" not in li.octets.replace(b"\r\n", b"")


def test_one_language_alone(company: Company, relay: Relay) -> None:
    company.send(relay, "--language", "en", "--to", "anna")
    message = relay.taken[0].message
    assert message["Content-Language"] == "en"
    assert "Dear Anna Müller" in message.get_content()
    assert "您好" not in message.get_content()


def test_a_line_that_is_a_dot_arrives_as_one(company: Company, relay: Relay, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "notice.en.txt").write_text("Subject: x\n\n.\n..a\nend\n")
    company.configure(f'templates = "{own}"')
    company.send(relay, "--language", "en", "--to", "anna")
    assert relay.taken[0].message.get_content().splitlines() == [".", "..a", "end"]


def test_addresses_beyond_ascii(company: Company, relay: Relay) -> None:
    company.configure("", ('"123.com"', '"例子.com"'))
    company.add("用户", "例子.com")
    company.add("li", "例子.com")
    arguments = ("notify", "例子.com", "--send", "--yes", "--date", DAY, "--config", str(company.file), "--relay")
    assert mailferry(*arguments, relay.address).exit_code == 0
    assert relay.recipients == ["li@xn--fsqu00a.com", "用户@xn--fsqu00a.com"]
    assert [one.parameters for one in relay.taken] == ["", "SMTPUTF8 BODY=8BITMIME"]
    assert "用户@xn--fsqu00a.com".encode() in relay.taken[1].octets
    with Relay(extensions=()) as plain:
        result = mailferry(*arguments, plain.address, "--again")
        assert (result.exit_code, plain.recipients) == (1, ["li@xn--fsqu00a.com"])
        assert "it has no SMTPUTF8" in result.stdout


@pytest.mark.usefixtures("impatient")
def test_refusals_are_each_users_own_and_tried_again_by_the_next_run(company: Company, relay: Relay) -> None:
    relay.say("li@123.com", "550 5.1.1 no such user")
    result = company.send(relay)
    assert result.exit_code == 1
    assert "li@123.com  refused  550 5.1.1 no such user" in result.stdout
    assert "2 sent, 1 refused, 0 not known, 0 not sent" in result.stdout
    found = json.loads(company.notify("--json").stdout)
    assert found["refused_before"] == [{"account": "li@123.com", "reason": "550 5.1.1 no such user"}]
    assert company.send(relay).exit_code == 0
    assert relay.recipients == ["anna@123.com", "wang@123.com", "li@123.com"]


@pytest.mark.usefixtures("impatient")
def test_for_now_is_tried_again_after_the_others(company: Company, relay: Relay) -> None:
    relay.say("anna@123.com", "451 4.7.1 come back later")
    relay.say(".", "250 taken", "452 4.3.1 full")
    result = company.send(relay)
    assert (result.exit_code, result.stderr) == (0, "")
    assert relay.recipients == ["li@123.com", "anna@123.com", "wang@123.com"]
    assert "anna@123.com  refused for now, tried again  451 4.7.1 come back later" in result.stdout
    relay.say("anna@123.com", *["451 later"] * 3)
    found = sent(company.send(relay, "--again", "--to", "anna", "--json"))
    assert (found["refused"], found["troubles"]) == (
        1,
        [{"account": "anna@123.com", "outcome": "refused", "reason": "451 later"}],
    )


@pytest.mark.usefixtures("impatient")
def test_a_relay_that_closes_between_two_messages_is_connected_to_again(company: Company, relay: Relay) -> None:
    relay.say("li@123.com", "drop", "421 4.3.2 closing", "250 ok")
    result = company.send(relay)
    assert (result.exit_code, relay.connections) == (0, 3)
    assert relay.recipients == ["anna@123.com", "li@123.com", "wang@123.com"]


@pytest.mark.usefixtures("impatient")
def test_a_relay_that_dies_for_good_ends_it_and_the_next_run_goes_on(company: Company) -> None:
    with Relay() as relay:
        relay.say("li@123.com", "drop", "drop", "drop", "drop")
        result = company.send(relay)
        assert (result.exit_code, relay.recipients) == (1, ["anna@123.com"])
        assert "what was sent is recorded: run it again for the others" in result.stderr
        assert "1 sent, 0 refused, 0 not known, 2 not sent" in result.stdout
        assert company.send(relay).exit_code == 0
        assert relay.recipients == ["anna@123.com", "li@123.com", "wang@123.com"]


@pytest.mark.usefixtures("impatient")
def test_lost_after_the_whole_message_is_unknown_and_not_sent_again_by_accident(company: Company, relay: Relay) -> None:
    relay.say(".", "250 taken", "drop")
    result = company.send(relay)
    assert result.exit_code == 1
    assert "li@123.com  not known  the relay had the whole message and did not answer" in result.stdout
    found = json.loads(company.notify("--json").stdout)
    assert (found["to_send"], found["had_it"], found["not_known"]) == (0, 2, ["li@123.com"])
    assert "1 not known whether they had it: ask them, or --again:\n    li@123.com" in company.notify().stdout
    company.send(relay)
    assert relay.recipients == ["anna@123.com", "wang@123.com"]
    company.send(relay, "--again", "--to", "li")
    assert relay.recipients[2:] == ["li@123.com"]


def test_killed_in_the_middle_it_loses_and_doubles_nothing(company: Company, relay: Relay) -> None:
    relay.say(".", "250 taken", "hold")
    command = [sys.executable, "-m", "proxy.cli.main", "notify", "123.com", "--send", "--yes", "--date", DAY]
    command += ["--relay", relay.address, "--config", str(company.file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC"}) as process:
        assert relay.held.wait(60)
        process.kill()
    relay.go.set()
    result = company.send(relay)
    assert "    li@123.com" in result.stdout
    assert relay.recipients == ["anna@123.com", "wang@123.com"]
    assert json.loads(company.notify("--json").stdout)["not_known"] == ["li@123.com"]


def test_a_signal_ends_it_after_the_message_that_is_under_way(company: Company, relay: Relay) -> None:
    company.configure("", ("rate = 100000", "rate = 1"))
    command = [sys.executable, "-m", "proxy.cli.main", "notify", "123.com", "--send", "--yes", "--date", DAY]
    command += ["--relay", relay.address, "--config", str(company.file)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TZ": "UTC"}
    ) as process:
        assert process.stdout is not None
        while "anna@123.com  sent" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, relay.recipients) == (1, ["anna@123.com"])
    assert "1 sent, 0 refused, 0 not known, 2 not sent" in out
    assert "told to stop" in err


def test_two_runs_at_once_send_each_message_once(
    company: Company, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def other_run(_self: object, *_arguments: object) -> None:
        if not begun:
            begun.append(company.send(relay, "--again"))

    monkeypatch.setattr(sending.Sending, "_pace", other_run)
    assert company.send(relay, "--again").exit_code == 0
    assert sorted(relay.recipients) == ["anna@123.com", "li@123.com", "wang@123.com"]


def test_since_makes_room_for_the_next_reminder(company: Company, relay: Relay) -> None:
    arguments = ("--reminder", "--send", "--yes", "--json")
    assert sent(company.notify(*arguments, relay=relay))["sent"] == 3
    assert sent(company.notify(*arguments, "--since", "7d", relay=relay))["sent"] == 0
    assert "  had it     3 (--since 7d: once more to those who had it longer ago" in company.notify("--reminder").stdout
    database = AccountsDatabase(company.root / "state" / "accounts.db")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE notices SET begun = begun - 8 * 86400")
    database.close()
    assert sent(company.notify(*arguments, "--since", "7d", relay=relay))["sent"] == 3
    assert sent(company.notify(*arguments, "--since", "7d", relay=relay))["sent"] == 0
    assert "--since" in company.notify("--since", "week").stderr


# The way to the relay


@pytest.mark.usefixtures("impatient")
def test_a_relay_that_cannot_be_used_says_why(company: Company, relay: Relay, tmp_path: Path) -> None:
    relay.say("MAIL", "553 5.7.1 not your sender")
    result = company.send(relay)
    assert (result.exit_code, relay.taken) == (1, [])
    assert "the relay refuses the sender it@123.com: 553 5.7.1 not your sender" in result.stderr
    relay.greeting = "554 go away"
    assert "554 go away" in company.send(relay).stderr
    relay.close()
    assert "Connection refused" in company.send(relay).stderr
    assert json.loads(company.notify("--json").stdout)["not_known"] == []


@pytest.mark.usefixtures("impatient")
def test_a_relay_that_refuses_everybody_is_not_asked_for_all(company: Company, relay: Relay) -> None:
    for number in range(30):
        company.add(f"user{number:02}")
        relay.say(f"user{number:02}@123.com", "554 5.7.1 relay access denied")
    company.add("anna", state="final")
    company.add("li", state="final")
    result = company.send(relay)
    assert "the relay has taken no message yet; its last words: 554 5.7.1 relay access denied" in result.stderr
    assert "0 sent, 10 refused, 0 not known, 21 not sent" in result.stdout


def test_tls_and_a_login(company: Company, tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("localhost", "127.0.0.1").write(tmp_path, "relay")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secret = tmp_path / "relay-password"
    secret.write_text("s3cret\n")
    login = f'user = "bot"\npassword_file = "{secret}"\n'
    injected = "250-evil\r\n250 SIZE 1\r\n235 welcome\r\n250 ok\r\n550 nobody wants this"  # none of it is an answer
    with Relay(tls=context, login=("bot", "s3cret"), injects=injected) as relay:
        secret.chmod(0o644)
        company.configure(f'{login}tls = "starttls"')
        assert "may be read by others: give it mode 0600" in company.send(relay).stderr
        secret.chmod(0o600)
        assert "its certificate is not right" in company.send(relay).stderr
        company.configure(f'{login}tls = "starttls"\nca = "{authority.write(tmp_path)}"')
        assert company.send(relay).exit_code == 0
        assert {one.encrypted for one in relay.taken} == {True}
        relay.login = ("bot", "another")
        result = company.send(relay, "--again")
        assert "does not take the login of bot: 535 no" in result.stderr
        assert "s3cret" not in result.output
    with Relay() as plain:
        company.configure('tls = "starttls"')
        assert "offers no STARTTLS" in company.send(plain, "--again").stderr
    with Relay(tls=context) as opportune:
        company.configure()
        company.send(opportune, "--again")
        assert {one.encrypted for one in opportune.taken} == {True}


# What is wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Subject: x\n\nDear {{ usr.name }}", "line 3: 'usr' is undefined; there are contact, date, domain"),
        ("Subject: x\n\n{{ user.nmae }}", "line 3: "),
        ("Subject: x\n\n{% if %}", "line 3: "),
        ("Subject: x\n\n{{ 1 / 0 }}", "line 3: division by zero"),
        ("Dear you\n\nx", "line 1: must be the subject"),
        ("Subject:\n\nx", "line 1: must be the subject"),
        ("Subject: x\n\n", "there is no text below the subject"),
        ("Subject: x\n\n{% include 'other.txt' %}", "other.txt"),
        ("Subject: x\n\n{{ user.__class__.__mro__ }}", "line 3: "),
    ],
)
def test_a_template_that_is_wrong_is_told_with_its_line_and_nothing_is_sent(
    company: Company, relay: Relay, tmp_path: Path, text: str, words: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    file = own / "notice.en.txt"
    file.write_text(text)
    company.configure(f'templates = "{own}"')
    result = company.send(relay)
    assert (result.exit_code, relay.taken) == (1, [])
    assert str(file) in result.stderr
    assert words in result.stderr


def test_one_user_for_whom_a_template_fails_is_enough(company: Company, relay: Relay, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "notice.zh.txt").write_text("Subject: x\n\n{{ user.name[0].upper() }}")
    company.configure(f'templates = "{own}"')
    result = company.send(relay)
    assert (result.exit_code, relay.taken) == (1, [])
    assert "nothing was sent or written" in result.stderr
    (own / "notice.zh.txt").write_bytes(b"Subject: \xff\n\nx")
    assert "is not UTF-8 text" in company.send(relay).stderr
    company.configure(f'templates = "{own}/none"')
    assert "there is no such directory" in company.send(relay).stderr


def test_markup_and_line_ends_in_a_name_are_text(company: Company, relay: Relay) -> None:
    company.add("anna", full_name="{{ 7*7 }}\r\nBcc: eve@evil.example\x1b[2J")
    assert "\x1b" not in company.notify("--preview", "anna", "--date", DAY).stdout
    company.send(relay, "--to", "anna")
    (taken,) = relay.taken
    assert taken.message["Bcc"] is None
    assert "{{ 7*7 }} Bcc: eve@evil.example" in taken.message.get_content()
    assert taken.recipient == "anna@123.com"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--send", "--yes"), 2, "--date: say when the mail moves"),
        (("--send", "--date", DAY), 2, "--yes says that it is to be sent"),
        (("--send", "--yes", "--preview", "li", "--date", DAY), 2, "give one of them"),
        (("--preview", "--date", "5.12.2030"), 2, "write it as 2026-12-05"),
        (("--preview", "--date", "2020-01-01"), 2, "2020-01-01 is over"),
        (("--to", "nobody", "--to", "x@456.com"), 1, "nobody@123.com is not known here"),
        (("--relay", "smtp.123.com"), 2, "write name and port"),
        (("--language", "fr"), 2, "fr"),
    ],
)
def test_what_makes_no_sense(company: Company, arguments: tuple[str, ...], status: int, words: str) -> None:
    result = company.notify(*arguments)
    assert (result.exit_code, words in result.stderr) == (status, True)


def test_what_the_configuration_lacks_is_told(company: Company, relay: Relay) -> None:
    company.configure("", ('contact = "the IT help desk, telephone 8001"\n', ""))
    assert 'add contact = "IT help desk, it@123.com, telephone …" to [domain."123.com"]' in company.send(relay).stderr
    company.configure("", ('sender = "IT 服务台 <it@123.com>"\n', ""))
    assert "it is not said whom notices are from" in company.send(relay).stderr
    assert relay.connections == 0
    result = mailferry("notify", "124.com", "--config", str(company.file))
    assert 'did you mean "123.com"?' in result.stderr
    assert "name the DOMAIN" in mailferry("notify", "--config", str(company.file)).stderr
    assert "Dear" in mailferry("notify", "--date", DAY, "--config", str(company.file), "--preview", "123.com").stdout


def test_the_encoding_of_chinese_is_base64_of_utf_8(company: Company, relay: Relay) -> None:
    company.send(relay, "--language", "zh", "--to", "li")
    (taken,) = relay.taken
    head, _, body = taken.octets.partition(b"\r\n\r\n")
    assert b"Content-Transfer-Encoding: base64" in head
    assert "李伟，您好！" in base64.b64decode(body).decode()


def on_a_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """The command's status, and all that it shows to somebody who answers its question."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))  # a usual window
    command = [sys.executable, "-m", "proxy.cli.main", *arguments]
    shown = b""
    with subprocess.Popen(command, cwd=ROOT, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        os.write(main, f"{answer}\n".encode())
        with suppress(OSError):  # EIO: it has ended
            while part := os.read(main, 4096):
                shown += part
    os.close(main)
    return process.returncode, shown.decode()


def test_a_terminal_is_asked(company: Company, relay: Relay) -> None:
    arguments = ("notify", "123.com", "--send", "--date", DAY, "--relay", relay.address, "--config", str(company.file))
    status, shown = on_a_terminal("n", *arguments)
    assert (status, relay.connections) == (1, 0)
    assert "Send it to 3 users of 123.com? [y/N]" in shown
    status, shown = on_a_terminal("y", *arguments)
    assert (status, len(relay.taken)) == (0, 3)
    assert "3 sent, 0 refused, 0 not known, 0 not sent" in shown
