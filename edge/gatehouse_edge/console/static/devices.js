// 设备: every device with its last data and how old they are, what is out of service, what is shelved, what is suppressed.
import { ask, order } from "/ui/api.js";
import { askFor, openDialog } from "/ui/dialog.js";
import { Mark } from "/ui/shapes.js";
import { Table } from "/ui/table.js";
import { nowMs, serviceNow, span, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { computed, html, signal, useEffect, useState } from "/ui/vendor/preact.js";
import { either, pick, t } from "/ui/words.js";
import { devices, isKnown, isStale, may, me, shelved, suppressed } from "./desk.js";
import { choicesFor } from "./drill_types.js";
import { measured, said } from "./say.js";
import { start } from "./start.js";

/**
 * @typedef {import("./desk.js").Device & {inhibition?: {by: string, until_s: number, reason: string} | null}} Device
 * @typedef {import("./desk.js").Alarm} Alarm
 * @typedef {{id: string, kind: string, bus: string, profile: string, address: string, max_silence_s: number | null, installed_on: string | null,
 *   life_ends_on: string | null, inhibit_limit_s: number}} Card
 */

// words: state_normal state_alarm state_fault state_silent state_inhibited state_unknown kind_of_gas kind_of_lift kind_of_button kind_of_camera
// words: kind_of_beacon kind_of_io kind_of_bus kind_of_gateway
const STATES = ["alarm", "silent", "fault", "inhibited", "unknown", "normal"];
/** What each state looks like without colour: a word and a shape; only what is abnormal is filled. @type {Record<string, string>} */
const PILLS = { alarm: "pill p1", fault: "pill fault", silent: "pill dashed", inhibited: "pill dashed", unknown: "pill dashed", normal: "pill" };
const LOW_PCT = 15;
const NARROW = matchMedia("(max-width: 1000px)");

const cards = signal(/** @type {Map<string, Card>} */ (new Map()));
const firmware = signal(/** @type {Record<string, string>} */ ({}));
const sought = signal("");
const kind = signal("");
const tab = signal("all");
const isNarrow = signal(NARROW.matches);
NARROW.addEventListener("change", () => { isNarrow.value = NARROW.matches; });

const all = computed(() => /** @type {Device[]} */ ([...devices.value.values()]));
const kinds = computed(() => [...new Set(all.value.map((device) => device.kind))].sort());
const counts = computed(() => Object.fromEntries(STATES.map((state) => [state, all.value.filter((device) => device.state === state).length])));
const rows = computed(() => {
  const words = sought.value.toLowerCase().split(/\s+/).filter(Boolean);
  return all.value
    .filter((device) => (tab.value === "all" || device.state === tab.value) && (!kind.value || device.kind === kind.value))
    .filter((device) => words.every((word) => text(device).includes(word)))
    .sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id, undefined, { numeric: true }));
});

/** @param {Device} device */
const text = (device) => `${device.id} ${device.place.zh} ${device.place.en} ${device.resident?.name ?? ""} ${t(`kind_of_${device.kind}`)}`.toLowerCase();

/** Age of the last data, and whether that is longer than this device may be silent. @param {{device: Device}} props */
function Age({ device }) {
  if (device.last_s === null) return html`<span class="quiet">${t("no_data")}</span>`;
  const limit = cards.value.get(device.id)?.max_silence_s ?? Infinity;
  const age = computed(() => (tick.value, span(serviceNow() - (device.last_s ?? NaN))));
  const isLate = computed(() => (tick.value, serviceNow() - (device.last_s ?? NaN) > limit));
  return html`<span class=${isLate.value ? "late" : ""} title=${limit === Infinity ? undefined : t("dev_limit", { s: span(limit) })}>${age}</span>`;
}

/** @param {{pct: number | null | undefined}} props */
function Battery({ pct }) {
  if (pct === null || pct === undefined) return html`<span class="quiet">—</span>`;
  return html`<span class=${pct < LOW_PCT ? "late" : ""}><span class=${pct < LOW_PCT ? "cell low" : "cell"} aria-hidden="true"><i style=${{ width: `${Math.max(0, Math.min(100, pct)) * 0.19}px` }}></i></span>${pct} %</span>`;
}

/** @param {{dbm: number | null | undefined}} props */
function Signal({ dbm }) {
  if (dbm === null || dbm === undefined) return html`<span class="quiet">—</span>`;
  const bars = [-95, -85, -75, -65].filter((level) => dbm >= level).length;
  return html`<span><span class="bars" aria-hidden="true">${[1, 2, 3, 4].map((n) => html`<i class=${n <= bars ? "on" : ""}></i>`)}</span>${measured(dbm, "dBm")}</span>`;
}

/** @param {{device: Device}} props */
function State({ device }) {
  const out = device.inhibition;
  const left = computed(() => (tick.value, out ? span(out.until_s - serviceNow()) : ""));
  return html`<span class="pair"><span><i class=${PILLS[device.state] ?? "pill"}>${t(`state_${device.state}`)}</i></span>
    ${out ? html`<small>${t("dev_out_left", { s: left.value })} · ${out.by}</small>` : device.codes.length > 0 && html`<small>${device.codes.map((/** @type {{label: {zh: string, en: string}}} */ code) => pick(code.label)).join(" · ")}</small>`}</span>`;
}

/** @param {{device: Device}} props */
const What = ({ device }) => html`<span class="pair"><bdi class="what">${pick(device.place) || device.id}</bdi><small>${t(`kind_of_${device.kind}`)} · ${device.id}</small></span>`;

/** @param {{device: Device}} props */
function Acts({ device }) {
  const click = (/** @type {() => unknown} */ does) => (/** @type {Event} */ event) => { event.stopPropagation(); does(); };
  return html`<span class="acts">
    ${may("test") && choicesFor(device.kind).length > 0 && html`<button disabled=${isStale.value} onClick=${click(() => drill(device))}>${t("dev_test")}</button>`}
    ${may("inhibit") && device.kind !== "gateway" && (device.is_inhibited
      ? html`<button disabled=${isStale.value} onClick=${click(() => order(`/devices/${device.id}/uninhibit`).then(() => toast(t("dev_back_done")), refusal))}>${t("dev_back")}</button>`
      : html`<button disabled=${isStale.value} onClick=${click(() => putOut(device))}>${t("dev_out")}</button>`)}</span>`;
}

/** @returns {import("/ui/table.js").Column<Device>[]} */
function columns() {
  if (isNarrow.value) {
    return [
      { key: "what", title: t("device"), cell: (device) => html`<${What} device=${device} />`, width: "minmax(0, 1.5fr)" },
      { key: "state", title: t("state"), cell: (device) => html`<${State} device=${device} />`, width: "minmax(0, 1fr)" },
      { key: "age", title: t("dev_age"), cell: (device) => html`<${Age} device=${device} />`, width: "84px" },
    ];
  }
  return [
    { key: "what", title: t("device"), cell: (device) => html`<${What} device=${device} />`, width: "minmax(0, 1.7fr)" },
    { key: "state", title: t("state"), cell: (device) => html`<${State} device=${device} />`, width: "minmax(0, 1.3fr)" },
    { key: "last", title: t("last"), cell: (device) => said(device, me.value?.codes ?? {}).filter(Boolean).join(" · "), width: "minmax(0, 1.5fr)" },
    { key: "age", title: t("dev_age"), isNumber: true, cell: (device) => html`<${Age} device=${device} />`, width: "124px" },
    { key: "battery", title: t("dev_battery"), cell: (device) => html`<${Battery} pct=${device.last?.battery_pct} />`, width: "104px" },
    { key: "signal", title: t("dev_signal"), cell: (device) => html`<${Signal} dbm=${device.last?.rssi_dbm} />`, width: "128px" },
    { key: "firmware", title: t("dev_firmware"), cell: (device) => firmware.value[device.id] ?? html`<span class="quiet">—</span>`, width: "98px" },
    { key: "acts", title: t("dev_do"), cell: (device) => html`<${Acts} device=${device} />`, width: "176px" },
  ];
}

/** @param {Device} device */
async function putOut(device) {
  const most = Math.floor((cards.value.get(device.id)?.inhibit_limit_s ?? 900) / 60);
  const entered = await askFor(t("dev_out"), {
    minutes: { label: t("minutes"), type: "number", min: 1, max: most, value: Math.min(15, most), hint: t("dev_out_most", { n: most }) },
    reason: { label: t("reason"), list: [t("dev_reason_1"), t("dev_reason_2"), t("dev_reason_3")] },
  }, { text: t("dev_out_text", { name: pick(device.place) || device.id }), done: t("dev_out") });
  if (entered) await order(`/devices/${device.id}/inhibit`, { duration_s: Number(entered.minutes) * 60, reason: entered.reason }).then(() => toast(t("dev_out_done")), refusal);
}

/** @param {Device} device */
async function drill(device) {
  const entered = await askFor(t("dev_test"), {
    code: { label: t("drill_type"), choices: choicesFor(device.kind).map((code) => [code, pick(me.value?.codes[code])]) },
  }, { text: t("drill_text", { name: pick(device.place) || device.id }), done: t("drill_begin") });
  if (entered) await ask("POST", "/drills", { device_id: device.id, code: entered.code }).then(() => location.assign("/drills"), refusal);
}

/** @param {{device: Device}} props */
function About({ device }) {
  const card = cards.value.get(device.id);
  const [past, setPast] = useState(/** @type {any[] | null} */ (null));
  useEffect(() => {
    if (!may("read_journal")) return;
    const until = new Date(nowMs() + 60000);
    const since = new Date(until.getTime() - 31 * 86400000);
    const query = new URLSearchParams({ device: device.id, since: since.toISOString(), until: until.toISOString(), limit: "8" });
    ask("GET", `/history/alarms?${query}`).then((found) => setPast(found.alarms), () => setPast([]));
  }, []);
  /** @type {[string, unknown][]} */
  const facts = [
    [t("state"), html`<${State} device=${device} />`], [t("last"), said(device, me.value?.codes ?? {}).filter(Boolean).join(" · ") || t("no_data")],
    [t("dev_last_at"), device.last_at ? when(device.last_at) : "—"], [t("dev_silence"), card?.max_silence_s ? span(card.max_silence_s) : "—"],
    [t("dev_bus"), [card?.bus, card?.address].filter(Boolean).join(" · ") || "—"], [t("dev_profile"), card?.profile || "—"],
    [t("dev_firmware"), firmware.value[device.id] ?? t("dev_firmware_unknown")],
  ];
  if (card?.life_ends_on) facts.push([t("dev_life"), t("dev_life_text", { from: card.installed_on, to: card.life_ends_on })]);
  if (device.resident) facts.push([t("dev_resident"), [device.resident.name, device.resident.phone].filter(Boolean).join(" · ")]);
  if (device.silence) facts.push([t("dev_why"), `${either(`token_${device.silence.reason}`, device.silence.reason)} ${device.silence.detail}`]);
  if (device.inhibition) facts.push([t("reason"), device.inhibition.reason]);
  return html`<div class="sheetlike stack"><dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    ${past !== null && html`<div><h3>${t("dev_past")}</h3>${past.length === 0 ? html`<p class="quiet">${t("dev_past_none")}</p>`
      : html`<table><tbody>${past.map((one) => html`<tr><td>${when(one.raised_at)}</td><td>${pick(one.label)}</td><td>${one.acked_by || "—"}</td></tr>`)}</tbody></table>`}</div>`}
    <div class="buttons"><${Acts} device=${device} /></div></div>`;
}

/** @param {{list: Alarm[], isDesign: boolean}} props */
function Hidden({ list, isDesign }) {
  if (list.length === 0) return html`<div class="empty card"><b>${t(isDesign ? "dev_no_suppressed" : "dev_no_shelved")}</b></div>`;
  return html`<div class="box"><table><thead><tr><th></th><th>${t("alarms")}</th><th>${t("dev_where")}</th><th>${t(isDesign ? "dev_since" : "dev_until")}</th><th>${t("reason")}</th><th></th></tr></thead><tbody>
    ${list.map((alarm) => html`<tr><td><${Mark} p=${alarm.priority} look="hollow" /></td><td>${pick(alarm.label)}</td><td><bdi>${pick(alarm.place) || alarm.device_id}</bdi></td>
      <td>${isDesign ? when(alarm.raised_at) : computed(() => (tick.value, t("shelf", { s: span((alarm.shelved_until_s ?? NaN) - serviceNow()) })))}</td>
      <td><bdi>${isDesign ? t("dev_by_design") : `${alarm.shelved_by}: ${alarm.shelf_reason}`}</bdi></td>
      <td>${!isDesign && may("shelve") && html`<button class="small" disabled=${isStale.value} onClick=${() => order(`/alarms/${alarm.alarm_id}/unshelve`, { seen_seq: alarm.seq }).catch(refusal)}>${t("unshelve")}</button>`}</td></tr>`)}</tbody></table></div>`;
}

/** @param {{name: string, words: string, n: number}} props */
const Tab = ({ name, words, n }) => html`<button aria-pressed=${tab.value === name} onClick=${() => { tab.value = name; }}>${words} <b>${n}</b></button>`;

function Devices() {
  const live = all.value.length - counts.value.silent - counts.value.unknown;
  return html`<main class="page devices"><header><h1>${t("devices")}</h1>
    <span class="hint">${isKnown.value && t("checked", { all: all.value.length, live })}</span><span class="space"></span>
    <select aria-label=${t("dev_kind")} onChange=${(/** @type {Event} */ event) => { kind.value = /** @type {HTMLSelectElement} */ (event.target).value; }}><option value="">${t("dev_kind")}</option>${kinds.value.map((one) => html`<option value=${one}>${t(`kind_of_${one}`)}</option>`)}</select>
    <input type="search" placeholder=${t("dev_search")} aria-label=${t("dev_search")} value=${sought} onInput=${(/** @type {InputEvent} */ event) => { sought.value = /** @type {HTMLInputElement} */ (event.target).value; }} />
    <div class="tabs" role="group" aria-label=${t("state")}><${Tab} name="all" words=${t("dev_all")} n=${all.value.length} />
      ${STATES.map((state) => html`<${Tab} name=${state} words=${t(`state_${state}`)} n=${counts.value[state]} />`)}<i class="split"></i>
      <${Tab} name="shelved" words=${t("dev_shelved")} n=${shelved.value.length} /><${Tab} name="suppressed" words=${t("dev_suppressed")} n=${suppressed.value.length} /></div></header>
    ${tab.value === "shelved" ? html`<${Hidden} list=${shelved.value} isDesign=${false} />` : tab.value === "suppressed" ? html`<${Hidden} list=${suppressed.value} isDesign=${true} />`
      : html`<${Table} label=${t("devices")} rows=${rows.value} columns=${columns()} rowKey=${(/** @type {Device} */ device) => device.id} height=${56}
          rowClass=${(/** @type {Device} */ device) => `is-${device.state}`} onOpen=${(/** @type {Device} */ device) => openDialog(pick(device.place) || device.id, html`<${About} device=${device} />`)} />`}</main>`;
}

await start({
  name: "devices", sections: ["local"], content: Devices,
  prepare: async () => {
    cards.value = new Map((await ask("GET", "/devices/cards")).cards.map((/** @type {Card} */ card) => [card.id, card]));
    if (may("read_journal")) ask("GET", "/history/firmware").then((found) => { firmware.value = found.versions; }, () => {});
  },
});
