"""Calibration of cameras over HTTP: a still, what is drawn on it, a preview of what that means, versions and the way back."""

from __future__ import annotations

import asyncio
import math
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field, JsonValue
from starlette.responses import FileResponse, Response

from gatehouse_edge.calibration import Calibrated, FaultyDrawingError, StaleVersionError, sha_of
from gatehouse_edge.console.cameras import CameraDesk, NoStillError
from gatehouse_edge.console.problems import ProblemError, problem_response
from gatehouse_edge.console.requests import Body, Reason
from gatehouse_edge.console.roles import Right
from gatehouse_edge.console.session import Caller, entitled
from gatehouse_edge.console.state import ConsoleState, console_of
from gatehouse_edge.vision.facade import Calibration, column_of, faults_of, floor_of, line_of
from gatehouse_events.states import Label

router: Final = APIRouter(prefix="/api/v1/cameras", tags=["calibration"])

CameraId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[int, Field(ge=0, le=999_999)]
Calibrator = Annotated[Caller, Depends(entitled(Right.CALIBRATE))]
STILL_S: Final = 15.0
_NO_CAMERA: Final = ProblemError(404, "no_camera", Label("没有此摄像机", "there is no such camera"))
_NO_VERSION: Final = ProblemError(404, "no_version", Label("没有此版本", "there is no such version"))
_NO_STILL: Final = ProblemError(
    404, "no_still", Label("该标定图已不存在，请重新取图", "this still is gone: take another")
)
_FAULTY: Final = ProblemError(422, "faulty", Label("标定有误", "this cannot be a front"))
_DISK: Final = ProblemError(
    503,
    "storage",
    Label("存储未应答，操作尚未生效", "the storage does not answer; nothing has been done yet"),
    retry_after_s=5,
)
_MARGIN_FLOORS: Final = 2


class Drawing(Body):
    """What was drawn. `calibration` is the type `Calibration` of `gatehouse_edge/vision/facade.py` as JSON."""

    based_on: Version
    """Version the drawing began from; 0: none."""
    still_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    calibration: dict[str, JsonValue]
    note: Reason = ""


class Restoring(Body):
    """Which version shall count again."""

    based_on: Version
    version: Annotated[int, Field(ge=1, le=999_999)]


class Previewing(Body):
    """A drawing and points to try."""

    calibration: dict[str, JsonValue]
    points: Annotated[
        list[
            tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(allow_inf_nan=False)]]
        ],
        Field(max_length=64),
    ] = Field(default_factory=list)


@router.get("")
async def cameras(request: Request, who: Calibrator) -> Response:  # noqa: ARG001  # must have the right
    """Return the cameras and which version of a calibration counts (0: none)."""
    desk = _desk(console_of(request))
    rows = [
        {"id": camera_id, "place": place, "version": await asyncio.to_thread(desk.store.newest, camera_id)}
        for camera_id, place in desk.names().items()
    ]
    return _json({"cameras": rows})


@router.post("/{camera_id}/still")
async def take_still(request: Request, camera_id: CameraId, who: Calibrator) -> Response:
    """Take a picture to draw on, shield zones burnt in. The look is written down."""
    state = console_of(request)
    desk = _camera(state, camera_id)
    try:
        async with asyncio.timeout(STILL_S):
            jpeg = await desk.still(camera_id)
        sha = await asyncio.to_thread(desk.store.put_still, camera_id, jpeg)
    except (NoStillError, TimeoutError, ValueError) as error:
        why = str(error) or "no answer"
        raise ProblemError(
            409, "no_picture", Label("摄像机当前没有画面", f"the camera gives no picture now: {why}")
        ) from error
    except OSError:
        raise _DISK from None
    await state.audit(
        "still_taken", who=who.actor.name, station=who.actor.station, detail=f"{camera_id} {sha[:12]}"
    )
    return _json({"sha256": sha, "url": f"/api/v1/cameras/{camera_id}/stills/{sha}"})


@router.get("/{camera_id}/stills/{sha}", response_class=FileResponse)
async def still(
    request: Request,
    camera_id: CameraId,
    sha: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    who: Calibrator,  # noqa: ARG001  # must have the right
) -> Response:
    """Return a still."""
    path = await asyncio.to_thread(_camera(console_of(request), camera_id).store.still, camera_id, sha)
    if path is None:
        raise _NO_STILL
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.get("/{camera_id}/calibration")
async def current(request: Request, camera_id: CameraId, who: Calibrator) -> Response:  # noqa: ARG001  # must have the right
    """Return what counts (null: nothing was drawn yet) and which versions there are."""
    store = _camera(console_of(request), camera_id).store
    found = await asyncio.to_thread(store.get, camera_id)
    versions = await asyncio.to_thread(store.versions, camera_id)
    return _json({"current": None if found is None else _row(found), "versions": versions})


@router.get("/{camera_id}/calibration/{version}")
async def one(request: Request, camera_id: CameraId, version: Version, who: Calibrator) -> Response:  # noqa: ARG001  # must have the right
    """Return one version."""
    store = _camera(console_of(request), camera_id).store
    found = await asyncio.to_thread(store.get, camera_id, version)
    if found is None:
        raise _NO_VERSION
    return _json(_row(found))


@router.put("/{camera_id}/calibration")
async def put(request: Request, camera_id: CameraId, drawing: Drawing, who: Calibrator) -> Response:
    """Store a new version; 422 with every fault and its field, 409 when somebody else has drawn meanwhile."""
    state = console_of(request)
    desk = _camera(state, camera_id)
    calibration = _read(drawing.calibration)
    if isinstance(calibration, Response):
        return calibration
    if await asyncio.to_thread(desk.store.still, camera_id, drawing.still_sha256) is None:
        raise _NO_STILL
    try:
        made = await asyncio.to_thread(
            desk.store.put,
            camera_id,
            calibration,
            based_on=drawing.based_on,
            still_sha256=drawing.still_sha256,
            by=who.actor.name,
            at=state.clock.now().wall,
            note=drawing.note,
        )
    except FaultyDrawingError as error:
        return _faulty(error.faults)
    except StaleVersionError as error:
        raise _stale(error) from error
    except OSError:
        raise _DISK from None
    return await _stored(state, desk, made, who)


@router.post("/{camera_id}/calibration/restore")
async def restore(request: Request, camera_id: CameraId, order: Restoring, who: Calibrator) -> Response:
    """Make an old version count again (撤销); it becomes a new one, nothing is lost."""
    state = console_of(request)
    desk = _camera(state, camera_id)
    try:
        made = await asyncio.to_thread(
            desk.store.restore,
            camera_id,
            order.version,
            based_on=order.based_on,
            by=who.actor.name,
            at=state.clock.now().wall,
        )
    except KeyError:
        raise _NO_VERSION from None
    except StaleVersionError as error:
        raise _stale(error) from error
    except OSError:
        raise _DISK from None
    return await _stored(state, desk, made, who)


@router.post("/{camera_id}/calibration/preview")
async def preview(request: Request, camera_id: CameraId, order: Previewing, who: Calibrator) -> Response:  # noqa: ARG001  # must have the right
    """Return what a drawing means before it is stored: the line of every floor, and floor and column of points."""
    _camera(console_of(request), camera_id)
    calibration = _read(order.calibration)
    if isinstance(calibration, Response):
        return calibration
    faults = faults_of(calibration)
    if faults:
        return _faulty(tuple(faults))
    return _json(
        {
            "floors": _grid(calibration),
            "points": [_point(calibration, x, y) for x, y in order.points],
        }
    )


def _grid(calibration: Calibration) -> list[dict[str, Any]]:
    drawn = {line.floor for line in calibration.floors}
    rows = []
    for floor in range(min(drawn) - _MARGIN_FLOORS, max(drawn) + _MARGIN_FLOORS + 1):
        left, right = line_of(calibration, floor)
        rows.append(
            {
                "floor": floor,
                "name": calibration.name_of(floor),
                "left": [round(v, 1) for v in left],
                "right": [round(v, 1) for v in right],
                "is_drawn": floor in drawn,
            }
        )
    return rows


def _point(calibration: Calibration, x: float, y: float) -> dict[str, Any]:
    from gatehouse_edge.vision.origin import floors_at  # numpy: 20 MiB for who draws, none for who does not

    low, high = floors_at(calibration, x, y)
    return {
        "x": x,
        "y": y,
        "floor": math.floor(floor_of(calibration, x, y)),
        "floor_low": low,
        "floor_high": high,
        "column": column_of(calibration, x, y),
    }


def _desk(state: ConsoleState) -> CameraDesk:
    if state.cameras is None:
        raise _NO_CAMERA
    return state.cameras


def _camera(state: ConsoleState, camera_id: str) -> CameraDesk:
    desk = _desk(state)
    if camera_id not in desk.names():
        raise _NO_CAMERA
    return desk


def _read(fields: dict[str, Any]) -> Calibration | Response:
    try:
        return msgspec.convert(fields, Calibration)
    except msgspec.ValidationError as error:
        sentence, _, at = str(error).partition(" - at `$")
        return _faulty(((at.rstrip("`").lstrip(".") or "calibration", sentence),))


def _faulty(faults: tuple[tuple[str, str], ...]) -> Response:
    return problem_response(_FAULTY, details=[{"at": at, "message": words} for at, words in faults[:40]])


def _stale(error: StaleVersionError) -> ProblemError:
    return ProblemError(
        409,
        "stale",
        Label(
            f"期间已有新版本{error.newest}，请重新加载",
            f"version {error.newest} has been stored meanwhile: load it",
        ),
    )


async def _stored(state: ConsoleState, desk: CameraDesk, made: Calibrated, who: Caller) -> Response:
    await state.audit(
        "calibrated",
        who=who.actor.name,
        station=who.actor.station,
        detail=f"{made.camera_id} version {made.version} {sha_of(made)}",
    )
    await desk.changed(made.camera_id)
    return _json(_row(made))


def _row(found: Calibrated) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(found)
    return row | {"sha256": sha_of(found)}


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
