"""What an administrator does, once, for every way in which it is asked for: the command line, and the console.

Nothing here prints, asks or exits. It stands on `proxy.login` (who has which account, and how the legacy servers are
reached) and is called by `proxy.cli` and `proxy.web`.
"""
