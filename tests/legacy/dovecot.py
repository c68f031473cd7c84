"""A private Dovecot 2.3 as the legacy server: POP3 and IMAP, plain, STARTTLS and implicit TLS, on free loopback
ports, in a directory of its own. Any user whose Maildir is there logs in with the password `pass`."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.legacy.certificates import Authority

PASSWORD = "pass"
_UNPRIVILEGED = "nobody"


def program() -> str | None:
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A loopback port that nobody else is given while this process lives.

    It stays bound, but nobody listens: beside that a server can listen, as all of them set SO_REUSEADDR, as often as it
    is started; and neither `bind` to port 0 nor an outgoing connection takes it, in whatever process.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    held.detach()  # open until the process ends
    return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    """Wait until somebody listens. Raises TimeoutError when the process ended or the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"nothing listens on port {port}") from None
            select_nothing(0.02)
        else:
            return


def end_process(process: subprocess.Popen[bytes]) -> None:
    """By its id; by force if it does not end within ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def select_nothing(seconds: float) -> None:
    """Give the other process a moment."""
    import select

    select.select([], [], [], seconds)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1: (certificate, key)."""
    return Authority.of_its_own("localhost", "127.0.0.1").write(directory, "cert")


class Dovecot:
    """A running server. `mail/USER/Maildir` below `root` is a user's mailbox; call `own` after writing there."""

    def __init__(self, root: Path) -> None:
        """`root` must be a short path, since UNIX sockets go below it. Raises TimeoutError with the server's log."""
        self.root = root
        self.mail = root / "mail"
        self.mail.mkdir(exist_ok=True)
        root.chmod(0o755)
        self.pop3, self.pop3s, self.imap, self.imaps = (free_port() for _ in range(4))
        self.certificate, self._key = make_certificate(root)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The master process. Only while it runs."""
        assert self._process is not None
        return self._process

    @property
    def owner(self) -> pwd.struct_passwd:
        """Who the mail belongs to: Dovecot serves no mail as root."""
        return pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())

    def own(self) -> None:
        """Hand everything below `mail` to the server's user."""
        if os.geteuid() == 0:
            owner = self.owner
            subprocess.run(["chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", str(self.mail)], check=True)

    def maildir(self, user: str) -> Path:
        """A user's Maildir, made if it is not there."""
        path = self.mail / user / "Maildir"
        for name in ("cur", "new", "tmp"):
            (path / name).mkdir(parents=True, exist_ok=True)
        return path

    def start(self) -> None:
        config = self.root / "dovecot.conf"
        config.write_text(self._configuration())
        dovecot = program()
        assert dovecot is not None, "Dovecot is not installed"
        with (self.root / "output").open("ab") as output:
            self._process = subprocess.Popen([dovecot, "-F", "-c", str(config)], stdout=output, stderr=output)
        try:
            for port in (self.pop3, self.pop3s, self.imap, self.imaps):
                wait_for_port(port, self._process)
        except TimeoutError as error:
            self.stop()
            files = [p for p in (self.root / "output", self.root / "log") if p.exists()]
            said = "".join(path.read_text(errors="replace") for path in files)
            raise TimeoutError(f"{error}:\n{said}") from None

    def stop(self) -> None:
        """End it by its process id, and its children with it."""
        process, self._process = self._process, None
        if process is not None:
            end_process(process)

    def _configuration(self) -> str:
        owner = self.owner
        internal = ""
        if os.geteuid() != 0:
            internal = f"default_login_user = {owner.pw_name}\ndefault_internal_user = {owner.pw_name}\n"
        listeners = "".join(
            f"service {name}-login {{\n  inet_listener {name} {{\n    port = {plain}\n  }}\n"
            f"  inet_listener {name}s {{\n    port = {tls}\n    ssl = yes\n  }}\n}}\n"
            for name, plain, tls in (("pop3", self.pop3, self.pop3s), ("imap", self.imap, self.imaps))
        )
        return f"""
base_dir = {self.root}/run
state_dir = {self.root}/state
log_path = {self.root}/log
protocols = pop3 imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{self.certificate}
ssl_key = <{self._key}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_cache_size = 0
mail_max_userip_connections = 1000
default_process_limit = 400
default_client_limit = 4000
first_valid_uid = 1
{internal}mail_location = maildir:{self.mail}/%n/Maildir
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={self.mail}/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox "Sent Items" {{
    special_use = \\Sent
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{listeners}"""
