"""Figures for Prometheus, in a registry of the application's own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.service.services import Services

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class WebMetrics:
    """Requests by route and status, and how long they took; and what the services stand at when asked."""

    def __init__(self, services: Services) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "omnigate_http_requests", "Requests answered", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "omnigate_http_seconds", "Time to answer", ("route",), buckets=BUCKETS, registry=self._registry
        )
        self._registry.register(Standing(services))
        # `labels()` costs more than the counting itself, so what it returns is kept.
        self._counters: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self._requests.labels(route, str(status))
        counter.inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format. Quick: it reads memory only."""
        return generate_latest(self._registry)


class Standing(Collector):
    """What can be read from memory at the moment of asking."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        directory = self._services.directory
        pending = GaugeMetricFamily("omnigate_intake_pending", "Messages handed over and not yet durable")
        pending.add_metric([], self._services.intake.pending)
        yield pending
        agents = GaugeMetricFamily("omnigate_agents", "Agents by presence", labels=["presence"])
        load = GaugeMetricFamily("omnigate_agent_load_points", "Load points taken by all agents")
        presences = {"online": 0, "away": 0, "offline": 0}
        points = 0
        for agent in directory.agents.values():
            state = directory.state_of(agent.id)
            presences[state.presence] += 1
            points += sum(hold.points for hold in state.held)
        for presence, count in presences.items():
            agents.add_metric([presence], count)
        load.add_metric([], points)
        yield agents
        yield load
        inboxes = GaugeMetricFamily(
            "omnigate_inboxes", "Inboxes by kind and whether enabled", labels=["kind", "enabled"]
        )
        kinds: dict[tuple[str, str], int] = {}
        for inbox in directory.inboxes.values():
            key = (inbox.kind, str(inbox.enabled).lower())
            kinds[key] = kinds.get(key, 0) + 1
        for (kind, enabled), count in kinds.items():
            inboxes.add_metric([kind, enabled], count)
        yield inboxes
        rules = GaugeMetricFamily("omnigate_rules_version", "The rule set in force")
        rules.add_metric([], directory.rules.version)
        yield rules
