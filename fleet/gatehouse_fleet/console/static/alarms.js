// 报警: every alarm, open or of the past, narrowed as one likes; one of them beside the list with everything known of it.
import { Mark } from "/ui/shapes.js";
import { Table } from "/ui/table.js";
import { nowMs, stopwatch, tick, when } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { whereIn } from "./alarm_card.js";
import { AlarmPanel } from "./alarm_panel.js";
import { awayMark, byGateway, districts, facts, isCut, isHidden, isKnown, me, nameOf, open, PRIORITIES, whole } from "./known.js";
import { Choice, ListFoot, useList, useRows } from "./lists.js";
import { go, link, narrow, route } from "./route.js";

/** @typedef {import("./known.js").Alarm} Alarm */

const CATEGORIES = ["gas", "lift", "sos", "throw", "gateway"];
const KINDS = ["alarm", "fault", "tamper", "inhibited", "test"];
const SPANS = [["", "fleet_span_any"], ["24", "fleet_span_day"], ["168", "fleet_span_week"], ["720", "fleet_span_month"]];

export function AlarmsPage() {
  const asked = route.value.query;
  const isPast = asked.which === "all";
  return html`<main class="page alarmspage"><header class="pagehead"><h1>${t("fleet_page_alarms")}</h1>
      <div class="tabs" role="group" aria-label=${t("fleet_which_alarms")}><button aria-pressed=${!isPast} onClick=${() => narrow({ which: null, hours: null })}>${t("fleet_open_alarms")}</button><button aria-pressed=${isPast} onClick=${() => narrow({ which: "all" })}>${t("fleet_past_alarms")}</button></div>
      <span class="space"></span><${Saved} /><a class="button" href=${`/api/v1/alarms/export.csv?${conditions(asked)}`} download>CSV</a></header>
    <${Filters} asked=${asked} isPast=${isPast} />
    <div class=${`split ${asked.one ? "has-one" : ""}`}>${isPast ? html`<${Past} asked=${asked} />` : html`<${Open} asked=${asked} />`}
      ${asked.one && html`<${AlarmPanel} key=${asked.one} id=${asked.one} onClose=${() => narrow({ one: null })} />`}</div></main>`;
}

/** @param {{asked: Record<string, string>, isPast: boolean}} props */
function Filters({ asked, isPast }) {
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => narrow({ [name]: value, one: null });
  const any = /** @type {[string, string]} */ (["", t("fleet_any")]);
  return html`<div class="filters">
    <label class="choice">${t("fleet_search")}<input type="search" value=${asked.text ?? ""} placeholder=${t("fleet_search_alarms")} onInput=${(/** @type {any} */ event) => narrow({ text: event.currentTarget.value })} /></label>
    <${Choice} label=${t("fleet_priority")} value=${asked.priority ?? ""} choices=${[any, ...PRIORITIES.map((p) => [p, t(p.toLowerCase())])]} onChange=${set("priority")} />
    <${Choice} label=${t("fleet_category")} value=${asked.category ?? ""} choices=${[any, ...CATEGORIES.map((one) => [one, t(`fleet_category_${one}`)])]} onChange=${set("category")} />
    <${Choice} label=${t("fleet_kind")} value=${asked.kind ?? ""} choices=${[any, ...KINDS.map((one) => [one, t(`kind_${one}`)])]} onChange=${set("kind")} />
    <${Choice} label=${t("fleet_place")} value=${asked.below ?? ""} choices=${[any, ...districts.value.map((one) => [String(one.id), nameOf(one)])]} onChange=${set("below")} />
    ${isPast ? html`<${Choice} label=${t("fleet_span")} value=${asked.hours ?? ""} choices=${SPANS.map(([key, words]) => [key, t(words)])} onChange=${set("hours")} />`
      : html`<${Choice} label=${t("fleet_show")} value=${asked.show ?? ""} choices=${[["", t("fleet_show_waiting")], ["hidden", t("fleet_show_hidden")], ["everything", t("fleet_show_everything")]]} onChange=${set("show")} />`}
    ${Object.keys(asked).some((name) => !["which", "one"].includes(name)) && html`<button class="plain" onClick=${() => go(link("alarms", "", { which: asked.which }))}>${t("fleet_clear_filters")}</button>`}</div>`;
}

/** Conditions as the server takes them. @param {Record<string, string>} asked */
function conditions(asked) {
  /** @type {Record<string, string>} */
  const found = { which: asked.which === "all" ? "all" : "open" };
  for (const name of ["priority", "category", "kind", "below"]) if (asked[name]) found[name] = asked[name];
  if (asked.hours) found.since = new Date(Math.floor((nowMs() - Number(asked.hours) * 3_600_000) / 60_000) * 60_000).toISOString();
  return new URLSearchParams(found).toString();
}

/** @param {Alarm} one @param {Record<string, string>} asked */
function fits(one, asked) {
  if (asked.priority && one.priority !== asked.priority) return false;
  if (asked.category && !one.code.startsWith(`${asked.category}.`)) return false;
  if (asked.kind && one.kind !== asked.kind) return false;
  if (asked.below && String(byGateway.value.get(one.gateway_id)?.district_id) !== asked.below && String(byGateway.value.get(one.gateway_id)?.id) !== asked.below) return false;
  return hasText(one, asked.text);
}

/** @param {Alarm} one @param {string | undefined} text */
function hasText(one, text) {
  if (!text) return true;
  const inside = [one.node_name, one.gateway_id, one.device_id, one.words.zh, one.words.en, whereIn(one), one.alarm_id].join("\n").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((part) => inside.includes(part));
}

/** @param {{asked: Record<string, string>}} props */
function Open({ asked }) {
  if (!isKnown.value) return html`<p class="quiet pad">${t("fleet_reading")}</p>`;
  const show = asked.show ?? "";
  const rows = open.value.filter((one) => (show === "everything" || (show === "hidden") === (isHidden(one) || one.kind === "test")) && fits(one, asked));
  return html`<div class="tablebox">${isCut.value && html`<p class="banner">${t("fleet_alarms_cut")}</p>`}
    ${rows.length ? html`<${Rows} rows=${rows} one=${asked.one} />` : html`<div class="empty"><b>${t("fleet_none_fits")}</b><span>${t("fleet_open_in_all", { n: open.value.length })}</span></div>`}</div>`;
}

/** @param {{asked: Record<string, string>}} props */
function Past({ asked }) {
  const list = useList(`/alarms?${conditions(asked)}`);
  const rows = list.rows.map((/** @type {any} */ row) => whole(row)).filter((/** @type {Alarm} */ one) => hasText(one, asked.text));
  return html`<div class="tablebox">${rows.length > 0 && html`<${Rows} rows=${rows} one=${asked.one} isPast />`}<${ListFoot} list=${list} none=${t("fleet_none_fits")} /></div>`;
}

/** @param {{rows: Alarm[], one: string | undefined, isPast?: boolean}} props */
function Rows({ rows, one, isPast = false }) {
  const { chosen, choose } = useRows(rows.map((row) => row.alarm_id), (id) => narrow({ one: id }), one ?? null);
  useEffect(() => { if (one) choose(one); }, [one]);
  return html`<${Table} rows=${rows} columns=${isPast ? COLUMNS.filter((column) => column.key !== "age") : COLUMNS} rowKey=${(/** @type {Alarm} */ row) => row.alarm_id} label=${t("alarms")} selected=${chosen}
    rowClass=${rowClass} onOpen=${(/** @type {Alarm} */ row) => narrow({ one: row.alarm_id })} />`;
}

/** Of a silent gateway only the last known is shown. @param {Alarm} one */
const isOld = (one) => one.state !== "closed" && (awayMark(one.gateway_id)?.presence ?? "online") !== "online";

/** @param {Alarm} one */
function rowClass(one) {
  if (one.state === "closed") return "past";
  if (isOld(one)) return "away";
  return one.state === "unack" && one.priority < "P3" && one.kind !== "test" ? `tint ${one.priority.toLowerCase()}` : "";
}

/** @type {import("/ui/table.js").Column<Alarm>[]} */
const COLUMNS = [
  { key: "priority", get title() { return t("fleet_priority"); }, width: "104px", cell: (one) => html`<span class="signed"><${Mark} p=${one.priority} size=${20} look=${one.state === "closed" ? "off" : one.state === "unack" ? "full" : "hollow"} />${t(one.priority.toLowerCase())}</span>` },
  { key: "what", get title() { return t("fleet_alarm"); }, width: "minmax(150px, 1.3fr)", cell: (one) => html`<b>${pick(one.words)}</b>${one.kind === "test" && html` <i class="pill">${t("kind_test")}</i>`}${!one.is_verified && html` <i class="pill p2">${t("fleet_doubtful")}</i>`}` },
  { key: "node", get title() { return t("fleet_community"); }, width: "minmax(120px, 1.2fr)", cell: (one) => html`<bdi>${one.node_name}</bdi>` },
  { key: "where", get title() { return t("fleet_where"); }, width: "minmax(110px, 1fr)", cell: (one) => html`<bdi>${whereIn(one)}</bdi>` },
  { key: "state", get title() { return t("state"); }, width: "150px", cell: (one) => html`${isOld(one) && html`<i class="pill dashed">${t("fleet_presence_silent")}</i> `}${pick(facts.value?.states.get(one.state))}` },
  { key: "raised", get title() { return t("fleet_raised"); }, width: "124px", cell: (one) => when(one.raised_at) },
  { key: "age", get title() { return t("fleet_age"); }, width: "88px", isNumber: true, cell: (one) => (tick.value, stopwatch((nowMs() - Date.parse(one.raised_at)) / 1000)) },
  { key: "case", get title() { return t("fleet_case"); }, width: "76px", isNumber: true, cell: (one) => (one.case_id ? html`<a href=${link("cases", one.case_id)} onClick=${(/** @type {Event} */ event) => event.stopPropagation()}>#${one.case_id}</a>` : "") },
];

/** Views one has named; they are kept in this browser, for this person. */
function Saved() {
  const place = `views:${me.value?.name}`;
  const [views, setViews] = useState(/** @type {[string, string][]} */ (read(place)));
  const [name, setName] = useState("");
  const keep = (/** @type {[string, string][]} */ next) => { localStorage.setItem(place, JSON.stringify(next)); setViews(next); };
  return html`<details class="menu saved"><summary class="button">${t("fleet_saved_views")}</summary><div class="card">
    ${views.map(([title, address]) => html`<div class="row"><a class="button" href=${address}><bdi>${title}</bdi></a><button aria-label=${`${t("fleet_forget")} ${title}`} onClick=${() => keep(views.filter(([other]) => other !== title))}>×</button></div>`)}
    <form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); if (!name.trim()) return; keep([...views.filter(([other]) => other !== name.trim()), [name.trim(), location.hash]]); setName(""); }}>
      <label>${t("fleet_view_name")}<input value=${name} maxlength="40" onInput=${(/** @type {any} */ event) => setName(event.currentTarget.value)} /><small>${t("fleet_views_here")}</small></label><button class="strong">${t("fleet_save_view")}</button></form></div></details>`;
}

/** @param {string} place @returns {[string, string][]} */
function read(place) {
  try {
    return JSON.parse(localStorage.getItem(place) ?? "[]");
  } catch {
    return [];
  }
}
