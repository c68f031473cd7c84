"""What mailferry asks of the file system below the Maildirs, tried in a directory: `mailferry check --storage`.

    trial       the directory in which it is tried, which goes whatever happens; the time that it may take; the results
    entries     names that come and go: rename, O_EXCL, hard links, what a directory's time tells
    durable     fsync, what it costs, and how barriers are made here
    names       how long they may be, and which are told apart
    sqlite_files  whether SQLite's indexes may lie there
    second      another process of this machine sees the same, and locks hold against it; what that runs is `onlooker`
    across      … and another node, which is at the same directory at the same moment (`--with`)
    brief       what `mailferry check` says without it, of the configured directory; nothing is written
    mounted     what can be told without trying: type, options, room

`whole` has them in order. Nothing is imported here: a second process is to begin quickly.
"""
