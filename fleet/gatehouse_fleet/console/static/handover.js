// 交接单: what the next operator has to know, on one sheet to sign; printed from here. It says as of when.
import { ask } from "/ui/api.js";
import { dateTime, nowMs, when } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { whereIn } from "./alarm_card.js";
import { labelOf, lightNow } from "./cases.js";
import { byGateway, communities, facts, gatewayCount, isKnown, isStale, heardMs, may, me, nameOf, ofGateway, shown, silent } from "./known.js";

const MOST = 60;

export function HandOverPage() {
  const [cases, setCases] = useState(/** @type {import("./cases.js").Case[] | null} */ (null));
  useEffect(() => { if (may("read_cases")) ask("GET", "/cases?limit=500").then((page) => setCases(page.items), () => {}); }, []);
  if (!isKnown.value) return html`<main class="page"><p class="quiet pad">${t("fleet_reading")}</p></main>`;
  const urgent = shown.value.filter((one) => one.priority < "P3");
  const late = (cases ?? []).filter((one) => lightNow(one) === "red");
  const rest = (cases ?? []).filter((one) => lightNow(one) !== "red");
  return html`<main class="page handover"><header class="pagehead"><h1>${t("fleet_page_handover")}</h1><span class="space"></span><button class="strong" onClick=${() => print()}>${t("fleet_print")} </button></header>
    <article class="sheet"><header><h2>${t("fleet_title")} · ${t("fleet_page_handover")}</h2><p>${me.value?.unit} · <bdi>${me.value?.full_name}</bdi> · ${isStale.value ? t("as_of", { at: dateTime(heardMs.value) }) : dateTime(nowMs())} (${facts.value?.time_zone})</p>
        <p>${t("fleet_sheet_sums", { communities: communities.value.size, gateways: gatewayCount.value, silent: silent.value.length, alarms: shown.value.length, cases: cases?.length ?? "–", late: late.length })}</p></header>
      <h3>1 ${t("fleet_silent_gateways")} (${silent.value.length})</h3>${silent.value.length === 0 ? html`<p>${t("fleet_sheet_none")}</p>` : html`<table><thead><tr><th>${t("fleet_community")}</th><th>${t("fleet_gateway")}</th><th>${t("fleet_last_heard")}</th><th>${t("fleet_last_known")}</th></tr></thead><tbody>${silent.value.slice(0, MOST).map((mark) => html`<tr><td><bdi>${nameOf(byGateway.value.get(mark.id))}</bdi></td><td>${mark.id}</td><td>${dateTime(mark.last_contact_at)}</td><td>${(ofGateway.value.get(mark.id) ?? []).slice(0, 4).map((one) => `${one.priority} ${pick(one.words)}`).join("；") || t("fleet_had_none")}</td></tr>`)}</tbody></table>`}
      ${may("read_alarms") && html`<h3>2 ${t("fleet_sheet_urgent")} (${urgent.length})</h3>${urgent.length === 0 ? html`<p>${t("fleet_sheet_none")}</p>` : html`<table><thead><tr><th>${t("fleet_priority")}</th><th>${t("fleet_alarm")}</th><th>${t("fleet_community")}</th><th>${t("fleet_where")}</th><th>${t("state")}</th><th>${t("fleet_raised")}</th></tr></thead><tbody>${urgent.slice(0, MOST).map((one) => html`<tr><td>${one.priority} ${t(one.priority.toLowerCase())}</td><td>${pick(one.words)}</td><td><bdi>${one.node_name}</bdi></td><td><bdi>${whereIn(one)}</bdi></td><td>${pick(facts.value?.states.get(one.state))}</td><td>${when(one.raised_at)}</td></tr>`)}</tbody></table>`}${urgent.length > MOST && html`<p>${t("and_more", { n: urgent.length - MOST })}</p>`}`}
      ${cases && html`<h3>3 ${t("fleet_overdue_cases")} (${late.length})</h3><${Cases} rows=${late} /><h3>4 ${t("fleet_sheet_other_cases")} (${rest.length})</h3><${Cases} rows=${rest.slice(0, MOST)} />`}
      <dl class="signing">${["fleet_sheet_notes", "fleet_sheet_from", "fleet_sheet_to", "fleet_sheet_at"].map((key) => html`<div class=${key}><dt>${t(key)}</dt><dd></dd></div>`)}</dl></article></main>`;
}

/** @param {{rows: import("./cases.js").Case[]}} props */
function Cases({ rows }) {
  if (!rows.length) return html`<p>${t("fleet_sheet_none")}</p>`;
  return html`<table><thead><tr><th>${t("fleet_number")}</th><th>${t("fleet_alarm")}</th><th>${t("fleet_community")}</th><th>${t("fleet_step")}</th><th>${t("fleet_unit_name")}</th><th>${t("fleet_due_at")}</th></tr></thead><tbody>${rows.map((one) => html`<tr><td>${one.number}</td><td>${one.priority} ${labelOf(one)}</td><td><bdi>${one.community}</bdi></td><td>${pick(facts.value?.steps.get(one.step))}</td><td><bdi>${one.unit}</bdi></td><td>${one.due_at ? dateTime(one.due_at) : ""}</td></tr>`)}</tbody></table>`;
}
