"""A company whose users are told: a configuration, some accounts, and `mailferry notify` in this process."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from click.testing import Result
from sqlalchemy import update

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts as table
from tests.proxy.admin.relay import Relay
from tests.proxy.cli.command import mailferry

DAY = (date.today() + timedelta(days=9)).isoformat()
CONFIG = """
hostname = "mail.123.com"
state = "{state}"
submission = "mail.123.com:587"
[listen]
imaps = ["tcp:993"]
pop3 = ["tcp:110"]
web = ["tcp:8443"]
[tls]
certificate = "/etc/mailferry/c.pem"
key = "/etc/mailferry/k.pem"
[notices]
sender = "IT 服务台 <it@123.com>"
rate = 100000
{notices}
[domain."123.com"]
contact = "the IT help desk, telephone 8001"
[domain."123.com".legacy]
host = "pop.old.123.com"
"""
PEOPLE = {"anna": ("Anna Müller", "Sales/North"), "li": ("李伟", "Sales"), "wang": ("", "Salesroom")}


class Company:
    """A configuration and three accounts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "mailferry.toml"
        self.configure()
        for name, (full_name, department) in PEOPLE.items():
            self.add(name, full_name=full_name, department=department)

    def configure(self, notices: str = "", *more: tuple[str, str]) -> None:
        text = CONFIG.format(state=self.root / "state", notices=notices)
        for old, new in more:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def add(self, local: str, domain: str = "123.com", **values: object) -> None:
        database = AccountsDatabase(self.root / "state" / "accounts.db")
        account = Accounts(database).add(local, domain)
        if values:
            with database.write() as connection:
                connection.execute(update(table).where(table.c.id == account.id).values(**values))
        database.close()

    def notify(self, *arguments: str, relay: Relay | None = None) -> Result:
        by = () if relay is None else ("--relay", relay.address)
        return mailferry("notify", "123.com", *arguments, *by, "--config", str(self.file))

    def send(self, relay: Relay, *arguments: str) -> Result:
        return self.notify("--send", "--yes", "--date", DAY, *arguments, relay=relay)
