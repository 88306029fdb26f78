"""Runs the application of the chosen slot and catches what it throws. Boot level: never changed by an update."""

import sys
import time

import machine
import slots

SERVICE_MS = 600_000
"""A technician has interrupted: so long until the watchdog brings a forgotten node back."""


def _start():
    try:
        import app  # pyright: ignore[reportMissingImports]  # made by the build, one line

        app.run()
    except KeyboardInterrupt:
        machine.WDT(timeout=SERVICE_MS)
        print('{"gatehouse": "service", "ok": true, "seconds": %d}' % (SERVICE_MS // 1000))  # noqa: T201  # the console
        return
    except Exception as error:  # noqa: BLE001  # whatever it is: tell it, count it, start again
        sys.print_exception(error)
        slots.on_chip().crashed()
    time.sleep(1)
    machine.reset()


if slots.on_chip().running:
    _start()
else:
    print('{"gatehouse": "start", "ok": false, "why": "no slot holds a whole image"}')  # noqa: T201  # the console
