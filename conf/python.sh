# For conf/environment and conf/install, which read it in: a Python that is new enough, and Debian's packages.

say() { echo "$*" >&2; }

without_addresses() { sed -E "s#[a-z+]+://[^ ,)']*#(address)#g; s#host='[^']*'#host#g"; }

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

debian() {  # install packages, quietly
    say "installing $*"
    log=$(mktemp)
    if { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"; } \
        >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 3 "$log" | without_addresses >&2
    rm -f "$log"
    return 1
}

find_python() {  # the first of those that are named, or PYTHON
    for name in ${PYTHON:-"$@"}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

no_python() {
    say "mailferry needs Python 3.11 or later; here is $("${PYTHON:-python3}" --version 2>/dev/null || echo none)."
    say "Install it (on Debian 12 or later: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python $0"
    exit 1
}
