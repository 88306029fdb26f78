// 审计: who did what, in a chain of hashes; whether the chain is whole is shown above it.
import { Icon } from "/ui/shapes.js";
import { dateTime } from "/ui/time.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { ListFoot, useList, useOne } from "./lists.js";
import { narrow, route } from "./route.js";

const FILTERS = ["actor", "action", "subject"];

export function AuditPage() {
  const asked = route.value.query;
  const query = new URLSearchParams(FILTERS.filter((name) => asked[name]).map((name) => [name, asked[name]])).toString();
  const list = useList(`/audit${query && `?${query}`}`, { limit: 100 });
  const verdict = useOne("/audit/verdict");
  return html`<main class="page audit"><header class="pagehead"><h1>${t("fleet_page_audit")}</h1><${Chain} one=${verdict} /><span class="space"></span><a class="button" href="/api/v1/audit/export" download="audit.jsonl">${t("fleet_export_lines")}</a><button onClick=${() => print()}>${t("fleet_print")}</button></header>
    <div class="filters">${FILTERS.map((name) => html`<label class="choice">${t(`fleet_audit_${name}`)}<input type="search" value=${asked[name] ?? ""} onChange=${(/** @type {any} */ event) => narrow({ [name]: event.currentTarget.value.trim() })} /></label>`)}</div>
    <div class="scroll"><table><thead><tr><th class="number">#</th><th>${t("fleet_time")}</th><th>${t("fleet_audit_actor")}</th><th>${t("fleet_audit_action")}</th><th>${t("fleet_audit_subject")}</th><th>${t("fleet_details")}</th><th>${t("fleet_station")}</th><th>${t("fleet_hash")}</th></tr></thead><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${one.seq} class=${one.is_done ? "" : "refused"}><td class="number">${one.seq}</td><td>${dateTime(one.at)}</td><td><b><bdi>${one.actor}</bdi></b> <small><bdi>${one.unit}</bdi></small></td><td><code>${one.action}</code>${one.is_done ? "" : html` <i class="pill p2">${t("fleet_refused")}</i>`}</td><td><bdi>${one.subject}</bdi></td><td class="wide"><small><bdi>${said(one.detail)}</bdi></small></td><td>${one.station}</td><td><code title=${one.hash}>${one.hash.slice(0, 10)}</code></td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_nothing_audited")} /></div></main>`;
}

/** @param {{one: {value: any, problem: string, again: () => void}}} props */
function Chain({ one }) {
  if (!one.value) return html`<span class="quiet">${one.problem || t("fleet_chain_checking")}</span>`;
  const { is_whole: isWhole, entries, head_hash: head, broken_at: broken } = one.value;
  return html`<span class=${`chain ${isWhole ? "" : "bad"}`} role="status"><${Icon} name=${isWhole ? "check" : "close"} /><b>${isWhole ? t("fleet_chain_whole", { n: entries }) : t("fleet_chain_broken", { n: broken })}</b><code title=${head}>${t("fleet_chain_head")} ${head.slice(0, 12)}…</code><button class="small" onClick=${one.again}>${t("fleet_check_again")}</button></span>`;
}

/** Details are kept as JSON; people read pairs. @param {string} detail */
function said(detail) {
  try {
    return Object.entries(JSON.parse(detail || "{}")).map(([name, value]) => `${name} ${value}`).join(" · ");
  } catch {
    return detail;
  }
}
