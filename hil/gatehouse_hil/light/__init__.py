"""Light gateways: many communities in one process, each with a real journal, a real certificate and real HTTP.

What a full gateway does with drivers and rules is left out here; what leaves it is the same to the byte. The client is a
second implementation of the fleet's interface, written against `gatehouse_events` alone.
"""

from gatehouse_hil.light.community import Community
from gatehouse_hil.light.fleet import Fault, LightFleet
from gatehouse_hil.light.gateway import LightGateway
from gatehouse_hil.light.link import FleetLink, LinkError, Refused

__all__ = ["Community", "Fault", "FleetLink", "LightFleet", "LightGateway", "LinkError", "Refused"]
