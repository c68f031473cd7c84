"""Proofs as they are kept: one a domain, the last one."""

from __future__ import annotations

from mailstore.database import AccountsDatabase
from mailstore.proofs import Proof, Proofs
from tests.postgres.accounts import BOTH

DATABASES = BOTH


def test_one_a_domain_and_the_last_one_counts(database: AccountsDatabase, another: AccountsDatabase) -> None:
    times = iter((100, 200, 300))
    proofs = Proofs(database, clock=lambda: next(times))
    assert proofs.all() == {}
    proofs.write("123.com", "li@123.com", '{"tls": "none"}', "{}")
    proofs.write("邮件.cn", "王@邮件.cn", "{}", "{}")
    last = proofs.write("123.com", "anna@123.com", '{"tls": "implicit"}', '{"stored": 3}')
    assert last == Proof("123.com", "anna@123.com", 300, '{"tls": "implicit"}', '{"stored": 3}')
    found = Proofs(another).all()
    assert (sorted(found), found["123.com"], found["邮件.cn"].proven) == (["123.com", "邮件.cn"], last, 200)
