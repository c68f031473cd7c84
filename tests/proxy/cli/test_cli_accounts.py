"""`mailferry accounts`: what it prints and what it changes, in this process and, on a terminal, in another."""

from __future__ import annotations

import json
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.secrets import Sealer, load_key, verify_password
from mailstore.web_sessions import WebSessions
from proxy.cli.main import main
from tests.proxy.cli.command import configuration, mailferry, with_accounts
from tests.proxy.cli.company import PASSWORD, CompanyTestCase
from tests.proxy.cli.terminal import on_a_terminal
from tests.proxy.migration.scripted import mail

LIST = """\
邮箱,姓名,部门,配额,别名,工号
zhang@123.com,张伟,研发部/前端,500M,boss@123.com,1
li@123.com,李娜,研发部,,,2
wang@123.com,王芳,,0,,3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration of two domains."""
    return configuration(tmp_path)


def write(directory: Path, text: str, name: str = "staff.csv", charset: str = "utf-8") -> Path:
    path = directory / name
    path.write_bytes(text.encode(charset))
    path.chmod(0o600)
    return path


def accounts_of(directory: Path) -> dict[str, Account]:
    database = AccountsDatabase(directory / "state" / "accounts.db")
    try:
        return {account.name: account for account in Accounts(database).list()}
    finally:
        database.close()


def test_a_list_is_imported_and_said_so(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, LIST, charset="gb18030")
    result = mailferry("accounts", "import", staff, "--config", file)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        f"{staff}: CSV in GB18030, cells apart by commas",
        "  titles in row 1: 邮箱 = account, 姓名 = name, 部门 = department, 配额 = quota, 别名 = alias",
        "  ignored, because not known here: 工号",
        "3 accounts in the list: 3 added, 0 changed, 0 as they were",
    ]
    assert lines[4].startswith("Freeze the accounts at the old server now")
    assert accounts_of(tmp_path)["zhang@123.com"].department == "研发部/前端"
    again = mailferry("accounts", "import", staff, "--config", file)
    assert again.stdout.splitlines()[3:] == ["3 accounts in the list, all as they are here: nothing changes"]


def test_a_dry_run_shows_it_and_makes_nothing(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, LIST)
    result = mailferry("accounts", "import", staff, "--dry-run", "--config", file)
    assert result.stdout.splitlines()[3:] == [
        "new  zhang@123.com  张伟  研发部/前端  quota 500M  alias boss@123.com",
        "new  li@123.com  李娜  研发部",
        "new  wang@123.com  王芳  quota no limit",
        "3 accounts in the list: 3 new, 0 would change, 0 as they are here",
    ]
    assert not (tmp_path / "state").exists()


def test_a_dry_run_of_a_later_list(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    later = LIST.replace("500M", "1G").replace("李娜", "李 娜").replace("wang@", "chen@")
    result = mailferry("accounts", "import", write(tmp_path, later), "--dry-run", "--config", file)
    assert result.stdout.splitlines()[3:] == [
        "new  chen@123.com  王芳  quota no limit",
        "changed  li@123.com  name 李娜 → 李 娜",
        "changed  zhang@123.com  quota 500M → 1G",
        "3 accounts in the list: 1 new, 2 would change, 0 as they are here",
        "1 account here, and not in the list (1 of them in an earlier one); left as they are:",
        "  wang@123.com  waiting",
    ]
    assert "chen@123.com" not in accounts_of(tmp_path)


def test_dry_run_as_json(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    later = write(tmp_path, LIST.replace("500M", "不限").replace("wang@", "chen@"))
    result = mailferry("accounts", "import", later, "--dry-run", "--json", "--config", file)
    found = json.loads(result.stdout)
    assert (found["accounts"], found["same"], found["written"]) == (3, 1, False)
    assert [entry["account"] for entry in found["new"]] == ["chen@123.com"]
    assert found["changed"] == [{"account": "zhang@123.com", "changes": {"quota": {"before": 500 * 1024**2, "now": 0}}}]
    assert found["absent"] == [{"account": "wang@123.com", "state": "waiting", "listed_before": True}]


def test_all_mistakes_at_once_and_nothing_changed(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, LIST.replace("li@123", "zhang@123").replace("wang@123.com", "wang@789.com"))
    result = mailferry("accounts", "import", staff, "--config", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[3:] == [
        f"{staff}: row 3: zhang@123.com stands in row 2 already: take one of them out",
        f'{staff}: row 4: "wang@789.com": "789.com" is not served here; served here: 123.com, 456.com',
        "mailferry: nothing was changed",
    ]
    assert not (tmp_path / "state").exists()
    found = json.loads(mailferry("accounts", "import", staff, "--json", "--config", file).stdout)
    assert [mistake["place"] for mistake in found["mistakes"]] == ["row 3", "row 4"]


def test_the_first_fifty_mistakes(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, "email\n" + "".join(f"x{n}@nowhere\n" for n in range(60)))
    result = mailferry("accounts", "import", staff, "--config", file)
    lines = result.stderr.splitlines()
    assert len([line for line in lines if "x" in line and "is not served" in line]) == 50
    assert lines[-2:] == [f"{staff}: and 10 more mistakes", "mailferry: nothing was changed"]


def test_another_count_than_expected(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, LIST)
    result = mailferry("accounts", "import", staff, "--expect", "312", "--config", file)
    assert (result.exit_code, result.stderr) == (
        1,
        f"mailferry: {staff}: has 3 accounts, not 312: nothing was changed\n",
    )
    assert not (tmp_path / "state").exists()
    assert mailferry("accounts", "import", staff, "--expect", "3", "--config", file).exit_code == 0


def test_a_name_that_is_somebody_s_here(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    staff = write(tmp_path, "email,alias\nnew@123.com,li@123.com\n")
    result = mailferry("accounts", "import", staff, "--config", file)
    assert result.exit_code == 1
    assert f"{staff}: row 2: the alias li@123.com is an account here: take one of them out" in result.stderr


@pytest.mark.parametrize("options", [("--domain", "789.com"), ("--sheet", "x"), ("--charset", "x")])
def test_options_that_do_not_fit(tmp_path: Path, file: Path, options: tuple[str, str]) -> None:
    assert mailferry("accounts", "import", write(tmp_path, LIST), *options, "--config", file).exit_code == 1


def test_a_file_that_is_not_there(tmp_path: Path, file: Path) -> None:
    result = mailferry("accounts", "import", tmp_path / "none.csv", "--config", file)
    assert (result.exit_code, "cannot be read: No such file" in result.stderr) == (1, True)


def test_passwords_are_sealed_and_the_file_s_readers_warned_of(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, "account,password\nli@123.com,correct horse\n")
    staff.chmod(0o644)
    result = mailferry("accounts", "import", staff, "--config", file)
    assert "has passwords in it and may be read by others" in result.stderr
    account = accounts_of(tmp_path)["li@123.com"]
    assert account.sealed_password is not None
    assert account.password_state is PasswordState.UNTRIED
    assert b"correct horse" not in (tmp_path / "state" / "accounts.db").read_bytes()
    sealer = Sealer(load_key(tmp_path / "state" / "sealing.key"))
    assert sealer.open("li@123.com", account.sealed_password) == b"correct horse"
    again = mailferry("accounts", "import", staff, "--config", file)
    assert "all as they are here" in again.stdout
    assert "correct horse" not in mailferry("accounts", "export", "--config", file).stdout


# Looking


@pytest.mark.parametrize("command", ["list", "tree"])
def test_where_nobody_is_known_yet(file: Path, command: str) -> None:
    result = mailferry("accounts", command, "--config", file)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no accounts are known here yet: `mailferry accounts import FILE` takes a list over" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("accounts", "list", "--search", "\udcff"), 2),
        (("accounts", "export", "-", "--search", "\udcff"), 2),
        (("accounts", "show", "\udcff"), 1),
        (("accounts", "add", "w\udcff@123.com"), 2),
        (("status", "--accounts", "--search", "\udcff"), 2),
        (("pause", "\udcff"), 1),
    ],
)
def test_what_is_no_text_in_the_terminal_s_charset(file: Path, arguments: tuple[str, ...], status: int) -> None:
    assert mailferry("accounts", "add", "li@123.com", "--config", file).exit_code == 0
    result = mailferry(*arguments, "--config", file)
    assert (result.exit_code, result.exception.__class__) == (status, SystemExit)


def test_list(tmp_path: Path, file: Path) -> None:
    assert mailferry("accounts", "list", "--config", file).stdout == ""
    assert json.loads(mailferry("accounts", "list", "--json", "--config", file).stdout) == {"accounts": []}
    assert not (tmp_path / "state").exists()
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    assert mailferry("accounts", "list", "--config", file).stdout.splitlines() == [
        "li@123.com  waiting  李娜  研发部",
        "wang@123.com  waiting  王芳  quota no limit",
        "zhang@123.com  waiting  张伟  研发部/前端  quota 500M  alias boss@123.com",
    ]
    found = json.loads(mailferry("accounts", "list", "--department", "研发部", "--json", "--config", file).stdout)
    assert [account["name"] for account in found["accounts"]] == ["李娜", "张伟"]
    assert mailferry("accounts", "list", "--search", "boss", "--config", file).stdout.startswith("zhang@")
    assert mailferry("accounts", "list", "--state", "moved", "--config", file).stdout == ""
    assert mailferry("accounts", "list", "--domain", "789.com", "--config", file).exit_code == 1


def test_show(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    lines = dict(
        line.split("  ", 1)
        for line in mailferry("accounts", "show", "boss@123.com", "--config", file).stdout.splitlines()
    )
    told = {word: text.strip() for word, text in lines.items()}
    assert told["account"] == "zhang@123.com"
    assert (told["quota"], told["aliases"]) == ("500M", "boss@123.com")
    assert told["legacy login"] == "zhang, as the domain has it"
    assert told["password"] == "not known here: its user has to log in once"
    found = json.loads(mailferry("accounts", "show", "zhang@123.com", "--json", "--config", file).stdout)
    assert (found["aliases"], found["password"], found["department"]) == (["boss@123.com"], "none", "研发部/前端")
    result = mailferry("accounts", "show", "nobody@123.com", "--config", file)
    assert (result.exit_code, "is not known here" in result.stderr) == (1, True)


def test_tree(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    assert mailferry("accounts", "tree", "--config", file).stdout.splitlines() == [
        "123.com  3 (0 here)",
        "  (no department)  1 (0 here)",
        "  研发部  2 (0 here)",
        "    前端  1 (0 here)",
    ]
    (top,) = json.loads(mailferry("accounts", "tree", "--json", "--config", file).stdout)["domains"]
    assert (top["name"], top["accounts"], top["below"][1]["below"][0]["name"]) == ("123.com", 3, "前端")


def test_then_and_now(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    with_accounts(tmp_path, lambda accounts: accounts.add("came", "123.com"))
    now = write(tmp_path, LIST.replace("wang@", "chen@"))
    result = mailferry("accounts", "compare", now, "--config", file)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[3:] == [
        "new there, and not here: 1 account",
        "  chen@123.com  王芳",
        "gone there, and still here: 1 account",
        "  wang@123.com  waiting, never logged in here",
        "here by a login, and in no list: 1 account",
        "  came@123.com  waiting, never logged in here",
        "in both: 2 accounts",
        f"Take the new ones over with: mailferry accounts import {now}",
    ]
    assert "chen@123.com" not in accounts_of(tmp_path)
    found = json.loads(mailferry("accounts", "compare", now, "--json", "--config", file).stdout)
    assert [len(found[kind]) for kind in ("new", "absent")] == [1, 2]


# Exporting


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx"])
def test_what_is_exported_changes_nothing_when_it_is_imported(tmp_path: Path, file: Path, name: str) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST + "=x@123.com,=HYPERLINK(1),,,,\n"), "--config", file)
    out = tmp_path / name
    assert mailferry("accounts", "export", out, "--config", file).exit_code == 0
    result = mailferry("accounts", "import", out, "--config", file)
    assert "4 accounts in the list, all as they are here: nothing changes" in result.stdout
    if name == "out.csv":
        data = out.read_bytes()
        assert data.startswith(b"\xef\xbb\xbfaccount,name,")
        assert b"'=x@123.com,'=HYPERLINK(1)," in data


def test_export_to_standard_output(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "import", write(tmp_path, LIST), "--config", file)
    result = CliRunner().invoke(
        main, ["accounts", "export", "--no-bom", "--department", "研发部/前端", "--config", str(file)]
    )
    assert result.stdout_bytes.decode() == (
        "account,name,department,quota,alias,legacy login\r\nzhang@123.com,张伟,研发部/前端,500M,boss@123.com,\r\n"
    )
    assert mailferry("accounts", "export", "x.xls", "--config", file).exit_code == 2


# Single accounts


def test_add(tmp_path: Path, file: Path) -> None:
    options = (
        "--name",
        "张伟",
        "--department",
        "研发 > 前端",
        "--quota",
        "1G",
        "--alias",
        "boss",
        "--legacy-login",
        "w",
    )
    result = mailferry("accounts", "add", "Zhang@123.com", *options, "--config", file)
    assert (result.exit_code, result.stdout) == (0, "zhang@123.com  waiting\n")
    account = accounts_of(tmp_path)["zhang@123.com"]
    assert (account.full_name, account.department, account.quota, account.legacy_login) == (
        "张伟",
        "研发/前端",
        1024**3,
        "w",
    )
    again = mailferry("accounts", "add", "zhang@123.com", "--config", file)
    assert (again.exit_code, "is here already" in again.stderr) == (1, True)
    clash = mailferry("accounts", "add", "boss@123.com", "--config", file)
    assert "boss@123.com is an alias of zhang@123.com here" in clash.stderr
    assert mailferry("accounts", "add", "li@123.com", "--quota", "lots", "--config", file).exit_code == 2
    assert mailferry("accounts", "add", "li", "--config", file).exit_code == 2


def passwd(file: Path, name: str, typed: str) -> Any:
    return CliRunner().invoke(main, ["accounts", "passwd", name, "--config", str(file)], input=typed)


def test_passwd_while_the_legacy_server_is_asked(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "add", "li@123.com", "--config", file)
    result = passwd(file, "li@123.com", "correct horse\n")
    assert result.stdout == (
        "li@123.com  tried at the legacy server with its next move: mailferry migrate li@123.com\n"
    )
    account = accounts_of(tmp_path)["li@123.com"]
    assert (account.password_state, account.password_hash) == (PasswordState.UNTRIED, None)
    assert passwd(file, "nobody@123.com", "x\n").exit_code == 1
    assert passwd(file, "li@123.com", "\n").exit_code == 1


def test_passwd_of_a_final_account(tmp_path: Path, file: Path) -> None:
    def final(accounts: Accounts) -> None:
        accounts._change(accounts.add("li", "123.com").id, state=State.FINAL)

    with_accounts(tmp_path, final)
    result = passwd(file, "li@123.com", "correct horse\n")
    assert result.stdout == "li@123.com  this is its password here from now on\n"
    account = accounts_of(tmp_path)["li@123.com"]
    assert account.sealed_password is None and account.password_hash is not None
    assert verify_password(account.password_hash, b"correct horse")
    short = passwd(file, "li@123.com", "short\n")
    assert (short.exit_code, "too short: it needs 10 characters at least; nothing was changed" in short.stderr) == (
        1,
        True,
    )
    assert accounts_of(tmp_path)["li@123.com"] == account


def test_passwd_ends_what_is_open_in_the_portal(tmp_path: Path, file: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts._change(accounts.add("li", "123.com").id, state=State.FINAL))
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    sessions = WebSessions(database)
    token, _ = sessions.begin("portal", "li@123.com")
    assert passwd(file, "li@123.com", "correct horse\n").exit_code == 0
    assert sessions.find("portal", token) is None
    database.close()


def test_passwd_beside_a_password_that_the_legacy_server_takes(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "add", "li@123.com", "--config", file)
    passwd(file, "li@123.com", "right\n")
    with_accounts(tmp_path, lambda accounts: accounts._change(1, password_state=PasswordState.KNOWN))
    before = accounts_of(tmp_path)["li@123.com"]
    result = passwd(file, "li@123.com", "a guess\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "li@123.com: the old server takes the password that is known here; nothing was changed" in result.stderr
    assert accounts_of(tmp_path)["li@123.com"] == before


# On a terminal


def test_a_terminal_is_asked_before_anything_is_written(tmp_path: Path, file: Path) -> None:
    staff = write(tmp_path, LIST)
    command = ("accounts", "import", str(staff), "--config", str(file))
    status, shown = on_a_terminal(*command, answers=("n",))
    assert status == 1
    assert "研发部/前端" in shown and "Write this? [y/N]" in shown
    assert accounts_of(tmp_path) == {}
    status, shown = on_a_terminal(*command, answers=("y",))
    assert (status, "3 added" in shown, len(accounts_of(tmp_path))) == (0, True, 3)
    status, shown = on_a_terminal(*command)
    assert (status, "nothing changes" in shown, "Write this?" in shown) == (0, True, False)


def test_a_terminal_is_asked_again_where_something_else_would_be_written(tmp_path: Path, file: Path) -> None:
    """What was shown is what is done, whoever is at work meanwhile."""
    command = ("accounts", "import", str(write(tmp_path, LIST)), "--config", str(file))

    def somebody_else() -> str:
        assert mailferry("accounts", "add", "li@123.com", "--name", "李 娜", "--config", file).exit_code == 0
        return "y"

    status, shown = on_a_terminal(*command, answers=(somebody_else, "n"))
    assert (status, shown.count("Write this?")) == (1, 2)
    assert "changed in the meantime" in shown and "李 娜 → 李娜" in shown.partition("meantime")[2]
    assert list(accounts_of(tmp_path)) == ["li@123.com"]
    status, shown = on_a_terminal(*command, answers=("y",))
    assert (status, "2 added, 1 changed" in shown) == (0, True)


def test_a_terminal_types_a_password_twice(tmp_path: Path, file: Path) -> None:
    mailferry("accounts", "add", "li@123.com", "--config", file)
    status, shown = on_a_terminal(
        "accounts", "passwd", "li@123.com", "--config", str(file), answers=("geheim", "geheim")
    )
    assert (status, "geheim" in shown, "tried at the legacy server" in shown) == (0, False, True)


def test_a_password_that_is_no_text_in_the_terminal_s_charset(file: Path) -> None:
    mailferry("accounts", "add", "li@123.com", "--config", file)
    for command in (("accounts", "passwd", "li@123.com"), ("admin", "add", "anna")):
        answers = ("\udcff\udcfe", "geheim geheim", "geheim geheim")
        status, shown = on_a_terminal(*command, "--config", str(file), answers=answers)
        assert (status, "this is no text in this terminal's character set" in shown) == (0, True)


# With an old server


class WithAnOldServer(CompanyTestCase):
    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return ensureDeferred(test)

    def said(self, *commands: bytes) -> list[bytes]:
        """What the daemon answers to a client, up to the last tagged line."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(f"{self.state}.imap")
            for number, command in enumerate(commands):
                client.sendall(b"%d %b\r\n" % (number, command))
            lines = client.makefile("rb")
            found: list[bytes] = []
            while not found or not found[-1].startswith(b"%d " % (len(commands) - 1)):
                found.append(lines.readline())
            return found

    def test_every_worker_knows_an_account_by_its_names_and_by_its_quota(self) -> Deferred[None]:
        async def test() -> None:
            self.serve_old_mail({"w.zhang": [mail(1)]})
            text = self.configuration.read_text()
            self.configuration.write_text(text.replace("workers = 1", "workers = 2"))
            staff = self.directory / "staff.csv"
            staff.write_text("account,alias,quota,legacy login\nzhang@123.com,boss,7M,w.zhang\n")
            await self.mailferry("accounts", "import", str(staff))
            await self.daemon()
            for name in (b"w.zhang@123.com", b"boss@123.com", b"zhang@123.com"):
                login = b'LOGIN %b "%b"' % (name, PASSWORD)
                answers = await deferToThread(self.said, login, b"GETQUOTAROOT INBOX", b"LOGOUT")
                (quota,) = [line for line in answers if line.startswith(b"* QUOTA ")]
                self.assertIn(b" %d)" % (7 * 1024), quota)
            self.assertEqual(list(self.accounts()), ["zhang@123.com"])

        return self.run_async(test())

    def test_accounts_are_imported_moved_and_verified_under_their_legacy_logins(self) -> Deferred[None]:
        async def test() -> None:
            server = self.serve_old_mail({"w.zhang": [mail(1), mail(2)], "li": [mail(3)]})
            staff = self.directory / "staff.csv"
            word = PASSWORD.decode()
            staff.write_text(f"account,password,legacy login\nzhang@123.com,{word},w.zhang\nli@123.com,{word},\n")
            staff.chmod(0o600)
            ran = await self.mailferry("accounts", "import", str(staff))
            self.assertEqual((ran.status, ran.err), (0, ""))
            ran = await self.mailferry("migrate", "--all", "--force")
            self.assertEqual((ran.status, ran.lines[-1]), (0, "2 of 2 accounts are here"))
            self.assertEqual(self.accounts()["zhang@123.com"].messages_done, 2)
            ran = await self.mailferry("verify", "zhang@123.com", "--full")
            self.assertEqual((ran.status, ran.err), (0, ""))
            self.assertEqual((server.passwords, server.deletions), (3, 0))

        return self.run_async(test())
