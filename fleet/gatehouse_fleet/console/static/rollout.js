// One rollout: its stages with the gate between them, every gateway and why it is where it is; halt, go on, back, end.
import { ask } from "/ui/api.js";
import { confirm } from "/ui/dialog.js";
import { listen } from "/ui/keys.js";
import { span, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useEffect } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { isStale, may, news } from "./known.js";
import { ListFoot, useCalm, useList, useOne } from "./lists.js";
import { countOf, halt, Halt, Phase, Progress } from "./releases.js";
import { link } from "./route.js";

/** @typedef {{gateway_id: string, stage: number, wanted: number, former: number | null, standing: string, why: string, why_zh: string, why_en: string, detail: string, ordered_at: string | null}} Member */

/** @param {{id: string}} props */
export function RolloutPage({ id }) {
  const change = useCalm(news.value.rollout, 1000);
  const { value, problem, again } = useOne(`/config-rollouts/${Number(id)}`, change);
  const list = useList(`/config-rollouts/${Number(id)}/gateways`, { isWhole: true, on: change, limit: 500 });
  const canStop = value?.phase === "running" && may("manage_configs");
  useEffect(() => listen([{ key: "h", words: t("fleet_halt"), does: () => { if (canStop) halt(value, again); } }]), [canStop, value?.id]);
  if (problem && !value) return html`<main class="page"><div class="empty"><b>${problem}</b><a class="button" href=${link("releases")}>${t("fleet_page_releases")}</a></div></main>`;
  if (!value) return html`<main class="page"><p class="quiet pad">${t("fleet_reading")}</p></main>`;
  return html`<main class="page rollout"><header class="pagehead"><a class="button" href=${link("releases")} aria-label=${t("fleet_page_releases")}>←</a><h1>#${value.id} <bdi>${value.reason}</bdi> <small><bdi>${value.author.name}</bdi> · ${when(value.made_at)}</small></h1><${Phase} phase=${value.phase} /><span class="space"></span><${Acts} value=${value} again=${again} /></header>
    ${value.phase === "stopped" && html`<p class="banner alarm" role="status">${t("fleet_stopped_itself", { n: countOf(value, "failed"), most: value.max_failures })}</p>`}
    <${Progress} one=${value} /><${Stages} value=${value} members=${/** @type {Member[]} */ (list.rows)} />
    <p class="quiet">${t("fleet_gate_hint", { most: value.max_failures, answer: span(value.answer_within_s), confirm: span(value.confirm_within_s) })}</p>
    <div class="scroll"><table><thead><tr><th class="number">${t("fleet_stage")}</th><th>${t("fleet_gateway")}</th><th>${t("fleet_standing")}</th><th>${t("fleet_why")}</th><th class="number">${t("fleet_former")}</th><th class="number">${t("fleet_wanted")}</th><th>${t("fleet_ordered_at")}</th></tr></thead><tbody>
      ${ordered(/** @type {Member[]} */ (list.rows)).map((one) => html`<tr key=${one.gateway_id} class=${one.standing === "failed" || one.standing === "not_returned" ? "failed" : ""}><td class="number">${one.stage + 1}</td><td><a href=${link("gateways", one.gateway_id, { tab: "configs" })}>${one.gateway_id}</a></td><td><i class=${`swatch ${one.standing}`}></i>${t(`fleet_standing_${one.standing}`)}</td>
        <td>${pick({ zh: one.why_zh, en: one.why_en })}${one.detail ? html` <small><bdi>${one.detail}</bdi></small>` : ""}</td><td class="number">${one.former ?? t("fleet_local_file")}</td><td class="number">${one.wanted}</td><td>${one.ordered_at ? when(one.ordered_at) : ""}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none="" /></div></main>`;
}

/** Those that failed first. @param {Member[]} rows */
const ordered = (rows) => [...rows].sort((a, b) => Number(b.standing === "failed" || b.standing === "not_returned") - Number(a.standing === "failed" || a.standing === "not_returned"));

/** @param {{value: import("./releases.js").Rollout, members: Member[]}} props */
function Stages({ value, members }) {
  const now = value.stages.findIndex((_, at) => members.some((one) => one.stage === at && !["confirmed", "failed", "returned", "spared"].includes(one.standing)));
  return html`<ol class="stages">${value.stages.map((n, at) => {
    const mine = members.filter((one) => one.stage === at);
    const count = (/** @type {string} */ standing) => mine.filter((one) => one.standing === standing).length;
    const isThrough = mine.length > 0 && mine.every((one) => one.standing === "confirmed" || one.standing === "failed");
    return html`<li class=${`card stagecard ${at === now ? "now" : ""}`}><b>${t("fleet_stage_n", { n: at + 1 })}</b><span>${t("fleet_n_gateways", { n })}</span><span class="quiet">${t("fleet_confirmed_of", { n: count("confirmed"), all: n })}${count("failed") ? html` · <b class="bad">${t("fleet_failed_n", { n: count("failed") })}</b>` : ""}</span>
      ${at < value.stages.length - 1 && html`<span class=${`gate ${isThrough ? "open" : ""}`} aria-label=${t(isThrough ? "fleet_gate_open" : "fleet_gate_shut")}>${t(isThrough ? "fleet_gate_open" : "fleet_gate_shut")}</span>`}</li>`;
  })}</ol>`;
}

/** @param {{value: import("./releases.js").Rollout, again: () => void}} props */
function Acts({ value, again }) {
  if (!may("manage_configs")) return null;
  const act = (/** @type {string} */ name) => ask("POST", `/config-rollouts/${value.id}/${name}`, {}).then(() => { toast(t("fleet_done_now")); again(); }, refusal);
  const sure = async (/** @type {string} */ name, /** @type {string} */ title, /** @type {string} */ text) => { if (await confirm(title, { text, done: title, isDanger: true })) act(name); };
  const { phase } = value;
  return html`<${Halt} one=${value} again=${again} />${phase === "paused" && html`<button class="strong" disabled=${isStale.value} onClick=${() => act("resume")}>${t("fleet_resume")}</button>`}
    ${["running", "paused", "stopped", "done"].includes(phase) && html`<button disabled=${isStale.value} onClick=${() => sure("roll-back", t("fleet_roll_back"), t("fleet_roll_back_hint"))}>${t("fleet_roll_back")}</button>`}
    ${["paused", "stopped"].includes(phase) && html`<button disabled=${isStale.value} onClick=${() => sure("end", t("fleet_end_rollout"), t("fleet_end_hint"))}>${t("fleet_end_rollout")}</button>`}`;
}
