"""What benches hand in, and what people read of it.

A bench is let in by its token alone, a person by the session alone. 409 is never said to a bench: it takes that for "known already".
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.bench_api import DeviceRegistration
from gatehouse_events.bench_record import SignedRecord
from gatehouse_events.states import Label
from gatehouse_fleet.api.bench_access import Bench
from gatehouse_fleet.api.bench_answers import (
    BindBody,
    DeviceTaken,
    RecordQuery,
    RecordRow,
    RecordTaken,
    RegistrationBody,
    Serial,
    StockQuery,
    StockRow,
    WrappingKeyAnswer,
)
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.bench import records, stock
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.records import KeptRecord
from gatehouse_fleet.bench.stock import StockDevice
from gatehouse_fleet.bench.tokens import BenchToken
from gatehouse_fleet.life import LifeError
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.registry.devices import NewDevice
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.bench import bench_device, bench_record
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.pages import Page, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError
from gatehouse_fleet.web.session import station_of

router: Final = APIRouter(tags=["bench"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))]
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_GATEWAYS))]
HashPath = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="hash of the record")]
SerialPath = Annotated[Serial, Path(description="serial number")]

_REFERENCE: Final = "#/components/schemas/Bench{name}"
(_RECORD,), _PARTS = msgspec.json.schema_components([SignedRecord], ref_template=_REFERENCE)
SCHEMAS: Final[dict[str, Any]] = {f"Bench{name}": part for name, part in _PARTS.items()}
"""Components of the record's schema for the API's description; records are read by msgspec, not by the framework."""
_RECORD_CONTENT: Final = {"application/json": {"schema": _RECORD}}

_LABELS: Final[dict[str, Label]] = {
    "damaged": Label("记录损坏或签名不符", "no record, or changed since it was signed"),
    "foreign_key": Label("签名密钥未登记", "signed with a key that is not registered with this token"),
    "history": Label("记录编号与前序不符", "number and predecessor do not fit"),
    "foreign_history": Label("前序记录属于其他设备", "the record before it is another board's"),
    "wrapped_key": Label("设备密钥不是加密给本平台的", "the device key is not sealed for this server"),
    "foreign_device": Label("该序列号属于其他辖区", "this serial number belongs elsewhere"),
    "scrapped": Label("设备已报废", "this device was scrapped"),
    "allowance": Label("令牌额度已用完", "this token has had its share"),
    "bound": Label("设备已绑定网关", "the device is bound to a gateway"),
    "place_taken": Label("该位置已有设备", "another device stands there"),
}
_REFUSED: Final = Label("提交被拒绝", "refused")
_JSON_NEEDED: Final = ProblemError(415, "http_415", Label("不支持的内容类型", "send application/json"))
_LIFE: Final = Label("状态变更不允许", "this step is not possible")


@router.post(
    "/bench/records",
    status_code=201,
    responses={200: {"model": RecordTaken, "description": "It is here already."}},
    openapi_extra={"requestBody": {"required": True, "content": _RECORD_CONTENT}},
)
async def take_record(request: Request, response: Response, bench: Bench) -> RecordTaken:
    """Keep a signed record octet for octet; on disk when this answers. The same again changes nothing."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _JSON_NEEDED
    services = services_of(request)
    content, now = await request.body(), services.clock.now()
    try:
        signed = records.read(content, bench)
        async with services.store.begin() as db:
            is_new = await records.keep(db, content, signed, bench, at=now)
            if is_new:
                record = signed.record
                await audit.append(
                    db,
                    bench.actor(station_of(request)),
                    "bench.record",
                    signed.hash,
                    at=now,
                    node_id=bench.node_id,
                    detail={
                        "serial": record.serial,
                        "number": record.number,
                        "verdict": record.verdict.value,
                    },
                )
    except BenchError as error:
        raise await _refused(request, bench, "bench.record", "record", error) from None
    response.status_code = 201 if is_new else 200
    return RecordTaken(hash=signed.hash, is_new=is_new)


@router.get("/bench/records")
async def list_records(
    request: Request, who: Reader, asked: Annotated[RecordQuery, Query()]
) -> Page[RecordRow]:
    """Return the records of one's subtree, newest first."""
    row, limit = bench_record.c, asked.limit
    query = (
        records.query_records().where(within(org_node.c.path, who)).order_by(row.no.desc()).limit(limit + 1)
    )
    for column, wanted in (
        (row.serial, asked.serial),
        (row.verdict, asked.verdict),
        (row.bench, asked.bench),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if asked.since is not None:
        query = query.where(row.received_at >= asked.since)
    behind = key_of(asked.after, tuple[int])
    if behind is not None:
        query = query.where(row.no < behind[0])
    async with services_of(request).store.read() as db:
        rows = [records.record_of(one) for one in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].no) if len(rows) > limit else None
    return Page(items=[_record_row(one) for one in rows[:limit]], next=more)


@router.get(
    "/bench/records/{digest}",
    response_class=Response,
    responses={200: {"content": _RECORD_CONTENT, "description": "As the bench signed it."}},
)
async def one_record(request: Request, digest: HashPath, who: Reader) -> Response:
    """Return a record octet for octet, with the operator's name in it: whoever has the bench's public key can check it."""
    async with services_of(request).store.read() as db:
        content = await records.raw(db, digest, within=within(org_node.c.path, who))
    if content is None:
        raise NOT_FOUND
    return Response(content, media_type="application/json")


@router.get("/bench/wrapping-key")
async def wrapping_key(request: Request, _bench: Bench) -> WrappingKeyAnswer:
    """Return the key that device keys are to be sealed for: the fleet's own."""
    pair = desk_of(request).wrapping
    return WrappingKeyAnswer(pem=pair.public_pem, fingerprint=pair.fingerprint)


@router.post(
    "/bench/devices",
    status_code=201,
    responses={200: {"model": DeviceTaken, "description": "This registration is here already."}},
)
async def take_device(
    request: Request, response: Response, body: RegistrationBody, bench: Bench
) -> DeviceTaken:
    """Put a device with its sealed key into store. The key is handed to nobody."""
    services, desk = services_of(request), desk_of(request)
    now = services.clock.now()
    new = msgspec.convert(body.model_dump(), DeviceRegistration)
    try:
        async with services.store.begin() as db:
            taken = await stock.register(db, new, bench, pair=desk.wrapping, at=now)
            if taken.is_new:
                detail = {"kind": new.kind, "key_check": new.key_check, "was_at": taken.was_at}
                await audit.append(
                    db,
                    bench.actor(station_of(request)),
                    "bench.device",
                    new.serial,
                    at=now,
                    node_id=bench.node_id,
                    detail={**detail},
                )
    except BenchError as error:
        raise await _refused(request, bench, "bench.device", new.serial, error) from None
    response.status_code = 201 if taken.is_new else 200
    return DeviceTaken(serial=new.serial, is_new=taken.is_new, was_at=taken.was_at)


@router.get("/bench/devices")
async def list_stock(request: Request, who: Reader, asked: Annotated[StockQuery, Query()]) -> Page[StockRow]:
    """Return the devices that benches have registered in one's subtree, by serial number."""
    row, limit = bench_device.c, asked.limit
    reach = stock.PATH.startswith(who.scope_path, autoescape=True)
    query = stock.query_stock().where(reach).order_by(row.serial).limit(limit + 1)
    if asked.serial is not None:
        query = query.where(row.serial == asked.serial)
    if asked.kind is not None:
        query = query.where(row.kind == asked.kind)
    if asked.is_bound is not None:
        is_bound = row.device_no.is_not(None)
        query = query.where(is_bound if asked.is_bound else ~is_bound)
    behind = key_of(asked.after, tuple[str])
    if behind is not None:
        query = query.where(row.serial > behind[0])
    async with services_of(request).store.read() as db:
        rows = [stock.stock_of(one) for one in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].serial) if len(rows) > limit else None
    return Page(items=[_stock_row(one) for one in rows[:limit]], next=more)


@router.get("/bench/devices/{serial}")
async def one_of_stock(request: Request, serial: SerialPath, who: Reader) -> StockRow:
    """Return one device by the serial number on its label."""
    async with services_of(request).store.read() as db:
        return _stock_row(await _reachable(db, who, serial))


@router.post("/bench/devices/{serial}/bind")
async def bind_device(request: Request, serial: SerialPath, body: BindBody, who: Manager) -> StockRow:
    """Deploy a device from store behind a gateway, in a room."""
    services = services_of(request)
    try:
        async with services.store.begin() as db:
            found = await _reachable(db, who, serial)
            at_gateway = await gateways.find(db, body.gateway_id)
            require_reach(who, None if at_gateway is None else at_gateway.node_path)
            assert at_gateway is not None  # noqa: S101  # require_reach refuses None
            new = NewDevice(
                **body.model_dump(exclude={"gateway_id", "device_id"}),
                id=body.device_id or serial,
                kind=stock.ASSET_KINDS.get(found.kind, found.kind),
            )
            there = await stock.bind(db, found, at_gateway, new)
            bound = await _reachable(db, who, serial)
            await audit.append(
                db,
                who.actor,
                "bench.bind",
                serial,
                at=services.clock.now(),
                node_id=at_gateway.node_id,
                detail={"gateway": at_gateway.id, "device": there.id},
            )
    except BenchError as error:
        raise ProblemError(409, error.reason, _LABELS[error.reason], detail=str(error)) from None
    except LifeError as error:
        raise ProblemError(409, "life", _LIFE, detail=str(error)) from None
    return _stock_row(bound)


async def _reachable(db: AsyncConnection, who: Caller, serial: str) -> StockDevice:
    found = await stock.find(db, serial)
    require_reach(who, None if found is None else found.path)
    assert found is not None  # noqa: S101  # require_reach refuses None
    return found


async def _refused(
    request: Request, bench: BenchToken, action: str, subject: str, error: BenchError
) -> ProblemError:
    """Write a refusal down and return how the API says it."""
    actor = bench.actor(station_of(request))
    refusals = desk_of(request).refusals
    await refusals.note(actor, action, subject, reason=error.reason, node_id=bench.node_id)
    return ProblemError(403, error.reason, _LABELS.get(error.reason, _REFUSED), detail=str(error))


def _record_row(one: KeptRecord) -> RecordRow:
    return RecordRow(
        hash=one.hash,
        serial=one.serial,
        number=one.number,
        kind=one.kind,
        verdict=one.verdict,
        bench=one.bench,
        is_simulated=one.is_simulated,
        ended_at=one.ended_at,
        received_at=one.received_at,
        history=one.history,
    )


def _stock_row(one: StockDevice) -> StockRow:
    return StockRow(
        serial=one.serial,
        kind=one.kind,
        mac=one.mac,
        key_check=one.key_check,
        has_key=one.has_key,
        state=one.state,
        registered_at=one.registered_at,
        gateway_id=one.gateway_id,
        device_id=one.device_id,
    )
