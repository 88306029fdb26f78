// One catalogue for both languages; a test fails on a key that only one of them has, or that nobody uses.
export const words = {
  zh: {
    title: "守望 值守台", login: "登录", logout: "退出", name: "姓名", password: "密码", code: "一次性代码",
    first_user: "建立第一个用户", first_hint: "代码在网关启动时打印在本机。", make: "建立", alarms: "报警", devices: "设备",
    ack: "确认", shelve: "搁置", unshelve: "取消搁置", reset: "复位", note: "备注", close: "办结", silence: "消音",
    end_test: "结束演练", reason: "原因", minutes: "分钟", text: "内容", done: "确定", cancel: "取消",
    none: "当前没有报警", checked: "探测点 {all} 个，在线 {live} 个", never: "尚未连接网关", connecting: "正在连接…",
    live: "实时", lost: "连接中断", stale: "与网关失去联系 {s} 秒，下面不是实时画面",
    stale_more: "最后更新 {at} · 请立即到网关柜查看警号与指示灯", as_of: "截至 {at}",
    storage: "存储拒绝写入，报警仍在显示", clock: "网关时钟未同步，显示的时间可能不准", unacked: "未确认 {n} / 共 {all}",
    device: "设备", state: "状态", last: "最后数据", age: "距今",
    no_data: "尚无数据", times: "{n} 次", first_out: "首警", due: "限时确认 {s}", overdue: "超时 {s} 未确认",
    rescue_due: "救援到场期限 {s}", rescue_late: "救援超时 {s} 未到场", shelf: "搁置剩余 {s}", threshold: "报警点 {v}",
    kind_test: "演练", kind_fault: "故障", kind_tamper: "防拆", kind_inhibited: "屏蔽", kind_alarm: "报警",
    p1: "紧急", p2: "重要", p3: "一般", p4: "故障", since: "发生于", alone: "独居", count_more: "近期反复，已合并",
    state_normal: "正常", state_alarm: "报警", state_fault: "故障", state_silent: "离线", state_inhibited: "屏蔽",
    state_unknown: "未知", by: "处理人", lang: "English", offline: "连接失败，操作没有送达，请重试",
    sound_blocked: "报警声未开启：浏览器禁止发声，警号代为鸣响。点此开启报警声", disposition: "结论", handled: "已处理", false_alarm: "误报",
    silent_list: "离线 {n}：{names}", unknown_list: "尚无数据 {n}：{names}", all_heard: "所有设备都有数据",
    span_s: "{s} 秒", span_m: "{m} 分 {s} 秒", span_h: "{h} 小时 {m} 分", span_d: "{d} 天 {h} 小时", ago: "{s}前",
    responded: "已响应", arrived: "已到场", rescued: "已解救",
    rescue_01: "已报警，待响应", rescue_02: "已响应，待到场", rescue_04: "已到场，待解救", rescue_00: "已解救", rescue_05: "误报",
    valves: "燃气阀", valve_closed: "已切断", valve_free: "未切断", valve_cause: "因 {cause}", request_open: "申请开阀", confirm_open: "确认开阀",
    valve_asked: "{name} 申请开阀，须由另一名主管在 {s} 内确认", valve_sure: "第二人确认：已到户核实无泄漏、灶具已关？", valve_rule: "开阀须两人，限本站，燃气报警解除后。",
    next_gas_high_alarm: "勿开关电器、勿动明火；疏散住户，开窗通风；到室外拨打燃气抢修；核对燃气阀已切断",
    next_gas_low_alarm: "派人带检测仪到户；勿开关电器，开窗通风；浓度上升即疏散",
    next_gas: "派人带检测仪到户核实", next_lift_trapped: "对讲安抚，告知勿扒门；通知维保到场救援；响应、到场在此登记",
    next_lift_ebike_in_car: "对讲劝离；派人到楼层处置", next_lift: "停用电梯并放警示牌；核对轿厢内无人；通知维保",
    next_sos_pressed: "立即回拨住户；无人应答即派人上门；必要时拨打 120", next_sos: "今日上门看望，结果写入备注",
    next_throw: "派人到落点核实有无伤人；查看录像，保留证据", next_gateway_mains_lost: "检查配电；网关由备用电源供电；逐台核对电梯有无困人",
    next_gateway_ups_low: "备用电源将耗尽：尽快恢复市电，安排人工值守", next_gateway_console_unheard: "开启本页报警声并保持本页可见；报警在列表中逐条确认",
    next_gateway_valve_disagrees: "到现场核对燃气阀实际位置", next_gateway_output_failed: "到现场核对警号、阀门是否动作，必要时手动操作",
    next_gateway_radio_silent: "一键求助可能收不到：检查蓝牙接收机，安排上门看望", next_gateway: "派维保检查网关与机柜",
    next_fault: "派维保检查；修复前此处无人看守，安排人工巡查", next_tamper: "派人到现场查看有无人为破坏", next_test: "演练：按预案处置，完成后结束演练",
    next_inhibited: "屏蔽期间此设备不报警，安排人工巡查",
    phrase_aside: "连续 {n} 次无应答，已降频轮询", phrase_floor: "{n} 层", phrase_floors: "约 {a} 至 {b} 层", phrase_last_floor: "最后在 {n} 层",
    phrase_last: "最后读数 {v}", phrase_since: "自 {d} 起", phrase_ends: "到 {d} 为止", phrase_should_closed: "{id} 应关闭", phrase_should_open: "{id} 应打开",
    phrase_messages: "{n} 条，首条来自 {from}", phrase_warming: "预热超过 {n} 秒", phrase_flood: "{m} 分钟内 {n} 条", phrase_frozen: "画面 {n} 秒没有变化",
    token_no_answer: "无应答", token_bad_frame: "报文错误", token_refused: "设备拒绝应答", token_wrong_answer: "应答不可信", token_port_lost: "端口丢失",
    token_quarantined: "已隔离", token_silent: "没有数据", token_no_beacon: "没有信标可供核对", token_radio_silent: "蓝牙没有任何信号",
    token_battery_low: "电量低", token_entries_wait: "记录等待写入", token_reads_back_wrong: "回读不符", token_on_wanted: "应接通", token_off_wanted: "应断开",
    token_good: "正常", token_warming_up: "预热中", token_over_range: "超量程", token_fault: "故障", token_stale: "数据陈旧", token_stopped: "停止", token_running: "运行",
    token_up: "上行", token_down: "下行", token_out_of_service: "停用", token_normal: "正常模式", token_inspection: "检修", token_fire_recall: "火灾迫降",
    token_firefighter: "消防员", token_emergency_power: "应急电源", token_earthquake: "地震", token_unknown: "未知", token_press: "按下", token_alive: "心跳",
    token_tamper: "拆动", token_ok: "画面正常", token_frozen: "画面冻结", token_black: "画面全黑", token_lost: "画面丢失", token_unknown_node: "未登记节点",
    token_bad_tag: "校验不符", token_replay: "重放", token_bus_up: "通", token_bus_down: "断", token_mains: "市电", token_ups_low: "备用电源低", token_ebike: "电动车检测",
    token_valve_closed: "阀门关到位", token_lid: "箱门", token_is_on: "有", token_is_off: "无", token_is_set: "动作", token_is_clear: "未动作", token_door_closed: "门关", token_door_open: "门开",
    token_in_zone: "在门区", token_off_zone: "不在门区", token_occupied: "有人", token_empty: "无人", token_gateway: "网关", token_bus: "总线", token_access_fault: "探头接入故障",
    token_timeout: "超时", token_stel_alarm: "短时限值报警",
  },
  en: {
    title: "Gatehouse desk", login: "Log in", logout: "Log out", name: "Name", password: "Password", code: "One-time code",
    first_user: "Make the first user", first_hint: "The gateway printed the code locally when it started.", make: "Make",
    alarms: "Alarms", devices: "Devices", ack: "Acknowledge", shelve: "Shelve", unshelve: "Unshelve", reset: "Reset",
    note: "Note", close: "Close", silence: "Silence", end_test: "End drill", reason: "Reason", minutes: "Minutes",
    text: "Text", done: "OK", cancel: "Cancel", none: "No alarms now", checked: "{all} points, {live} on line",
    never: "Never connected to the gateway", connecting: "Connecting…", live: "Live", lost: "No connection",
    stale: "Nothing from the gateway for {s} s: this is not live", stale_more: "Last update {at} · go to the gateway cabinet and look at siren and lamps",
    as_of: "as of {at}", storage: "The storage refuses entries; alarms are still shown",
    clock: "The gateway's clock is not synchronised; times shown may be wrong", unacked: "{n} unacknowledged of {all}",
    device: "Device", state: "State", last: "Last data", age: "Age", no_data: "no data yet",
    times: "{n} times", first_out: "first", due: "acknowledge within {s}", overdue: "{s} overdue, not acknowledged",
    rescue_due: "rescuer due within {s}", rescue_late: "rescuer {s} late", shelf: "shelved for {s} more", threshold: "alarm at {v}",
    kind_test: "drill", kind_fault: "fault", kind_tamper: "tamper", kind_inhibited: "inhibited", kind_alarm: "alarm",
    p1: "critical", p2: "important", p3: "ordinary", p4: "fault", since: "raised", alone: "lives alone", count_more: "keeps coming back; joined",
    state_normal: "normal", state_alarm: "alarm", state_fault: "fault", state_silent: "off line", state_inhibited: "inhibited",
    state_unknown: "unknown", by: "taken by", lang: "中文", offline: "No connection, the order was not delivered; try again",
    sound_blocked: "No alarm sound: the browser blocks it, the siren sounds instead. Click to allow it", disposition: "Finding", handled: "handled", false_alarm: "false alarm",
    silent_list: "{n} off line: {names}", unknown_list: "{n} without data yet: {names}", all_heard: "every device has been heard",
    span_s: "{s} s", span_m: "{m} min {s} s", span_h: "{h} h {m} min", span_d: "{d} d {h} h", ago: "{s} ago",
    responded: "Responded", arrived: "Arrived", rescued: "Rescued",
    rescue_01: "reported, nobody responded", rescue_02: "responded, on the way", rescue_04: "arrived, not yet free", rescue_00: "rescued", rescue_05: "false alarm",
    valves: "Gas valves", valve_closed: "shut off", valve_free: "not shut off", valve_cause: "because of {cause}", request_open: "Ask to open", confirm_open: "Confirm opening",
    valve_asked: "{name} asks to open; another person, a supervisor, must confirm within {s}", valve_sure: "Second person: has somebody checked on site that nothing leaks and cookers are off?",
    valve_rule: "Opening takes two people, on site, after the gas alarm has gone.",
    next_gas_high_alarm: "No switches, no flames; get people out, open windows; call the gas company from outside; check that the valve is shut",
    next_gas_low_alarm: "Send somebody with a gas meter; no switches, open windows; get people out if it rises",
    next_gas: "Send somebody with a gas meter", next_lift_trapped: "Talk to the passenger: do not force the door; call the lift company; enter response and arrival here",
    next_lift_ebike_in_car: "Ask over the intercom to take it out; send somebody to the floor", next_lift: "Take the lift out of service with a sign; check that nobody is inside; call the lift company",
    next_sos_pressed: "Call the resident back now; no answer: send somebody; call 120 if needed", next_sos: "Visit today and note what you found",
    next_throw: "Send somebody to where it landed: is anyone hurt? Look at the recording, keep the evidence", next_gateway_mains_lost: "Check the supply; the gateway runs on its UPS; check each lift for trapped people",
    next_gateway_ups_low: "The UPS is running out: restore mains, put people on watch", next_gateway_console_unheard: "Switch on this page's sound and keep it visible; acknowledge each alarm in the list",
    next_gateway_valve_disagrees: "Look where the gas valve really stands", next_gateway_output_failed: "Check on site whether siren and valve acted; act by hand if needed",
    next_gateway_radio_silent: "Help buttons may not be heard: check the Bluetooth receiver, visit residents", next_gateway: "Have the gateway and its cabinet checked",
    next_fault: "Call maintenance; nothing watches here until it is mended: patrol", next_tamper: "Send somebody to see whether it was tampered with", next_test: "Drill: act as planned, then end the drill",
    next_inhibited: "This device does not alarm while inhibited: patrol",
    phrase_aside: "{n} times in a row, asked less often now", phrase_floor: "floor {n}", phrase_floors: "about floor {a} to {b}", phrase_last_floor: "last at floor {n}",
    phrase_last: "last reading {v}", phrase_since: "since {d}", phrase_ends: "ends {d}", phrase_should_closed: "{id} should be closed", phrase_should_open: "{id} should be open",
    phrase_messages: "{n} messages, first from {from}", phrase_warming: "warming up for more than {n} s", phrase_flood: "{n} in {m} min", phrase_frozen: "picture unchanged for {n} s",
    token_no_answer: "no answer", token_bad_frame: "bad frame", token_refused: "refused to answer", token_wrong_answer: "unbelievable answer", token_port_lost: "port lost",
    token_quarantined: "quarantined", token_silent: "no data", token_no_beacon: "no beacon to check against", token_radio_silent: "no Bluetooth signal at all",
    token_battery_low: "battery low", token_entries_wait: "entries wait to be written", token_reads_back_wrong: "reads back wrong", token_on_wanted: "should be on", token_off_wanted: "should be off",
    token_good: "good", token_warming_up: "warming up", token_over_range: "over range", token_fault: "fault", token_stale: "stale", token_stopped: "stopped", token_running: "running",
    token_up: "up", token_down: "down", token_out_of_service: "out of service", token_normal: "normal mode", token_inspection: "inspection", token_fire_recall: "fire recall",
    token_firefighter: "firefighter", token_emergency_power: "emergency power", token_earthquake: "earthquake", token_unknown: "unknown", token_press: "pressed", token_alive: "alive",
    token_tamper: "tampered with", token_ok: "picture good", token_frozen: "picture frozen", token_black: "picture black", token_lost: "picture lost", token_unknown_node: "unknown node",
    token_bad_tag: "bad tag", token_replay: "replay", token_bus_up: "up", token_bus_down: "down", token_mains: "mains", token_ups_low: "UPS low", token_ebike: "e-bike detector",
    token_valve_closed: "valve closed", token_lid: "lid", token_is_on: "yes", token_is_off: "no", token_is_set: "set", token_is_clear: "clear", token_door_closed: "door closed", token_door_open: "door open",
    token_in_zone: "at a landing", token_off_zone: "between landings", token_occupied: "occupied", token_empty: "empty", token_gateway: "gateway", token_bus: "bus", token_access_fault: "probe access fault",
    token_timeout: "time-out", token_stel_alarm: "short-term limit",
  },
};

let language = localStorage.getItem("language") === "en" ? "en" : "zh";

/** Return the words for a key, with `{name}` filled in. */
export function t(key, values = {}) {
  return words[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Return the words for a key, or `fallback` where the catalogue has none: what a device said is shown, known or not. */
export function either(key, fallback) {
  return Object.hasOwn(words[language], key) ? words[language][key] : fallback;
}

/** Return the half of a {zh, en} pair that is being read. */
export function pick(pair) {
  return pair?.[language] || pair?.zh || "";
}

/** Return "zh" or "en". */
export function current() {
  return language;
}

/** Change the language of everything built from now on. */
export function speak(next) {
  language = next;
  localStorage.setItem("language", next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}
