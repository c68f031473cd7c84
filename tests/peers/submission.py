"""A private Postfix that takes what users send, by `conf/postfix`, and asks a mailferry for their passwords."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.legacy.dovecot import free_port
from tests.peers.postfix import Postfix

CONF = Path(__file__).parents[2] / "conf/postfix"


class Submission(Postfix):
    """`starttls` and `tls` are its ports for users. What is sent to 456.com comes into the users' Maildirs."""

    def __init__(self, root: Path, sasl: str) -> None:
        """`sasl` is Postfix's name of mailferry's socket. Raises TimeoutError."""
        self._sasl = sasl
        self.starttls, self.tls = free_port(), free_port()
        super().__init__(root, ["anna"], self._main(root), self._services(root))

    @staticmethod
    def _main(root: Path) -> str:
        return (
            f"maillog_file = {root}/maillog\nmaillog_file_prefixes = {root}\n"
            "virtual_alias_maps = inline:{ {out@456.com=anna@123.com} }\nvirtual_alias_domains = 456.com\n"
        )

    def _services(self, root: Path) -> str:
        shutil.copy(CONF / "submission-senders", root / "senders")
        (root / "aliases").write_text("info@123.com anyone@123.com\n")
        services = (CONF / "submission.cf").read_text()
        for ours, here in (
            ("submission inet", f"127.0.0.1:{self.starttls} inet"),
            ("submissions inet", f"127.0.0.1:{self.tls} inet"),
            ("=/run/mailferry/auth", f"={self._sasl}"),
            ("regexp:/etc/postfix/mailferry-senders", f"texthash:{root}/aliases,regexp:{root}/senders"),
        ):
            assert ours in services
            services = services.replace(ours, here)
        return services + "postlog unix-dgram n - n - 1 postlogd\n"

    @property
    def log(self) -> str:
        log = self.root / "maillog"
        return log.read_text() if log.exists() else ""
