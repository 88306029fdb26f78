"""The node's end of a two-wire RS-485 line: frames in by silence, replies out with the driver enabled no longer than needed.

A frame ends when 3.5 characters of silence follow it (Modbus serial line V1.02 §2.5.1.1) *and* its CRC fits. Without a good CRC the
rest is awaited for `GAP_MS`: USB adapters and UART FIFOs hand a long frame over in pieces, and cutting there would lose it.
"""

import asyncio

from micropython import const

from gatehouse_wire.crc import crc16_modbus

SILENCE_MS = const(4)
"""3.5 characters at 9600 baud are 3.65 ms."""
GAP_MS = const(28)
"""A FIFO of 16 characters takes 17 ms at 9600 baud; USB adapters wait up to 16 ms."""
BAUD = const(9600)
IDLE_MS = const(2000)
MAX_FRAME = const(256)


class Rs485:
    """`uart` and `enable` (the DE and /RE pins together, 1: driving) belong to this object alone."""

    def __init__(self, uart, enable):
        self._uart = uart
        self._enable = enable
        self._reader = asyncio.StreamReader(uart)
        self._buffer = bytearray(MAX_FRAME)
        self._view = memoryview(self._buffer)
        self.bad_frames = 0
        """Frames whose CRC never fitted: noise, or somebody else's protocol."""
        enable.value(0)

    async def receive(self, tick):
        """Return the next frame whose CRC fits, a view that the next call overwrites. Calls `tick()` at least every 2 s."""
        while True:
            tick()
            try:
                size = await asyncio.wait_for_ms(self._reader.readinto(self._buffer), IDLE_MS)
            except asyncio.TimeoutError:
                continue
            if not size:
                continue
            quiet_ms = 0
            while True:
                if quiet_ms >= GAP_MS or size >= MAX_FRAME:
                    self.bad_frames += 1
                    break
                await asyncio.sleep_ms(SILENCE_MS)
                more = self._uart.readinto(self._view[size:]) if self._uart.any() else 0
                if more:
                    size += more
                    quiet_ms = 0
                    continue
                if not quiet_ms and size >= 4 and self._is_whole(size):
                    return self._view[:size]
                quiet_ms += SILENCE_MS

    async def send(self, frame):
        """Put a frame on the line and give the line back as soon as its last bit is out."""
        self._enable.value(1)
        try:
            self._uart.write(frame)
            await asyncio.sleep_ms(len(frame) * 10_000 // BAUD)
            while not self._uart.txdone():
                await asyncio.sleep_ms(1)
        finally:
            self._enable.value(0)

    def _is_whole(self, size):
        return crc16_modbus(self._view[: size - 2]) == self._buffer[size - 2] | self._buffer[size - 1] << 8
