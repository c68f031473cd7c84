"""A tally and gauges as text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.daemon.standing import Gauge
from proxy.wire.tally import BUCKETS, COUNTED, TIMED, Tally

PREFIX: Final = "mailferry_"
_ENDS: Final = (*map(str, BUCKETS), "+Inf")


class Frozen:
    """A tally as it is at one moment, for another thread."""

    def __init__(self, tally: Tally) -> None:
        self.counts = dict(tally.counts)
        self.times = {key: (tuple(times.counts), times.seconds) for key, times in tally.times.items()}


def exposition(frozen: Frozen, gauges: Sequence[Gauge]) -> bytes:
    """In the text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown([*_counted(frozen), *_timed(frozen), *map(_gauge, gauges)]))
    return generate_latest(registry)


class _Shown(Collector):
    """Families that are ready."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _counted(frozen: Frozen) -> Iterator[Metric]:
    for kind in COUNTED.values():
        family = CounterMetricFamily(PREFIX + kind.name, kind.text, labels=kind.labels)
        for labels, count in _of(kind, frozen.counts):
            family.add_metric(labels, count)
        if not kind.labels and not family.samples:
            family.add_metric((), 0)
        yield family


def _timed(frozen: Frozen) -> Iterator[Metric]:
    for kind in TIMED.values():
        family = HistogramMetricFamily(f"{PREFIX}{kind.name}_seconds", kind.text, labels=kind.labels)
        for labels, (counts, seconds) in _of(kind, frozen.times):
            family.add_metric(labels, list(zip(_ENDS, accumulate(counts), strict=True)), seconds)
        yield family


def _of(kind: object, found: dict[tuple[Any, ...], Any]) -> Iterator[tuple[Sequence[str], Any]]:
    return ((key[1:], value) for key, value in sorted(found.items(), key=lambda item: item[0][1:]) if key[0] is kind)


def _gauge(gauge: Gauge) -> Metric:
    make = CounterMetricFamily if gauge.counter else GaugeMetricFamily
    family = make(PREFIX + gauge.name, gauge.text, labels=gauge.labels)
    for labels, value in gauge.rows:
        family.add_metric(labels, value)
    return family
