"""The users' portal: one step, and it is theirs alone.

    arriving   logging in with the old account and password: the gate decides, the move begins
    standing   how far an account's move is, as its user sees it
    home       the page of who is logged in: progress, live, and what is here
    passwords  another password, once it is ours to change
    setting    mail programs: settings, the profile for Apple's devices, the QR code
    discovery  what Thunderbird and Outlook ask for by themselves

Nothing here moves mail or checks passwords: that is `proxy.login`'s, with all its limits. Who closes the browser stops
nothing.
"""
