"""Deliveries go to allowed networks only, and the address that was judged is the one that is connected to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.webhooks.guard import ForbiddenAddressError, is_allowed, resolve

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
ALL = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
    ],
)
async def test_nothing_is_allowed_by_default(url: str) -> None:
    with pytest.raises((ForbiddenAddressError, OSError)):
        await resolve(url, ())


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://192.168.1.1/"])
async def test_an_address_outside_the_networks_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        await resolve(url, LOOPBACK)


async def test_without_tls_only_this_machine_is_spoken_to() -> None:
    with pytest.raises(ForbiddenAddressError, match="https only"):
        await resolve("http://10.0.0.1/", ALL)
    assert (await resolve("http://127.0.0.1:8080/a?b=c", LOOPBACK)).url == "http://127.0.0.1:8080/a?b=c"


async def test_the_address_is_fixed_and_the_name_kept_for_the_certificate() -> None:
    found = await resolve("https://localhost:8443/in", LOOPBACK)
    assert ip_address(found.address).is_loopback
    assert (found.host, found.host_header) == ("localhost", "localhost:8443")
    assert "localhost" not in found.url


async def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_what_it_is() -> None:
    assert (await resolve("https://[::ffff:127.0.0.1]/", LOOPBACK)).address == "127.0.0.1"


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "ff02::1", "::"])  # noqa: S104  # judged, not bound
def test_what_is_no_machine_is_never_allowed(address: str) -> None:
    assert not is_allowed(ip_address(address), ALL)


@given(
    address=st.ip_addresses(), network=st.ip_addresses(v=4).map(lambda a: ip_network(f"{a}/16", strict=False))
)
def test_allowed_is_inside_a_network_and_nothing_else(address: object, network: object) -> None:
    assert is_allowed(address, (network,)) <= (address.version == 4 and address in network)  # type: ignore[attr-defined,operator,arg-type]
