"""The web: the users' portal at `/`, the administrators' console at `/console`.

    opening   from what the daemon has to its sites: the one way in
    sites     what the daemon opens: a `WebSite` for `listen.web` and one for `listen.console`
    channel   HTTP as far as strangers can send it: limits of headers, body and time (Twisted)
    security  who asks, from where, and what every answer says to the browser
    routes    from a path to a page: session, origin, CSRF token, errors; one `Routes` for each place
    visit     one request and its answer: what a page is handed
    uploads   forms with files
    pages     templates and static files
    events    server-sent events
    languages which language a visitor is spoken to in
    address   where the web is, for links that leave a page
    words/    all that is said, in English and Chinese
    portal/   the users' pages

A page is an `async def` that takes a `Visit` and gives back what it answers: `visit.page("name.html", …)` or
`visit.go("/path")`. It is registered with `Routes.get` or `Routes.post`; a POST gets there only with a CSRF token of
this browser's, and from a page of ours. Everything in templates is escaped; nothing is inline (the content security
policy would refuse it). Every page works without JavaScript.

Only `proxy.daemon` imports this package, and lazily: klein and Jinja2 take half a second.
"""
