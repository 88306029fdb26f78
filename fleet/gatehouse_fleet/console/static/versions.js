// Configurations of one gateway: what it is to run, what it says it runs, every version, and what differs between two of them.
import { when } from "/ui/time.js";
import { html, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { may, news } from "./known.js";
import { ListFoot, useCalm, useList, useOne } from "./lists.js";
import { link } from "./route.js";

/** @param {{id: string}} props */
export function Versions({ id }) {
  const change = useCalm(news.value.rollout, 3000);
  const { value: state } = useOne(`/gateways/${id}/config`, change);
  const list = useList(`/gateways/${id}/config-versions`, { on: change, limit: 50 });
  const [pair, choose] = useState(/** @type {[number, number] | null} */ (null));
  // Texts name residents: who may not read these is not offered the difference.
  const canRead = may("manage_configs") && may("read_personal");
  return html`${state && html`<p class=${`agreement ${state.agreement}`}>${t(`fleet_agreement_${state.agreement}`)}${state.wanted ? ` · ${t("fleet_wanted_version", { n: state.wanted })}` : ""}${state.reported ? ` · ${t("fleet_reported_version", { n: state.reported })}` : ""}${state.rollout_id ? html` · <a href=${link("releases", state.rollout_id)}>${t("fleet_rollout")} ${state.rollout_id}</a>` : ""}</p>`}
    <div class="halves"><div class="scroll"><table><thead><tr><th class="number">${t("fleet_version")}</th><th>${t("fleet_made")}</th><th>${t("by")}</th><th>${t("reason")}</th><th></th></tr></thead><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${one.number}><td class="number"><b>${one.number}</b></td><td>${when(one.made_at)}</td><td><bdi>${one.author.name}</bdi></td><td><bdi>${one.reason}</bdi>${one.template ? html` <i class="pill">${one.template}</i>` : ""}</td>
      <td class="acts">${canRead && one.number > 1 && html`<button class="small" aria-pressed=${pair?.[1] === one.number} onClick=${() => choose([one.number - 1, one.number])}>${t("fleet_difference")}</button>`}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_no_versions")} /></div>
      ${pair && html`<${Difference} id=${id} pair=${pair} />`}</div>`;
}

/** @param {{id: string, pair: [number, number]}} props */
function Difference({ id, pair }) {
  const { value, problem } = useOne(`/gateways/${id}/config-difference?old=${pair[0]}&new=${pair[1]}`);
  if (!value) return html`<section><p class="quiet pad">${problem || t("fleet_reading")}</p></section>`;
  return html`<section class="difference"><h2 class="sub">${t("fleet_difference_of", { a: value.old, b: value.new })}</h2>
    <table><tbody>${value.changes.map((/** @type {any} */ one) => html`<tr><td><code>${one.path}</code></td><td><i class="pill">${t(`fleet_change_${one.what}`)}</i></td><td><del><bdi>${one.old ?? ""}</bdi></del></td><td><ins><bdi>${one.new ?? ""}</bdi></ins></td></tr>`)}</tbody></table>
    <details><summary>${t("fleet_as_text")}</summary><pre class="unified">${value.unified.split("\n").map((/** @type {string} */ line) => html`<span class=${line[0] === "+" ? "added" : line[0] === "-" ? "removed" : ""}>${`${line}\n`}</span>`)}</pre></details></section>`;
}
