// The alarm list: shape, digit, word and colour say the priority; the order is the gateway's own.
import { keep, make } from "/ui/dom.js";
import { pick, t } from "/ui/words.js";
import { order } from "./api.js";
import { askFor } from "./ask.js";

const STATE_ORDER = ["unack", "rtn", "acked", "latched", "shelved", "suppressed", "closed"];
const HIDDEN = new Set(["shelved", "suppressed"]);
const SHAPES = {
  P1: "M12 2 23 21H1z", P2: "M12 1 23 12 12 23 1 12z", P3: "M12 1a11 11 0 1 0 .01 0z", P4: "M2 2h20v20H2z",
};

/** Return seconds as people say them. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return s < 86400 ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 86400)} d`;
}

function compare(a, b) {
  return HIDDEN.has(a.state) - HIDDEN.has(b.state) || a.priority.localeCompare(b.priority)
    || STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || b.raised_s - a.raised_s;
}

/** Return alarms in the order of the list. */
export function sorted(alarms) {
  return [...alarms].sort(compare);
}

export class AlarmList {
  constructor(me, onProblem) {
    this.me = me;
    this.onProblem = onProblem;
    this.rows = new Map();
    this.list = make("ol", { class: "alarms" });
    this.empty = make("p", { class: "empty" });
    this.node = make("section", { "aria-label": t("alarms") }, this.empty, this.list);
  }

  /** Show what the store knows. */
  show(store) {
    const alarms = sorted(store.alarms.values());
    for (const id of this.rows.keys()) if (!store.alarms.has(id)) this.rows.delete(id);
    keep(this.list, alarms.map((alarm) => this.row(alarm, store)));
    this.empty.hidden = alarms.length > 0;
    this.empty.textContent = this.emptyText(store);
  }

  emptyText(store) {
    // A page that never heard the gateway must not say that all is well.
    if (!store.hasSnapshot) return t("never");
    const points = [...store.devices.values()].filter((device) => !["bus", "gateway"].includes(device.kind));
    const live = points.filter((device) => !["silent", "unknown"].includes(device.state));
    return `${t("none")} · ${t("checked", { all: points.length, live: live.length })}`;
  }

  row(alarm, store) {
    const known = this.rows.get(alarm.alarm_id);
    const isSame = known && known.seq === alarm.seq;
    const parts = isSame ? known : this.build(alarm, store);
    parts.age.textContent = span(store.now() - alarm.raised_s);
    const isOverdue = alarm.state === "unack" && alarm.ack_due_s !== null && store.now() > alarm.ack_due_s;
    parts.due.textContent = isOverdue ? t("overdue") : "";
    for (const button of parts.buttons) button.disabled = store.isStale;
    if (!isSame && known) known.node.replaceWith(parts.node);
    this.rows.set(alarm.alarm_id, parts);
    return parts.node;
  }

  build(alarm, store) {
    const age = make("span", { class: "age" });
    const due = make("b", { class: "due" });
    const buttons = this.buttons(alarm);
    const value = alarm.value === null ? "" : `${alarm.value} ${alarm.unit ?? ""}${alarm.threshold === null ? "" : ` / ${alarm.threshold}`}`;
    const resident = alarm.resident?.name || alarm.resident?.phone ? `${alarm.resident.name} ${alarm.resident.phone}` : "";
    const tags = [alarm.times > 1 ? t("times", { n: alarm.times }) : "", alarm.first_out ? t("first_out") : "",
      alarm.kind === "alarm" ? "" : t(`kind_${alarm.kind}`), alarm.acked_by ? `${t("by")} ${alarm.acked_by}` : ""].filter(Boolean);
    const node = make("li", { class: `alarm ${alarm.priority.toLowerCase()} ${alarm.state}`, "data-key": alarm.alarm_id },
      mark(alarm),
      make("div", { class: "what" },
        make("h3", {}, pick(alarm.label), make("em", {}, pick(this.me.states[alarm.state])), due),
        make("p", {}, make("b", {}, pick(alarm.place) || alarm.device_id), " ", make("span", { class: "id" }, alarm.device_id)),
        make("p", { class: "more" }, [value, alarm.text, resident].filter(Boolean).join(" · ")),
        make("p", { class: "more" }, `${t("since")} ${store.clockText(alarm.raised_at, true)} · `, age, ...tags.map((tag) => make("i", {}, tag))),
        ...alarm.notes.slice(-3).map((note) => make("p", { class: "note" }, `${store.clockText(note.at)} ${note.author}: ${note.text}`))),
      make("div", { class: "do" }, ...buttons));
    return { seq: alarm.seq, node, age, due, buttons };
  }

  buttons(alarm) {
    const can = (right) => this.me.rights.includes(right);
    const act = (path, body) => order(`/alarms/${alarm.alarm_id}/${path}`, { seen_seq: alarm.seq, ...body }).catch(this.onProblem);
    const button = (key, onclick, strong) => make("button", { class: strong ? "strong" : "", onclick }, t(key));
    const made = [];
    if (can("acknowledge") && ["unack", "rtn"].includes(alarm.state)) made.push(button("ack", () => act("ack"), true));
    if (can("reset") && alarm.state === "latched" && !alarm.is_active) made.push(button("reset", () => act("reset"), true));
    if (can("test") && alarm.kind === "test") {
      made.push(button("end_test", () => order(`/tests/${alarm.alarm_id}/end`).catch(this.onProblem)));
    }
    if (can("shelve") && alarm.state === "shelved") made.push(button("unshelve", () => act("unshelve")));
    if (can("shelve") && alarm.shelving !== "never" && ["unack", "acked"].includes(alarm.state) && !["test", "inhibited"].includes(alarm.kind)) {
      made.push(button("shelve", () => this.shelve(alarm, act)));
    }
    if (can("note")) made.push(button("note", () => this.note(act)));
    if (can("close") && ["acked", "latched"].includes(alarm.state)) made.push(button("close", () => this.close(act)));
    return made;
  }

  async shelve(alarm, act) {
    const longest = alarm.shelving === "safety" ? 15 : 480;
    const entered = await askFor(t("shelve"), {
      minutes: { label: t("minutes"), type: "number", min: 1, max: longest, value: Math.min(15, longest) },
      reason: { label: t("reason") },
    });
    if (entered) await act("shelve", { duration_s: Number(entered.minutes) * 60, reason: entered.reason });
  }

  async note(act) {
    const entered = await askFor(t("note"), { text: { label: t("text") } });
    if (entered) await act("note", { seen_seq: null, text: entered.text });
  }

  async close(act) {
    const entered = await askFor(t("close"), {
      disposition: { label: t("disposition"), choices: [["handled", t("handled")], ["false_alarm", t("false_alarm")]] },
      reason: { label: t("reason") },
    });
    if (entered) await act("close", entered);
  }
}

function mark(alarm) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const digit = svg("text", { x: 12, y: 17, "text-anchor": "middle" });
  digit.textContent = alarm.priority.slice(1);
  const node = svg("svg", { viewBox: "-1 -1 26 26", class: "mark", role: "img", "aria-label": `${alarm.priority} ${t(alarm.priority.toLowerCase())}` });
  node.append(svg("path", { d: SHAPES[alarm.priority] }), digit);
  const word = make("small", {}, t(alarm.priority.toLowerCase()));
  return make("div", { class: "sign" }, node, word);
}
