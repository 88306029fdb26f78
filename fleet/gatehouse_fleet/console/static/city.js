// 城市平台: how each platform stands, what is parked there, and the webhooks.
import { ask } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { isStale, news } from "./known.js";
import { ListFoot, useCalm, useList, useOne } from "./lists.js";
import { link } from "./route.js";

export function CityPage() {
  const { value, problem, again } = useOne("/city/targets", useCalm(news.value.city, 3000));
  const hooks = useOne("/webhooks");
  return html`<main class="page city"><header class="pagehead"><h1>${t("fleet_page_city")}</h1><span class="quiet">${t("fleet_city_hint")}</span></header>
    ${!value ? html`<p class="quiet pad">${problem || t("fleet_reading")}</p>` : value.length === 0 ? html`<div class="empty"><b>${t("fleet_no_targets")}</b></div>` : html`<ul class="targets">${value.map((/** @type {any} */ one) => html`<${Target} key=${one.id} one=${one} again=${again} />`)}</ul>`}
    <h2 class="sub">${t("fleet_webhooks")}</h2>${hooks.value && hooks.value.length > 0 ? html`<table><thead><tr><th>${t("name")}</th><th>${t("state")}</th><th>${t("fleet_last_delivered")}</th><th class="number">${t("fleet_failures")}</th><th>${t("fleet_last_error")}</th></tr></thead><tbody>${hooks.value.map((/** @type {any} */ one) => html`<tr><td><b>${one.name}</b></td><td>${one.parked_at ? html`<b class="bad">${t("fleet_target_stopped")}</b>` : one.failing_since ? html`<span class="warn">${t("fleet_failing_since", { at: when(one.failing_since) })}</span>` : t("fleet_target_running")}</td><td>${one.delivered_at ? when(one.delivered_at) : "—"}</td><td class="number">${one.failures}</td><td><bdi>${one.last_error ?? ""}</bdi></td></tr>`)}</tbody></table>` : html`<p class="quiet">${hooks.problem || t("fleet_no_webhooks")}</p>`}</main>`;
}

/** @param {{one: any, again: () => void}} props */
function Target({ one, again }) {
  const [isOpen, setOpen] = useState(false);
  const turn = async (/** @type {string} */ what) => {
    const said = await askFor(t(`fleet_target_${what}`), { reason: { label: t("reason") } });
    if (said) ask("POST", `/city/targets/${one.id}/${what}`, said).then(() => { toast(t("fleet_done_now")); again(); }, refusal);
  };
  const isWell = one.state === "running" && !one.trouble;
  return html`<li class=${`card target ${isWell ? "" : "ill"}`}><header class="line"><h2><bdi>${one.title}</bdi> <small>${one.id}</small></h2><span class="space"></span><b class=${isWell ? "" : "bad"}>${t(`fleet_target_${one.state}`)}</b></header>
    ${one.trouble && html`<p class="banner">${t("fleet_trouble_since", { at: when(one.trouble_since) })}：<bdi>${one.trouble}</bdi></p>`}${one.state !== "running" && html`<p class="banner"><bdi>${one.state_reason}</bdi> · <bdi>${one.state_by}</bdi> · ${when(one.state_at)}</p>`}
    <dl class="figures"><div><dd>${one.received}</dd><dt>${t("fleet_receipts")}</dt></div><div class=${one.entries_behind > 100 ? "bad" : ""}><dd>${one.entries_behind}</dd><dt>${t("fleet_entries_behind")}</dt></div><div class=${one.parked ? "bad" : ""}><dd>${one.parked}</dd><dt>${t("fleet_parked")}</dt></div><div><dd class="small">${one.last_receipt_at ? when(one.last_receipt_at) : "—"}</dd><dt>${t("fleet_last_receipt")}</dt></div></dl>
    <div class="buttons start">${one.state === "running" ? html`<button disabled=${isStale.value} onClick=${() => turn("pause")}>${t("fleet_target_pause")}</button>` : html`<button class="strong" disabled=${isStale.value} onClick=${() => turn("resume")}>${t("fleet_target_resume")}</button>`}
      ${one.parked > 0 && html`<button aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}>${t("fleet_show_parked")}</button><button disabled=${isStale.value} onClick=${() => ask("POST", `/city/targets/${one.id}/retry`).then((found) => { toast(t("fleet_retrying", { n: found.wanted })); again(); }, refusal)}>${t("fleet_retry_all")}</button>`}</div>
    ${isOpen && html`<${Parked} id=${one.id} />`}</li>`;
}

/** @param {{id: string}} props */
function Parked({ id }) {
  const list = useList(`/city/targets/${id}/parked`, { limit: 50 });
  return html`<div class="scroll"><table><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${one.event_id}><td><a href=${link("trace", one.alarm_id)}>${t("fleet_page_trace")}</a></td><td>${one.gateway_id}</td><td>${when(one.parked_at)}</td><td><b>${one.reason}</b> <bdi>${one.detail}</bdi></td><td class="number">${t("fleet_tries", { n: one.tries })}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_none_parked")} /></div>`;
}
