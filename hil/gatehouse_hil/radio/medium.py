"""The air between buttons and gateway: loses in bursts, repeats, is jammed, ends somewhere.

Advertising PDUs and CONNECT_IND are sent once and may be lost (Core 5.4 Vol 6 Part B §4.4); frames of a connection
are acknowledged and sent again by the link layer, so for them loss is only delay, until the supervision time-out.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bumble import hci, ll
from bumble.controller import Controller
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

SUPERVISION_S: Final = 0.3
"""CONNECT_IND never answered: 6 connection intervals of 50 ms (Core 5.4 Vol 6 Part B §4.5.2)."""
HEARD_KEPT: Final = 4096
"""Adverts an eavesdropper keeps; older ones are forgotten."""


@dataclass(slots=True, kw_only=True)
class BurstyLoss:
    """Gilbert-Elliott channel: a good state that loses nothing and a bad one that loses everything.

    ``loss`` (0 to below 1) is the long-run share lost, ``burst`` the mean length of a fade in PDUs (>= 1).
    """

    loss: float = 0.0
    burst: float = 4.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    _is_bad: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1 or self.burst < 1:
            raise ValueError(f"loss {self.loss} must be in [0, 1), burst {self.burst} at least 1")

    def loses(self) -> bool:
        """Return whether the next PDU is lost."""
        leave_bad = 1 / self.burst
        enter_bad = min(1.0, leave_bad * self.loss / (1 - self.loss))
        chance = leave_bad if self._is_bad else enter_bad
        if self.rng.random() < chance:
            self._is_bad = not self._is_bad
        return self._is_bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One advert somebody else in range could have recorded."""

    address: str
    data: bytes


class Medium(LocalLink):
    """Virtual air for bumble controllers. Set the plain attributes to change its weather."""

    def __init__(self, *, seed: int = 1) -> None:
        super().__init__()
        self.rng: Final = random.Random(seed)
        self.loss = BurstyLoss(rng=self.rng)
        self.duplicate = 0.0
        """Share of adverts heard twice, the copy up to ``late_s`` later."""
        self.late_s = 0.2
        self.is_jammed = False
        self.out_of_range: set[str] = set()
        """Addresses nobody hears."""
        self.rssi_dbm: dict[str, int] = {}
        self.unconnectable: set[str] = set()
        """Addresses whose adverts are ADV_NONCONN_IND: nobody may connect (bumble only knows ADV_IND)."""
        self.heard: deque[Heard] = deque(maxlen=HEARD_KEPT)
        """What an eavesdropper next to the buttons has recorded."""
        self.sent = 0
        self.lost = 0

    def hears(self, address: hci.Address) -> bool:
        """Return whether anything from or to this address gets through at all."""
        return not self.is_jammed and address.to_string(False) not in self.out_of_range

    def rssi(self, address: hci.Address) -> int:
        """Return the signal strength of this sender at the gateway, dBm, with a little fading."""
        return self.rssi_dbm.get(address.to_string(False), -67) + self.rng.randint(-3, 3)

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        """Carry one PDU of the advertising channels: lost, once, or twice."""
        if not isinstance(packet, ll.AdvInd | ll.ConnectInd):
            raise TypeError(f"{type(packet).__name__}: none of our tags sends extended adverts")
        self.sent += 1
        if isinstance(packet, ll.AdvInd):
            self.heard.append(
                Heard(address=packet.advertiser_address.to_string(False), data=bytes(packet.data))
            )
        if not self.hears(packet.advertiser_address) or self.loss.loses():
            self.lost += 1
            return
        super().send_advertising_pdu(sender_controller, packet)
        if isinstance(packet, ll.AdvInd) and self.rng.random() < self.duplicate:
            asyncio.get_running_loop().call_later(
                self.rng.uniform(0.0, self.late_s), super().send_advertising_pdu, sender_controller, packet
            )

    def inject(self, address: str, data: bytes) -> None:
        """Send an advert with somebody else's address, as any ten-euro board can: replay and forgery."""
        self.sent += 1
        if self.is_jammed:
            self.lost += 1
            return
        packet = ll.AdvInd(advertiser_address=hci.Address(address), data=data)
        loop = asyncio.get_running_loop()
        for controller in list(self.controllers):
            loop.call_soon(controller.on_ll_advertising_pdu, packet)

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        """Carry one frame of a connection; without a peer that knows of the connection, let it time out."""
        receiver = self.find_le_controller(destination_address)
        source = sender_controller.random_address
        is_known = receiver is not None and source in receiver.le_connections
        if is_known and self.hears(destination_address) and self.hears(source):
            super().send_acl_data(sender_controller, destination_address, transport, data)
            return
        asyncio.get_running_loop().call_later(
            SUPERVISION_S, self._time_out, sender_controller, destination_address
        )

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Carry a link control frame; towards a peer that never knew of the connection it vanishes."""
        receiver = self.find_le_controller(receiver_address)
        if receiver is not None and sender_address in receiver.le_connections:
            super().send_ll_control_pdu(sender_address, receiver_address, packet)

    @staticmethod
    def _time_out(controller: Controller, peer: hci.Address) -> None:
        connection = controller.le_connections.get(peer)
        if connection is not None:
            controller.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)


class AdapterController(Controller):
    """The gateway's controller: does not answer an advert that is not connectable."""

    def __init__(self, name: str, *, link: Medium, public_address: str, is_deaf: Callable[[], bool]) -> None:
        super().__init__(name, link=link, public_address=public_address)
        self._medium = link
        self._is_deaf = is_deaf

    def on_ll_advertising_pdu(self, packet: ll.AdvertisingPdu) -> None:
        """Hear, unless the radio has silently died."""
        if not self._is_deaf():
            super().on_ll_advertising_pdu(packet)

    def create_le_connection(self, peer_address: hci.Address) -> None:
        """Send CONNECT_IND, unless the advert was not connectable."""
        if peer_address.to_string(False) not in self._medium.unconnectable:
            super().create_le_connection(peer_address)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        """Give up a pending connection and say so; bumble's own controller would keep it pending for ever."""
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is not None:
            self.send_hci_packet(
                hci.HCI_LE_Connection_Complete_Event(
                    status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                    connection_handle=0,
                    role=hci.Role.CENTRAL,
                    peer_address_type=pending.peer_address.address_type,
                    peer_address=pending.peer_address,
                    connection_interval=0,
                    peripheral_latency=0,
                    supervision_timeout=0,
                    central_clock_accuracy=0,
                )
            )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)
