"""README's runbook from top to bottom: an administrator moves a company away from a real Dovecot, and real name servers
lead its users."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from proxy.cli.demo_clients import Refused, differences
from tests.dialogues.fixtures import letter
from tests.legacy.certificates import fingerprint_of
from tests.legacy.dovecot import free_port
from tests.peers.ground import reachable
from tests.peers.mailboxes import write_letters
from tests.peers.needs import needed
from tests.peers.whole_move import Move

pytestmark = pytest.mark.peers

DAY = (date.today() + timedelta(days=9)).isoformat()
USUAL = {"pop3": 110, "pop3s": 995, "imap": 143, "imaps": 993, "web": 443}
# What users are called at the old server, their passwords, and how many messages they have there.
OLD = {
    "test@123.com": ("Test-1", 12),
    "zhang@123.com": ("Zhang-1", 9),
    "na.li": ("Li-1", 8),
    "wang@123.com": ("Wang-1", 7),
    "zhao@123.com": ("Zhao-1", 6),
    "chen@123.com": ("Chen-1", 5),
}
LOCALS = {"na.li": "li"}  # who is called otherwise here
STAFF = """\
员工邮箱一览,,,,,
工号,邮箱,姓名,部门,别名,原登录名
1001,zhang@123.com,张伟,研发部/前端,boss@123.com,
1002,li@123.com,李娜,销售部/华北,,na.li
1003,wang@123.com,王芳,行政部,,
1004,zhao@123.com,赵敏,行政部,,
1005,chen@123.com,陈静,研发部/前端,,
1006,test@123.com,测试,,,
"""


@pytest.fixture
def move() -> Iterator[Move]:
    needed("dovecot"), needed("knotd"), needed("unbound")
    with reachable("runbook") as root, Move(root, {name: password for name, (password, _) in OLD.items()}) as made:
        for name, (_, count) in OLD.items():
            write_letters(made.old, name.partition("@")[0], count)
        yield made


def test_the_runbook(move: Move) -> None:
    files = move.old.files()
    open_the_domain(move)
    import_the_accounts(move)
    tell_the_users(move)
    look_at_dns(move)
    find_and_probe_the_old_server(move)
    prove_it_with_one_account(move)
    move.serve()
    change_dns(move)
    users_log_in(move)
    watch_and_help(move)
    remind_who_is_missing(move)
    finish(move)
    change_ones_mind(move)
    compare_every_byte(move)
    without_the_old_server(move)
    assert files.items() <= move.old.files().items(), "all that was at the old server is there, to the byte"
    assert set(re.findall(r"\bdel=\d+", move.old.log)) == {"del=0"}, "what Dovecot was asked to delete"


def open_the_domain(move: Move) -> None:
    """Step 1."""
    ran = move.run(
        *("init", "--domain", "123.com", "--hostname", "mail.123.com", "--legacy-host", "127.0.0.1"),
        *("--legacy-port", move.old.pop3, "--certificate", move.certificate, "--key", move.key),
        *("--listed", "--contact", "IT, 8001", "--state", move.root / "state"),
    )
    assert ran.lines[0] == f"{move.config} is written, and right as far as it can be seen from here."
    steps = [line.split()[1] for line in ran.lines if line.startswith("  mailferry ")]
    assert steps == ["check", "accounts", "notify", "dns", "probe", "migrate", "verify", "serve"], (
        "in this order, below"
    )
    for name, port in USUAL.items():  # this machine has other servers, and one more address for this one
        move.edit(f'{name} = ["tcp:{port}"]', f'{name} = ["tcp:{free_port()}:interface={move.address}"]')
    move.edit("\n[listen]", f'workers = 1\nresolvers = ["{move.names.resolver.place}"]\n\n[listen]')
    checked = move.run("check", "--json").json["checks"]
    assert {one["result"] for one in checked} == {"ok", "warn"}


def import_the_accounts(move: Move) -> None:
    """Step 2."""
    staff = move.file("staff.csv", STAFF, "gb18030")
    bad = move.file("bad.csv", STAFF.replace("zhao@123.com", "zhao@124.com"), "gb18030")
    ran = move.run("accounts", "import", bad, status=1)
    assert f'{bad}: row 6: "zhao@124.com": "124.com" is not served here, did you mean "123.com"?' in ran.err
    assert ran.err.endswith("mailferry: nothing was changed\n")
    rehearsed = move.run("accounts", "import", staff, "--dry-run", "--expect", 6)
    assert rehearsed.lines[0] == f"{staff}: CSV in GB18030, cells apart by commas"
    assert "new  li@123.com  李娜  销售部/华北  legacy login na.li" in rehearsed.lines
    assert rehearsed.lines[-1] == "6 accounts in the list: 6 new, 0 would change, 0 as they are here"
    assert "not 7: nothing was changed" in move.run("accounts", "import", staff, "--expect", 7, status=1).err
    written = move.run("accounts", "import", staff, "--expect", 6)
    assert "6 accounts in the list: 6 added, 0 changed, 0 as they were" in written.lines
    assert "    前端  2 (0 here)" in move.run("accounts", "tree").lines


def tell_the_users(move: Move) -> None:
    """Step 3."""
    notice = ("notify", "123.com", "--date", DAY)
    assert "[notices]" in move.run(*notice, "--send", "--yes", status=1).err, "says what to add"
    added = f'\n[notices]\nsender = "IT help desk <it@123.com>"\nrelay = "{move.relay.address}"\n'
    move.config.write_text(move.config.read_text() + added)
    preview = move.run(*notice, "--preview", "li@123.com").out
    assert "李娜，您好！" in preview and "IT, 8001" in preview
    assert "6 written to" in move.run(*notice, "--write", move.root / "notices").out
    assert len(list((move.root / "notices").glob("*.eml"))) == 6
    assert move.run(*notice, "--send", "--yes").lines[-1] == "6 sent, 0 refused, 0 not known, 0 not sent"
    assert "  had it     6 (--again sends it once more)" in move.run(*notice, "--send", "--yes").lines
    assert move.relay.recipients == [f"{name}@123.com" for name in ("chen", "li", "test", "wang", "zhang", "zhao")]


def dns(move: Move, *more: object, status: int = 0) -> list[str]:
    arguments = ("--address", move.address, "--authority-port", move.names.addresses.port, *more)
    return move.run("dns", "123.com", *arguments, status=status).lines


def look_at_dns(move: Move) -> None:
    """Step 4: what there is before anything is changed."""
    lines = dns(move, status=1)
    assert "of 12 records are as they should be" in lines[0]
    assert f"mail.123.com  A  not changed  {move.address}" in lines


def find_and_probe_the_old_server(move: Move) -> None:
    """Step 5."""
    at = {53: move.names.addresses.port, 110: move.old.pop3, 995: move.old.pop3s, 143: 1, 993: 1, 443: 1, 80: 1}
    places = [word for usual, port in at.items() for word in ("--at", f"{usual}={port}")]
    found = move.run("discover", "123.com", *places).lines
    assert found[0] == f'123.com: best is POP3 at 127.0.0.1 port {move.old.pop3}, tls = "starttls"'
    assert any(line.startswith(f"  POP3 at pop.123.com port {move.old.pop3s}") for line in found)
    refused = move.run("probe", "test@123.com", "--password-stdin", status=1, say="Test-1")
    line = re.search(r'`(fingerprint = "[^"]+")`', refused.err)
    assert line is not None and fingerprint_of(move.old.certificate) in line[1]
    move.edit('tls = "starttls"', f'tls = "starttls"\n{line[1]}')
    probed = move.run("probe", "test@123.com", "--password-stdin", "--write", say="Test-1")
    assert 'now says login = "full"' in probed.err
    assert any(line.startswith("Mailbox          12 messages") for line in probed.lines)


def prove_it_with_one_account(move: Move) -> None:
    """Step 6."""
    refused = move.run("migrate", "--all", status=1).err
    assert refused.startswith("mailferry: 123.com is not proven")
    move.run("accounts", "passwd", "test@123.com", say="Test-1")
    assert move.run("migrate", "test@123.com").lines[-1] == "1 of 1 accounts are here"
    verified = move.run("verify", "test@123.com").lines
    assert verified[-1] == "123.com is proven with test@123.com: its other accounts may be moved"
    assert "123.com is proven with test@123.com" in move.run("status").out


def change_dns(move: Move) -> None:
    """Step 4 again: the zone is what was printed; caches had the old one for a second."""
    snippet = "\n".join(dns(move, "--zone"))
    assert f"IN A     {move.address}" in snippet
    move.paste(snippet)
    lines = dns(move, "--watch", "--every", 1)
    assert any("all 12 records are as they should be" in line for line in lines)
    assert "all 12 records are as they should be" in dns(move)[0]


def users_log_in(move: Move) -> None:
    """Each by another way, with what was always typed; programs go where DNS sends them."""
    assert len(move.over_imap("boss@123.com", "Zhang-1")) == 9
    assert len(move.over_pop3("na.li", "Li-1")) == 8
    assert "All 7 messages are here" in move.in_the_portal("wang@123.com", "Wang-1", "messages are here")


def watch_and_help(move: Move) -> None:
    """Step 7."""
    move.run("accounts", "passwd", "zhao@123.com", say="Zhao-1")
    lines = move.run("migrate", "--domain", "123.com").lines
    assert any(line.startswith("zhao@123.com  here  messages 6") for line in lines)
    assert move.run("retry", "123.com").lines == ["there is nothing to be moved or tried again"]
    guess = move.run("accounts", "passwd", "zhao@123.com", status=1, say="Zhao-2")
    assert "the old server takes the password that is known here; nothing was changed" in guess.err
    assert move.run("status").lines[0].startswith("123.com  accounts 6  waiting 1  moving 0  moved 5")
    domain = move.run("status", "--json").json["domains"]["123.com"]
    assert (domain["moved"], domain["messages"]) == (5, 42)
    sheet = move.root / "status.csv"
    move.run("status", "--csv", sheet)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["account"]: row["state"] for row in csv.DictReader(file)}
    assert rows == {f"{name}@123.com": "moved" for name in ("li", "test", "wang", "zhang", "zhao")} | {
        "chen@123.com": "waiting"
    }


def remind_who_is_missing(move: Move) -> None:
    """Only those who have not logged in themselves."""
    had = len(move.relay.recipients)
    ran = move.run("notify", "123.com", "--reminder", "--date", DAY, "--send", "--yes")
    assert ran.lines[-1] == "3 sent, 0 refused, 0 not known, 0 not sent"
    assert move.relay.recipients[had:] == ["chen@123.com", "test@123.com", "zhao@123.com"]
    assert any("--since 7d" in line for line in move.run("notify", "123.com", "--reminder").lines), "how to do it again"


def finish(move: Move) -> None:
    """Step 8: refused as long as somebody is missing; what came since is fetched in the last round."""
    verified = move.run("verify", "123.com", status=1).lines
    assert verified[-1].startswith("verdict: not compared  accounts 6  whole 5")
    assert (
        "    chen@123.com  what it has at the old server is not known"
        in move.run("finalize", "123.com", "--dry-run", status=1).lines
    )
    refused = move.run("finalize", "123.com", "--yes", status=1)
    assert "1 account would leave something behind; nothing was made final" in refused.err
    move.run("migrate", "--passwords", move.file("rest.csv", "chen@123.com,Chen-1\n"))
    (move.old.maildir("wang") / "new" / "1900000000.M1P1.old").write_bytes(letter(99))
    move.old.own()
    assert "in both: 6 accounts" in move.run("accounts", "compare", move.root / "staff.csv").lines
    text, spelled = move.root / "report.txt", move.root / "report.json"
    ended = move.run("finalize", "123.com", "--yes", "--report", text, "--report", spelled)
    assert any(
        line.startswith("final, and nothing is left behind: 6 of 6 accounts final; 48 messages") for line in ended.lines
    )
    assert "RESULT           final, and nothing is left behind" in text.read_text().splitlines()
    report = json.loads(spelled.read_text())
    assert (report["totals"]["final"], report["totals"]["left_behind"]) == (6, 0)
    assert {account["account"]: account["messages"] for account in report["accounts"]}["wang@123.com"] == 8


def change_ones_mind(move: Move) -> None:
    """While the old server still stands: one that is asked again brings what arrived there, and is final once more."""
    undone = move.run("unfinalize", "wang@123.com").lines
    assert undone[0] == "1 account is no longer final: the old server is asked at the next login of each"
    (move.old.maildir("wang") / "new" / "1900000001.M1P1.old").write_bytes(letter(100))
    move.old.own()
    assert len(move.over_imap("wang@123.com", "Wang-1")) >= 8, "a user who is in already does not wait for what is new"
    while move.run("accounts", "show", "wang@123.com", "--json").json["password"] == "none":
        pass  # the old server is asked for it meanwhile
    ended = move.run("finalize", "123.com", "--yes").lines
    assert any(line.startswith("final, and nothing is left behind: 6 of 6 accounts final; 49") for line in ended)
    assert len(move.over_imap("wang@123.com", "Wang-1")) == 9


def compare_every_byte(move: Move) -> None:
    """As users' programs get it here, against what the old server has still."""
    for name, (password, _) in OLD.items():
        old, account = move.old.mailbox(name), f"{LOCALS.get(name, name).partition('@')[0]}@123.com"
        assert differences(old, move.over_imap(account, password)) == (len(old), [])
        assert differences(old, move.over_pop3(account, password)) == (len(old), [])


def without_the_old_server(move: Move) -> None:
    """Who has the right password gets in, and only they."""
    move.old.stop()
    assert len(move.over_imap("boss@123.com", "Zhang-1")) == 9
    assert len(move.over_pop3("na.li", "Li-1")) == 8
    assert "All 9 messages are here" in move.in_the_portal("wang@123.com", "Wang-1", "messages are here")
    with pytest.raises(Refused, match="AUTHENTICATIONFAILED"):
        move.over_imap("chen@123.com", "Chen-2")
