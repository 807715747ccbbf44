"""The service's metrics, as Prometheus reads them."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from translator.batcher import Batcher
    from translator.text_translator import Answer

_BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SENTENCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The Prometheus metrics of one service.

    Labels are taken from fixed sets (known paths, languages of the model, verdicts), so that no client can make
    the number of series grow.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "babelview_translator_requests",
            "Requests that were answered.",
            ("path", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "babelview_translator_request_seconds",
            "Time from a request's head to its answer.",
            ("path",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "babelview_translator_requests_in_flight", "Requests that wait for their answer.", registry=self.registry
        )
        self.texts = Counter("babelview_translator_texts", "Texts that were translated.", registry=self.registry)
        self.sentences = Counter(
            "babelview_translator_sentences",
            "Sentences that were answered.",
            ("target", "verdict"),
            registry=self.registry,
        )
        self.batch_sentences = Histogram(
            "babelview_translator_batch_sentences",
            "Sentences of a batch.",
            buckets=_SENTENCES,
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "babelview_translator_batch_seconds",
            "Time that a batch ran.",
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.tokens = Counter(
            "babelview_translator_source_tokens",
            "Source tokens given to the model, padding not counted.",
            registry=self.registry,
        )

    def ran(self, sentences: int, tokens: int, duration_s: float) -> None:
        """Count a batch that ran: its sentences, source tokens and seconds."""
        self.batch_sentences.observe(sentences)
        self.batch_seconds.observe(duration_s)
        self.tokens.inc(tokens)

    def answered(self, answer: Answer) -> None:
        """Count an answer's texts and sentences."""
        self.texts.inc(len(answer.texts))
        for text in answer.texts:
            for target, translated in text.items():
                for sentence in translated.sentences:
                    self.sentences.labels(target, sentence.verdict).inc()

    def watch(self, model: str, description: str, batcher: Batcher) -> None:
        """Add a loaded model and its queue to the metrics."""
        Info("babelview_translator_build", "What runs.", registry=self.registry).info(
            {
                "version": metadata.version("babelview"),
                "ctranslate2": metadata.version("ctranslate2"),
                "python": platform.python_version(),
                "model": model,
                "engine": description,
            }
        )
        self.registry.register(_Queue(batcher))

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Queue(Collector):
    """Metrics of the queue and its cache, read from the batcher at each scrape."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    def collect(self) -> Iterable[Metric]:
        return list(self._read())

    def _read(self) -> Iterator[Metric]:
        batcher, name = self._batcher, "babelview_translator_"
        yield GaugeMetricFamily(name + "queue_sentences", "Sentences that wait for a batch.", batcher.waiting)
        yield GaugeMetricFamily(name + "cache_bytes", "Memory of finished sentences.", batcher.cache.size_bytes)
        yield CounterMetricFamily(name + "cache_hits", "Sentences found in the cache.", batcher.cache.hits)
        yield CounterMetricFamily(name + "cache_misses", "Sentences not found there.", batcher.cache.misses)
