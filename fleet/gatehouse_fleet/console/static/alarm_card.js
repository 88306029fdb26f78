// One open alarm in a list: what, where, how long, and who must have taken it by when.
import { ask } from "/ui/api.js";
import { Mark } from "/ui/shapes.js";
import { hms, nowMs, span, stopwatch, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useComputed, useState } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { awayMark, facts, heardMs, isStale, isUnattended, may } from "./known.js";
import { go, link } from "./route.js";

/** @typedef {import("./known.js").Alarm} Alarm */

const SOON = 0.35;

/** @param {{alarm: Alarm, isOn?: boolean}} props */
export function AlarmCard({ alarm, isOn = false }) {
  const p = alarm.priority.toLowerCase();
  const isNew = alarm.state === "unack";
  // Of a gateway that is silent only the last known is shown: it may long be otherwise.
  const mark = awayMark(alarm.gateway_id);
  const isOld = mark !== undefined && mark.presence !== "online";
  return html`<li class=${`alarm ${p} ${alarm.state} ${isOn ? "on" : ""} ${isOld ? "old" : ""}`} data-id=${alarm.alarm_id} data-state=${alarm.state} aria-current=${isOn ? "true" : undefined}>
    <div class="edge"></div>
    <div class="sign"><${Mark} p=${alarm.priority} size=${24} look=${isNew && !isOld ? "full" : "hollow"} blinks=${isNew && !isOld && alarm.priority < "P3" && !isStale.value} /><small aria-hidden="true">${t(p)}</small></div>
    <button class="what plain" onClick=${() => go(link("alarms", "", { one: alarm.alarm_id }))}>
      <span class="unseen">${t(p)}</span><span class="line"><b>${pick(alarm.words)}</b>${alarm.kind === "test" && html`<i class="pill">${t("kind_test")}</i>`}${!alarm.is_verified && html`<i class="pill p2">${t("fleet_doubtful")}</i>`}<span class="space"></span><span class="state">${isStale.value ? t("as_of", { at: hms(heardMs.value) }) : isOld ? t("fleet_last_known") : pick(facts.value?.states.get(alarm.state))}</span></span>
      <span class="where"><bdi>${alarm.node_name}</bdi>${whereIn(alarm) && html` · <bdi>${whereIn(alarm)}</bdi>`}</span>
      <span class="line times"><span>${when(alarm.raised_at)}</span><span class="space"></span>${isOld ? html`<span>${t("as_of", { at: when(mark.last_contact_at) })}</span>` : html`<${Elapsed} since=${alarm.raised_at} />`}</span>
      ${!isOld && html`<${Limit} alarm=${alarm} />`}</button>
    ${isUnattended(alarm) && may("act_on_alarms") && html`<${Take} alarm=${alarm} isOld=${isOld} />`}</li>`;
}

/**
 * Building, unit, floor and room as far as they are told; `none` (the device) for what has none of them.
 * @param {{building: string | null, unit: string | null, floor: string | null, room: string | null, device_id?: string}} one
 * @param {string} [none]
 */
export function whereIn(one, none = one.device_id ?? "") {
  const parts = [[one.building, "fleet_in_building"], [one.unit, "fleet_in_unit"], [one.floor, "fleet_in_floor"], [one.room, "fleet_in_room"]].filter(([value]) => value);
  return parts.map(([value, key]) => t(/** @type {string} */ (key), { v: value })).join(" ") || none;
}

/** Order the gateway to take note that somebody has it; it answers through its journal. @param {{alarm: Alarm, isOld: boolean}} props */
function Take({ alarm, isOld }) {
  const [isSent, setSent] = useState(0);
  const take = async () => {
    setSent(alarm.revision);
    try {
      await ask("POST", `/alarms/${alarm.alarm_id}/acknowledge`, { seq: alarm.revision });
      toast(t(isOld ? "fleet_ordered_silent" : "fleet_ordered"));
    } catch (error) {
      setSent(0);
      refusal(error);
    }
  };
  const isWaiting = isSent === alarm.revision;
  const words = t(isWaiting ? "fleet_ack_sent" : "ack");
  return html`<button class=${alarm.priority < "P3" && !isOld ? "act strong" : "act"} disabled=${isStale.value || isWaiting} onClick=${take} aria-label=${`${words} ${pick(alarm.words)} ${alarm.node_name}`}>${words}</button>`;
}

/** @param {{since: string}} props */
export function Elapsed({ since }) {
  const text = useComputed(() => (tick.value, stopwatch((nowMs() - Date.parse(since)) / 1000)));
  return html`<span class="elapsed">${text}</span>`;
}

/** The limit to take it, as a bar that empties. @param {{alarm: Alarm}} props */
function Limit({ alarm }) {
  tick.value;
  const total = facts.value?.limits.get(alarm.priority);
  if (!total || !isUnattended(alarm) || isStale.value || alarm.kind === "test") return null;
  const left = total - (nowMs() - Date.parse(alarm.raised_at)) / 1000;
  const part = Math.max(0, Math.min(1, left / total));
  return html`<span class=${`limit ${left <= 0 ? "over" : part < SOON ? "soon" : ""}`}><i style=${{ transform: `scaleX(${part.toFixed(3)})` }}></i><span>${left > 0 ? t("due", { s: stopwatch(left) }) : t("overdue", { s: span(-left) })}</span></span>`;
}
