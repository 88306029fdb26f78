"""The wires: each bus has one owner in the gateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gatehouse_config.part import FilePath, Id, MaxSilenceS, Part, Port

Baud = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400]


class ModbusRtuBus(Part):
    """An RS-485 line with Modbus slaves."""

    kind: Literal["modbus_rtu"]
    id: Id = Field(description="name of the bus")
    port: FilePath = Field(description="serial port; use /dev/serial/by-id/... so that re-plugging keeps it")
    baud: Baud = Field(default=9600, description="bits per second")
    parity: Literal["N", "E", "O"] = Field(default="N", description="parity")
    stop_bits: Literal[1, 2] = Field(default=1, description="stop bits")
    response_timeout_ms: int = Field(
        default=200, ge=10, le=10_000, description="wait for a slave's first byte; 0 is refused"
    )


class ModbusTcpBus(Part):
    """A Modbus TCP server (a gas controller, a relay board)."""

    kind: Literal["modbus_tcp"]
    id: Id = Field(description="name of the bus")
    host: str = Field(min_length=1, max_length=253, description="address or name")
    port: Port = Field(default=502, description="TCP port")
    response_timeout_ms: int = Field(
        default=500, ge=10, le=10_000, description="wait for an answer; 0 is refused"
    )
    reconnect_max_s: float = Field(
        default=5, ge=0.1, le=60, description="longest pause between two connection attempts"
    )


class SerialBus(Part):
    """A serial line with one lift node or lift controller."""

    kind: Literal["serial"]
    id: Id = Field(description="name of the bus")
    port: FilePath = Field(description="serial port; use /dev/serial/by-id/...")
    baud: Baud = Field(default=115200, description="bits per second")
    parity: Literal["N", "E", "O"] = Field(default="N", description="parity")
    stop_bits: Literal[1, 2] = Field(default=1, description="stop bits")


class BleBus(Part):
    """One Bluetooth adapter that listens for help buttons and its beacon."""

    kind: Literal["ble"]
    id: Id = Field(description="name of the bus")
    adapter: Annotated[str, Field(pattern=r"^hci\d{1,2}$")] = Field(
        default="hci0", description="BlueZ adapter"
    )
    max_silence_s: MaxSilenceS = Field(
        default=8, description="a beacon must be heard this often, else the scanner is dead"
    )


Bus = Annotated[ModbusRtuBus | ModbusTcpBus | SerialBus | BleBus, Field(discriminator="kind")]
"""Any bus; told apart by `kind`."""
