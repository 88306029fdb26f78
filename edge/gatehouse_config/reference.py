"""Write docs/configuration.md from the models: `python -m gatehouse_config.reference`. A test compares the two."""

from __future__ import annotations

import sys
import types
from enum import Enum
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gatehouse_config.model import GatewayConfig
from gatehouse_config.profiles import GasProfile, IoProfile, LiftProfile, shipped

_INTRO: Final = """# gateway.yaml

Written from the models in `edge/gatehouse_config` (`python -m gatehouse_config.reference`); a test keeps it true.

- `gatehouse-edge check gateway.yaml` names every fault at once, each with its line and its place.
- An unknown key is refused, and the nearest known one is named. Units stand in the names: `poll_ms`, `max_silence_s`.
- Words are text unless they are plain numbers, `true`, `false` or `null`: `0501` is a room, `no` is a word. Anchors,
  aliases and tags are refused.
- Paths are relative to the folder of the file. Key files hold 32 hex digits (`openssl rand -hex 16`), each key is used
  once; tokens and passwords stand in files of their own. Keys and secrets out of examples are refused.
- A device may list two keys while they are being changed; take the old one out afterwards.
- A running gateway takes over a changed file without a restart; only what changed is restarted. A faulty file is
  refused and the old configuration goes on.
- Without a section `fleet` this file is the whole truth. With it the fleet may send a configuration: it is kept beside the
  journal, its paths are relative to this file's folder, and it must name the same gateway, the same storage and a fleet. It
  is tried first: unless the fleet is reached all through its trial (60 s) and every part works, the one before it comes
  back by itself, also over a power cut. From then on it is in force instead of this file, and a change of this file waits:
  `gatehouse-edge local-config gateway.yaml` brings the file back.

## Example

Names and numbers in it are invented.

```yaml
gateway: {id: wh-371002-0007-gw1, language: zh}
site:
  division_code: "371002002"
  division_standard: stats_gov
  community_id: wh-371002-0007
  estate: 示例小区
  position: {lon: 122.1205, lat: 37.5131, crs: CGCS2000}
storage: {directory: var/gateway}
console: {host: 127.0.0.1, port: 8443}
buses:
  - {id: rs485-1, kind: modbus_rtu, port: /dev/serial/by-id/usb-example-if00, baud: 9600}
  - {id: cabinet, kind: modbus_tcp, host: 192.0.2.10, port: 502}
  - {id: lift-1-line, kind: serial, port: /dev/serial/by-id/usb-example-if01, baud: 115200}
  - {id: ble0, kind: ble, adapter: hci0}
devices:
  - id: gas-3-2-501
    kind: gas
    location: {building: 3, unit: 2, floor: 5, room: 501}
    bus: rs485-1
    unit_id: 1
    profile: cn6in1_unitreg
    installed_on: 2024-05-01
  - id: lift-3-2
    kind: lift
    location: {building: 3, unit: 2, name: 客梯}
    bus: lift-1-line
    profile: gatehouse_lift_node
    node_id: 7
    keys: [{id: 1, file: keys/lift-3-2.1.key}]
    rescue_code: "371205"
  - id: btn-17
    kind: button
    location: {building: 3, unit: 2, floor: 5, room: 501}
    address: C3:28:40:FF:C1:94
    keys: [{id: 1, file: keys/btn-17.1.key}]
    resident: {name: 住户（示例）, phone: "13900000001", lives_alone: true, family_contacts: [daughter]}
  - id: beacon-1
    kind: beacon
    location: {name: 弱电间}
    address: C3:28:40:FF:C1:95
    keys: [{id: 1, file: keys/beacon-1.1.key}]
  - id: io-1
    kind: io
    location: {name: 弱电间}
    bus: cabinet
    unit_id: 30
    profile: relay_8ch
    inputs:
      - {point: 0, role: mains}
      - {point: 1, role: ups_low}
      - {point: 2, role: ebike, device: lift-3-2}
      - {point: 3, role: valve_closed, device: valve-3}
  - {id: cam-3-n, kind: camera, location: {building: 3, name: 北立面}, url: "rtsp://192.0.2.11/1", sign_posted: true}
outputs:
  - {id: siren-gate, kind: siren, io: io-1, point: 0, serves: [all]}
  - {id: valve-3, kind: gas_valve, io: io-1, point: 3, serves: [gas-3-2-501]}
escalation:
  sos:
    - {after_s: 0, notify: [desk]}
    - {after_s: 30, notify: [second]}
    - {after_s: 90, notify: [family]}
    - {after_s: 180, notify: [prompt_120]}
notifiers:
  contacts:
    - {id: second, via: gsm, name: 值班二（示例）, to: "+8613900000002"}
    - {id: daughter, via: gsm, name: 家属（示例）, to: "+8613900000003"}
  gsm: {port: /dev/serial/by-id/usb-example-if02}
fleet: {url: "https://fleet.example:8460"}
```
"""
_PROFILES: Final = """
# Profiles

A profile says what registers, points or codes mean. Yours are `*.json` files in `profiles_directory`; every one states
its `provenance` (document and page, standard and clause, or code and revision), and a gas profile its unit, or it is
refused. Shipped:

"""


def render() -> str:
    """Return the whole of docs/configuration.md."""
    parts = [_INTRO, *_sections(GatewayConfig, "", set()), _PROFILES]
    parts += [
        f"- `{profile.id}` ({profile.kind}): {profile.provenance}\n"
        for profile in sorted(shipped().values(), key=lambda profile: (profile.kind, profile.id))
    ]
    done: set[type[BaseModel]] = set()
    for kind, model in (("gas", GasProfile), ("io", IoProfile), ("lift", LiftProfile)):
        parts += _sections(model, f"{kind} profile", done)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _sections(model: type[BaseModel], path: str, done: set[type[BaseModel]]) -> list[str]:
    if model in done:
        return []
    done.add(model)
    title = f"## {path}" if path else "## Top level"
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    below: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner = _models(field.annotation)
        rows.append(f"| `{key}` | {_kind(field)} | {_default(field)} | {field.description or _word(field)} |")
        below += [(part, _below(path, key, part, is_list=_is_list(field.annotation))) for part in inner]
    text = "\n".join([title, "", (model.__doc__ or "").strip().split("\n")[0], "", *rows, ""])
    return [text, *(section for part, place in below for section in _sections(part, place, done))]


def _below(path: str, key: str, part: type[BaseModel], *, is_list: bool) -> str:
    place = f"{path}.{key}" if path and "profile" not in path else f"{path}: {key}" if path else key
    tag = next((name for name in ("kind", "via") if name in part.model_fields and is_list), None)
    if tag is not None:
        return f"{place}: {tag} {get_args(part.model_fields[tag].annotation)[0]}"
    return f"{place}[]" if is_list else place


def _word(field: FieldInfo) -> str:
    return f"always `{get_args(field.annotation)[0]}`" if get_origin(field.annotation) is Literal else "name"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: object = field.default
    if default is PydanticUndefined:
        return "see below"
    if isinstance(default, tuple) and default:
        return _ladder(default)
    if default is None or default in ((), ""):
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _ladder(steps: tuple[object, ...]) -> str:
    return "; ".join(
        f"{getattr(step, 'after_s', 0):g} s: {', '.join(getattr(step, 'notify', ()))}" for step in steps
    )


def _kind(field: FieldInfo) -> str:
    limits = [_limit(item) for item in field.metadata]
    return ", ".join(part for part in (_type(field.annotation), *limits) if part)


def _limit(item: object) -> str:  # a table
    match item:
        case Ge(ge=bound):
            return f"≥ {bound}"
        case Gt(gt=bound):
            return f"> {bound}"
        case Le(le=bound):
            return f"≤ {bound}"
        case Lt(lt=bound):
            return f"< {bound}"
        case MinLen(min_length=bound) | Len(min_length=bound):
            return f"at least {bound}" if bound else ""
        case MaxLen(max_length=bound):
            return f"at most {bound}"
        case _:
            pattern = getattr(item, "pattern", None)
            return f"`{pattern}`".replace("|", "\\|") if pattern else ""


def _type(annotation: object) -> str:  # a table
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0])
    if origin is Literal:
        return " \\| ".join(f"`{str(item).lower() if isinstance(item, bool) else item}`" for item in args)
    if origin in {Union, types.UnionType}:
        names = dict.fromkeys(_type(part) for part in args if part is not types.NoneType)
        return " or ".join(names)
    if origin is tuple:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"map of {_type(args[0])} to {_type(args[1])}"
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return "section"
        if issubclass(annotation, Enum):
            return " \\| ".join(f"`{item.value}`" for item in annotation)
        return _NAMES.get(annotation, annotation.__name__)
    return str(annotation)


_NAMES: Final[dict[type, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` \\| `false`",
}


def _is_list(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        return _is_list(get_args(annotation)[0])
    return get_origin(annotation) is tuple


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in _models(part)]


if __name__ == "__main__":
    sys.stdout.write(render())
