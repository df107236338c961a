"""What the server counts of itself, as Prometheus text. Nothing in it comes from a photo or a file name."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        count = partial(Counter, namespace="facefill", registry=self._registry)
        spread = partial(Histogram, namespace="facefill", registry=self._registry)
        self.answers = count("answers", "Answers by path and HTTP status.", ("path", "status"))
        self.crops = count("crops", "Crops that the model completed.", ("method",))
        self.gone = count("clients_gone", "Requests given up because nobody waited any more.")
        said = "From the first byte to the whole answer."
        self.seconds = spread("request_seconds", said, ("path",), buckets=_SECONDS)
        self.stages = spread("stage_seconds", "Time of a request in each stage.", ("stage",), buckets=_SECONDS)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Report the value of a function, read on request."""
        Gauge(f"facefill_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self._registry)
