"""Where Roundcube's files are: Debian's places, or, in a trial, all of them below one directory.

Used by `installing`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from surroundings import NotPossible

DEBIAN = Path("/var/lib/roundcube")
_REQUIRED_PLUGINS = ("filesystem_attachments", "jqueryui")  # of every Roundcube


@dataclass(frozen=True)
class Places:
    """Where everything goes. `conf` is what nginx and PHP read, `trial` is the directory of a trial."""

    etc: Path
    roundcube: Path
    run: Path
    log: Path
    pool: Path
    site: Path
    enabled: Path | None
    trial: Path | None = None

    @property
    def plugin(self) -> Path:
        return self.roundcube / "plugins" / "mailferry"

    @property
    def data(self) -> Path:
        return self.roundcube / "mailferry"


def system_places() -> Places:
    """Debian's places. Raises NotPossible where there is no PHP-FPM."""
    versions = sorted(Path("/etc/php").glob("*/fpm/pool.d"), key=lambda path: path.parts[3])
    if not versions:
        raise NotPossible("PHP-FPM is not installed: apt-get install php-fpm")
    return Places(
        etc=Path("/etc/roundcube"),
        roundcube=DEBIAN,
        run=Path("/run/php"),
        log=Path("/var/log/roundcube"),
        pool=versions[-1] / "mailferry-roundcube.conf",
        site=Path("/etc/nginx/sites-available/mailferry-roundcube"),
        enabled=Path("/etc/nginx/sites-enabled/mailferry-roundcube"),
    )


def trial_places(root: Path) -> Places:
    return Places(
        etc=root / "config",
        roundcube=root,
        run=root / "run",
        log=root / "logs",
        pool=root / "php-fpm" / "pools.conf",
        site=root / "nginx" / "site.conf",
        enabled=None,
        trial=root,
    )


def lay_out(places: Places) -> None:
    """A directory that looks like Debian's /var/lib/roundcube, with what belongs to this trial."""
    root = places.roundcube
    for name in ("config", "logs", "plugins", "public_html/program", "run", "temp", "php-fpm", "nginx"):
        (root / name).mkdir(parents=True, exist_ok=True)
    links = {name: DEBIAN / name for name in ("SQL", "index.php", "program", "skins")}
    links |= {f"plugins/{path.name}": path for path in (DEBIAN / "plugins").iterdir() if path.name != "mailferry"}
    links |= {f"plugins/{name}": Path("/usr/share/roundcube/plugins", name) for name in _REQUIRED_PLUGINS}
    links |= {f"public_html/{name}": root / name for name in ("plugins", "skins")}
    links |= {f"public_html/program/{name}": DEBIAN / "program" / name for name in ("js", "resources")}
    links |= {f"config/{name}": Path("/etc/roundcube", name) for name in ("defaults.inc.php", "mimetypes.php")}
    for name, target in links.items():
        _link(root / name, target)
    shutil.copyfile(DEBIAN / "public_html" / "index.php", root / "public_html" / "index.php")  # it looks where it is


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())


def main_files(places: Places) -> dict[Path, str]:
    """A trial's nginx and PHP-FPM: what Debian's nginx.conf and php-fpm.conf are elsewhere."""
    root = places.roundcube
    user = "user www-data;\n" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"    {kind}_temp_path {root}/temp/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    nginx = f"""\
daemon off;
{user}pid {root}/run/nginx.pid;
error_log {root}/logs/nginx-error.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log {root}/logs/nginx-access.log;
{temporary}    include {places.site};
}}
"""
    php = f"""\
[global]
daemonize = no
pid = {root}/run/php-fpm.pid
error_log = {root}/logs/php-fpm.log
include = {places.pool}
"""
    return {root / "nginx" / "nginx.conf": nginx, root / "php-fpm" / "php-fpm.conf": php}


def php_fpm() -> str:
    found = sorted(Path("/usr/sbin").glob("php-fpm[0-9]*"))
    if not found:
        raise NotPossible("PHP-FPM is not installed: apt-get install php-fpm")
    return str(found[-1])


def commands(places: Places) -> tuple[list[str], list[str]]:
    """PHP-FPM and nginx; in a trial with its own configuration."""
    if places.trial is None:
        return [php_fpm()], ["/usr/sbin/nginx"]
    root = places.roundcube
    return (
        [php_fpm(), "-F", "-y", str(root / "php-fpm" / "php-fpm.conf")],
        ["/usr/sbin/nginx", "-e", str(root / "logs" / "nginx-error.log"), "-c", str(root / "nginx" / "nginx.conf")],
    )
