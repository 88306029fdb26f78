// The list of alarms: P1 to P4, then what nobody took, then the newest; what is hidden stands in groups of its own below.
import { Icon } from "/ui/shapes.js";
import { span } from "/ui/time.js";
import { computed, html, signal } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { AlarmCard } from "./alarm_card.js";
import { ageS, alarms, devices, isKnown, isStale, isUnattended, shelved, shown, suppressed, watch } from "./desk.js";
import { filter } from "./frame.js";
import { isUntouched } from "./kiosk.js";
import { findText } from "./search.js";

/** @typedef {import("./desk.js").Alarm} Alarm */

const selected = signal(/** @type {string | null} */ (null));
/** The alarms of the list as it is narrowed now. */
export const listed = computed(() => shown.value.filter((alarm) => (!filter.value || alarm.priority === filter.value) && findText(alarm)));
/** The alarm everything below the façade is about. */
export const current = computed(() => alarms.value.get(selected.value ?? "") ?? listed.value[0] ?? null);

/** Look at this alarm. @param {string} id */
export function select(id) {
  selected.value = id;
}

/** One down or up. @param {1 | -1} by */
export function move(by) {
  const list = [...listed.value, ...shelved.value, ...suppressed.value];
  const at = list.findIndex((alarm) => alarm.alarm_id === current.value?.alarm_id);
  const next = list[Math.min(list.length - 1, Math.max(0, at + by))];
  if (!next) return;
  select(next.alarm_id);
  document.querySelector(`[data-id="${next.alarm_id}"]`)?.scrollIntoView({ block: "nearest" });
}

// A new P1 is looked at by itself, unless somebody is at work here: then it only stands on top.
watch((alarm, before) => {
  const isNew = alarm.state === "unack" && before?.state !== "unack";
  if (isNew && alarm.priority === "P1" && isUntouched()) select(alarm.alarm_id);
});

/** Incident -> how many alarms stand in it. */
const crowds = computed(() => {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const { incident_id } of alarms.value.values()) if (incident_id) found.set(incident_id, (found.get(incident_id) ?? 0) + 1);
  return found;
});

// The same alarm, unchanged, is the same node: two hundred cards cost nothing while one of them changes.
/** @type {Map<string, {alarm: Alarm, isOn: boolean, isFirst: boolean, node: unknown}>} */
const cards = new Map();

/** @param {Alarm} alarm @param {boolean} isOn */
function card(alarm, isOn) {
  const known = cards.get(alarm.alarm_id);
  const isFirst = alarm.first_out && (crowds.value.get(alarm.incident_id ?? "") ?? 0) > 1;
  if (known && known.alarm === alarm && known.isOn === isOn && known.isFirst === isFirst) return known.node;
  const node = html`<${AlarmCard} key=${alarm.alarm_id} alarm=${alarm} isOn=${isOn} isFirst=${isFirst} onSelect=${select} />`;
  cards.set(alarm.alarm_id, { alarm, isOn, isFirst, node });
  return node;
}

export function AlarmList() {
  const list = listed.value;
  const on = current.value?.alarm_id;
  for (const id of cards.keys()) if (!alarms.value.has(id)) cards.delete(id);
  const age = computed(() => t("fresh", { s: Math.floor(ageS.value) }));
  return html`<aside class="list" aria-label=${t("alarms")}>
    <div class="head"><h1>${t("alarms")}</h1><span>${isKnown.value && t("unacked", { n: list.filter(isUnattended).length, all: list.length })}</span><span class="space"></span><span class="fresh">${age}</span></div>
    ${list.length === 0 ? html`<${Nothing} />` : html`<ul class="cards">${list.map((alarm) => card(alarm, alarm.alarm_id === on))}</ul>`}
    <${Group} title=${t("group_shelved")} list=${shelved.value} on=${on} />
    <${Group} title=${t("group_suppressed")} list=${suppressed.value} on=${on} /></aside>`;
}

/** @param {{title: string, list: Alarm[], on: string | undefined}} props */
function Group({ title, list, on }) {
  if (list.length === 0) return null;
  return html`<details class="group"><summary>${title} <b>${list.length}</b></summary><ul class="cards">${list.map((alarm) => card(alarm, alarm.alarm_id === on))}</ul></details>`;
}

/** An empty list says what was checked; a page that does not know says that. */
function Nothing() {
  if (!isKnown.value || isStale.value) return html`<div class="empty wait"><b>${t("unknown_state")}</b></div>`;
  if (shown.value.length > 0) return html`<div class="empty"><b>${t("none_of_these")}</b><p>${t("others_stand", { n: shown.value.length })}</p></div>`;
  const points = [...devices.value.values()].filter((device) => !["bus", "gateway"].includes(device.kind));
  const silent = points.filter((device) => device.state === "silent" || device.state === "unknown");
  const oldest = points.reduce((most, device) => Math.max(most, device.age_s ?? 0), 0);
  return html`<div class="empty none"><${Icon} name="check" /><b>${t("none")}</b><p>${t("checked", { all: points.length, live: points.length - silent.length })}</p>
    ${silent.length > 0 && html`<p class="missing">${t("not_heard", { names: silent.slice(0, 4).map((device) => pick(device.place) || device.id).join(", ") })}${silent.length > 4 ? " …" : ""}</p>`}
    ${silent.length === 0 && points.length > 0 && html`<p>${t("oldest_data", { s: span(oldest) })}</p>`}</div>`;
}
