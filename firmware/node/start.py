"""What every program does first: know itself, say so on the console, arm the watchdog."""

import os

import identity as identities
import image
import machine
import slots as boot_slots
import store as stores
from supervisor import WATCHDOG_MS

from gatehouse_wire import gas_registers, node_update


class Start:
    """One start of a node: who it is, what it runs, where its settings are."""

    def __init__(self, kind):
        self.store = stores.on_chip()
        self.identity = identities.Identity(self.store, kind)
        self.slots = boot_slots.on_chip()
        self.head = image.head_of(self.slots.running)
        self.cause = machine.reset_cause()
        self.watchdog = machine.WDT(timeout=WATCHDOG_MS)

    @property
    def version(self):
        """Version of the running image, (0, 0, 0) when it has no manifest."""
        return self.head.version if self.head is not None else (0, 0, 0)

    def announce(self):
        """Print the one line of a start (README)."""
        print(  # noqa: T201  # the console
            '{"gatehouse": "start", "kind": "%s", "version": "%d.%d.%d", "slot": "%s", "confirmed": %s, "cause": %d%s}'
            % (
                (node_update.KINDS[self.identity.kind],)
                + self.version
                + (
                    self.slots.running,
                    "true" if self.slots.is_confirmed() else "false",
                    self.cause,
                    ', "problem": "%s"' % self.identity.problem if self.identity.problem else "",
                )
            )
        )

    def is_sound(self):
        """Return whether this start may confirm itself: the image is whole and the node is provisioned for it."""
        return not self.identity.problem and self.head is not None and image.is_whole(self.slots.running)

    def update_desk(self, is_alarm):
        """Return the desk that takes new images for this node."""
        import update

        return update.UpdateDesk(
            identity=self.identity,
            head=self.head,
            abi=image.running_abi(),
            slots=self.slots,
            files=image.Files(),
            random=os.urandom,
            is_alarm=is_alarm,
        )


def reset_register(cause):
    """Return the number on the wire (`gas_registers.RESET_*`) for a `machine.reset_cause()`."""
    return {
        machine.PWRON_RESET: gas_registers.RESET_POWER,
        machine.WDT_RESET: gas_registers.RESET_WATCHDOG,
        machine.HARD_RESET: gas_registers.RESET_SOFTWARE,
        machine.SOFT_RESET: gas_registers.RESET_SOFTWARE,
    }.get(cause, gas_registers.RESET_UNKNOWN)
