// 案件: the board. A column for each step, what is overdue above all of them, and how long each has.
import { Mark } from "/ui/shapes.js";
import { nowMs, span, tick, when } from "/ui/time.js";
import { html } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { facts, isStale, lights, me, news, nameOf, districts, PRIORITIES } from "./known.js";
import { Choice, ListFoot, useCalm, useList, useRows } from "./lists.js";
import { go, link, narrow, route } from "./route.js";
import { Lamp } from "./signs.js";

/**
 * @typedef {{id: number, number: string, community: string, kind: string, code: string, priority: import("./known.js").Priority, step: string, light: "green" | "yellow" | "red" | null,
 *   due_at: string | null, opened_at: string, revision: number, is_open: boolean, unit: string, outcome: string | null, merged_into: number | null, is_injury: boolean, rounds: number, score: number | null}} Case
 */

const STEPS = ["collected", "filed", "dispatched", "handling", "feedback"];

/** Of one column; the tightest stand on top. */
const MOST_CARDS = 60;

/** The light as it is at this second, not as it was when the list was read. @param {Case} one @returns {Case["light"]} */
export function lightNow(one) {
  if (one.light && one.due_at && nowMs() > Date.parse(one.due_at)) return "red";
  return one.light;
}

export function CasesPage() {
  const asked = route.value.query;
  const isPast = asked.which === "closed";
  const change = useCalm(news.value.case);
  const list = useList(`/cases?${new URLSearchParams({ is_open: String(!isPast), ...pickOf(asked, ["light", "priority", "kind"]), ...(asked.below ? { node_id: asked.below } : {}), ...(asked.mine ? { mine: "true" } : {}) })}`, { isWhole: !isPast, on: change });
  const any = /** @type {[string, string]} */ (["", t("fleet_any")]);
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) => narrow({ [name]: value });
  const rows = /** @type {Case[]} */ (list.rows);
  return html`<main class="page cases"><header class="pagehead"><h1>${t("fleet_page_cases")}</h1>
      <div class="tabs" role="group" aria-label=${t("fleet_which_cases")}><button aria-pressed=${!isPast} onClick=${() => narrow({ which: null })}>${t("fleet_open_cases")}</button><button aria-pressed=${isPast} onClick=${() => narrow({ which: "closed", light: null })}>${t("fleet_closed_cases")}</button></div>
      ${lights.value && !isPast && html`<div class="lightbar" role="group" aria-label=${t("fleet_case_lights")}>${["red", "yellow", "green"].map((light) => html`<button aria-pressed=${asked.light === light} onClick=${() => narrow({ light: asked.light === light ? null : light })}><i class=${`lamp ${light === "green" ? "off" : light}`}></i>${t(`fleet_light_${light}`)} <b>${/** @type {any} */ (lights.value)[light]}</b></button>`)}</div>`}
      <span class="space"></span><a class="button" href=${`/api/v1/cases/export.csv?is_open=${!isPast}`} download>CSV</a><button onClick=${() => print()}>${t("fleet_print")}</button></header>
    <div class="filters"><${Choice} label=${t("fleet_priority")} value=${asked.priority ?? ""} choices=${[any, ...PRIORITIES.map((p) => [p, t(p.toLowerCase())])]} onChange=${set("priority")} />
      <${Choice} label=${t("fleet_case_kind")} value=${asked.kind ?? ""} choices=${[any, ...["danger", "upkeep", "preventive"].map((one) => [one, t(`fleet_case_kind_${one}`)])]} onChange=${set("kind")} />
      <${Choice} label=${t("fleet_place")} value=${asked.below ?? ""} choices=${[any, ...districts.value.map((one) => [String(one.id), nameOf(one)])]} onChange=${set("below")} />
      <${Choice} label=${t("fleet_whose")} value=${asked.mine ?? ""} choices=${[["", t("fleet_everybodys")], ["1", `${t("fleet_mine")} · ${me.value?.full_name}`]]} onChange=${set("mine")} /></div>
    ${isPast ? html`<${Past} list=${list} />` : list.isRead || rows.length ? html`<${Board} rows=${rows} />` : html`<${ListFoot} list=${list} none=${t("fleet_no_cases")} />`}</main>`;
}

/** @param {Record<string, string>} from @param {string[]} names */
const pickOf = (from, names) => Object.fromEntries(names.filter((name) => from[name]).map((name) => [name, from[name]]));

/** @param {{rows: Case[]}} props */
function Board({ rows }) {
  tick.value;
  const late = rows.filter((one) => lightNow(one) === "red");
  const rest = rows.filter((one) => lightNow(one) !== "red");
  const columns = STEPS.map((step) => ({ step, inside: rest.filter((one) => one.step === step) }));
  const order = [...late, ...columns.flatMap((column) => column.inside)].map((one) => String(one.id));
  const { chosen } = useRows(order, (id) => go(link("cases", id)));
  return html`${late.length > 0 && html`<section class="late" aria-label=${t("fleet_overdue_cases")}><header class="listhead"><h2><i class="lamp red"></i> ${t("fleet_overdue_cases")} ${late.length}</h2><span class="quiet">${t("fleet_overdue_hint")}</span></header>
      <ul class="cards across">${late.slice(0, MOST_CARDS).map((one) => html`<${Card} key=${one.id} one=${one} isOn=${chosen === String(one.id)} hasStep />`)}</ul></section>`}
    <div class="board">${columns.map(({ step, inside }, at) => html`<section class="column" aria-label=${pick(facts.value?.steps.get(step))}><header><i>${at + 1}</i><h2>${pick(facts.value?.steps.get(step))}</h2><b>${inside.length}</b></header>
      <ul class="cards">${inside.slice(0, MOST_CARDS).map((one) => html`<${Card} key=${one.id} one=${one} isOn=${chosen === String(one.id)} />`)}</ul>${inside.length > MOST_CARDS && html`<p class="quiet none">${t("and_more", { n: inside.length - MOST_CARDS })}</p>`}${!inside.length && html`<p class="quiet none">${t("fleet_no_case_here")}</p>`}</section>`)}</div>`;
}

/** @param {{one: Case, isOn: boolean, hasStep?: boolean}} props */
function Card({ one, isOn, hasStep = false }) {
  const light = lightNow(one);
  return html`<li class=${`casecard ${light ?? ""} ${isOn ? "on" : ""}`}><a href=${link("cases", one.id)}><span class="line"><${Mark} p=${one.priority} size=${20} look="hollow" /><b>${labelOf(one)}</b><span class="space"></span>${one.is_injury && html`<i class="pill p1">${t("fleet_injury")}</i>`}${one.rounds > 1 && html`<i class="pill">${t("fleet_round", { n: one.rounds })}</i>`}</span>
    <span class="where"><bdi>${one.community}</bdi></span><span class="line small"><span class="number">${one.number}</span>${hasStep && html`<span class="pill">${pick(facts.value?.steps.get(one.step))}</span>`}<span class="space"></span>${one.unit && !one.unit.startsWith(one.community) && html`<bdi class="unit">${one.unit}</bdi>`}</span>
    <${Countdown} one=${one} /></a></li>`;
}

/** @param {{code: string, kind: string}} one */
export function labelOf(one) {
  return pick(facts.value?.codes.get(one.code)?.words) || (one.kind === "preventive" ? t("fleet_case_kind_preventive") : one.code);
}

/** Time left until the next deadline, or since it. @param {{one: Case}} props */
export function Countdown({ one }) {
  if (!one.due_at || isStale.value) return html`<span class="line small"><${Lamp} light=${isStale.value ? null : lightNow(one)} /></span>`;
  const left = Date.parse(one.due_at) - nowMs();
  return html`<span class="line small count"><${Lamp} light=${lightNow(one)} /><span class="space"></span><b>${left >= 0 ? t("fleet_time_left", { s: span(left / 1000) }) : t("fleet_time_over", { s: span(-left / 1000) })}</b></span>`;
}

/** @param {{list: any}} props */
function Past({ list }) {
  return html`<div class="scroll"><table><thead><tr><th>${t("fleet_number")}</th><th>${t("fleet_alarm")}</th><th>${t("fleet_community")}</th><th>${t("fleet_step")}</th><th>${t("fleet_opened")}</th><th>${t("fleet_outcome")}</th><th class="number">${t("fleet_score")}</th></tr></thead>
    <tbody>${list.rows.map((/** @type {Case} */ one) => html`<tr key=${one.id}><td><a href=${link("cases", one.id)}>${one.number}</a></td><td><span class="signed"><${Mark} p=${one.priority} size=${18} look="off" />${labelOf(one)}</span></td><td><bdi>${one.community}</bdi></td>
      <td>${one.merged_into ? t("fleet_merged_into", { n: one.merged_into }) : pick(facts.value?.steps.get(one.step))}</td><td>${when(one.opened_at)}</td><td>${one.outcome ? t(`fleet_disposition_${one.outcome}`) : ""}</td><td class="number">${one.score ?? ""}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_no_cases")} /></div>`;
}
