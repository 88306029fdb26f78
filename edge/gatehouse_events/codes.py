"""Every alarm code this product can raise, with its kind, priority, latching and words.

Priorities: P1 紧急 one-key help, trapped passenger, gas high; P2 重要 throwing, gas low; P3 一般 lift faults;
P4 故障 devices (console brief §1). Vocabulary: domain table (b).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gatehouse_events.states import Kind, Label, Priority, Shelving


class Code(Struct, frozen=True, kw_only=True):
    """One row of the alarm table."""

    name: str
    """`<category>.<snake_case>`; the category is the one of the event schema."""
    kind: Kind
    priority: Priority
    latched: bool
    """True: stays until a person has acknowledged *and* reset it, even when the cause is gone."""
    shelving: Shelving
    label: Label

    @property
    def category(self) -> str:
        """`gas`, `lift`, `sos`, `throw` or `gateway`."""
        return self.name.partition(".")[0]


def _alarm(name: str, priority: Priority, zh: str, en: str, *, latched: bool = False) -> Code:
    shelving = (
        Shelving.NEVER
        if priority is Priority.P1
        else (Shelving.SAFETY if priority is Priority.P2 else Shelving.ORDINARY)
    )
    return Code(
        name=name, kind=Kind.ALARM, priority=priority, latched=latched, shelving=shelving, label=Label(zh, en)
    )


def _fault(name: str, zh: str, en: str, *, priority: Priority = Priority.P4, kind: Kind = Kind.FAULT) -> Code:
    shelving = Shelving.SAFETY if priority is Priority.P2 else Shelving.ORDINARY
    return Code(
        name=name, kind=kind, priority=priority, latched=False, shelving=shelving, label=Label(zh, en)
    )


_P1, _P2, _P3 = Priority.P1, Priority.P2, Priority.P3

_ROWS: Final = (
    # gas 燃气
    _alarm("gas.high_alarm", _P1, "燃气高报", "gas high alarm", latched=True),
    _alarm("gas.low_alarm", _P2, "燃气低报", "gas low alarm", latched=True),
    _alarm("gas.stel_alarm", _P2, "短时接触限值报警", "gas short-term exposure alarm", latched=True),
    _alarm("gas.twa_alarm", _P3, "时间加权平均报警", "gas time-weighted average alarm"),
    _alarm("gas.pre_warning", _P3, "燃气预警", "gas pre-warning"),
    _fault("gas.over_range", "超量程", "gas reading over range", priority=_P2),
    _fault("gas.sensor_fault", "传感器故障", "gas sensor fault"),
    _fault("gas.data_fault", "数据异常", "gas data error"),
    _fault("gas.comm_fault", "探头通讯故障", "gas probe link fault"),
    _fault("gas.warming_up", "预热中", "gas sensor warming up"),
    _fault("gas.calibration_due", "需要标定", "calibration due"),
    _fault("gas.life_ending", "探测器临近报废", "detector life ends soon"),
    _fault("gas.expired", "探测器已过使用年限", "detector life expired"),
    _fault("gas.implausible", "读数不可信", "implausible gas reading"),
    _fault("gas.offline", "探测器离线", "gas detector offline"),
    # lift 电梯
    _alarm("lift.trapped_level", _P1, "平层困人", "passenger trapped at a landing", latched=True),
    _alarm("lift.trapped_off_level", _P1, "非平层困人", "passenger trapped between landings", latched=True),
    _alarm("lift.trapped", _P1, "电梯困人", "passenger trapped", latched=True),
    _alarm("lift.alarm_button", _P1, "轿厢报警按钮", "lift alarm button pressed", latched=True),
    _alarm("lift.overspeed", _P2, "电梯超速", "lift overspeed", latched=True),
    _alarm("lift.overrun_top", _P2, "电梯冲顶", "lift overrun at top", latched=True),
    _alarm("lift.overrun_bottom", _P2, "电梯蹲底", "lift overrun at bottom", latched=True),
    _alarm("lift.unintended_car_movement", _P2, "轿厢意外移动", "unintended car movement", latched=True),
    _alarm("lift.motion_door_open", _P2, "开门走车", "lift moves with door open", latched=True),
    _alarm("lift.door_open_while_running", _P2, "运行中开门", "door opened while running", latched=True),
    _alarm("lift.ebike_in_car", _P2, "电动自行车进电梯", "e-bike in lift car"),
    _alarm("lift.stopped_outside_unlocking_zone", _P3, "门区外停梯", "lift stopped outside unlocking zone"),
    _alarm("lift.repeated_door_cycle", _P3, "反复开关门", "repeated door cycle"),
    _alarm("lift.safety_circuit_open", _P3, "安全回路断路", "safety circuit open"),
    _alarm("lift.door_close_fault", _P3, "关门故障", "door close fault"),
    _alarm("lift.door_open_fault", _P3, "开门故障", "door open fault"),
    _alarm("lift.motor_run_time_limiter", _P3, "电动机运转时间限制器动作", "motor run-time limiter"),
    _alarm("lift.floor_position_lost", _P3, "楼层位置丢失", "floor position lost"),
    _alarm("lift.anti_restart_fault", _P3, "防止再运行故障", "anti-restart fault"),
    _alarm("lift.mains_lost", _P3, "电梯主电源断电", "lift mains lost"),
    _alarm("lift.other_fault", _P3, "电梯其他故障", "other lift fault"),
    _fault("lift.sensor_fault", "电梯传感器故障", "lift sensor fault"),
    _fault("lift.offline", "电梯数据离线", "lift data offline"),
    # one-key help 一键求助
    _alarm("sos.pressed", _P1, "一键求助", "help button pressed", latched=True),
    _alarm("sos.visit_due", _P3, "超过48小时无活动，需巡访", "48 h without a sign of life: visit"),
    _fault("sos.low_battery", "按钮电量低", "help button battery low"),
    _fault("sos.supervision_lost", "按钮失联", "help button supervision lost"),
    _fault("sos.tamper", "按钮被拆动", "help button tampered with", kind=Kind.TAMPER, priority=_P3),
    # throwing 高空抛物
    _alarm("throw.object_falling", _P2, "高空抛物", "object thrown from height", latched=True),
    _fault("throw.camera_frozen", "画面冻结", "camera picture frozen"),
    _fault("throw.camera_black", "画面全黑", "camera picture black"),
    _fault("throw.camera_lost", "摄像机失联", "camera lost"),
    _fault("throw.camera_blurred", "画面模糊", "camera picture blurred"),
    _fault("throw.camera_moved", "摄像机朝向改变", "camera looks elsewhere"),
    _fault("throw.camera_slow", "帧率过低", "camera sends too few pictures"),
    _fault("throw.camera_uneven", "画面间隔不均", "camera pictures come with holes"),
    _fault("throw.camera_resized", "画面尺寸改变", "camera picture size changed"),
    _fault("throw.camera_corrupt", "视频数据损坏", "camera stream corrupt"),
    _fault("throw.camera_untimed", "视频无时间戳", "camera stream without time stamps"),
    _fault("throw.camera_clock", "摄像机时钟不准", "camera clock wrong"),
    _fault("throw.camera_unstable", "摄像机反复断线", "camera stream breaks again and again"),
    _fault("throw.detector_failed", "抛物检测失效", "throw detection does not work", priority=_P3),
    _fault(
        "throw.evidence_missing",
        "抛物录像缺失或不完整",
        "clip of a throw missing or incomplete",
        priority=_P3,
    ),
    # the gateway itself 网关
    _alarm("gateway.mains_lost", _P2, "市电中断", "mains lost"),
    _alarm("gateway.ups_low", _P2, "备用电源电量低", "UPS battery low"),
    _alarm("gateway.alarm_flood", _P3, "报警泛滥", "alarm flood"),
    _fault("gateway.io_offline", "输入输出模块离线", "input/output module offline"),
    _fault("gateway.output_failed", "联动输出失败", "output did not act", priority=_P2),
    _fault("gateway.valve_disagrees", "阀门状态不符", "valve position disagrees", priority=_P2),
    _fault("gateway.lid_open", "箱门被打开", "cabinet lid opened", kind=Kind.TAMPER, priority=_P3),
    _fault("gateway.device_inhibited", "设备已屏蔽", "device inhibited", kind=Kind.INHIBITED),
    _fault("gateway.bus_down", "总线中断", "bus down", priority=_P3),
    _fault("gateway.radio_silent", "蓝牙接收机失效", "Bluetooth scanner dead", priority=_P2),
    _fault("gateway.beacon_lost", "信标失联", "beacon lost"),
    _fault("gateway.storage_filling", "报警存储超过80%", "alarm storage above 80 %", priority=_P3),
    _fault("gateway.storage_full", "存储已满，已启用预留空间", "disk full, ballast given up", priority=_P2),
    _fault("gateway.clock_unsynced", "时钟未同步", "clock not synchronised"),
    _fault("gateway.evidence_failed", "证据未能保存", "evidence cannot be kept", priority=_P3),
    _fault("gateway.integrity", "记录完整性异常", "record integrity fault", priority=_P3),
    _fault("gateway.part_failed", "网关部件异常", "a part of the gateway fails", priority=_P2),
    _fault("gateway.notifier_failed", "通知发送失败", "notification failed", priority=_P3),
    _fault("gateway.fleet_lost", "上级平台失联", "fleet server lost"),
    _fault("gateway.console_unheard", "报警未在值守台显示", "alarm not shown at the desk", priority=_P2),
    _fault("gateway.node_refused", "未授权节点", "unauthorised node refused", kind=Kind.TAMPER, priority=_P3),
    _fault(
        "gateway.replay_refused", "重放报文已拒绝", "replayed message refused", kind=Kind.TAMPER, priority=_P3
    ),
    _fault(
        "gateway.frames_refused",
        "异常报文过多",
        "flood of bad frames refused",
        kind=Kind.TAMPER,
        priority=_P3,
    ),
)

CODES: Final[dict[str, Code]] = {row.name: row for row in _ROWS}
"""Code name -> row. Closed: an unknown code is a bug at the edge and a `gateway.*` pass-through at the fleet."""

TEST_SUFFIX: Final = Kind.TEST
"""A drill raises an ordinary code with kind `test`; it never counts as the real one."""
