"""The console's own metrics, read from live state when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gatehouse_edge.console.state import ConsoleState
from gatehouse_events.states import Priority


class _ConsoleCollector(Collector):
    def __init__(self, state: ConsoleState) -> None:
        self._state: Final = state

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield what is so now."""
        state = self._state
        yield GaugeMetricFamily("gatehouse_console_pages", "Open live pages", value=state.stream.clients)
        yield CounterMetricFamily(
            "gatehouse_console_changes", "Changes told to pages", value=state.stream.pushes
        )
        yield CounterMetricFamily(
            "gatehouse_console_resyncs", "Pages that lagged and got a snapshot", value=state.stream.resyncs
        )
        yield GaugeMetricFamily(
            "gatehouse_storage_failing",
            "1 while the journal refuses entries",
            value=state.desk.is_storage_failing,
        )
        alarms = GaugeMetricFamily("gatehouse_alarms_open", "Open alarms", labels=["priority"])
        found = [alarm.priority for alarm in state.desk.alarms()]
        for priority in Priority:
            alarms.add_metric([priority.value], found.count(priority))
        yield alarms
        ages = GaugeMetricFamily(
            "gatehouse_device_age_seconds", "Age of the last data", labels=["device", "kind"], unit="seconds"
        )
        for view in state.desk.devices():
            if view.age_s is not None:
                ages.add_metric([view.device_id, view.kind], view.age_s)
        yield ages


def measure(registry: CollectorRegistry, state: ConsoleState) -> None:
    """Add the console's metrics to the gateway's."""
    registry.register(_ConsoleCollector(state))
