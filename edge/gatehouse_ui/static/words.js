// One catalogue for both languages; a test fails on a key that only one of them has, or that nobody uses.
export const words = {
  zh: {
    title: "守望 值守台", login: "登录", logout: "退出", name: "姓名", password: "密码", code: "一次性代码",
    first_user: "建立第一个用户", first_hint: "代码在网关启动时打印在本机。", make: "建立", alarms: "报警", devices: "设备",
    ack: "确认", shelve: "搁置", unshelve: "取消搁置", reset: "复位", note: "备注", close: "关闭", silence: "消音",
    end_test: "结束演练", reason: "原因", minutes: "分钟", text: "内容", done: "确定", cancel: "取消",
    none: "当前没有报警", checked: "探测点 {all} 个，在线 {live} 个", never: "尚未连接网关", connecting: "正在连接…",
    live: "实时", stale: "画面过期：{s} 秒没有收到网关数据，画面内容截至 {at}", storage: "存储拒绝写入，报警仍在显示",
    clock: "网关时钟未同步", device: "设备", place: "位置", state: "状态", last: "最后数据", age: "距今",
    no_data: "尚无数据", times: "{n} 次", first_out: "首警", overdue: "超时未确认",
    kind_test: "演练", kind_fault: "故障", kind_tamper: "防拆", kind_inhibited: "屏蔽", kind_alarm: "报警",
    p1: "紧急", p2: "重要", p3: "一般", p4: "故障", on: "有", off: "无", since: "发生于",
    state_normal: "正常", state_alarm: "报警", state_fault: "故障", state_silent: "离线", state_inhibited: "屏蔽",
    state_unknown: "未知", by: "处理人", floor: "楼层", lang: "English", offline: "连接失败，请重试",
    sound_blocked: "浏览器禁止发声，点此开启报警声", disposition: "结论", handled: "已处理", false_alarm: "误报",
  },
  en: {
    title: "Gatehouse desk", login: "Log in", logout: "Log out", name: "Name", password: "Password", code: "One-time code",
    first_user: "Make the first user", first_hint: "The gateway printed the code locally when it started.", make: "Make",
    alarms: "Alarms", devices: "Devices", ack: "Acknowledge", shelve: "Shelve", unshelve: "Unshelve", reset: "Reset",
    note: "Note", close: "Close", silence: "Silence", end_test: "End drill", reason: "Reason", minutes: "Minutes",
    text: "Text", done: "OK", cancel: "Cancel", none: "No alarms now", checked: "{all} points, {live} on line",
    never: "Never connected to the gateway", connecting: "Connecting…", live: "Live",
    stale: "Stale: nothing from the gateway for {s} s; what is shown is as of {at}",
    storage: "The storage refuses entries; alarms are still shown", clock: "The gateway's clock is not synchronised",
    device: "Device", place: "Place", state: "State", last: "Last data", age: "Age", no_data: "no data yet",
    times: "{n} times", first_out: "first", overdue: "overdue", kind_test: "drill", kind_fault: "fault",
    kind_tamper: "tamper", kind_inhibited: "inhibited", kind_alarm: "alarm", p1: "critical", p2: "important",
    p3: "ordinary", p4: "fault", on: "on", off: "off", since: "raised", state_normal: "normal", state_alarm: "alarm",
    state_fault: "fault", state_silent: "off line", state_inhibited: "inhibited", state_unknown: "unknown", by: "taken by",
    floor: "floor", lang: "中文", offline: "No connection; try again", sound_blocked: "The browser blocks sound: click to allow it",
    disposition: "Finding", handled: "handled", false_alarm: "false alarm",
  },
};

let language = localStorage.getItem("language") === "en" ? "en" : "zh";

/** Return the words for a key, with `{name}` filled in. */
export function t(key, values = {}) {
  return words[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
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
