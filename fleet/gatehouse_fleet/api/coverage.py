"""Coverage figures of a place and the monthly report."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from gatehouse_fleet.api.access import entitled
from gatehouse_fleet.api.fields import Answer, NumberPath
from gatehouse_fleet.api.org import reachable
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry.coverage import Figures, figures_of, indicators, total
from gatehouse_fleet.registry.measuring import Month, measure, month_of
from gatehouse_fleet.registry.report import ReportRow, monthly_csv
from gatehouse_fleet.services import services_of

router: Final = APIRouter(tags=["coverage"])
Reader = Annotated[Caller, Depends(entitled(Right.READ_STATISTICS))]
MonthText = Annotated[
    str | None,
    Query(pattern="^20[0-9]{2}-(0[1-9]|1[0-2])$", description="`2026-11`; absent: the running month"),
]


class Counts(Answer):
    """What the rates are made of (`registry.coverage.Figures`)."""

    communities: int
    smart_communities: int
    gas: int
    lift: int
    sos: int
    throw: int
    devices: int
    devices_online: int
    devices_intact: int
    cameras: int
    cameras_delivering: int
    camera_points: int
    cameras_at_points: int
    camera_samples: int
    camera_online_samples: int
    alarms_raised: int
    alarms_handled: int


class IndicatorRow(Answer):
    """One figure against what is asked for."""

    name: str
    label: str
    label_en: str
    value: float | None
    target: float | None
    is_met: bool | None


class PlaceCoverage(Answer):
    """Figures of one place."""

    node_id: int
    code: str
    name: str
    counts: Counts
    indicators: list[IndicatorRow]


class Coverage(Answer):
    """Figures of a place and of every community in it."""

    month: str
    total: PlaceCoverage
    communities: list[PlaceCoverage]


@router.get("/nodes/{node_id}/coverage")
async def coverage(request: Request, node_id: NumberPath, who: Reader, month: MonthText = None) -> Coverage:
    """Return devices as they are now, up-time and alarms of the month; at most 5 000 communities."""
    services = services_of(request)
    now = services.clock.now()
    wanted = _month(month, request)
    async with services.store.read() as db:
        node = await reachable(db, who, node_id)
        found = await measure(db, node.path, month=wanted, now=now)
    rows = [(one, figures_of(one.facts)) for one in found]
    return Coverage(
        month=wanted.label,
        total=_place(node.id, node.code, node.name, total(figures for _, figures in rows)),
        communities=[_place(one.node_id, one.code, one.name, figures) for one, figures in rows],
    )


@router.get(
    "/nodes/{node_id}/coverage.csv",
    response_class=Response,
    responses={
        200: {
            "description": "One row per community, one for all.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        }
    },
)
async def coverage_csv(
    request: Request, node_id: NumberPath, who: Reader, month: MonthText = None
) -> Response:
    """Return the monthly report as CSV (UTF-8 with mark, for spreadsheet programs)."""
    services = services_of(request)
    now = services.clock.now()
    wanted = _month(month, request)
    async with services.store.begin() as db:
        node = await reachable(db, who, node_id)
        found = await measure(db, node.path, month=wanted, now=now)
        await audit.append(db, who.actor, "report.coverage", wanted.label, at=now, node_id=node.id)
    rows = [ReportRow(code=one.code, name=one.name, figures=figures_of(one.facts)) for one in found]
    name = f"gatehouse-coverage-{node.code}-{wanted.label}.csv"
    return Response(
        monthly_csv(wanted.label, rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _month(text: str | None, request: Request) -> Month:
    services = services_of(request)
    zone = services.settings.time_zone
    if text is None:
        return month_of(services.clock.now(), zone)
    year, month = text.split("-")
    return Month(year=int(year), month=int(month), zone=zone)


def _place(node_id: int, code: str, name: str, figures: Figures) -> PlaceCoverage:
    return PlaceCoverage(
        node_id=node_id,
        code=code,
        name=name,
        counts=Counts.model_validate(msgspec.structs.asdict(figures)),
        indicators=[
            IndicatorRow(
                name=one.name,
                label=one.label.zh,
                label_en=one.label.en,
                value=one.value,
                target=one.target,
                is_met=one.is_met,
            )
            for one in indicators(figures)
        ],
    )
