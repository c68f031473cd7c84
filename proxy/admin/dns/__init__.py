"""A domain's records in DNS: what they should be for users to find this server, and whether they are.

`wanted` says what should be, from the configuration and from what is there; `asking` asks one server one question,
`delegation` finds the servers that know, `knowing` asks each about its own; `looking` is all of that at once; `judging`
tells apart what was not changed, what is changed and still cached, and what is wrong; `remembered` keeps what was there
before, since DNS itself does not tell; `zone` writes it down to be pasted. Nothing is ever changed in DNS.

Called by `proxy.cli.dns`, and by the console.
"""
