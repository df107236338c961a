"""What the server counts, as Prometheus text. Nothing in it comes from a photo or a file name."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.answers = Counter(
            "facefill_answers", "Answers by path and HTTP status.", ("path", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "facefill_request_seconds",
            "From the first byte to the whole answer.",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.stages = Histogram(
            "facefill_stage_seconds",
            "Time of a request in each stage.",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.crops = Counter("facefill_crops", "Crops that the model completed.", ("method",), registry=self._registry)
        self.batches = Histogram(
            "facefill_batch_requests",
            "Requests that shared a call of the model.",
            buckets=(1, 2, 3, 4, 6, 8, 16),
            registry=self._registry,
        )
        self.gone = Counter(
            "facefill_clients_gone", "Requests given up because nobody waited any more.", registry=self._registry
        )

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Report the value of a function, read on request."""
        Gauge(f"facefill_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self._registry)
