// 网关: every gateway in one table, whatever their number; the silent ones on top. Many at once only with their number typed.
import { ask } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { Table } from "/ui/table.js";
import { nowMs, span, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useMemo, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { awayMark, byGateway, districts, isStale, may, nameOf, news, silent } from "./known.js";
import { Choice, ListFoot, useCalm, useList, useRows } from "./lists.js";
import { go, link, narrow, route } from "./route.js";
import { Bar, PresenceWord } from "./signs.js";

/**
 * @typedef {{id: string, node_id: number, node_name: string, state: string, presence: import("./known.js").Presence, last_contact_at: string | null, version: string | null, config_version: string | null,
 *   clock_offset_ms: number | null, alarm_backlog: number, telemetry_backlog: number, integrity_fault: string | null, tags: string[], status_at: string | null, started_at: string | null,
 *   disk_used: number | null, devices: number | null, devices_online: number | null, open_alarms: number | null, clock_synced: boolean | null, certificate_expires_at: string | null}} Gateway
 */

const PRESENCES = /** @type {const} */ (["silent", "stopped", "never", "online"]);
/** @type {string[]} */
const ON_TOP = ["silent", "stopped"];
const DISK_BAD = 0.8;
const CLOCK_BAD_MS = 1000;
const CERT_BAD_DAYS = 7;
const DAY_MS = 86_400_000;
const MOST_AT_ONCE = 500;

/** Presence as it is now: the list may have been read a while ago. @param {Gateway} row */
export function presenceOf(row) {
  const mark = awayMark(row.id);
  return mark ? mark.presence : row.presence === "silent" ? "online" : row.presence;
}

export function GatewaysPage() {
  const asked = route.value.query;
  const change = useCalm(news.value.gateway, 10_000);
  const list = useList("/gateways", { isWhole: true, on: change, limit: 500 });
  const [picked, pickAll] = useState(/** @type {Set<string>} */ (new Set()));
  const silentNow = silent.value;
  const sorted = asked.sort ? { key: asked.sort.replace("-", ""), isDown: asked.sort.startsWith("-") } : undefined;
  const rows = useMemo(() => arranged(/** @type {Gateway[]} */ (list.rows), asked, sorted), [list.rows, location.hash, silentNow]);
  const { chosen } = useRows(rows.map((row) => row.id), (id) => go(link("gateways", id)));
  const any = /** @type {[string, string]} */ (["", t("fleet_any")]);
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => narrow({ [name]: value });
  const versions = [...new Set(list.rows.map((/** @type {Gateway} */ row) => row.version ?? ""))].filter(Boolean).sort();
  const columns = [...(may("manage_gateways") ? [pickColumn(picked, pickAll, rows)] : []), ...COLUMNS];
  return html`<main class="page gateways"><header class="pagehead"><h1>${t("fleet_page_gateways")}</h1><${Counts} rows=${list.rows} asked=${asked} /><span class="space"></span>
      ${picked.size > 0 && html`<${Bulk} picked=${picked} rows=${list.rows} onDone=${() => { pickAll(new Set()); list.again(); }} />`}</header>
    <div class="filters"><label class="choice">${t("fleet_search")}<input type="search" value=${asked.text ?? ""} placeholder=${t("fleet_search_gateways")} onInput=${(/** @type {any} */ event) => narrow({ text: event.currentTarget.value })} /></label>
      <${Choice} label=${t("fleet_version")} value=${asked.version ?? ""} choices=${[any, ...versions.map((one) => [one, one])]} onChange=${set("version")} />
      <${Choice} label=${t("fleet_place")} value=${asked.below ?? ""} choices=${[any, ...districts.value.map((one) => [String(one.id), nameOf(one)])]} onChange=${set("below")} />
      <${Choice} label=${t("fleet_trouble")} value=${asked.trouble ?? ""} choices=${[any, ...["integrity", "backlog", "disk", "clock", "certificate"].map((one) => [one, t(`fleet_trouble_${one}`)])]} onChange=${set("trouble")} /></div>
    <div class="tablebox whole">${list.rows.length > 0 && html`<${Table} rows=${rows} columns=${columns} rowKey=${(/** @type {Gateway} */ row) => row.id} label=${t("fleet_page_gateways")} selected=${chosen} sorted=${sorted}
      onSort=${(/** @type {string} */ key) => narrow({ sort: asked.sort === key ? `-${key}` : key })} rowClass=${(/** @type {Gateway} */ row) => { const presence = presenceOf(row); return presence === "online" ? "" : `away ${presence}`; }} onOpen=${(/** @type {Gateway} */ row) => go(link("gateways", row.id))} />`}
      ${(!list.rows.length || !rows.length) && html`<${ListFoot} list=${{ ...list, rows }} none=${list.rows.length ? t("fleet_none_fits") : t("fleet_no_gateways")} />`}</div>
    <footer class="listfoot"><span class="quiet">${t("fleet_n_of_rows", { n: rows.length, all: list.rows.length })}${list.isReading ? ` · ${t("fleet_reading")}` : ""}${isStale.value ? ` · ${t("fleet_not_live")}` : ""}</span></footer></main>`;
}

/** Ids are plain letters: comparing thousands of them as words of a language takes a tenth of a second. @param {Gateway} a @param {Gateway} b */
function byId(a, b) {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Silent first, whatever the order asked for: who sorts by disk must not lose them. @param {Gateway[]} all @param {Record<string, string>} asked @param {{key: string, isDown: boolean} | undefined} sorted */
function arranged(all, asked, sorted) {
  const text = (asked.text ?? "").toLowerCase();
  const by = COLUMNS.find((column) => column.key === sorted?.key)?.sort;
  const rank = new Map(all.map((row) => [row.id, ON_TOP.indexOf(presenceOf(row)) + 1 || 9]));
  return all.filter((row) => (!asked.presence || presenceOf(row) === asked.presence) && (!asked.version || row.version === asked.version) && (!asked.trouble || hasTrouble(row, asked.trouble))
      && (!asked.below || String(byGateway.value.get(row.id)?.district_id) === asked.below) && (!text || `${row.id}\n${row.node_name}\n${row.tags.join(" ")}`.toLowerCase().includes(text)))
    .sort((a, b) => /** @type {number} */ (rank.get(a.id)) - /** @type {number} */ (rank.get(b.id)) || (by ? (sorted?.isDown ? -by(a, b) : by(a, b)) : 0) || byId(a, b));
}

/** @param {Gateway} row @param {string} name */
function hasTrouble(row, name) {
  if (name === "integrity") return row.integrity_fault !== null;
  if (name === "backlog") return row.alarm_backlog > 0;
  if (name === "disk") return (row.disk_used ?? 0) >= DISK_BAD;
  if (name === "clock") return Math.abs(row.clock_offset_ms ?? 0) > CLOCK_BAD_MS;
  return daysLeft(row) < CERT_BAD_DAYS;
}

/** @param {Gateway} row */
export const daysLeft = (row) => (row.certificate_expires_at ? (Date.parse(row.certificate_expires_at) - nowMs()) / DAY_MS : Infinity);

/** @param {{rows: Gateway[], asked: Record<string, string>}} props */
function Counts({ rows, asked }) {
  return html`<div class="tabs" role="group" aria-label=${t("fleet_presence")}>${["", ...PRESENCES].map((one) => html`<button aria-pressed=${(asked.presence ?? "") === one} onClick=${() => narrow({ presence: one })}>${one === "" ? t("fleet_show_all") : html`<${PresenceWord} presence=${one} />`} <b>${one === "" ? rows.length : rows.filter((row) => presenceOf(row) === one).length}</b></button>`)}</div>`;
}

/** @param {Set<string>} picked @param {(next: Set<string>) => void} pickAll @param {Gateway[]} rows */
function pickColumn(picked, pickAll, rows) {
  const isAll = rows.length > 0 && rows.every((row) => picked.has(row.id));
  const toggle = (/** @type {string} */ id) => { const next = new Set(picked); if (!next.delete(id)) next.add(id); pickAll(next); };
  return { key: "pick", width: "48px", title: html`<input type="checkbox" checked=${isAll} aria-label=${t("fleet_pick_all")} onChange=${() => pickAll(isAll ? new Set() : new Set(rows.map((row) => row.id)))} />`,
    cell: (/** @type {Gateway} */ row) => html`<input type="checkbox" checked=${picked.has(row.id)} aria-label=${t("fleet_pick_one", { id: row.id })} onClick=${(/** @type {Event} */ event) => event.stopPropagation()} onChange=${() => toggle(row.id)} />` };
}

/** @type {(import("/ui/table.js").Column<Gateway> & {title: any})[]} */
const COLUMNS = [
  { key: "id", get title() { return t("fleet_gateway"); }, width: "minmax(190px, 1.3fr)", sort: byId, cell: (row) => html`<b>${row.id}</b>${row.integrity_fault && html` <i class="pill p2">${t("fleet_doubtful")}</i>`}` },
  { key: "node", get title() { return t("fleet_community"); }, width: "minmax(140px, 1.3fr)", sort: (a, b) => a.node_name.localeCompare(b.node_name), cell: (row) => html`<bdi>${row.node_name}</bdi>` },
  { key: "presence", get title() { return t("fleet_presence"); }, width: "104px", sort: (a, b) => PRESENCES.indexOf(presenceOf(a)) - PRESENCES.indexOf(presenceOf(b)), cell: (row) => html`<${PresenceWord} presence=${presenceOf(row)} />` },
  { key: "heard", get title() { return t("fleet_heartbeat"); }, width: "112px", isNumber: true, sort: (a, b) => String(a.last_contact_at).localeCompare(String(b.last_contact_at)), cell: (row) => html`<${Age} row=${row} />` },
  { key: "version", get title() { return t("fleet_version"); }, width: "120px", sort: (a, b) => String(a.version).localeCompare(String(b.version)), cell: (row) => row.version ?? "—" },
  { key: "queue", get title() { return t("fleet_queue"); }, width: "96px", isNumber: true, sort: (a, b) => a.alarm_backlog - b.alarm_backlog || a.telemetry_backlog - b.telemetry_backlog, cell: (row) => html`<span class=${row.alarm_backlog ? "bad" : ""}>${row.alarm_backlog}</span> <small>+${row.telemetry_backlog}</small>` },
  { key: "disk", get title() { return t("fleet_disk"); }, width: "110px", sort: (a, b) => (a.disk_used ?? -1) - (b.disk_used ?? -1), cell: (row) => (row.disk_used === null ? "—" : html`<${Bar} part=${row.disk_used} bad=${DISK_BAD} />`) },
  { key: "devices", get title() { return t("devices"); }, width: "92px", isNumber: true, sort: (a, b) => (a.devices_online ?? 0) - (b.devices_online ?? 0), cell: (row) => (row.devices === null ? "—" : html`<span class=${(row.devices_online ?? 0) < row.devices ? "warn" : ""}>${row.devices_online}/${row.devices}</span>`) },
  { key: "clock", get title() { return t("fleet_clock_offset"); }, width: "104px", isNumber: true, sort: (a, b) => Math.abs(a.clock_offset_ms ?? 0) - Math.abs(b.clock_offset_ms ?? 0), cell: (row) => (row.clock_offset_ms === null ? "—" : html`<span class=${Math.abs(row.clock_offset_ms) > CLOCK_BAD_MS ? "bad" : ""}>${offset(row.clock_offset_ms)}</span>`) },
  { key: "cert", get title() { return t("fleet_certificate"); }, width: "100px", isNumber: true, sort: (a, b) => daysLeft(a) - daysLeft(b), cell: (row) => { const days = daysLeft(row); return days === Infinity ? html`<span class="warn">${t("fleet_no_certificate")}</span>` : html`<span class=${days < CERT_BAD_DAYS ? "bad" : ""}>${days < 0 ? t("fleet_expired") : t("fleet_days", { n: Math.floor(days) })}</span>`; } },
];

/** @param {number} ms */
export const offset = (ms) => (Math.abs(ms) < 10_000 ? `${ms > 0 ? "+" : ""}${Math.round(ms)} ms` : `${ms > 0 ? "+" : "−"}${span(Math.abs(ms) / 1000)}`);

/** How long ago it was heard. Of one that is online the list does not know by the second. @param {{row: Gateway}} props */
function Age({ row }) {
  const presence = presenceOf(row);
  const at = awayMark(row.id)?.last_contact_at ?? row.last_contact_at;
  if (!at) return "—";
  if (presence === "online") return html`<span class="quiet">${t("fleet_within_90")}</span>`;
  tick.value;
  return html`<span class=${presence === "silent" ? "bad" : ""} title=${when(at)}>${span((nowMs() - Date.parse(at)) / 1000)}</span>`;
}

/** Do one thing to many: the number must be typed, so that nobody does it to more than he thinks. @param {{picked: Set<string>, rows: Gateway[], onDone: () => void}} props */
function Bulk({ picked, rows, onDone }) {
  const n = picked.size;
  const counted = async (/** @type {string} */ title, /** @type {any} */ fields) => {
    const said = await askFor(title, { ...fields, count: { label: t("fleet_type_count", { n }), hint: t("fleet_type_count_hint") } }, { done: title, isDanger: true });
    if (!said) return null;
    if (said.count.trim() !== String(n)) { toast(t("fleet_count_wrong", { n }), true); return null; }
    return said;
  };
  const tag = async () => {
    const said = await counted(t("fleet_bulk_tag"), { tag: { label: t("fleet_tag") } });
    if (!said) return;
    let done = 0;
    try {
      for (const row of rows.filter((one) => picked.has(one.id))) {
        await ask("PATCH", `/gateways/${row.id}`, { tags: [...new Set([...row.tags, said.tag.trim()])] });
        done += 1;
      }
    } catch (error) {
      refusal(error);
    }
    toast(t("fleet_bulk_done", { n: done, all: n }), done < n);
    onDone();
  };
  const roll = async () => {
    const said = await counted(t("fleet_begin_rollout"), { reason: { label: t("reason") } });
    if (!said) return;
    ask("POST", "/config-rollouts", { reason: said.reason, gateways: [...picked].map((id) => ({ gateway_id: id })), stages: n > 1 ? [{ gateways: 1 }, { percent: 20 }] : [{ gateways: 1 }] }).then((made) => go(link("releases", made.id)), refusal);
  };
  return html`<div class="bulk"><b>${t("fleet_picked", { n })}</b><button disabled=${isStale.value} onClick=${tag}>${t("fleet_bulk_tag")}</button>${may("manage_configs") && html`<button disabled=${isStale.value || n > MOST_AT_ONCE} onClick=${roll}>${t("fleet_begin_rollout")}</button>`}</div>`;
}
