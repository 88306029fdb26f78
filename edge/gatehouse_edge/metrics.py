"""The gateway's own figures for Prometheus: process, journal, buses. Read when asked, nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gatehouse_edge.drivers.modbus_bus import ModbusBus
from gatehouse_edge.ledger import Ledger
from gatehouse_edge.reading import CameraReading
from gatehouse_edge.uplink.link import Link, LinkState
from gatehouse_edge.wiring import Driver

Metric = GaugeMetricFamily | CounterMetricFamily


_CAMERA_COUNTS: Final = {
    "frames": "Pictures decoded",
    "frames_skipped": "Pictures not looked at because detection was slower than the camera",
    "repeats": "Pictures the camera sent twice",
    "tiles_skipped": "Places in which something moved beyond the budget of a picture",
    "undecodable": "Packets lost or broken",
    "openings": "How often the stream was opened",
    "throws": "Throws found, alarms or not",
}
_CAMERA_GAUGES: Final = {
    "ms_per_frame": "Processor time of detection for a picture, milliseconds",
    "cpu_share": "Of one core",
    "rss_mib": "Resident memory of its process, MiB",
    "ring_s": "How far back a clip could begin, seconds",
    "lag_s": "How far the newest picture is behind the quickest one, seconds",
    "clock_offset_s": "The camera's clock minus the gateway's, seconds",
}


class GatewayCollector(Collector):
    """What one gateway has to tell besides the console's figures."""

    def __init__(self, ledger: Ledger, drivers: Mapping[str, Driver], link: Link) -> None:
        self._ledger: Final = ledger
        self._link: Final = link
        self._drivers: Final = drivers
        self._process: Final = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """Yield everything, now."""
        yield from self._own()
        yield from self._journal()
        yield from self._buses()
        yield from self._cameras()
        yield from self._fleet()

    def _own(self) -> Iterator[Metric]:
        process = self._process
        with process.oneshot():
            times = process.cpu_times()
            yield CounterMetricFamily(
                "gatehouse_cpu_seconds", "CPU time used", value=times.user + times.system
            )
            yield GaugeMetricFamily(
                "gatehouse_resident_bytes", "Resident memory", value=process.memory_info().rss
            )
            written = process.io_counters().write_bytes
            yield CounterMetricFamily("gatehouse_disk_written_bytes", "Bytes sent to disk", value=written)
        yield GaugeMetricFamily(
            "gatehouse_writer_alive", "1 while the writer ticks", value=self._ledger.is_alive
        )
        yield CounterMetricFamily(
            "gatehouse_observations", "Readings taken in", value=self._ledger.observations
        )
        yield CounterMetricFamily(
            "gatehouse_telemetry_dropped", "Telemetry lines not kept", value=self._ledger.samples_dropped
        )

    def _journal(self) -> Iterator[Metric]:
        health = self._ledger.health
        if health is None:
            return
        fill = GaugeMetricFamily(
            "gatehouse_journal_fill_ratio", "0 to 1, alarm lane and disk", value=health.fill
        )
        size = GaugeMetricFamily("gatehouse_journal_bytes", "Size on disk", labels=["lane"])
        head = CounterMetricFamily("gatehouse_journal_entries", "Entries written", labels=["lane"])
        for lane, used, position in (
            ("alarm", health.alarm_bytes, health.alarm_head),
            ("telemetry", health.telemetry_bytes, health.telemetry_head),
        ):
            size.add_metric([lane], used)
            head.add_metric([lane], position.seq)
        yield from (fill, size, head)

    def _buses(self) -> Iterator[Metric]:
        asked = CounterMetricFamily("gatehouse_modbus_requests", "Requests sent", labels=["bus"])
        failed = CounterMetricFamily(
            "gatehouse_modbus_failures", "Requests without a believable answer", labels=["bus"]
        )
        for name, driver in self._drivers.items():
            if isinstance(driver, ModbusBus):
                asked.add_metric([name], driver.requests)
                failed.add_metric([name], driver.failures)
        yield from (asked, failed)

    def _cameras(self) -> Iterator[Metric]:
        """Yield what each camera costs and loses, as its process told last."""
        families: dict[str, Metric] = {
            name: CounterMetricFamily(f"gatehouse_camera_{name}", words, labels=["camera"])
            for name, words in _CAMERA_COUNTS.items()
        }
        families |= {
            name: GaugeMetricFamily(f"gatehouse_camera_{name}", words, labels=["camera"])
            for name, words in _CAMERA_GAUGES.items()
        }
        for device in self._ledger.devices():
            figures = device.last.figures if isinstance(device.last, CameraReading) else None
            if figures is None:
                continue
            for name, family in families.items():
                value = getattr(figures, name)
                if value is not None:
                    family.add_metric([device.device_id], value)
        yield from families.values()

    def _fleet(self) -> Iterator[Metric]:
        view = self._link.view()
        state = GaugeMetricFamily(
            "gatehouse_fleet_link", "1 for the state the way to the fleet is in", labels=["state"]
        )
        for word in LinkState:
            state.add_metric([word.value], word is view.state)
        queued = GaugeMetricFamily(
            "gatehouse_fleet_queued_entries", "Entries the fleet has not confirmed", labels=["lane"]
        )
        queued.add_metric(["alarm"], view.queued_alarm)
        queued.add_metric(["telemetry"], view.queued_telemetry)
        yield from (state, queued)


def registry_of(ledger: Ledger, drivers: Mapping[str, Driver], link: Link) -> CollectorRegistry:
    """Return a registry with the gateway's figures; the console adds its own."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(ledger, drivers, link))
    return registry
