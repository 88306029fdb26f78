// One alarm of the list: where, what, how bad, how long, and the one button that matters now.
import { Mark } from "/ui/shapes.js";
import { hms, serviceNow, span, stopwatch, tick, when } from "/ui/time.js";
import { html, useComputed, useLayoutEffect } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { actionsFor } from "./actions.js";
import { beat, devices, isStale, isUnattended } from "./desk.js";
import { explain, measured, token } from "./say.js";
import { painted } from "./sounding.js";

/** @typedef {import("./desk.js").Alarm} Alarm */

const SOON = 0.35;

/** `isFirst`: the first of several of one place and time. @param {{alarm: Alarm, isOn: boolean, isFirst: boolean, onSelect: (id: string) => void}} props */
export function AlarmCard({ alarm, isOn, isFirst, onSelect }) {
  useLayoutEffect(() => painted(alarm), [alarm.alarm_id, alarm.seq]);
  const p = alarm.priority.toLowerCase();
  const isNew = alarm.state === "unack";
  const action = actionsFor(alarm).find((one) => one.name === "ack" || one.name === "reset");
  return html`<li class=${`alarm ${p} ${alarm.state} ${isOn ? "on" : ""} ${alarm.is_active ? "" : "gone"}`} data-id=${alarm.alarm_id} data-state=${alarm.state} aria-current=${isOn ? "true" : undefined}>
    <div class="edge"></div>
    <div class="sign"><${Mark} p=${alarm.priority} size=${26} look=${isNew ? "full" : "hollow"} blinks=${isNew && alarm.priority !== "P4"} /><small>${t(p)}</small></div>
    <button class="what plain" onClick=${() => onSelect(alarm.alarm_id)}>
      <span class="unseen">${t(p)} </span><span class="line"><b>${pick(alarm.label)}</b><${Pills} alarm=${alarm} isFirst=${isFirst} /><span class="space"></span><${StateWord} alarm=${alarm} /></span>
      <span class="where">${whereOf(alarm)}</span>
      <span class="line facts-line"><em>${factOf(alarm)}</em><span class="space"></span><span class="at">${when(alarm.raised_at)}</span><${Elapsed} since=${alarm.raised_s} /></span>
      <${Due} alarm=${alarm} /></button>
    ${action && html`<button class=${alarm.priority === "P4" || action.name === "reset" ? "act" : "act strong"} disabled=${isStale.value} onClick=${action.does}>${action.name === "ack" ? t("ack_short") : action.words}<span class="unseen"> ${pick(alarm.label)} ${pick(alarm.place)}</span></button>`}</li>`;
}

/** @param {{alarm: Alarm, isFirst: boolean}} props */
function Pills({ alarm, isFirst }) {
  return html`${isFirst && html`<i class="pill">${t("first_out")}</i>`}${alarm.times > 1 && html`<i class="pill">${t("times", { n: alarm.times })}</i>`}
    ${alarm.kind !== "alarm" && alarm.kind !== "fault" && html`<i class="pill">${t(`kind_${alarm.kind}`)}</i>`}${alarm.is_chattering && html`<i class="pill">${t("count_more")}</i>`}`;
}

/** The state; while stale since when it is not known to be so. @param {{alarm: Alarm}} props */
function StateWord({ alarm }) {
  const words = isStale.value && beat.value ? t("as_of", { at: hms(beat.value.at) }) : t(`st_${alarm.state}`);
  return html`<span class="state">${words}</span>`;
}

/** @param {{since: number}} props */
function Elapsed({ since }) {
  const text = useComputed(() => (tick.value, stopwatch(serviceNow() - since)));
  return html`<span class="elapsed">${text}</span>`;
}

/** Where it is; for who may see it also who lives there. @param {Alarm} alarm */
export function whereOf(alarm) {
  const resident = alarm.resident;
  const who = resident?.name ? ` · ${resident.name}${resident.lives_alone ? t("alone_short") : ""}` : "";
  return (pick(alarm.place) || (alarm.device_id === "gateway" ? token("gateway") : alarm.device_id)) + who;
}

/** The one fact that says how bad. @param {Alarm} alarm */
export function factOf(alarm) {
  if (alarm.value !== null) return measured(alarm.value, alarm.unit) + (alarm.threshold === null ? "" : ` · ${t("threshold", { v: alarm.threshold })}`);
  const lift = alarm.facts?.lift;
  if (lift && alarm.kind === "alarm") {
    return [lift.floor === undefined || lift.floor === null ? "" : t("phrase_floor", { n: lift.floor }), lift.passenger === true ? token("occupied") : "", lift.door_closed === false ? token("door_open") : ""].filter(Boolean).join(" · ") || explain(alarm.text);
  }
  const button = alarm.code === "sos.pressed" ? devices.peek().get(alarm.device_id)?.last : null;
  if (button && button.battery_pct !== null && button.battery_pct !== undefined) return t("button_battery", { v: measured(button.battery_pct, "pct") });
  const thrown = alarm.facts?.throw;
  if (thrown) return `${floorsOf(thrown)} · ${t("confidence", { n: Math.round(thrown.confidence * 100) })}`;
  return explain(alarm.text);
}

/** Floors a thing may have been thrown from, as an interval. @param {{floor_low: number, floor_high: number}} thrown */
export function floorsOf(thrown) {
  return thrown.floor_low === thrown.floor_high ? t("phrase_floor", { n: thrown.floor_low }) : t("phrase_floors", { a: thrown.floor_low, b: thrown.floor_high });
}

/** The limit that runs for this alarm now, as a bar that empties. @param {{alarm: Alarm}} props */
export function Due({ alarm }) {
  tick.value;
  const limit = limitOf(alarm);
  if (!limit || isStale.value) return null;
  const left = limit.until - serviceNow();
  const part = Math.max(0, Math.min(1, left / limit.total));
  const words = left > 0 ? t(limit.words, { s: stopwatch(left) }) : t(limit.late, { s: span(-left) });
  return html`<span class=${`limit ${left <= 0 ? "over" : part < SOON ? "soon" : ""}`}><i style=${{ transform: `scaleX(${part.toFixed(3)})` }}></i><span>${words}</span></span>`;
}

/** @param {Alarm} alarm @returns {{until: number, total: number, words: string, late: string} | null} */
function limitOf(alarm) {
  if (isUnattended(alarm) && alarm.ack_due_s !== null) {
    return { until: alarm.ack_due_s, total: Math.max(1, alarm.ack_due_s - alarm.unack_since_s), words: "due", late: "overdue" };
  }
  if (alarm.deadline_s !== null && alarm.rescue && ["01", "02"].includes(alarm.rescue.deal_status)) {
    return { until: alarm.deadline_s, total: Math.max(1, alarm.deadline_s - alarm.raised_s), words: "rescue_due", late: "rescue_late" };
  }
  if (alarm.state === "shelved" && alarm.shelved_until_s !== null) {
    return { until: alarm.shelved_until_s, total: Math.max(1, alarm.shelved_until_s - alarm.changed_s), words: "shelf", late: "shelf" };
  }
  return null;
}
