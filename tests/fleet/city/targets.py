"""Target files for the tests; every name and number is invented (示例)."""

from __future__ import annotations

CLOUDEVENTS = """\
id: weihai
title: 市运行管理服务平台（示例）
send: {categories: [gas, lift, sos, throw], kinds: [alarm, fault]}
start: beginning
envelope: {kind: cloudevents}
transport: {kind: http, url: "http://127.0.0.1:9/events"}
"""

ONE_HOT = """\
id: lift-cloud
title: 电梯平台（示例）
send: {categories: [lift], kinds: [alarm]}
envelope:
  kind: one_hot
  dialect: songjiang_telecom
  project_id: "1001"
  project_name: 示例小区
  assets:
    lift-3-2: {words: {deviceNo: D-77, locationeCode: L-0302, liftNo: "2"}}
transport: {kind: http, url: "http://127.0.0.1:9"}
codes: {map: songjiang_telecom}
"""

TEXT_FRAMES = """\
id: frames
title: 电梯云（示例）
send: {categories: [lift], kinds: [alarm]}
envelope:
  kind: text_frames
  type_field: cmd
  login: {user: gatehouse}
  values:
    direction: {up: 1, down: 2, none: 0}
    inposition: {"true": 1, "false": 0}
    floor: {"*": as_is}
    haspeople: {"true": 1, "false": 0}
    inmaintenance: {inspection: 1, "*": 0}
  assets:
    lift-3-2: {words: {sn: SN-302}}
transport: {kind: tcp, host: 127.0.0.1, port: 9}
codes: {map: elevatorcloud_ws}
"""

FIRE = """\
id: fire
title: 消防远程监控中心（示例）
send: {categories: [gas], kinds: [alarm, fault]}
envelope:
  kind: gbt26875
  source_address: "010203040506"
  center_address: "0A0000000000"
  system_type: 128
  system_address: 1
  component_type: 12
  components: {gas-3-2-501: 501}
transport: {kind: tcp, host: 127.0.0.1, port: 9}
codes: {map: gbt26875_3}
"""

MQTT = """\
id: bus
title: 物联平台（示例）
send: {categories: [gas, lift, sos, throw], kinds: [alarm]}
start: beginning
envelope: {kind: cloudevents, prefix: cn.example}
transport:
  kind: mqtt
  host: 127.0.0.1
  port: 1
  tls: false
  topic: up/events
  receipt_topic: down/receipts
  client_id: gatehouse
"""
