"""A list as a spreadsheet, sent in pieces."""

from __future__ import annotations

from datetime import datetime

from mailstore.overview import Overview
from mailstore.queue import Queue
from proxy.admin.sheet import sheet
from proxy.web.console.filters import listing_of
from proxy.web.streaming import stream
from proxy.web.visit import Visit


async def accounts_sheet(visit: Visit) -> bytes:
    """What the list shows with this query, all of it."""
    database = visit.web.database
    listing = listing_of(visit.query)
    paused = await visit.web.in_thread(Queue(database).paused_domains)
    accounts = Overview(database).each(listing.wanted, sort=listing.sort)
    request = visit.request
    request.setHeader("Content-Type", "text/csv; charset=utf-8")
    name = f"accounts-{datetime.now():%Y%m%d-%H%M}.csv"
    request.setHeader("Content-Disposition", f'attachment; filename="{name}"')
    visit.web.log.info(
        "accounts exported", by=visit.session.subject if visit.session else "", peer=visit.visitor.address
    )
    await stream(request, visit.web.in_thread, sheet(accounts, visit.language, paused))
    return b""
