"""A running installation's SQLite files copied into a PostgreSQL database, and proven to be the same there.

    rows       a table's rows as lines of COPY's text format, made by SQLite; digests of them
    target     the database that they go to: what is there of this copy, and what is written and read back
    course     the passes: while the daemon serves, and when nobody does any more

The lines that SQLite makes are, octet for octet, what PostgreSQL gives back for the same rows (`COPY … TO`). So what
has arrived is read back, and its digest is held against that of what was sent: by account and table.
"""
