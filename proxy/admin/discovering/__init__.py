"""Finding out how a domain's legacy server wants to be spoken to: host, port, encryption, and what accounts are called.

`places` says where one could be, from DNS, autoconfig, common names and hosted services; `knocking` looks what answers
there; `found` puts that in order; `text` has it in lines and for programs. Nobody is logged in anywhere, and nothing is
asked but DNS, the domain's own autoconfig, and the ports of mail servers.

Called by `proxy.cli.discover` and `proxy.web.console.legacy`.
"""
