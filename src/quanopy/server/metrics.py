"""What Prometheus sees: requests, and how much waits."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server, in a registry of their own; no account appears in any of them."""

    def __init__(self, *, waiting: Callable[[], int], submitting: Callable[[], int]) -> None:
        """``waiting``: callers in long polls and streams; ``submitting``: requests not durable
        yet."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "quanopy_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.jobs = Counter("quanopy_jobs_submitted", "Jobs accepted.", registry=self._registry)
        waits = Gauge("quanopy_waiting_callers", "Long polls and streams.", registry=self._registry)
        waits.set_function(waiting)
        queue = Gauge(
            "quanopy_submissions_waiting", "Requests not durable yet.", registry=self._registry
        )
        queue.set_function(submitting)
        self._children: dict[tuple[str, str, int], Counter] = {}

    def answered(self, method: str, route: str, status: int) -> None:
        """Count a request by its route's template, never by its path."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(method, route, str(status))
        child.inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
