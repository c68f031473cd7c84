"""Put Debian's Roundcube in front of mailferry, or take it away again. Run by `install`, beside this file.

All or nothing: every file is written, then nginx and PHP are asked whether they understand theirs, and if one does not,
everything is put back as it was. Debian's own config.inc.php is kept beside ours and comes back with --remove.
With --trial everything goes below one directory, nothing is installed, and no service is touched.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import surroundings
from places import Places, commands, lay_out, main_files, system_places, trial_places
from surroundings import NotPossible

from proxy.config import Config, ConfigErrors, load

HERE = Path(__file__).resolve().parent
PACKAGES = ("php-fpm", "php-sqlite3", "roundcube-core", "roundcube-sqlite3")  # PHP first, or Apache comes along
_ROUNDCUBE = "/usr/share/roundcube"
_KEPT = ".before-mailferry"
_KEY = re.compile(r"'key' => '([0-9a-f]{32})'")


class Template(string.Template):
    """nginx has the dollar for itself."""

    delimiter = "@"


class Changes:
    """The files that were written, so that they can be put back."""

    def __init__(self) -> None:
        self._before: list[tuple[Path, bytes | None]] = []

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        """Replace a file as a whole."""
        self._before.append((path, path.read_bytes() if path.exists() else None))
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.touch(mode)
        new.chmod(mode)
        new.write_text(text, encoding="utf-8")
        if os.geteuid() == 0 and not mode & 0o004:
            shutil.chown(new, "root", "www-data")
        new.replace(path)

    def take_back(self) -> None:
        for path, before in reversed(self._before):
            if before is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(before)


def main() -> int:
    arguments = _arguments()
    try:
        if arguments.remove:
            remove(system_places())
            return 0
        config = load(arguments.config)
        port = arguments.port or _free_choice(config)
        surroundings.imap(config)
        if arguments.trial:
            places = trial_places(arguments.trial.resolve())
            _check_packages()
            lay_out(places)
        else:
            _install_packages()
            places = system_places()
        name = arguments.name or config.hostname
        install(config, places, name=name, port=port, product=arguments.product or f"{name} Webmail")
    except ConfigErrors as error:
        print(error, file=sys.stderr)
        return 2
    except (NotPossible, OSError) as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conf/roundcube/install", description="Debian's Roundcube before mailferry.")
    default = os.environ.get("MAILFERRY_CONFIG", "/etc/mailferry/mailferry.toml")
    parser.add_argument("--config", type=Path, default=Path(default), help=f"mailferry's configuration ({default})")
    parser.add_argument("--name", help="what users enter in the browser (mailferry's hostname)")
    parser.add_argument("--port", type=int, help="443, or 8443 where mailferry's own pages have that")
    parser.add_argument("--product", help='what the pages are called ("NAME Webmail")')
    parser.add_argument("--remove", action="store_true", help="take it away again; users' settings are kept")
    parser.add_argument("--trial", type=Path, metavar="DIRECTORY", help="try it below a directory, without root")
    return parser.parse_args()


def _free_choice(config: Config) -> int:
    """The port where none is said: without a certificate one for a program in front that has one."""
    if config.tls.certificate is None:
        return 8080
    return 8443 if 443 in surroundings.web_ports(config) else 443


def _check_packages() -> None:
    if missing := _missing():
        raise NotPossible(f"packages are missing: apt-get install {' '.join(missing)}")


def _missing() -> list[str]:
    status = ["dpkg-query", "-W", "-f", "${db:Status-Status}"]
    said = {p: subprocess.run([*status, p], capture_output=True, text=True, check=False).stdout for p in PACKAGES}
    missing = [package for package, state in said.items() if state != "installed"]
    return missing if shutil.which("nginx", path="/usr/sbin:/usr/bin") else [*missing, "nginx-light"]


def _install_packages() -> None:
    if os.geteuid() != 0:
        raise NotPossible("this needs root; as anybody else try it with --trial DIRECTORY")
    missing = _missing()
    if not missing:
        return
    print(f"installing {' '.join(missing)}", flush=True)
    # Roundcube is to make its database itself: no question about one, and none in PostgreSQL or MySQL.
    answer = "roundcube-core roundcube/dbconfig-install boolean false\n"
    subprocess.run(["debconf-set-selections"], input=answer, text=True, check=False, capture_output=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-q", "-y", "install", "--no-install-recommends", *missing]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if line.startswith("E:")][-2:]
        said = re.sub(r"[a-z]+://\S+", "(address)", " ".join(words))
        raise NotPossible(f"the packages cannot be installed: {said}")


def install(config: Config, places: Places, *, name: str, port: int, product: str) -> None:
    """Write every file, have them checked, and start what reads them. Raises NotPossible; then nothing has changed."""
    changes = Changes()
    user = "www-data" if os.geteuid() == 0 else str(os.geteuid())
    group = "www-data" if os.geteuid() == 0 else str(os.getegid())
    secure = config.tls.certificate is not None
    listen = ("" if secure and places.trial is None else "127.0.0.1:") + str(port) + (" ssl" if secure else "")
    values = {
        "user": user,
        "group": group,
        "run": places.run,
        "etc": places.etc,
        "log": places.log,
        "listen": listen,
        "name": name,
        "certificate": surroundings.certificate(config),
        "roundcube": places.roundcube,
        "fastcgi_params": "/etc/nginx/fastcgi_params",
    }
    _keep_original(places.etc / "config.inc.php")
    try:
        key = _kept_key(places.etc / "mailferry.inc.php") or secrets.token_hex(16)
        database = places.data / "roundcube.db"
        settings = surroundings.settings(config, product=product, database=database, key=key)
        changes.write(places.etc / "mailferry.inc.php", settings, 0o640)
        changes.write(places.etc / "config.inc.php", (HERE / "config.inc.php").read_text(), 0o640)
        for file, target in (("php-fpm.conf", places.pool), ("nginx.conf", places.site)):
            changes.write(target, Template((HERE / file).read_text()).substitute(values))
        for path, text in _plugin_files():
            changes.write(places.plugin / path, text)
        if places.enabled is not None and not places.enabled.is_symlink():
            places.enabled.symlink_to(places.site)
        _make_private(places.data, user, group)
        if places.trial is not None:
            for path in (places.roundcube / "temp", places.log, places.run):
                _make_private(path, user, group)
        if places.trial is not None:
            for path, text in main_files(places).items():
                changes.write(path, text)
        _check(places)
    except BaseException:
        changes.take_back()
        if places.enabled is not None and not places.site.exists():
            places.enabled.unlink(missing_ok=True)
        raise
    _update_schema(places, user, group)
    _say(config, places, name, port)


def _update_schema(places: Places, user: str, group: str) -> None:
    """Carry a database that an older Roundcube made forward, as Debian does for those that it made itself."""
    if not (places.data / "roundcube.db").exists():
        return
    command = [f"{_ROUNDCUBE}/bin/updatedb.sh", "--package=roundcube", f"--dir={_ROUNDCUBE}/SQL"]
    other: dict[str, Any] = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = os.environ | {"ROUNDCUBE_CONFIG_DIR": str(places.etc)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **other)
    if done.returncode:
        raise NotPossible(
            f"Roundcube's database cannot be carried forward: {done.stdout.strip()} {done.stderr.strip()}"
        )


def _kept_key(path: Path) -> str | None:
    """The key of the installation before, without which everybody would have to log in again."""
    found = _KEY.search(path.read_text()) if path.exists() else None
    return found[1] if found else None


def _keep_original(path: Path) -> None:
    kept = path.with_name(path.name + _KEPT)
    if path.exists() and not kept.exists():
        shutil.copy2(path, kept)
        if os.geteuid() == 0:
            shutil.chown(kept, "root", "www-data")


def _plugin_files() -> Iterator[tuple[Path, str]]:
    root = HERE / "plugins" / "mailferry"
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root), path.read_text(encoding="utf-8")


def _make_private(directory: Path, user: str, group: str) -> None:
    """A directory in which Roundcube writes, and nobody else reads: that of its database, above all."""
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    if os.geteuid() == 0:
        shutil.chown(directory, user, group)


def _check(places: Places) -> None:
    for command in commands(places):
        done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotPossible(f"{Path(command[0]).name} does not take its configuration:\n{done.stderr.strip()}")


def _restart(places: Places) -> str:
    """Have the services read their files; what the administrator has to do, if anything."""
    services = (places.pool.parts[3], "nginx")
    names = [f"php{services[0]}-fpm", services[1]]
    if not Path("/run/systemd/system").exists():
        return f"start or restart {names[0]} and {names[1]}"
    for verb in ("enable", "reload-or-restart"):
        done = subprocess.run(["systemctl", verb, *names], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"see why it does not start: {done.stderr.strip()}"
    return ""


def _say(config: Config, places: Places, name: str, port: int) -> None:
    secure = config.tls.certificate is not None
    host = name if secure else "127.0.0.1"
    usual = 443 if secure else 80
    sending = surroundings.smtp(config) or "not from here: mailferry's configuration has no `submission`"
    print(f"Roundcube is at    {'https' if secure else 'http'}://{host}{'' if port == usual else f':{port}'}/")
    print(f"reads mail from    {surroundings.imap(config).uri}")
    print(f"sends mail by      {sending}")
    print(f"your own settings  {places.etc / 'local.inc.php'}")
    if not secure:
        print("without a certificate it listens to this machine only: for a web server in front that has one")
    if places.trial is not None:
        for command in commands(places):
            print(f"to be started      {' '.join(command)}")
    elif words := _restart(places):
        print(f"still to be done   {words}")


def remove(places: Places) -> None:
    """Take away what `install` wrote. Debian's config.inc.php comes back; Roundcube's own database stays."""
    if os.geteuid() != 0:
        raise NotPossible("this needs root")
    if places.enabled is not None:
        places.enabled.unlink(missing_ok=True)
    for path in (places.site, places.pool, places.etc / "mailferry.inc.php"):
        path.unlink(missing_ok=True)
    shutil.rmtree(places.plugin, ignore_errors=True)
    ours = places.etc / "config.inc.php"
    kept = ours.with_name(ours.name + _KEPT)
    if kept.exists():
        kept.replace(ours)
    words = _restart(places)
    print(f"removed; users' own settings are still in {places.data}")
    if words:
        print(f"still to be done   {words}")


if __name__ == "__main__":
    sys.exit(main())
