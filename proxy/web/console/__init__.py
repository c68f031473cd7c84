"""The administrators' console: who is done, who failed and why, and help for them.

    site        from paths to pages
    entering    login, logout, and who may see anything at all
    attempts    how guesses at a login are slowed down
    seeing      the pages that show something: domains, accounts, one account
    changing    what an administrator does, each after a confirmation where it is for many; logged with name and address
    filters     which accounts a list shows, in which order and from where on: from a query, and back to one
    importing   a list of accounts that is sent, looked at, and taken over; `uploaded` keeps it meanwhile
    reminders   mail to those who have not logged in yet, and how its sending goes
    sheets      a list as a spreadsheet, sent in pieces
    showing     what all pages share, and where a domain's steps are
    steps       work of a domain's steps that is begun and not waited for
    legacy      a domain's old server: what is found of it, and what it does with an account; `settled` writes it down
    verifying   what is here, held against the old server; what is proven by it
    reports     the reports of a domain that are kept
    curve       a curve as SVG
    runbook     what README says of moving a domain

Everything that is found or done here is found or done by `proxy.admin`; the command line does the same.
"""
