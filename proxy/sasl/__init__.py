"""Password checks for other programs, above all Postfix: Dovecot's authentication protocol, the server's side.

`server` has the connections, `session` one of them, `requests` and `replies` the lines in both directions,
`mechanisms` what SASL makes of them.
"""
