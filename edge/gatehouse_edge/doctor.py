"""`gatehouse-edge doctor`: looks at everything a gateway needs from its machine and says what to do about it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from gatehouse_config import check, load
from gatehouse_config.buses import BleBus, ModbusRtuBus, ModbusTcpBus, SerialBus
from gatehouse_config.devices import CameraDevice
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.calibration import FOLDER as CALIBRATION
from gatehouse_edge.calibration import CalibrationStore
from gatehouse_edge.evidence import drawer
from gatehouse_edge.evidence.drafts import left_in
from gatehouse_edge.evidence.drawer import FOLDER as EVIDENCE
from gatehouse_edge.ntp import clock_quality
from gatehouse_edge.vision.facade import CalibrationError, decode
from gatehouse_edge.vision.release import Manifest
from gatehouse_events.evidence import EvidenceError

_SPARE_MIB: Final = 256
_CONNECT_LIMIT_S: Final = 2.0
_RTSP_PORT: Final = 554


class Verdict(StrEnum):
    """How a finding weighs."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    about: str
    verdict: Verdict
    text: str
    advice: str = ""


def examine(config_path: Path) -> Iterator[Finding]:
    """Look at the machine with the eyes of `config_path`; yields as it goes. Opens no port for writing."""
    faults = check(config_path)
    if faults:
        for fault in faults:
            yield Finding(about="config", verdict=Verdict.FAIL, text=str(fault), advice="mend gateway.yaml")
        return
    config = load(config_path)
    yield Finding(
        about="config", verdict=Verdict.OK, text=f"{len(config.buses)} buses, {len(config.devices)} devices"
    )
    yield _clock()
    yield _storage(config)
    yield _console(config)
    for bus in config.buses:
        match bus:
            case ModbusRtuBus() | SerialBus():
                yield _serial(bus.id, config.resolve(bus.port))
            case ModbusTcpBus():
                yield _tcp(bus)
            case BleBus():
                yield _bluetooth(bus)
    if config.fleet is not None:
        yield from _fleet(config)
    cameras = [device for device in config.devices if isinstance(device, CameraDevice)]
    if cameras:
        yield _evidence(config.resolve(config.storage.directory) / EVIDENCE)
    for camera in cameras:
        yield from _camera(config, camera)
        yield _calibration(config, camera)
    yield from _keys(config)


def _fleet(config: GatewayConfig) -> Iterator[Finding]:
    from cryptography import x509

    from gatehouse_edge.uplink.errors import NotEnrolledError
    from gatehouse_edge.uplink.identity import IDENTITY, tls_context

    assert config.fleet is not None  # noqa: S101  # asked by the caller
    address = urlsplit(config.fleet.proxy or config.fleet.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    yield _reach("fleet", str(address.hostname), port, "check the line, the proxy and the firewall")
    if config.fleet.url.startswith("http://"):
        return
    try:
        tls_context(config.fleet_directory)
        raw = (config.fleet_directory / IDENTITY).read_bytes()
        ends = x509.load_pem_x509_certificates(raw)[0].not_valid_after_utc
    except (NotEnrolledError, OSError, ValueError) as error:
        advice = "gatehouse-edge enrol gateway.yaml --fingerprint …"
        yield Finding(about="fleet identity", verdict=Verdict.FAIL, text=str(error), advice=advice)
        return
    yield Finding(
        about="fleet identity", verdict=Verdict.OK, text=f"certificate until {ends:%Y-%m-%d %H:%M} UTC"
    )


def _evidence(folder: Path) -> Finding:
    gone, unreadable, kept = 0, 0, drawer.manifests(folder)
    for sha in kept:
        try:
            manifest = drawer.read_manifest(folder, sha)
        except EvidenceError:
            unreadable += 1
            continue
        gone += not all(drawer.path_of(folder, file).is_file() for file in manifest.files)
    used_mib = sum(path.stat().st_size for path in folder.glob("*.*") if path.is_file()) >> 20
    text = f"{len(kept)} kept, {used_mib} MiB, {len(left_in(folder))} in the making"
    if gone or unreadable:
        return Finding(
            about="evidence",
            verdict=Verdict.FAIL,
            text=f"{text}; {gone} without all their files, {unreadable} manifests changed",
            advice="gatehouse-edge evidence verify says which, and what was changed",
        )
    return Finding(about="evidence", verdict=Verdict.OK, text=text)


def _calibration(config: GatewayConfig, camera: CameraDevice) -> Finding:
    found = CalibrationStore(config.resolve(config.storage.directory) / CALIBRATION).get(camera.id)
    about = f"calibration of {camera.id}"
    if found is not None:
        shield = len(found.calibration.shield)
        text = f"version {found.version}, {len(found.calibration.floors)} floor lines, {shield} shield zones"
        return Finding(about=about, verdict=Verdict.OK, text=text)
    if camera.calibration_file is None:
        return Finding(
            about=about,
            verdict=Verdict.WARN,
            text="nothing is drawn: no floors are told, nothing is shielded",
            advice="draw on a still at the console, or with gatehouse-edge vision calibrate",
        )
    try:
        decode(config.resolve(camera.calibration_file).read_bytes())
    except (OSError, CalibrationError) as error:
        return Finding(
            about=about, verdict=Verdict.FAIL, text=str(error), advice="mend the file, or draw at the console"
        )
    return Finding(about=about, verdict=Verdict.OK, text=f"from {camera.calibration_file}")


def _clock() -> Finding:
    quality = clock_quality()
    if quality.synced:
        return Finding(about="clock", verdict=Verdict.OK, text=f"synchronised, offset {quality.offset_ms} ms")
    return Finding(
        about="clock",
        verdict=Verdict.WARN,
        text="the kernel says its clock is not synchronised",
        advice="start an NTP client (systemd-timesyncd or chrony) and let it reach a server",
    )


def _storage(config: GatewayConfig) -> Finding:
    directory = config.resolve(config.storage.directory)
    there = next(folder for folder in (directory, *directory.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return Finding(
            about="storage",
            verdict=Verdict.FAIL,
            text=f"{there} cannot be written",
            advice="give the gateway's user this directory",
        )
    free_mib = shutil.disk_usage(there).free // 2**20
    wanted_mib = config.storage.alarm_quota_mib + config.storage.telemetry_quota_mib + _SPARE_MIB
    verdict = Verdict.OK if free_mib >= wanted_mib else Verdict.WARN
    advice = "" if verdict is Verdict.OK else "make room, or lower the quotas under `storage`"
    return Finding(
        about="storage", verdict=verdict, text=f"{free_mib} MiB free, {wanted_mib} MiB wanted", advice=advice
    )


def _console(config: GatewayConfig) -> Finding:
    address = (config.console.host, config.console.port)
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return Finding(
                about="console",
                verdict=Verdict.WARN,
                text=f"{address[0]}:{address[1]}: {error.strerror}",
                advice="a gateway may be running already; otherwise choose another port under `console`",
            )
    return Finding(about="console", verdict=Verdict.OK, text=f"{address[0]}:{address[1]} is free")


def _serial(bus_id: str, port: Path) -> Finding:
    about = f"bus {bus_id}"
    try:
        mode = port.stat().st_mode
    except OSError as error:
        return Finding(
            about=about,
            verdict=Verdict.FAIL,
            text=f"{port}: {error.strerror}",
            advice="plug the adapter in; `ls /dev/serial/by-id` shows what is there",
        )
    if not stat.S_ISCHR(mode):
        return Finding(about=about, verdict=Verdict.FAIL, text=f"{port} is not a serial port")
    if not os.access(port, os.R_OK | os.W_OK):
        return Finding(
            about=about,
            verdict=Verdict.FAIL,
            text=f"no permission for {port}",
            advice="add the gateway's user to the group dialout",
        )
    if str(port).startswith(("/dev/ttyUSB", "/dev/ttyACM")):
        return Finding(
            about=about,
            verdict=Verdict.WARN,
            text=f"{port} may change its number when it is plugged in again",
            advice="use its name under /dev/serial/by-id",
        )
    return Finding(about=about, verdict=Verdict.OK, text=f"{port} is there")


def _tcp(bus: ModbusTcpBus) -> Finding:
    return _reach(f"bus {bus.id}", bus.host, bus.port, "check power, cable and address of the device")


def _reach(about: str, host: str, port: int, advice: str) -> Finding:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_LIMIT_S):
            return Finding(about=about, verdict=Verdict.OK, text=f"{host}:{port} answers")
    except OSError as error:
        return Finding(about=about, verdict=Verdict.FAIL, text=f"{host}:{port}: {error}", advice=advice)


def _bluetooth(bus: BleBus) -> Finding:
    about = f"bus {bus.id}"
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket")
    path = address.partition("path=")[2].partition(",")[0]
    if not path or not Path(path).exists():
        return Finding(
            about=about,
            verdict=Verdict.FAIL,
            text=f"no system D-Bus at {address}",
            advice="install and start dbus and bluetooth (BlueZ)",
        )
    if (
        "DBUS_SYSTEM_BUS_ADDRESS" not in os.environ
        and not Path(f"/sys/class/bluetooth/{bus.adapter}").exists()
    ):
        return Finding(
            about=about,
            verdict=Verdict.FAIL,
            text=f"no adapter {bus.adapter}",
            advice="plug it in; `ls /sys/class/bluetooth` shows what is there",
        )
    return Finding(about=about, verdict=Verdict.OK, text=f"{bus.adapter} over {address}")


def _camera(config: GatewayConfig, camera: CameraDevice) -> Iterator[Finding]:
    """Look whether a camera answers and its models are whole. Opens no stream."""
    from gatehouse_edge.vision.release import ModelError, proven, released

    about = f"camera {camera.id}"
    if "://" in camera.url:
        address = urlsplit(camera.url)
        yield _reach(
            about,
            str(address.hostname),
            address.port or _RTSP_PORT,
            "check power, cable and address of the camera",
        )
    else:
        yield _readable(about, config.resolve(camera.url))
    if camera.detect == "off":
        yield Finding(about=f"detection {camera.id}", verdict=Verdict.OK, text="switched off")
        return
    folder = None if camera.models_directory is None else config.resolve(camera.models_directory)
    try:
        manifest = proven(folder or released())
    except ModelError as error:
        advice = "install the release again; the camera is seen all the same, nothing is detected"
        yield Finding(about=f"detection {camera.id}", verdict=Verdict.FAIL, text=str(error), advice=advice)
        return
    yield _fitness(camera, manifest)


def _fitness(camera: CameraDevice, manifest: Manifest) -> Finding:
    """Say what becomes of a throw: an alarm, or a line on the screen."""
    about, models = f"detection {camera.id}", f"models {manifest.version}"
    if manifest.for_alarms:
        word = "shown" if camera.detect == "watch" else "alarms"
        return Finding(about=about, verdict=Verdict.OK, text=f"{models}: throws are {word}")
    if camera.detect == "alarm":
        return Finding(
            about=about,
            verdict=Verdict.WARN,
            text=f"{models} are not marked as fit for alarms, and `detect: alarm` raises them all the same",
            advice="read models/throw/card.md: expect false alarms and missed throws",
        )
    return Finding(
        about=about,
        verdict=Verdict.WARN,
        text=f"{models} are not marked as fit for alarms: throws are shown, no alarm is raised",
        advice="read models/throw/card.md; `detect: alarm` raises them all the same",
    )


def _readable(about: str, path: Path) -> Finding:
    if not path.exists():
        return Finding(
            about=about, verdict=Verdict.FAIL, text=f"{path}: not there", advice="plug it in, or name another"
        )
    if not os.access(path, os.R_OK):
        return Finding(
            about=about,
            verdict=Verdict.FAIL,
            text=f"no permission for {path}",
            advice="add the gateway's user to the group video, or give it the file",
        )
    return Finding(about=about, verdict=Verdict.OK, text=f"{path} is there")


def _keys(config: GatewayConfig) -> Iterator[Finding]:
    for device in config.devices:
        for key in getattr(device, "keys", ()):
            path = config.resolve(key.file)
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                yield Finding(
                    about=f"key {device.id}",
                    verdict=Verdict.WARN,
                    text=f"{path.name} can be read by others",
                    advice=f"chmod 600 {path.name}",
                )
