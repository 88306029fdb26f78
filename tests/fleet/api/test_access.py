"""Who gets in, who does not, and what is written down about it: over real TLS."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from gatehouse_fleet.people import audit
from gatehouse_fleet.store.schema.people import audit as audit_table
from gatehouse_fleet.store.schema.people import session, user

PASSWORD = "gatehouse 示例 2026"
PERSON = {"full_name": "李示例", "unit": "示例物业", "password": PASSWORD}


async def place(client: httpx.AsyncClient, parent_id: int, kind: str, code: str) -> int:
    body = {"kind": kind, "parent_id": parent_id, "code": code, "name": f"示例{code}"}
    answer = await client.post("/api/v1/nodes", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def person(client: httpx.AsyncClient, name: str, role: str, scope: int, **more: object) -> None:
    answer = await client.post(
        "/api/v1/users", json=PERSON | {"name": name, "role": role, "scope_id": scope} | more
    )
    assert answer.status_code == 201, answer.text


async def log_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/login", json={"name": name, "password": password})


async def audited(server) -> list[tuple[str, str, int]]:
    async with server.services.store.read() as db:
        assert (await audit.verify(db)).broken_at is None
        rows = (await db.execute(select(audit_table).order_by(audit_table.c.seq))).all()
    return [(row.action, row.actor, row.outcome) for row in rows]


async def test_nobody_gets_in_before_the_first_user_is_made_with_the_code(live_server) -> None:
    async with live_server() as server, server.client() as client:
        assert (await log_in(client, "admin", "admin")).status_code == 401
        assert (await log_in(client, "zhou")).status_code == 401
        assert (await client.get("/api/v1/users")).json()["reason"] == "login"


async def test_the_code_makes_one_user_and_is_gone(live_server) -> None:
    from gatehouse_fleet.people.first import FILE

    async with live_server() as server, server.client() as client:
        await server.log_in_first(client)
        assert not (server.services.settings.directory / FILE).exists()
        again = await client.post(
            "/api/v1/setup",
            json={
                "code": "AAAAA-AAAAA",
                "name": "eve",
                "city_code": "x",
                "city_name": "x",
                **PERSON,
            },
        )
        assert (again.status_code, again.json()["reason"]) == (409, "has_users")


async def test_guessing_the_first_code_is_slowed_down(live_server) -> None:
    async with live_server() as server, server.client() as client:
        server.desk.first_code.ensure()
        body = {"name": "eve", "city_code": "x", "city_name": "x", **PERSON}
        seen = [
            (await client.post("/api/v1/setup", json=body | {"code": f"AAAAA-{n:05}"})).status_code
            for n in range(6)
        ]
        assert seen == [403] * 5 + [429]
        assert await audited(server) == [("user.first", "", 0)]


async def test_guessing_a_password_is_slowed_down_but_the_owner_elsewhere_is_not(live_server) -> None:
    async with live_server(tls="proxy", proxy_address="127.0.0.1") as server:
        guesser = {"X-Forwarded-For": "203.0.113.7"}
        async with server.client(headers=guesser) as bad, server.client() as good:
            code = server.desk.first_code.ensure()
            setup = {"code": code, "name": "zhou", "city_code": "x", "city_name": "x", **PERSON}
            assert (await good.post("/api/v1/setup", json=setup)).status_code == 201
            seen = [(await log_in(bad, "zhou", f"guess {n}")).status_code for n in range(6)]
            assert seen == [401] * 5 + [429]
            assert (await log_in(bad, "zhou")).status_code == 429, "even the right one"
            assert (await log_in(good, "zhou")).status_code == 200
        assert ("login", "zhou", 0) in await audited(server)


async def test_a_forwarded_address_from_elsewhere_is_not_believed(live_server) -> None:
    async with live_server(tls="proxy", proxy_address="192.0.2.1") as server, server.client() as client:
        seen = [
            (
                await client.post(
                    "/api/v1/login",
                    json={"name": "zhou", "password": "x"},
                    headers={"X-Forwarded-For": f"203.0.113.{n}"},
                )
            ).status_code
            for n in range(6)
        ]
        assert seen == [401] * 5 + [429]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Gatehouse": ""},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=["no header", "foreign origin", "cross site", "same site"],
)
async def test_a_request_that_another_page_could_send_is_refused(live_server, headers) -> None:
    async with live_server() as server, server.client() as client:
        await server.log_in_first(client)
        if not headers.get("X-Gatehouse", "1"):
            del client.headers["X-Gatehouse"]
            headers = {}
        answer = await client.post("/api/v1/logout", headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "forged")


async def test_the_cookie_is_for_this_host_over_tls_and_no_script(live_server) -> None:
    async with live_server() as server, server.client() as client:
        await server.log_in_first(client)
        cookie = (await log_in(client, "zhou")).headers["set-cookie"]
        assert cookie.startswith("__Host-gatehouse-fleet=")
        assert {"httponly", "secure", "samesite=strict", "path=/"} <= {
            part.strip().lower() for part in cookie.split(";")
        }


async def test_the_database_has_no_token_and_no_password(live_server) -> None:
    async with live_server() as server, server.client() as client:
        await server.log_in_first(client)
        token = client.cookies["__Host-gatehouse-fleet"]
        await client.get("/api/v1/me")
        files = server.services.settings.directory.glob("fleet.db*")
        raw = b"".join(path.read_bytes() for path in files)
        assert token.encode() not in raw
        assert PASSWORD.encode() not in raw


async def test_a_session_ends_with_its_shift_with_logging_out_and_with_a_new_password(live_server) -> None:
    async with live_server() as server, server.client() as client, server.client() as other:
        await server.log_in_first(client)
        await log_in(other, "zhou")
        new = {"old": PASSWORD, "new": "another 示例 2026"}
        assert (await client.put("/api/v1/me/password", json=new)).status_code == 200
        assert (await other.get("/api/v1/me")).status_code == 401, "the other screen is logged out"
        assert (await client.get("/api/v1/me")).status_code == 200, "this one goes on"
        token = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        assert (await other.get("/api/v1/me", headers=token)).status_code == 200
        await client.post("/api/v1/logout")
        assert (await other.get("/api/v1/me", headers=token)).status_code == 401
        await log_in(client, "zhou", new["new"])
        server.clock.move_to(server.clock.now() + timedelta(hours=12))
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_a_person_who_is_shut_out_is_out_at_once(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as guard:
        await server.log_in_first(boss)
        await person(boss, "li", "guard", 1)
        await log_in(guard, "li")
        assert (await guard.get("/api/v1/me")).status_code == 200
        await boss.patch("/api/v1/users/li", json={"is_active": False})
        assert (await guard.get("/api/v1/me")).status_code == 401
        assert (await log_in(guard, "li")).status_code == 401
        async with server.services.store.begin() as db:  # a session that survived by a fault of ours
            await db.execute(update(user).where(user.c.name == "li").values(is_active=False))
            assert (await db.execute(select(session).where(session.c.user_id == 2))).all() == []


async def test_the_last_operator_of_the_city_stays(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as second:
        await server.log_in_first(boss)
        await person(boss, "wang", "city_operator", 1)
        await log_in(second, "wang")
        assert (await second.patch("/api/v1/users/zhou", json={"is_active": False})).status_code == 200
        assert (await second.patch("/api/v1/users/wang", json={"role": "guard"})).status_code == 403, (
            "oneself"
        )


async def test_nobody_reaches_beyond_the_own_subtree(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as manager:
        await server.log_in_first(boss)
        east, west = [await place(boss, 1, "district", code) for code in ("east", "west")]
        garden = await place(boss, west, "community", "garden")
        await boss.post("/api/v1/gateways", json={"id": "wh-west-gw1", "node_id": garden})
        await person(boss, "li", "district_operator", east)
        await person(boss, "sun", "guard", garden)
        await log_in(manager, "li")
        for method, path, body in (
            ("GET", f"/api/v1/nodes/{west}", None),
            ("GET", f"/api/v1/nodes/{garden}/coverage", None),
            ("PATCH", f"/api/v1/nodes/{garden}", {"name": "示例"}),
            ("DELETE", f"/api/v1/nodes/{garden}", None),
            ("POST", "/api/v1/nodes", {"kind": "community", "parent_id": west, "code": "c", "name": "示例"}),
            ("POST", f"/api/v1/nodes/{garden}/move", {"parent_id": east}),
            ("GET", "/api/v1/gateways/wh-west-gw1", None),
            ("GET", "/api/v1/gateways/wh-west-gw1/certificates", None),
            ("POST", "/api/v1/gateways/wh-west-gw1/enrolment-code", {}),
            ("POST", "/api/v1/gateways/wh-west-gw1/revoke", {"reason": "示例"}),
            ("PATCH", "/api/v1/gateways/wh-west-gw1", {"tags": []}),
            ("POST", "/api/v1/gateways", {"id": "wh-new-gw1", "node_id": garden}),
            ("GET", "/api/v1/users/sun", None),
            ("GET", "/api/v1/users/zhou", None),
            ("PATCH", "/api/v1/users/zhou", {"is_active": False}),
            ("PUT", "/api/v1/users/zhou/password", {"password": "another 示例 2026"}),
        ):
            answer = await manager.request(method, path, json=body)
            assert (answer.status_code, path) == (404, path)
        assert [row["code"] for row in (await manager.get("/api/v1/nodes")).json()["items"]] == ["east"]
        assert (await manager.get("/api/v1/gateways")).json()["items"] == []
        assert (await manager.get("/api/v1/gateways/overview")).json()["gateways"] == 0
        assert [row["name"] for row in (await manager.get("/api/v1/users")).json()["items"]] == ["li"]
        # `/1/2/` is no prefix of `/1/20/`: the paths end with a slash.
        assert (await manager.get("/api/v1/gateways", params={"below": west})).status_code == 404


async def test_nobody_makes_somebody_mightier(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as manager:
        await server.log_in_first(boss)
        east = await place(boss, 1, "district", "east")
        await person(boss, "li", "district_operator", east)
        await log_in(manager, "li")
        for role, scope, status in (
            ("city_operator", east, 403),
            ("district_operator", east, 403),
            ("auditor", east, 403),
            ("guard", 1, 409),
            ("guard", 999, 409),
            ("guard", east, 201),
        ):
            body = PERSON | {"name": f"{role}{scope}{status}", "role": role, "scope_id": scope}
            assert ((await manager.post("/api/v1/users", json=body)).status_code, role) == (status, role)
        promoted = await manager.patch(f"/api/v1/users/guard{east}201", json={"role": "city_operator"})
        widened = await manager.patch(f"/api/v1/users/guard{east}201", json={"scope_id": 1})
        own = await manager.patch("/api/v1/users/li", json={"is_contractor": False})
        assert (promoted.status_code, widened.status_code, own.status_code) == (403, 409, 403)


async def test_a_contractor_appoints_contractors_only(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as contractor:
        await server.log_in_first(boss)
        await person(boss, "wai", "district_operator", 1, is_contractor=True)
        await log_in(contractor, "wai")
        me = (await contractor.get("/api/v1/me")).json()
        assert not {"read_clips", "read_personal"} & set(me["rights"])
        body = PERSON | {"name": "trick", "role": "property_manager", "scope_id": 1}
        assert (await contractor.post("/api/v1/users", json=body)).status_code == 403
        made = await contractor.post("/api/v1/users", json=body | {"is_contractor": True})
        shed = await contractor.patch("/api/v1/users/trick", json={"is_contractor": False})
        assert (made.status_code, shed.status_code) == (201, 403)


async def test_the_room_of_a_home_is_for_those_who_may_read_it(live_server) -> None:
    async with live_server() as server, server.client() as boss, server.client() as technician:
        await server.log_in_first(boss)
        garden = await place(boss, 1, "community", "garden")
        await boss.post("/api/v1/gateways", json={"id": "wh-gw1", "node_id": garden})
        home = {"id": "btn-1", "kind": "ble_button", "building": "3", "room": "301", "is_personal": True}
        assert (await boss.post("/api/v1/gateways/wh-gw1/devices", json=home)).status_code == 201
        await person(boss, "li", "technician", garden)
        await log_in(technician, "li")
        path = "/api/v1/gateways/wh-gw1/devices/btn-1"
        assert (await boss.get(path)).json()["room"] == "301"
        assert (await technician.get(path)).json()["room"] is None
        assert (await technician.get("/api/v1/devices")).json()["items"][0]["room"] is None


async def test_every_operation_but_a_few_needs_a_session(live_server) -> None:
    open_to_all = {
        "GET /api/v1/setup",
        "POST /api/v1/setup",
        "POST /api/v1/login",
        "GET /api/v1/oidc",
        "GET /api/v1/oidc/login",
        "GET /api/v1/oidc/callback",
        "GET /api/v1/ca",
        "POST /api/v1/enrol",
        "POST /api/v1/gateways/{gateway_id}/certificate",  # the client certificate is asked for
    }
    async with live_server() as server, server.client() as client:
        paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
        unguarded = {
            f"{method.upper()} {path}"
            for path, operations in paths.items()
            for method, operation in operations.items()
            if not operation.get("security")
        }
        assert unguarded == open_to_all
        for path, operations in paths.items():
            for method in operations:
                if f"{method.upper()} {path}" not in open_to_all:
                    real = path.replace("{node_id}", "1").replace("{gateway_id}", "wh-gw1")
                    real = real.replace("{name}", "li").replace("{device_id}", "d1")
                    answer = await client.request(method, real)
                    assert (answer.status_code, path) == (401, path)


async def test_answers_carry_headers_that_keep_a_browser_safe_and_large_bodies_are_refused(
    live_server,
) -> None:
    async with live_server() as server, server.client() as client:
        answer = await client.get("/api/v1/setup")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        large = await client.post("/api/v1/login", content=b" " * 70_000)
        assert (large.status_code, large.json()["reason"]) == (413, "http_413")


async def test_health_names_what_fails_to_those_who_look_after_it(live_server) -> None:
    async with live_server() as server, server.client() as client:
        await server.log_in_first(client)
        found = (await client.get("/api/v1/health")).json()
        assert (found["is_well"], found["failing"], found["database"]) == (True, [], "sqlite")
        assert found["root_key_is_here"] is True
        server.desk.authority.drop_root_key()
        assert (await client.get("/api/v1/health")).json()["root_key_is_here"] is False
