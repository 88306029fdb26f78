"""Real TLS on loopback: whom the server takes for a gateway, and whom it refuses."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from gatehouse_fleet.people import audit
from gatehouse_fleet.pki.authority import GATEWAY_LIFE, Authority
from gatehouse_fleet.pki.enrolment import issue_code
from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.org import NewNode, NodeKind
from gatehouse_fleet.store.schema.people import audit as audit_table

GATEWAY = "wh-371002-0007-gw1"
OTHER = "wh-371002-0008-gw1"


async def register(server, *ids: str) -> None:
    async with server.services.store.begin() as db:
        now = server.clock.now()
        city = await org.ensure_city(db, code="shili", name="示例市", at=now)
        new = NewNode(kind=NodeKind.COMMUNITY, parent_id=city, code="yuan", name="示例花园")
        community = await org.make(db, new, at=now)
        for gateway_id in ids:
            await gateways.make(db, gateway_id, community.id, at=now)


async def code_for(server, gateway_id: str, **lasts) -> str:
    async with server.services.store.begin() as db:
        found = await gateways.find(db, gateway_id)
        return await issue_code(db, found.no, by="zhou", at=server.clock.now(), **lasts)


async def enrolled(server, gateway) -> tuple[Path, Path]:
    async with server.client() as client:
        answer = await client.post(
            "/api/v1/enrol", json=gateway.enrol_body(await code_for(server, gateway.id))
        )
    assert answer.status_code == 201, answer.text
    return gateway.keep(answer.json()["certificate"])


async def renew(server, pair, gateway, csr: str | None = None) -> httpx.Response:
    async with server.client(pair) as client:
        return await client.post(
            f"/api/v1/gateways/{gateway.id}/certificate", json={"csr": csr or gateway.csr}
        )


async def refusals(server) -> list[tuple[str, str]]:
    async with server.services.store.read() as db:
        rows = (await db.execute(select(audit_table).where(audit_table.c.outcome == 0))).all()
        assert (await audit.verify(db)).broken_at is None
    return [(row.action, row.detail) for row in rows]


async def test_a_gateway_enrols_with_a_code_and_is_known_by_its_certificate(
    live_server, fake_gateway
) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        pair = await enrolled(server, gateway)
        answer = await renew(server, pair, gateway)
        assert answer.status_code == 201
        cert = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
        assert cert.subject.rfc4514_string() == f"CN={GATEWAY}"


async def test_a_code_works_once(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        body = gateway.enrol_body(await code_for(server, GATEWAY))
        async with server.client() as client:
            first = await client.post("/api/v1/enrol", json=body)
            second = await client.post("/api/v1/enrol", json=body)
        assert (first.status_code, second.status_code, second.json()["reason"]) == (201, 403, "code")
        assert ("gateway.enrol", '{"reason":"code"}') in await refusals(server)


async def test_a_code_ends_with_its_time_and_is_for_one_gateway_only(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY, OTHER)
        async with server.client() as client:
            foreign = fake_gateway(OTHER).enrol_body(await code_for(server, GATEWAY))
            assert (await client.post("/api/v1/enrol", json=foreign)).status_code == 403
            late = fake_gateway(GATEWAY).enrol_body(await code_for(server, GATEWAY))
            server.clock.move_to(server.clock.now() + timedelta(hours=24, seconds=1))
            assert (await client.post("/api/v1/enrol", json=late)).status_code == 403


async def test_a_second_code_ends_the_first(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        old = await code_for(server, GATEWAY)
        await code_for(server, GATEWAY)
        async with server.client() as client:
            answer = await client.post("/api/v1/enrol", json=fake_gateway(GATEWAY).enrol_body(old))
        assert answer.status_code == 403


async def test_guessing_codes_is_slowed_down_and_written_down(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        right = await code_for(server, GATEWAY)
        async with server.client() as client:
            seen = [
                (await client.post("/api/v1/enrol", json=gateway.enrol_body(f"GUESS-{n:04}"))).status_code
                for n in range(6)
            ]
            while_slowed = await client.post("/api/v1/enrol", json=gateway.enrol_body(right))
            server.clock.move_to(server.clock.now() + timedelta(minutes=6))
            after = await client.post("/api/v1/enrol", json=gateway.enrol_body(right))
        assert seen == [403] * 5 + [429]
        assert (while_slowed.status_code, while_slowed.headers["Retry-After"]) == (429, "300")
        assert after.status_code == 201
        assert len(await refusals(server)) == 1  # the same refusal again is counted, not written


async def test_two_gateways_with_one_key_are_refused(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY, OTHER)
        first, second = fake_gateway(GATEWAY), fake_gateway(OTHER)
        await enrolled(server, first)
        second.key = first.key
        async with server.client() as client:
            copied = await client.post("/api/v1/enrol", json=second.enrol_body(await code_for(server, OTHER)))
            second = fake_gateway(OTHER)
            second.journal_key = first.journal_key
            code = await code_for(server, OTHER)
            copied_journal = await client.post("/api/v1/enrol", json=second.enrol_body(code))
            honest = await client.post("/api/v1/enrol", json=fake_gateway(OTHER).enrol_body(code))
        assert (copied.status_code, copied.json()["reason"]) == (409, "key_taken")
        assert (copied_journal.status_code, copied_journal.json()["reason"]) == (409, "journal_key_taken")
        assert honest.status_code == 201, "a refusal for another reason does not use the code up"
        assert [action for action, _ in await refusals(server)] == ["gateway.enrol"] * 2


async def test_a_revoked_certificate_is_refused_at_the_next_request_of_the_same_connection(
    live_server, fake_gateway
) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        pair = await enrolled(server, gateway)
        path = f"/api/v1/gateways/{GATEWAY}/certificate"
        async with server.client() as operator, server.client(pair) as client:
            await server.log_in_first(operator)
            before = await client.post(path, json={"csr": gateway.csr})
            revoked = await operator.post(
                f"/api/v1/gateways/{GATEWAY}/revoke", json={"reason": "示例：机箱被撬"}
            )
            after = await client.post(path, json={"csr": gateway.csr})
        assert (before.status_code, after.status_code, after.json()["reason"]) == (201, 403, "revoked")
        assert revoked.json() == {"certificates": 2}
        assert ("gateway.refused", '{"reason":"revoked"}') in await refusals(server)


async def test_a_revoked_key_gets_no_other_certificate(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        await enrolled(server, gateway)
        async with server.client() as client:
            await server.log_in_first(client)
            await client.post(f"/api/v1/gateways/{GATEWAY}/revoke", json={"reason": "示例：机箱被撬"})
            again = gateway.enrol_body(await code_for(server, GATEWAY))
            answer = await client.post("/api/v1/enrol", json=again)
        assert (answer.status_code, answer.json()["reason"]) == (409, "key_revoked")


async def test_a_new_enrolment_shuts_the_old_board_out(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        old = fake_gateway(GATEWAY)
        old_pair = await enrolled(server, old)
        old_pair = tuple(path.rename(path.with_name(f"old-{path.name}")) for path in old_pair)
        new = fake_gateway(GATEWAY)
        new_pair = await enrolled(server, new)
        assert (await renew(server, old_pair, old)).json()["reason"] == "revoked"
        assert (await renew(server, new_pair, new)).status_code == 201


async def test_a_certificate_that_ends_during_a_connection_is_refused(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        pair = await enrolled(server, gateway)
        async with server.client(pair) as client:
            path = f"/api/v1/gateways/{GATEWAY}/certificate"
            assert (await client.post(path, json={"csr": gateway.csr})).status_code == 201
            server.clock.move_to(server.clock.now() + GATEWAY_LIFE)
            late = await client.post(path, json={"csr": gateway.csr})
        assert (late.status_code, late.json()["reason"]) == (403, "expired")


async def test_an_expired_certificate_ends_in_the_handshake(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        issued = server.desk.authority.sign_gateway(
            gateway.csr, GATEWAY, at=server.clock.now() - GATEWAY_LIFE - timedelta(minutes=1)
        )
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, ssl.SSLError)):
            await renew(server, gateway.keep(issued.chain_pem), gateway)
        assert await eventually_refused(server) == '{"reason":"certificate has expired"}'


async def test_a_foreign_certificate_ends_in_the_handshake(live_server, fake_gateway, tmp_path) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        foreign = Authority.open(tmp_path / "foreign", at=server.clock.now())
        issued = foreign.sign_gateway(gateway.csr, GATEWAY, at=server.clock.now())
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, ssl.SSLError)):
            await renew(server, gateway.keep(issued.chain_pem), gateway)
        assert "certificate" in await eventually_refused(server)


async def test_the_servers_own_certificate_is_none_of_a_gateway(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        files = server.desk.authority.server_files([], at=server.clock.now())
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, ssl.SSLError)):
            await renew(server, files, fake_gateway(GATEWAY))


async def test_a_certificate_of_our_authority_that_is_not_in_the_table_is_refused(
    live_server, fake_gateway
) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        issued = server.desk.authority.sign_gateway(gateway.csr, GATEWAY, at=server.clock.now())
        answer = await renew(server, gateway.keep(issued.chain_pem), gateway)
        assert (answer.status_code, answer.json()["reason"]) == (403, "unknown_certificate")


async def test_a_gateway_cannot_speak_for_another(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY, OTHER)
        pair = await enrolled(server, fake_gateway(GATEWAY))
        answer = await renew(server, pair, fake_gateway(OTHER))
        assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_gateway")


async def test_no_certificate_no_gateway_but_a_browser_may_look(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        answer = await renew(server, None, fake_gateway(GATEWAY))
        assert (answer.status_code, answer.json()["reason"]) == (401, "no_certificate")
        async with server.client() as client:
            assert (await client.get("/api/v1/setup")).json() == {"needs_first_user": True}


async def test_a_lost_gateway_is_shut_out_at_once(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        pair = await enrolled(server, gateway)
        async with server.services.store.begin() as db:
            found = await gateways.find(db, GATEWAY)
            await gateways.set_state(db, found, gateways.LifeState.LOST, at=server.clock.now())
        assert (await renew(server, pair, gateway)).json()["reason"] == "revoked"
        async with server.client() as client:
            fresh = fake_gateway(GATEWAY).enrol_body(await code_for(server, GATEWAY))
            answer = await client.post("/api/v1/enrol", json=fresh)
        assert (answer.status_code, answer.json()["reason"]) == (409, "state")


@pytest.mark.parametrize("csr", ["", "x" * 100, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
async def test_rubbish_is_no_certificate_request(live_server, fake_gateway, csr) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        body = fake_gateway(GATEWAY).enrol_body(await code_for(server, GATEWAY)) | {"csr": csr}
        async with server.client() as client:
            answer = await client.post("/api/v1/enrol", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (422, "csr")


async def test_the_request_decides_nothing_but_the_key(live_server, fake_gateway) -> None:
    async with live_server() as server:
        await register(server, GATEWAY)
        gateway = fake_gateway(GATEWAY)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, OTHER)])
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(gateway.key, hashes.SHA256())
        )
        body = gateway.enrol_body(await code_for(server, GATEWAY))
        body["csr"] = request.public_bytes(serialization.Encoding.PEM).decode()
        async with server.client() as client:
            answer = await client.post("/api/v1/enrol", json=body)
        cert = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
        assert cert.subject.rfc4514_string() == f"CN={GATEWAY}"
        assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


async def eventually_refused(server) -> str:
    """The detail of the first refusal, which the server writes after it has cut the connection."""
    import asyncio

    async with asyncio.timeout(30):
        while not (found := await refusals(server)):
            await asyncio.sleep(0.02)
    return found[0][1]
