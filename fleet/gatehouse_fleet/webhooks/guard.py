"""Whereto a delivery may go: only to addresses inside the allowed networks, decided for the very address that is connected to.

A name is resolved once and every address it has must be allowed; the connection then goes to that address, so a name that
answers differently a moment later (DNS rebinding) gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

Network = IPv4Network | IPv6Network
_PORTS: Final = {"http": 80, "https": 443}


class ForbiddenAddressError(Exception):
    """The receiver is outside the allowed networks, or may not be spoken to without TLS."""


class Whereto(Struct, frozen=True, kw_only=True):
    """A receiver that may be connected to."""

    address: str
    host: str
    """As the certificate must name it."""
    port: int
    scheme: str
    target: str
    """Path and query."""

    @property
    def url(self) -> str:
        """The address itself, not the name."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{self.port}{self.target}"

    @property
    def host_header(self) -> str:
        """What the receiver is asked for."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == _PORTS[self.scheme] else f"{shown}:{self.port}"


async def resolve(url: str, networks: Sequence[Network]) -> Whereto:
    """Return whereto a URL leads.

    Raises:
        ForbiddenAddressError: one of its addresses is not allowed.
        OSError: the name cannot be resolved now.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [_plain(str(item[4][0])) for item in found]
    for address in addresses:
        if not is_allowed(address, networks):
            raise ForbiddenAddressError(f"{address} is in no network of `webhooks.networks`")
        if parts.scheme == "http" and not address.is_loopback:
            raise ForbiddenAddressError(f"{address} is another machine: https only")
    if not addresses:
        raise OSError(f"{host} has no address")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Whereto(address=str(addresses[0]), host=host, port=port, scheme=parts.scheme, target=target)


def is_allowed(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks; none allow nothing. Multicast and 0.0.0.0 never are."""
    if address.is_multicast or address.is_unspecified:
        return False
    return any(address.version == network.version and address in network for network in networks)


def _plain(text: str) -> IPv4Address | IPv6Address:
    """Return an address; an IPv4 one in IPv6 clothes (::ffff:10.0.0.1) is judged as what it is."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
