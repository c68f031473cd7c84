"""The alert rules, the metrics and the dashboard, as Prometheus' own promtool sees them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from proxy.daemon.exposition import Frozen, exposition
from proxy.daemon.standing import Gauge
from proxy.wire import tally
from proxy.wire.tally import Tally
from tests.peers.needs import needed

CONF = Path(__file__).parents[2] / "conf" / "prometheus"
RULES = CONF / "mailferry.rules.yml"

pytestmark = pytest.mark.peers

# Of each alert: the series that it is to see, minute by minute, when it is looked at, and whether it is told then.
SCENES = {
    "MailferryLegacyDown": [
        ({'mailferry_legacy_failures_in_a_row{host="old:110"}': "0 3 4x20"}, "5m", False),
        ({'mailferry_legacy_failures_in_a_row{host="old:110"}': "0 3 4x20"}, "9m", True),
    ],
    "MailferryNoWorker": [
        ({"mailferry_workers": "2 0x10"}, "4m", True),
        ({"mailferry_workers": "2 1x10"}, "4m", False),
    ],
    "MailferryMovesFail": [
        ({'mailferry_moves_total{domain="a",outcome="legacy"}': "0+1x60"}, "30m", True),
        (
            {
                'mailferry_moves_total{domain="a",outcome="legacy"}': "0+1x60",
                'mailferry_moves_total{domain="a",outcome="done"}': "0+9x60",
            },
            "30m",
            False,
        ),
    ],
    "MailferryQueueStands": [
        (
            {
                'mailferry_queue_oldest_seconds{domain="a"}': "3600+60x60",
                'mailferry_moves_total{domain="a",outcome="done"}': f"{outcome}x60",
                'mailferry_moves_total{domain="a",outcome="stopped"}': "3+0x60",
            },
            "50m",
            stands,
        )
        for outcome, stands in (("5+0", True), ("5+1", False))
    ],
    "MailferryMailNotStored": [
        ({'mailferry_arrivals_total{domain="a",result="failed"}': "0 0 1 2x30"}, "10m", True),
        ({'mailferry_arrivals_total{domain="a",result="over-quota"}': "0+1x30"}, "10m", False),
    ],
    "MailferryCertificateExpires": [
        ({"mailferry_certificate_days_left": "13+0x90"}, "70m", True),
        ({"mailferry_certificate_days_left": "14+0x90"}, "70m", False),
    ],
}


def promtool(*arguments: str, text: bytes = b"") -> str:
    """What it says of something that is right."""
    done = subprocess.run([needed("promtool"), *arguments], input=text, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return (done.stdout + done.stderr).decode()


def test_the_rules_are_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


def test_the_rules_tell_what_they_are_for(tmp_path: Path) -> None:
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in scene.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": int(told)}],
                }
            ],
        }
        for alert, scenes in SCENES.items()
        for scene, at, told in scenes
    ]
    file = tmp_path / "scenes.yml"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))


def test_what_the_dashboard_asks_can_be_asked(tmp_path: Path) -> None:
    panels = json.loads((CONF / "grafana.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    asked = [re.sub(r"\[\$\w+\]", "[5m]", expression) for expression in asked]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(file))


def test_the_page_is_what_prometheus_reads() -> None:
    counted = Tally()
    for kind in tally.COUNTED.values():
        counted.count(kind, *(f'"{label}"\n\\' for label in kind.labels))
    for kind in tally.TIMED.values():
        counted.took(0.1, kind, *kind.labels)
    gauges = [Gauge("accounts", "Accounts.", ("domain",), [(("公司.cn",), 1.5)])]
    promtool("check", "metrics", text=exposition(Frozen(counted), gauges))
