"""What Prometheus reads of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import generate_latest as page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.captioner.slots import Slots
    from client.captioner.uploads import Uploads
    from client.record import Record

_BUCKETS_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


class Metrics:
    """Counts requests that are over, and makes the page."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, uploads: Uploads, slots: Slots) -> None:
        """What is in work is read off `uploads` and `slots`."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "babelview_captioner_requests",
            "Requests answered; gone: the client went away.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self._duration_s = Histogram(
            "babelview_captioner_request_seconds",
            "From a request's headers to the end of its answer.",
            ("path",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._records = Counter(
            "babelview_captioner_records", "Files described.", ("kind", "outcome"), registry=self._registry
        )
        self.jobs = Gauge("babelview_captioner_jobs", "Jobs that are kept.", ("status",), registry=self._registry)
        for name, what, read in (
            ("working", "Requests that are worked on.", lambda: slots.working),
            ("waiting", "Requests that wait for a place.", lambda: slots.waiting),
            ("held_bytes", "Uploads on the disk.", lambda: uploads.held_bytes),
        ):
            Gauge(f"babelview_captioner_{name}", what, registry=self._registry).set_function(read)
        ProcessCollector(registry=self._registry)

    def answered(self, method: str, path: str, status: str, duration_s: float) -> None:
        """Count a request that is over."""
        self._requests.labels(method, path, status).inc()
        self._duration_s.labels(path).observe(duration_s)

    def count(self, records: Sequence[Record]) -> None:
        """Count files that are done."""
        for record in records:
            self._records.labels(record["kind"] or "none", "failed" if record["error"] else "ok").inc()

    def page(self) -> bytes:
        """The page."""
        return page_of(self._registry)
