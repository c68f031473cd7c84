"""What a stored message says: its parts, header, structure, texts and dates, from its octets.

Pure functions over bytes (or a mapped file): no I/O, no protocol, and no input that makes them raise. All take time
linear in the input and nest no deeper than `walker.MAX_DEPTH`. Any part of the program may call them.

`walker` finds the parts; `section`, `structure`, `envelope` and `text` say of them what IMAP asks; `arrival` and
`dates` read when a message came and was written; `headers`, `addresses`, `parameters`, `charsets`, `transfer`
and `octets` are the ground under these.
"""
