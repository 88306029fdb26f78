// 统计: alarm load against ISA-18.2 and EEMUA 191, who answered how fast, the worst actors, cases on time, and how much is watched.
import { Mark } from "/ui/shapes.js";
import { dateTime, nowMs, span, when } from "/ui/time.js";
import { html, useMemo } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { Columns, Gauge } from "./chart.js";
import { districts, may, me, nameOf } from "./known.js";
import { Choice, useOne } from "./lists.js";
import { link, narrow, route } from "./route.js";

const DAY_MS = 86_400_000;
const FLOOD = 10;

export function StatisticsPage() {
  const asked = route.value.query;
  const days = Number(asked.days) || 7;
  const place = asked.below ?? "";
  // Whole hours, so that the same question is asked while one looks.
  const start = useMemo(() => new Date(Math.ceil((nowMs() - days * DAY_MS) / 3_600_000) * 3_600_000).toISOString(), [days, Math.floor(nowMs() / 3_600_000)]);
  const query = new URLSearchParams({ start, days: String(days), ...(place ? { node_id: place } : {}) }).toString();
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => narrow({ [name]: value });
  return html`<main class="page statistics"><header class="pagehead"><h1>${t("fleet_page_statistics")}</h1>
      <${Choice} label=${t("fleet_span")} value=${String(days)} choices=${[["1", t("fleet_span_day")], ["7", t("fleet_span_week")], ["30", t("fleet_span_month")]]} onChange=${set("days")} />
      <${Choice} label=${t("fleet_place")} value=${place} choices=${[["", t("fleet_everything")], ...districts.value.map((one) => /** @type {[string, string]} */ ([String(one.id), nameOf(one)]))]} onChange=${set("below")} />
      <span class="space"></span><a class="button" href=${`/api/v1/alarm-statistics.csv?${query}`} download>CSV · ${t("alarms")}</a><a class="button" href=${`/api/v1/nodes/${place || me.value?.scope_id}/coverage.csv`} download>CSV · ${t("fleet_coverage")}</a><button onClick=${() => print()}>${t("fleet_print")}</button></header>
    <${Load} query=${query} start=${start} days=${days} /><div class="halves"><${OnTime} query=${query} /><${Coverage} node=${place || String(me.value?.scope_id)} /></div></main>`;
}

/** @param {{query: string, start: string, days: number}} props */
function Load({ query, start, days }) {
  const { value, problem } = useOne(`/alarm-statistics?${query}`);
  const desks = useOne(`/cases/alarm-load?${query}`);
  if (!value) return html`<p class="quiet pad">${problem || t("fleet_reading")}</p>`;
  return html`<section class="card"><h2 class="sub">${t("fleet_alarm_load")} <small>${t("fleet_isa_source")}</small></h2>
      <dl class="measures">${value.measures.map((/** @type {any} */ one) => html`<div class=${one.verdict}><dt>${pick({ zh: one.label, en: one.label_en })}</dt><dd>${one.value === null ? "—" : one.is_share ? `${(100 * one.value).toFixed(1)}%` : rounded(one.value)}<small>${t("fleet_recommended", { n: one.is_share ? `${100 * one.good}%` : one.good })}${one.verdict === "over" ? ` · ${t("fleet_over_limit")}` : one.verdict === "high" ? ` · ${t("fleet_above_good")}` : ""}</small></dd></div>`)}</dl>
      <${Chart} value=${value} start=${start} days=${days} />
      <p class="quiet">${t("fleet_load_sums", { alarms: value.alarms, times: value.occurrences, false: value.false_alarms, open: value.open })}</p></section>
    <div class="halves"><section class="card"><h2 class="sub">${t("fleet_answered_how")}</h2><table><thead><tr><th>${t("fleet_priority")}</th><th class="number">${t("alarms")}</th><th class="number">${t("fleet_acked")}</th><th class="number">${t("fleet_in_time")}</th><th class="number">${t("fleet_mean")}</th><th class="number">${t("fleet_median")}</th><th class="number">${t("fleet_slowest")}</th></tr></thead>
      <tbody>${value.answered.map((/** @type {any} */ one) => { const part = one.alarms ? one.in_time / one.alarms : null; return html`<tr><td><span class="signed"><${Mark} p=${one.priority} size=${18} look=${one.alarms ? "hollow" : "off"} />${t(one.priority.toLowerCase())}</span></td><td class="number">${one.alarms}</td><td class="number">${one.acknowledged}</td><td class=${`number ${part !== null && part < 0.9 && one.limit_s ? "bad" : ""}`}>${part === null ? "—" : `${Math.round(100 * part)}%`}</td>
        <td class="number">${seconds(one.mean_s)}</td><td class="number">${seconds(one.median_s)}</td><td class="number">${seconds(one.slowest_s)}</td></tr>`; })}</tbody></table>
      ${value.people.length > 0 && html`<h3 class="sub">${t("fleet_per_person")}</h3><table><thead><tr><th>${t("name")}</th><th class="number">${t("fleet_acked")}</th><th class="number">${t("fleet_mean")}</th><th class="number">${t("fleet_most_in_ten")}</th></tr></thead><tbody>${value.people.slice(0, 12).map((/** @type {any} */ one) => html`<tr><td><bdi>${one.name}</bdi></td><td class="number">${one.acknowledged}</td><td class="number">${seconds(one.mean_s)}</td><td class=${`number ${one.most_in_period > FLOOD ? "bad" : ""}`}>${one.most_in_period}</td></tr>`)}</tbody></table>`}</section>
    <section class="card"><h2 class="sub">${t("fleet_worst_actors")}</h2>${value.actors.length === 0 ? html`<p class="quiet">${t("fleet_none_in_span")}</p>` : html`<table><tbody>${value.actors.slice(0, 10).map((/** @type {any} */ one) => html`<tr><td class="wide"><a href=${link("gateways", one.gateway_id)}><bdi>${one.community}</bdi></a><small>${one.device_id} · ${pick({ zh: one.label, en: one.label_en })}</small></td><td class="barcell"><span class="lengths"><i style=${{ width: `${(100 * one.times) / value.actors[0].times}%` }}></i></span></td><td class="number"><b>${one.times}</b><small>${(100 * one.share).toFixed(1)}%</small></td></tr>`)}</tbody></table>`}</section></div>
    ${desks.value && desks.value.length > 0 && html`<section class="card"><h2 class="sub">${t("fleet_desk_load")} <small>${t("fleet_desk_hint")}</small></h2><div class="scroll short"><table><thead><tr><th>${t("fleet_community")}</th><th class="number">${t("alarms")}</th><th class="number">${t("fleet_per_hour")}</th><th class="number">${t("fleet_most_in_ten")}</th><th class="number">${t("fleet_flood_time")}</th><th class="number">${t("fleet_stale_alarms")}</th><th>${t("fleet_verdict")}</th></tr></thead>
      <tbody>${desks.value.slice(0, 50).map((/** @type {any} */ one) => html`<tr><td><bdi>${one.name}</bdi></td><td class="number">${one.alarms}</td><td class="number">${one.per_hour.toFixed(2)}</td><td class=${`number ${one.worst_10_min > FLOOD ? "bad" : ""}`}>${one.worst_10_min}</td><td class="number">${(100 * one.flood_share).toFixed(2)}%</td><td class=${`number ${one.stale ? "warn" : ""}`}>${one.stale}</td><td class=${one.verdict === "good" ? "" : "bad"}>${t(`fleet_verdict_${one.verdict}`)}</td></tr>`)}</tbody></table></div></section>`}`;
}

/** @param {{value: any, start: string, days: number}} props */
function Chart({ value, start, days }) {
  const from = Date.parse(start);
  // A month of ten minutes does not fit into the width: the worst of each hour is drawn.
  const join = days > 7 ? 6 : days > 1 ? 3 : 1;
  const joined = Array.from({ length: Math.ceil(value.periods.length / join) }, (_, at) => Math.max(...value.periods.slice(at * join, (at + 1) * join)));
  const perDay = 144 / join;
  const marks = days === 1 ? 6 : Math.min(days, 10);
  const whole = days === 1 ? joined.length : days * perDay;
  const padded = [...joined, ...Array.from({ length: Math.max(0, Math.round(whole) - joined.length) }, () => 0)];
  const labels = Array.from({ length: marks }, (_, n) => /** @type {[number, string]} */ ([(padded.length * (n + 0.5)) / marks, days === 1 ? dateTime(from + (DAY_MS * (n + 0.5)) / marks).slice(11, 16) : dateTime(from + (days * DAY_MS * (n + 0.5)) / marks).slice(5, 10)]));
  return html`<figure><figcaption class="quiet">${t("fleet_per_ten", { span: join === 1 ? "" : t("fleet_worst_of", { n: join * 10 }) })}</figcaption><${Columns} values=${padded} labels=${labels} limit=${FLOOD} limitWords=${t("fleet_flood_line", { n: FLOOD })} label=${t("fleet_chart_label", { most: Math.max(0, ...value.periods), n: value.alarms })} /></figure>`;
}

/** @param {{query: string}} props */
function OnTime({ query }) {
  const { value, problem } = useOne(may("read_statistics") ? `/cases/statistics?${query}` : null);
  const rows = useMemo(() => (value ?? []).map((/** @type {any} */ one) => ({ ...one, kept: one.stages.reduce((/** @type {number} */ n, /** @type {any} */ row) => n + row.kept, 0), missed: one.stages.reduce((/** @type {number} */ n, /** @type {any} */ row) => n + row.missed, 0) })), [value]);
  return html`<section class="card"><h2 class="sub">${t("fleet_on_time")}</h2>${!value ? html`<p class="quiet">${problem || t("fleet_reading")}</p>` : rows.length === 0 ? html`<p class="quiet">${t("fleet_no_cases_in_span")}</p>` : html`<table><thead><tr><th>${t("fleet_place")}</th><th class="number">${t("fleet_cases")}</th><th class="number">${t("fleet_closed_cases")}</th><th class="number">${t("fleet_overdue_deadlines")}</th><th>${t("fleet_on_time_rate")}</th></tr></thead>
    <tbody>${rows.map((/** @type {any} */ one) => { const part = one.kept + one.missed ? one.kept / (one.kept + one.missed) : null; return html`<tr><td><details><summary><bdi>${one.name}</bdi></summary><ul class="plainlist">${one.stages.map((/** @type {any} */ row) => html`<li>${t(`fleet_stage_${row.stage}`)} ${row.on_time === null ? "—" : `${Math.round(100 * row.on_time)}%`} · ${t("fleet_mean")} ${seconds(row.mean_s)}</li>`)}</ul></details></td><td class="number">${one.opened}</td><td class="number">${one.closed}</td><td class=${`number ${one.missed ? "bad" : ""}`}>${one.missed}</td><td><${Gauge} value=${part} target=${0.9} isMet=${part === null ? null : part >= 0.9} /></td></tr>`; })}</tbody></table>`}</section>`;
}

/** @param {{node: string}} props */
function Coverage({ node }) {
  const { value, problem } = useOne(`/nodes/${node}/coverage`);
  return html`<section class="card"><h2 class="sub">${t("fleet_coverage")} ${value && html`<small>${value.month}</small>`}</h2>${!value ? html`<p class="quiet">${problem || t("fleet_reading")}</p>` : html`<table><tbody>${value.total.indicators.map((/** @type {any} */ one) => html`<tr><td>${pick({ zh: one.label, en: one.label_en })}</td><td><${Gauge} value=${one.value} target=${one.target} isMet=${one.is_met} /></td><td class="number quiet">${one.target === null ? "" : `≥ ${100 * one.target}%`}</td></tr>`)}</tbody></table>
    <details><summary>${t("fleet_by_community", { n: value.communities.length })}</summary><div class="scroll short"><table><tbody>${[...value.communities].sort((a, b) => rate(a) - rate(b)).slice(0, 100).map((/** @type {any} */ one) => html`<tr><td><bdi>${one.name}</bdi></td><td class="number">${one.counts.devices_online}/${one.counts.devices}</td><td>${["gas", "lift", "sos", "throw"].map((sense) => html`<i class=${`pill ${one.counts[sense] ? "" : "dashed"}`}>${t(`fleet_category_${sense}`)}${one.counts[sense] ? "" : ` ${t("fleet_missing")}`}</i> `)}</td></tr>`)}</tbody></table></div></details>
    <p class="quiet">${t("as_of", { at: when(nowMs()) })}</p>`}</section>`;
}

/** @param {any} one */
const rate = (one) => (one.counts.devices ? one.counts.devices_online / one.counts.devices : -1);
/** @param {number} n */
const rounded = (n) => (Number.isInteger(n) ? String(n) : n.toFixed(2));
/** @param {number | null} s */
const seconds = (s) => (s === null ? "—" : s < 60 ? t("span_s", { s: s.toFixed(s < 10 ? 1 : 0) }) : span(s));
