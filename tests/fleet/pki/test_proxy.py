"""Behind a proxy: the header is believed from one address only, and the path in it is validated here all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.pki.authority import GATEWAY_LIFE, Authority
from gatehouse_fleet.pki.enrolment import revoke_all
from gatehouse_fleet.pki.identity import Identifier, IdentityError
from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.org import NewNode, NodeKind
from gatehouse_fleet.settings import ServerSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.gateways import certificate

GATEWAY = "wh-371002-0007-gw1"
PROXY = "192.0.2.10"


def scope(*headers: tuple[bytes, bytes], client: str = PROXY) -> dict[str, object]:
    return {"type": "http", "client": (client, 1234), "headers": list(headers), "path": "/"}


def header(pem: str) -> tuple[bytes, bytes]:
    return b"x-client-cert", quote(pem).encode()


@pytest.fixture
async def gate(store: Store, clock: SetClock, tmp_path: Path) -> AsyncIterator[Identifier]:
    authority = Authority.open(tmp_path / "pki", at=clock.now())
    identifier = Identifier(store, authority, clock, ServerSettings(tls="proxy", proxy_address=PROXY))
    yield identifier
    identifier.close()


@pytest.fixture
async def pem(store: Store, clock: SetClock, tmp_path: Path, fake_gateway, gate: Identifier) -> str:
    """A good certificate of a registered gateway, leaf only, as proxies pass it on."""
    authority = Authority.open(tmp_path / "pki", at=clock.now())
    issued = authority.sign_gateway(fake_gateway(GATEWAY).csr, GATEWAY, at=clock.now())
    async with store.begin() as db:
        city = await org.ensure_city(db, code="shili", name="示例市", at=clock.now())
        new = NewNode(kind=NodeKind.COMMUNITY, parent_id=city, code="yuan", name="示例花园")
        community = await org.make(db, new, at=clock.now())
        found = await gateways.make(db, GATEWAY, community.id, at=clock.now())
        await db.execute(
            insert(certificate).values(
                fingerprint=issued.fingerprint,
                gateway_no=found.no,
                public_key=issued.public_key,
                serial=issued.serial,
                issued_at=issued.issued_at,
                expires_at=issued.expires_at,
            )
        )
    return issued.chain_pem.partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"


async def refusal(gate: Identifier, given: dict[str, object]) -> tuple[int, str]:
    with pytest.raises(IdentityError) as refused:
        await gate.identify(given)
    return refused.value.status, refused.value.reason


async def test_the_configured_proxy_is_believed_and_nobody_else(gate: Identifier, pem: str) -> None:
    found = await gate.identify(scope(header(pem)))
    assert (found.id, found.node_path) == (GATEWAY, "/1/2/")
    assert await refusal(gate, scope(header(pem), client="192.0.2.11")) == (401, "no_certificate")
    assert await refusal(gate, scope(header(pem)) | {"client": None}) == (401, "no_certificate")


async def test_a_header_that_came_through_from_outside_is_not_taken(gate: Identifier, pem: str) -> None:
    assert await refusal(gate, scope(header(pem), header(pem))) == (401, "no_certificate")
    assert await refusal(gate, scope((b"x-client-cert", b""))) == (401, "no_certificate")
    assert await refusal(gate, scope((b"x-other-cert", header(pem)[1]))) == (401, "no_certificate")


@pytest.mark.parametrize(
    "value", [b"rubbish", b"\xff\xfe", b"-----BEGIN%20CERTIFICATE-----", b"x" * 20_000], ids=range(4)
)
async def test_rubbish_is_no_certificate(gate: Identifier, pem: str, value: bytes) -> None:
    assert await refusal(gate, scope((b"x-client-cert", value))) == (403, "certificate")


async def test_the_path_is_validated_here_whatever_the_proxy_has_done(
    gate: Identifier, pem: str, clock: SetClock, tmp_path: Path, fake_gateway
) -> None:
    foreign = Authority.open(tmp_path / "foreign", at=clock.now())
    issued = foreign.sign_gateway(fake_gateway(GATEWAY).csr, GATEWAY, at=clock.now())
    assert await refusal(gate, scope(header(issued.chain_pem))) == (403, "chain")
    clock.move_to(clock.now() + GATEWAY_LIFE + timedelta(seconds=1))
    assert await refusal(gate, scope(header(pem))) == (403, "chain")


async def test_revocation_counts_at_the_next_request_on_both_databases(
    gate: Identifier, pem: str, store: Store, clock: SetClock
) -> None:
    assert (await gate.identify(scope(header(pem)))).id == GATEWAY
    async with store.begin() as db:
        await revoke_all(db, 1, "示例", at=clock.now(), with_keys=True)
        assert (await gate.identify(scope(header(pem)))).id == GATEWAY, "not committed yet"
    assert await refusal(gate, scope(header(pem))) == (403, "revoked")


async def test_a_direct_connection_header_means_nothing_without_a_proxy(
    store: Store, clock: SetClock, tmp_path: Path, pem: str
) -> None:
    authority = Authority.open(tmp_path / "pki", at=clock.now())
    direct = Identifier(store, authority, clock, ServerSettings())
    assert await refusal(direct, scope(header(pem))) == (401, "no_certificate")
    direct.close()
