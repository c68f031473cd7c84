"""What Prometheus is shown: by one process, by several, and to whom asks for something else."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from proxy import config
from proxy.config import Config, Listen
from proxy.daemon import exposition, metrics
from proxy.daemon.service import Daemon
from proxy.wire import tally
from proxy.wire.tally import Tally
from tests.proxy.daemon.test_daemon import LOGIN, MESSAGES, DaemonTestCase
from tests.proxy.daemon.test_workers import FREE, WithWorkers
from tests.proxy.login.login_rig import CONFIG, PASSWORD

PROMETHEUS = Path(__file__).parents[3] / "conf" / "prometheus"
WEIGHT = sum(map(len, MESSAGES))


def figures(page: bytes) -> dict[str, float]:
    """By name with labels, as the page has them."""
    lines = page.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


class Watched(DaemonTestCase):
    """Whoever reads the page is a client like the others."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        self.patch(metrics, "PAGE_SECONDS", 0.0)

    def settings(self, port: int) -> Config:
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        text = text.replace("workers = 1", f"workers = {self.workers}")
        text = text.replace("[listen]", '[listen]\nmetrics = ["tcp:9143"]')  # for workers, who read it anew
        listen = Listen.model_construct(imap=FREE, pop3=FREE, metrics=FREE)
        return config.parse(text.encode()).model_copy(update={"listen": listen})

    async def http(self, daemon: Daemon, request: bytes) -> bytes:
        client = await self.connect_to(daemon._watched_at.opened[0].socket.getsockname()[1])
        assert client.transport is not None
        client.transport.write(request + b" HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        await client.gone
        return client.seen

    async def read(self, daemon: Daemon) -> dict[str, float]:
        answer = await self.http(daemon, b"GET /metrics")
        head, _, page = answer.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        self.assertIn(b"text/plain; version=0.0.4", head)
        for secret in (b"user", PASSWORD):
            self.assertNotIn(secret, page)
        return figures(page)


class InOneProcess(Watched):
    def test_a_first_login_is_counted_from_the_command_to_the_barrier(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            daemon = await self.daemon(legacy.port)
            imap, pop3 = await self.imap(daemon), await self.pop3(daemon)
            await imap.ask(b"a LOGIN user wrong", b"a NO")
            await imap.ask(b"a " + LOGIN, b"a OK")
            await imap.ask(b"b NOOP", b"b OK")
            await imap.ask(b"c X-user", b"c BAD")
            await pop3.ask(b"CAPA", b"+OK")
            await self.until(lambda: not daemon._mover.moves.accounts())
            read = await self.read(daemon)
            host = f'host="localhost:{legacy.port}"'.replace("localhost", daemon._moving.door.hosts[0].name)
            expected = {
                'logins_total{protocol="imap",reason="",result="wrong"}': 1,
                'logins_total{protocol="imap",reason="",result="ok"}': 1,
                'moves_total{domain="123.com",outcome="done"}': 1,
                'moved_messages_total{domain="123.com"}': len(MESSAGES),
                'legacy_message_seconds_count{domain="123.com"}': len(MESSAGES),
                'legacy_listing_seconds_count{domain="123.com"}': 1,
                f'legacy_errors_total{{error="rejected",{host}}}': 1,
                f'legacy_seconds_count{{{host},step="connect"}}': 2,
                f'legacy_seconds_count{{{host},step="login"}}': 1,
                f"legacy_failures_in_a_row{{{host}}}": 0,
                'accounts{domain="123.com",state="moved"}': 1,
                'accounts{domain="123.com",state="waiting"}': 0,
                'queue_due{domain="123.com"}': 0,
                'command_seconds_count{command="LOGIN",protocol="imap"}': 2,
                'command_seconds_bucket{command="NOOP",le="+Inf",protocol="imap"}': 1,
                'command_seconds_count{command="CAPA",protocol="pop3"}': 1,
                'sessions{protocol="imap"}': 1,
                'sessions{protocol="pop3"}': 1,
                "workers": 1,
                "workers_wanted": 1,
                "store_readable": 1,
            }
            self.assertEqual({name: read.get("mailferry_" + name) for name in expected}, expected)
            self.assertGreaterEqual(read["mailferry_barrier_seconds_count"], 1)
            self.assertGreaterEqual(read['mailferry_moved_bytes_total{domain="123.com"}'], WEIGHT)
            self.assertGreater(read['mailferry_process_resident_memory_bytes{process="daemon"}'], 1e6)
            self.assertNotIn("mailferry_certificate_days_left", read)
            self.assertFalse([name for name in read if "X-" in name])
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_legacy_server_that_is_not_there(self) -> Deferred[None]:
        async def test() -> None:
            legacy = self.legacy()
            port = legacy.port
            await legacy.close()
            daemon = await self.daemon(port)
            imap = await self.imap(daemon)
            await imap.ask(b"a " + LOGIN, b"a NO [UNAVAILABLE]")
            read = await self.read(daemon)
            host = f'host="{daemon._moving.door.hosts[0].label}"'
            self.assertEqual(read['mailferry_logins_total{protocol="imap",reason="down",result="unavailable"}'], 1)
            self.assertEqual(read[f'mailferry_legacy_errors_total{{error="unreachable",{host}}}'], 1)
            self.assertEqual(read[f"mailferry_legacy_failures_in_a_row{{{host}}}"], 1)
            await self.stop(daemon)

        return self.run_async(test())

    def test_there_is_nothing_else(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(1)
            for request, said in (
                (b"GET /", b"404"),
                (b"GET /metrics/more", b"404"),
                (b"POST /metrics", b"405"),
                (b"HEAD /metrics", b"200"),
                (b"GET /metrics?name[]=x", b"200"),
            ):
                answer = await self.http(daemon, request)
                self.assertTrue(answer.startswith(b"HTTP/1.1 " + said), answer)
            self.assertTrue((await self.http(daemon, b"HEAD /metrics")).endswith(b"\r\n\r\n"))
            await self.stop(daemon)

        return self.run_async(test())

    def test_who_has_left_and_who_asks_at_once(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(1)
            leaver = await self.connect(daemon, -1)
            assert leaver.transport is not None
            leaver.transport.write(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
            leaver.transport.abortConnection()  # type: ignore[attr-defined]
            pages = [Deferred.fromCoroutine(self.read(daemon)) for _ in range(5)]
            self.assertEqual([len(await page) > 20 for page in pages], [True] * 5)
            await self.stop(daemon)

        return self.run_async(test())

    def test_a_database_that_cannot_be_read(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(1)
            assert daemon._metrics is not None
            daemon._metrics._standing._overview.domains = _unreadable  # type: ignore[method-assign]
            read = await self.read(daemon)
            self.assertEqual(read["mailferry_store_readable"], 0)
            await self.stop(daemon)

        return self.run_async(test())

    def test_alerts_and_dashboard_speak_of_what_there_is(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(1)
            page = (await self.http(daemon, b"GET /metrics")).decode()
            there = {"mailferry_certificate_days_left"}  # where there is a certificate
            for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", page, re.MULTILINE):
                there |= {name + end for end in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))}
            for file in ("mailferry.rules.yml", "grafana.json"):
                wanted = set(re.findall(r"\bmailferry_\w+", (PROMETHEUS / file).read_text()))
                self.assertEqual(wanted - there, set())
                self.assertGreater(len(wanted), 10)
            await self.stop(daemon)

        return self.run_async(test())


def _unreadable() -> dict[str, object]:
    from mailstore.errors import StorageFailed

    raise StorageFailed("the disk")


class WithTwoWorkers(Watched, WithWorkers):
    workers = 2
    settings = Watched.settings

    def test_their_counts_are_one_and_outlive_them(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            assert daemon._crew is not None
            clients = [await self.imap(daemon) for _ in range(4)]
            for client in clients:
                await client.ask(b"a " + LOGIN, b"a OK")
                await client.ask(b"b NOOP", b"b OK")
            noops = (tally.COMMANDS, "imap", "NOOP")
            times = daemon._tally.times
            await self.until(lambda: noops in times and sum(times[noops].counts) == 4)
            read = await self.read(daemon)
            self.assertEqual(read['mailferry_sessions{protocol="imap"}'], 4)
            self.assertEqual(read["mailferry_workers"], 2)
            self.assertEqual(read['mailferry_logins_total{protocol="imap",reason="",result="ok"}'], 4)
            processes = {name for name in read if name.startswith("mailferry_process_cpu_seconds_total")}
            self.assertGreaterEqual(len(processes), 3)
            victim = daemon._crew.workers[0]
            assert victim.pid is not None
            os.kill(victim.pid, signal.SIGKILL)
            await victim.ended
            read = await self.read(daemon)
            self.assertEqual(read["mailferry_workers"], 1)
            self.assertEqual(read["mailferry_worker_deaths_total"], 1)
            self.assertEqual(read['mailferry_sessions{protocol="imap"}'], 2)
            self.assertEqual(read['mailferry_command_seconds_count{command="NOOP",protocol="imap"}'], 4)
            await self.stop(daemon)

        return self.run_async(test())


def test_what_is_taken_is_gone_and_adds_up() -> None:
    one, other = Tally(), Tally()
    for each in (one, other):
        each.count(tally.MOVES, "123.com", "done")
        each.took(0.02, tally.BARRIER, often=3)
    other.took(1e6, tally.BARRIER)
    other.count(tally.DEATHS, by=2)
    one.add(other.take())
    assert other.take() == {"counts": [], "times": []}
    read = figures(exposition.exposition(exposition.Frozen(one), ()))
    assert read['mailferry_moves_total{domain="123.com",outcome="done"}'] == 2
    assert read["mailferry_worker_deaths_total"] == 2
    assert read['mailferry_barrier_seconds_bucket{le="0.01"}'] == 0
    assert read['mailferry_barrier_seconds_bucket{le="0.025"}'] == 6
    assert read['mailferry_barrier_seconds_bucket{le="60.0"}'] == 6
    assert read['mailferry_barrier_seconds_bucket{le="+Inf"}'] == 7
    assert read["mailferry_barrier_seconds_count"] == 7


@pytest.mark.parametrize("kind", [*tally.COUNTED.values(), *tally.TIMED.values()], ids=lambda kind: kind.name)
def test_labels_are_none_that_a_client_could_fill(kind: tally.Kind) -> None:
    bounded = {"protocol", "result", "reason", "how", "domain", "outcome", "host", "error", "command", "step"}
    assert set(kind.labels) <= bounded
    assert re.fullmatch(r"[a-z_]+", kind.name)
