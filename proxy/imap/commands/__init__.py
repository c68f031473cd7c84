"""What each command does, a file for each family.

A handler is `async def name(session, command, arguments) -> Done`. It checks nothing that the grammar
or the table has checked, writes untagged responses only, and raises what `proxy.imap.answers` knows
or lets the store's errors through. It is reached through `proxy.imap.table` alone.
"""
