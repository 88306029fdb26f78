// 报警: every alarm, open or of the past, narrowed as one likes; one of them beside the list with everything known of it.
import { Mark } from "/ui/shapes.js";
import { Table } from "/ui/table.js";
import { nowMs, stopwatch, tick, when } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { whereIn } from "./alarm_card.js";
import { AlarmPanel } from "./alarm_panel.js";
import { byGateway, communities, districts, facts, isCut, isHidden, isKnown, me, nameOf, open, PRIORITIES, whole } from "./known.js";
import { Choice, ListFoot, useList, useRows } from "./lists.js";
import { go, link, narrow, route } from "./route.js";

/** @typedef {import("./known.js").Alarm} Alarm */

const CATEGORIES = ["gas", "lift", "sos", "throw", "gateway"];
const KINDS = ["alarm", "fault", "tamper", "inhibited", "test"];
const SPANS = [["", "span_any"], ["24", "span_day"], ["168", "span_week"], ["720", "span_month"]];

export function AlarmsPage() {
  const asked = route.value.query;
  const isPast = asked.which === "all";
  return html`<main class="page alarmspage"><header class="pagehead"><h1>${t("page_alarms")}</h1>
      <div class="tabs" role="group" aria-label=${t("which_alarms")}><button aria-pressed=${!isPast} onClick=${() => narrow({ which: null, hours: null })}>${t("open_alarms")}</button><button aria-pressed=${isPast} onClick=${() => narrow({ which: "all" })}>${t("past_alarms")}</button></div>
      <span class="space"></span><${Saved} /><a class="button" href=${`/api/v1/alarms/export.csv?${conditions(asked)}`} download>CSV</a></header>
    <${Filters} asked=${asked} isPast=${isPast} />
    <div class=${`split ${asked.one ? "has-one" : ""}`}>${isPast ? html`<${Past} asked=${asked} />` : html`<${Open} asked=${asked} />`}
      ${asked.one && html`<${AlarmPanel} key=${asked.one} id=${asked.one} onClose=${() => narrow({ one: null })} />`}</div></main>`;
}

/** @param {{asked: Record<string, string>, isPast: boolean}} props */
function Filters({ asked, isPast }) {
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => narrow({ [name]: value, one: null });
  const any = /** @type {[string, string]} */ (["", t("any")]);
  return html`<div class="filters">
    <label class="choice">${t("search")}<input type="search" value=${asked.text ?? ""} placeholder=${t("search_alarms")} onInput=${(/** @type {any} */ event) => narrow({ text: event.currentTarget.value })} /></label>
    <${Choice} label=${t("priority")} value=${asked.priority ?? ""} choices=${[any, ...PRIORITIES.map((p) => [p, t(p.toLowerCase())])]} onChange=${set("priority")} />
    <${Choice} label=${t("category")} value=${asked.category ?? ""} choices=${[any, ...CATEGORIES.map((one) => [one, t(`category_${one}`)])]} onChange=${set("category")} />
    <${Choice} label=${t("kind")} value=${asked.kind ?? ""} choices=${[any, ...KINDS.map((one) => [one, t(`kind_${one}`)])]} onChange=${set("kind")} />
    <${Choice} label=${t("place")} value=${asked.below ?? ""} choices=${[any, ...districts.value.map((one) => [String(one.id), nameOf(one)])]} onChange=${set("below")} />
    ${isPast ? html`<${Choice} label=${t("span")} value=${asked.hours ?? ""} choices=${SPANS.map(([key, words]) => [key, t(words)])} onChange=${set("hours")} />`
      : html`<${Choice} label=${t("show")} value=${asked.show ?? ""} choices=${[["", t("show_waiting")], ["hidden", t("show_hidden")], ["everything", t("show_everything")]]} onChange=${set("show")} />`}
    ${Object.keys(asked).some((name) => !["which", "one"].includes(name)) && html`<button class="plain" onClick=${() => go(link("alarms", "", { which: asked.which }))}>${t("clear_filters")}</button>`}</div>`;
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
  if (!isKnown.value) return html`<p class="quiet pad">${t("reading")}</p>`;
  const show = asked.show ?? "";
  const rows = open.value.filter((one) => (show === "everything" || (show === "hidden") === (isHidden(one) || one.kind === "test")) && fits(one, asked));
  return html`<div class="tablebox">${isCut.value && html`<p class="banner">${t("alarms_cut")}</p>`}
    ${rows.length ? html`<${Rows} rows=${rows} one=${asked.one} />` : html`<div class="empty"><b>${t("none_fits")}</b><span>${t("open_in_all", { n: open.value.length })}</span></div>`}</div>`;
}

/** @param {{asked: Record<string, string>}} props */
function Past({ asked }) {
  const list = useList(`/alarms?${conditions(asked)}`);
  const rows = list.rows.map((/** @type {any} */ row) => whole(row)).filter((/** @type {Alarm} */ one) => hasText(one, asked.text));
  return html`<div class="tablebox">${rows.length > 0 && html`<${Rows} rows=${rows} one=${asked.one} isPast />`}<${ListFoot} list=${list} none=${t("none_fits")} /></div>`;
}

/** @param {{rows: Alarm[], one: string | undefined, isPast?: boolean}} props */
function Rows({ rows, one, isPast = false }) {
  const { chosen, choose } = useRows(rows.map((row) => row.alarm_id), (id) => narrow({ one: id }), one ?? null);
  useEffect(() => { if (one) choose(one); }, [one]);
  return html`<${Table} rows=${rows} columns=${isPast ? COLUMNS.filter((column) => column.key !== "age") : COLUMNS} rowKey=${(/** @type {Alarm} */ row) => row.alarm_id} label=${t("alarms")} selected=${chosen}
    rowClass=${(/** @type {Alarm} */ row) => (row.state === "unack" && row.priority < "P3" ? `tint ${row.priority.toLowerCase()}` : row.state === "closed" ? "past" : "")} onOpen=${(/** @type {Alarm} */ row) => narrow({ one: row.alarm_id })} />`;
}

/** @type {import("/ui/table.js").Column<Alarm>[]} */
const COLUMNS = [
  { key: "priority", get title() { return t("priority"); }, width: "104px", cell: (one) => html`<span class="signed"><${Mark} p=${one.priority} size=${20} look=${one.state === "closed" ? "off" : one.state === "unack" ? "full" : "hollow"} />${t(one.priority.toLowerCase())}</span>` },
  { key: "what", get title() { return t("alarm"); }, width: "minmax(150px, 1.3fr)", cell: (one) => html`<b>${pick(one.words)}</b>${one.kind === "test" && html` <i class="pill">${t("kind_test")}</i>`}${!one.is_verified && html` <i class="pill p2">${t("doubtful")}</i>`}` },
  { key: "node", get title() { return t("community"); }, width: "minmax(120px, 1.2fr)", cell: (one) => html`<bdi>${one.node_name}</bdi>` },
  { key: "where", get title() { return t("where"); }, width: "minmax(110px, 1fr)", cell: (one) => html`<bdi>${whereIn(one)}</bdi>` },
  { key: "state", get title() { return t("state"); }, width: "120px", cell: (one) => pick(facts.value?.states.get(one.state)) },
  { key: "raised", get title() { return t("raised"); }, width: "124px", cell: (one) => when(one.raised_at) },
  { key: "age", get title() { return t("age"); }, width: "88px", isNumber: true, cell: (one) => (tick.value, stopwatch((nowMs() - Date.parse(one.raised_at)) / 1000)) },
  { key: "case", get title() { return t("case"); }, width: "76px", isNumber: true, cell: (one) => (one.case_id ? html`<a href=${link("cases", one.case_id)} onClick=${(/** @type {Event} */ event) => event.stopPropagation()}>#${one.case_id}</a>` : "") },
];

/** Views one has named; they are kept in this browser, for this person. */
function Saved() {
  const place = `views:${me.value?.name}`;
  const [views, setViews] = useState(/** @type {[string, string][]} */ (read(place)));
  const [name, setName] = useState("");
  const keep = (/** @type {[string, string][]} */ next) => { localStorage.setItem(place, JSON.stringify(next)); setViews(next); };
  return html`<details class="menu saved"><summary class="button">${t("saved_views")}</summary><div class="card">
    ${views.map(([title, address]) => html`<div class="row"><a class="button" href=${address}><bdi>${title}</bdi></a><button aria-label=${`${t("forget")} ${title}`} onClick=${() => keep(views.filter(([other]) => other !== title))}>×</button></div>`)}
    <form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); if (!name.trim()) return; keep([...views.filter(([other]) => other !== name.trim()), [name.trim(), location.hash]]); setName(""); }}>
      <label>${t("view_name")}<input value=${name} maxlength="40" onInput=${(/** @type {any} */ event) => setName(event.currentTarget.value)} /><small>${t("views_here")}</small></label><button class="strong">${t("save_view")}</button></form></div></details>`;
}

/** @param {string} place @returns {[string, string][]} */
function read(place) {
  try {
    return JSON.parse(localStorage.getItem(place) ?? "[]");
  } catch {
    return [];
  }
}
