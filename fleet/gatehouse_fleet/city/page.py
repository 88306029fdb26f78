"""One plain page: the trace of an alarm, for whoever stands beside an inspector with a telephone. No script, no style of others."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, PlainTextResponse

from gatehouse_events.states import Label
from gatehouse_fleet.api.access import entitled
from gatehouse_fleet.city.api import AlarmIdPath, traced_alarm
from gatehouse_fleet.city.trace import EntryTrace, Leg, TargetTrace
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.services import Services, services_of

router: Final = APIRouter(include_in_schema=False)
LEGS: Final[dict[Leg, Label]] = {
    Leg.RECEIVED: Label("已签收", "received"),
    Leg.PARKED: Label("已搁置", "parked"),
    Leg.WAITING: Label("待发送", "waiting"),
    Leg.NOT_TOLD: Label("无需上报", "not told"),
}
_STYLE: Final = """\
body{font:16px/1.5 system-ui,"Noto Sans CJK SC",sans-serif;margin:1rem auto;max-width:72rem;padding:0 1rem;color:#1a1d21;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #c9ced6}
small{color:#4b5563;display:block}td.parked,td.waiting{font-weight:600}
@media (prefers-color-scheme:dark){body{color:#e6e9ee;background:#14171c}small{color:#a4adba}th,td{border-color:#3a424e}}
"""


@router.get("/trace/trace.css", response_class=PlainTextResponse)
async def style() -> PlainTextResponse:
    """Return the page's style."""
    return PlainTextResponse(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/trace/{alarm_id}", response_class=HTMLResponse)
async def page(
    alarm_id: AlarmIdPath,
    services: Annotated[Services, Depends(services_of)],
    who: Annotated[Caller, Depends(entitled(Right.READ_ALARMS))],
) -> HTMLResponse:
    """Show every revision of an alarm with its way to the city."""
    found = await traced_alarm(services, who, alarm_id)
    html = rendered(alarm_id, found, ZoneInfo(services.settings.time_zone))
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})


def rendered(alarm_id: str, found: list[EntryTrace], zone: ZoneInfo) -> str:
    """Return the page. Whatever came from a gateway or a platform is escaped."""
    rows = "".join(_row(one, zone) for one in found)
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>报警轨迹 {escape(alarm_id)}</title>"
        '<link rel="stylesheet" href="/trace/trace.css"></head><body>'
        f"<h1>报警轨迹 <small>alarm trace · {escape(alarm_id)}</small></h1>"
        "<table><thead><tr><th>版本<small>revision</small></th><th>网关记录<small>gateway journal</small></th>"
        "<th>平台入库<small>fleet commit</small></th><th>城市平台<small>city platforms</small></th></tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>"
    )


def _row(one: EntryTrace, zone: ZoneInfo) -> str:
    doubt = "" if one.is_verified else f"<small>未验证 unverified: {escape(one.doubt or '')}</small>"
    legs = "".join(_leg(leg, zone) for leg in one.targets) or "<p>—</p>"
    return (
        f"<tr><td>{one.revision or '—'}<small>{escape(one.what or one.kind)}</small></td>"
        f"<td>{_time(one.written_at, zone)}<small>{escape(one.gateway)} · #{one.seq}</small></td>"
        f"<td>{_time(one.committed_at, zone)}{doubt}</td><td>{legs}</td></tr>"
    )


def _leg(leg: TargetTrace, zone: ZoneInfo) -> str:
    label = LEGS[leg.leg]
    head = f"<p><strong>{label.zh}</strong> {escape(leg.title)} <small>{label.en} · {escape(leg.target)}"
    match leg.leg:
        case Leg.RECEIVED:
            more = f" · {_time(leg.receipt_at, zone)} · {escape(leg.receipt or '')}"
        case Leg.PARKED:
            more = f" · {_time(leg.parked_at, zone)} · {escape(leg.parked_reason or '')}: {escape(leg.parked_detail or '')}"
        case _:
            more = ""
    return f"{head}{more}</small></p>"


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    if at is None:
        return "—"
    local = at.astimezone(zone)
    return (
        f'<time datetime="{at.isoformat()}">{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}</time>'
    )
