// The alarm list: shape, digit, word and colour say the priority; each card says where, what, how bad, and what next.
import { keep, make } from "/ui/dom.js";
import { either, pick, t } from "/ui/words.js";
import { order } from "./api.js";
import { askFor } from "./ask.js";
import { countdown, explain, measured, span, token } from "./say.js";

const STATE_ORDER = ["unack", "rtn", "acked", "latched", "shelved", "suppressed", "closed"];
const HIDDEN = new Set(["shelved", "suppressed"]);
const WANTING = new Set(["unack", "rtn"]);
const SHAPES = {
  P1: "M12 2 23 21H1z", P2: "M12 1 23 12 12 23 1 12z", P3: "M12 1a11 11 0 1 0 .01 0z", P4: "M2 2h20v20H2z",
};
const TRAPPED = /^lift\.(trapped|alarm_button)/;
// Step of a rescue -> what may be reported next.
const RESCUE_STEPS = { "01": ["responded", "arrived"], "02": ["arrived"], "04": ["rescued"] };

function compare(a, b) {
  return HIDDEN.has(a.state) - HIDDEN.has(b.state) || a.priority.localeCompare(b.priority)
    || STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || b.raised_s - a.raised_s;
}

/** Return alarms in the order of the list. */
export function sorted(alarms) {
  return [...alarms].sort(compare);
}

/** Return the shape of a priority with its digit. */
export function mark(priority) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const digit = svg("text", { x: 12, y: 17, "text-anchor": "middle" });
  digit.textContent = priority.slice(1);
  const node = svg("svg", { viewBox: "-1 -1 26 26", class: "mark", "aria-hidden": "true" });
  node.append(svg("path", { d: SHAPES[priority] }), digit);
  return node;
}

/** Return what to do now, from the catalogue: by code, then by kind, then by category. */
function advice(alarm) {
  if (alarm.kind !== "alarm") {
    return either(`next_${alarm.kind === "fault" ? alarm.code.replace(".", "_") : alarm.kind}`, t("next_fault"));
  }
  if (TRAPPED.test(alarm.code)) return t("next_lift_trapped");
  return either(`next_${alarm.code.replace(".", "_")}`, either(`next_${alarm.code.split(".")[0]}`, ""));
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
    this.tick(alarm, parts, store);
    if (!isSame && known) {
      // Another revision of the card under somebody's finger: the focus stays on the same button.
      const act = known.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
      known.node.replaceWith(parts.node);
      if (act) parts.buttons.find((button) => button.dataset.act === act)?.focus();
    }
    this.rows.set(alarm.alarm_id, parts);
    return parts.node;
  }

  /** What changes with time alone. */
  tick(alarm, parts, store) {
    const now = store.now();
    parts.age.textContent = span(now - alarm.raised_s);
    parts.state.textContent = store.isStale && store.beat ? t("as_of", { at: store.clockText(store.beat.at) }) : pick(this.me.states[alarm.state]);
    const isDue = WANTING.has(alarm.state) && alarm.ack_due_s !== null;
    const left = alarm.ack_due_s - now;
    parts.bar.hidden = !isDue;
    if (isDue) {
      parts.bar.classList.toggle("over", left <= 0);
      parts.meter.max = Math.max(1, alarm.ack_due_s - alarm.unack_since_s);
      parts.meter.value = left <= 0 ? parts.meter.max : Math.max(0, left);
      parts.due.textContent = left > 0 ? t("due", { s: countdown(left) }) : t("overdue", { s: span(-left) });
    }
    const duties = [];
    if (alarm.rescue) {
      duties.push(t(`rescue_${alarm.rescue.deal_status}`));
      if (alarm.deadline_s !== null && ["01", "02"].includes(alarm.rescue.deal_status)) {
        const until = alarm.deadline_s - now;
        duties.push(until > 0 ? t("rescue_due", { s: countdown(until) }) : t("rescue_late", { s: span(-until) }));
      }
    }
    if (alarm.shelved_until_s !== null && alarm.state === "shelved") duties.push(t("shelf", { s: span(alarm.shelved_until_s - now) }), alarm.shelf_reason);
    parts.duty.textContent = duties.join(" · ");
    for (const button of parts.buttons) button.disabled = store.isStale;
  }

  build(alarm, store) {
    const [age, state, due, duty] = [make("span", { class: "age" }), make("em"), make("span"), make("p", { class: "duty" })];
    const meter = make("progress", { max: 1, value: 0, "aria-hidden": "true" });
    const bar = make("p", { class: "limit" }, meter, due);
    const buttons = this.buttons(alarm);
    const tags = [alarm.first_out ? t("first_out") : "", alarm.times > 1 ? t("times", { n: alarm.times }) : "",
      alarm.kind === "alarm" ? "" : t(`kind_${alarm.kind}`), alarm.is_chattering ? t("count_more") : ""].filter(Boolean);
    const place = pick(alarm.place) || token(alarm.device_id);
    const facts = [measured(alarm.value, alarm.unit), alarm.threshold === null ? "" : t("threshold", { v: measured(alarm.threshold, alarm.unit) }),
      explain(alarm.text), ...liftFacts(alarm), ...residentFacts(alarm)].filter(Boolean);
    const isToday = store.clockText(alarm.raised_at, true).slice(0, 10) === store.clockText(store.beat?.at, true).slice(0, 10);
    const since = [`${t("since")} ${isToday ? store.clockText(alarm.raised_at) : store.clockText(alarm.raised_at, true).slice(5)} · `, age,
      alarm.acked_by ? ` · ${t("by")} ${alarm.acked_by} ${store.clockText(alarm.acked_at)}` : "", place === alarm.device_id ? "" : ` · ${alarm.device_id}`];
    const next = advice(alarm);
    const word = t(alarm.priority.toLowerCase());
    const node = make("li", { class: `alarm ${alarm.priority.toLowerCase()} ${alarm.state}`, "data-key": alarm.alarm_id, "aria-label": `${word} ${pick(alarm.label)} ${place}` },
      make("div", { class: "sign" }, mark(alarm.priority), make("small", {}, word)),
      make("div", { class: "what" },
        make("h3", {}, pick(alarm.label), state, ...tags.map((tag) => make("i", {}, tag))),
        make("p", { class: "where" }, make("b", {}, place), ...facts.map((fact, at) => make("span", { class: at === 0 && alarm.value !== null ? "value" : "" }, fact))),
        next && !HIDDEN.has(alarm.state) ? make("p", { class: "next" }, next) : null,
        duty,
        make("div", { class: "foot" }, bar, make("p", { class: "more" }, ...since)),
        ...alarm.notes.slice(-3).map((note) => make("p", { class: "note" }, `${store.clockText(note.at)} ${note.author}: ${note.text}`))),
      make("div", { class: "do" }, ...buttons));
    return { seq: alarm.seq, node, age, state, bar, meter, due, duty, buttons };
  }

  buttons(alarm) {
    const can = (right) => this.me.rights.includes(right);
    const act = (path, body) => order(`/alarms/${alarm.alarm_id}/${path}`, { seen_seq: alarm.seq, ...body }).catch(this.onProblem);
    const button = (key, onclick, strong) => make("button", { class: strong ? "strong" : "", "data-act": key, onclick }, t(key));
    const made = [];
    if (can("acknowledge") && WANTING.has(alarm.state)) made.push(button("ack", () => act("ack"), true));
    if (can("reset") && alarm.state === "latched" && !alarm.is_active) made.push(button("reset", () => act("reset"), true));
    if (can("rescue") && alarm.rescue && alarm.kind === "alarm") {
      for (const step of RESCUE_STEPS[alarm.rescue.deal_status] ?? []) {
        made.push(button(step, () => act("rescue", { step: step === "rescued" ? "closed" : step })));
      }
    }
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

function liftFacts(alarm) {
  const lift = alarm.facts?.lift;
  if (!lift) return [];
  return [typeof lift.door_closed === "boolean" ? token(lift.door_closed ? "door_closed" : "door_open") : "",
    typeof lift.door_zone === "boolean" ? token(lift.door_zone ? "in_zone" : "off_zone") : ""];
}

function residentFacts(alarm) {
  const resident = alarm.resident;
  if (!resident) return [];
  return [resident.name, resident.lives_alone ? t("alone") : "", resident.phone, resident.note];
}
