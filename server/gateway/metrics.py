"""Prometheus metrics of the gateway. Labels take only values of the configuration, never of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from server.gateway.health import HealthState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from server.gateway.admission import Admission
    from server.gateway.pool import Pool
    from server.gateway.request_context import RequestContext

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """Counts requests that are over, and makes the page that Prometheus reads."""

    def __init__(self, pools: Sequence[Pool], admission: Admission) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "babelview_gateway_requests",
            "Requests answered.",
            ("model", "replica", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "babelview_gateway_request_seconds",
            "From the request's headers to the end of its answer.",
            ("model",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._first = Histogram(
            "babelview_gateway_first_token_seconds",
            "From the request's headers to the first piece of a stream.",
            ("model",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._tokens = Counter(
            "babelview_gateway_tokens",
            "Tokens, as the engines count them; streams say it only if asked to.",
            ("model", "kind"),
            registry=self._registry,
        )
        self._refused = Counter(
            "babelview_gateway_refused", "Requests refused by the gateway itself.", ("code",), registry=self._registry
        )
        self._registry.register(_Live(pools, admission))
        ProcessCollector(registry=self._registry)

    def count(self, context: RequestContext) -> None:
        """Count a request that is over."""
        self._requests.labels(context.model, context.replica, context.status).inc()
        if context.code:
            self._refused.labels(context.code).inc()
        if not context.model:
            return
        self._seconds.labels(context.model).observe(context.duration_s)
        if context.first_s is not None:
            self._first.labels(context.model).observe(context.first_s)
        if context.prompt_tokens:
            self._tokens.labels(context.model, "prompt").inc(context.prompt_tokens)
            self._tokens.labels(context.model, "completion").inc(context.completion_tokens)

    def page(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


class _Live(Collector):
    """Metrics that are read off the gateway's state when Prometheus asks."""

    def __init__(self, pools: Sequence[Pool], admission: Admission) -> None:
        self._pools = pools
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("babelview_gateway_replica_up", "1: asked; 0.5: avoided; 0: left out.", labels=_REPLICA)
        busy = GaugeMetricFamily("babelview_gateway_replica_in_flight", "Requests at a replica.", labels=_REPLICA)
        ejected = CounterMetricFamily(
            "babelview_gateway_ejections", "How often a replica was left out.", labels=_REPLICA
        )
        retries = CounterMetricFamily("babelview_gateway_retries", "Requests sent to a second one.", labels=["model"])
        for pool in self._pools:
            retries.add_metric([pool.name], pool.retries)
            for upstream in pool.upstreams:
                labels = [pool.name, upstream.name]
                up.add_metric(labels, _UP[upstream.health_state])
                busy.add_metric(labels, upstream.in_flight)
                ejected.add_metric(labels, upstream.ejections)
        yield from (up, busy, ejected, retries)
        yield GaugeMetricFamily(
            "babelview_gateway_in_flight", "Requests in the gateway.", value=self._admission.in_flight
        )
        yield GaugeMetricFamily(
            "babelview_gateway_buffered_bytes", "Bodies held in memory.", value=self._admission.buffered_bytes
        )


_REPLICA = ["model", "replica"]
_UP = {HealthState.GOOD: 1.0, HealthState.DOUBTFUL: 0.5, HealthState.OUT: 0.0}
