// 发布: what is being brought out, and to how many. Each rollout that runs can be halted from its row.
import { ask } from "/ui/api.js";
import { listen } from "/ui/keys.js";
import { when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useEffect } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { isStale, may, news } from "./known.js";
import { ListFoot, useCalm, useList } from "./lists.js";
import { link } from "./route.js";

/**
 * @typedef {{id: number, node_id: number, phase: string, reason: string, author: {name: string, unit: string}, made_at: string, changed_at: string, stages: number[], max_failures: number,
 *   answer_within_s: number, confirm_within_s: number, standings: {standing: string, gateways: number}[]}} Rollout
 */

export const STANDINGS = ["confirmed", "ordered", "waiting", "failed", "to_return", "returning", "returned", "not_returned", "spared"];

/** Halt: one click, or H; in the list H halts every one that runs. Nothing asks whether one is sure: what is halted goes on with another click. @param {Rollout} one @param {() => void} again */
export function halt(one, again) {
  return ask("POST", `/config-rollouts/${one.id}/pause`, {}).then(() => { toast(t("fleet_halted", { n: one.id })); again(); }, refusal);
}

/** @param {{one: Rollout, again: () => void}} props */
export function Halt({ one, again }) {
  if (one.phase !== "running" || !may("manage_configs")) return null;
  return html`<button class="strong danger halt" disabled=${isStale.value} onClick=${(/** @type {Event} */ event) => { event.preventDefault(); halt(one, again); }}>${t("fleet_halt")} <kbd>H</kbd></button>`;
}

/** @param {Rollout} one @param {string} standing */
export const countOf = (one, standing) => one.standings.find((row) => row.standing === standing)?.gateways ?? 0;

export function ReleasesPage() {
  const list = useList("/config-rollouts", { on: useCalm(news.value.rollout), limit: 50 });
  const rows = /** @type {Rollout[]} */ (list.rows);
  const running = rows.filter((one) => one.phase === "running");
  useEffect(() => listen([{ key: "h", words: t("fleet_halt"), does: () => { if (may("manage_configs")) for (const one of running) halt(one, list.again); } }]), [running.map((one) => one.id).join()]);
  return html`<main class="page releases"><header class="pagehead"><h1>${t("fleet_page_releases")}</h1><span class="quiet">${t("fleet_releases_hint")}</span><span class="space"></span>${may("manage_configs") && html`<a class="button" href=${link("gateways")}>${t("fleet_choose_gateways")}</a>`}</header>
    <ul class="rollouts">${rows.map((one) => html`<li key=${one.id} class=${`card rolloutcard ${one.phase}`}><a href=${link("releases", one.id)}><span class="line"><b>#${one.id} <bdi>${one.reason}</bdi></b><span class="space"></span><${Phase} phase=${one.phase} /></span>
        <span class="quiet">${when(one.made_at)} · <bdi>${one.author.name}</bdi> · ${t("fleet_n_gateways", { n: one.stages.reduce((a, b) => a + b, 0) })}</span><${Progress} one=${one} /></a><${Halt} one=${one} again=${list.again} /></li>`)}</ul><${ListFoot} list=${list} none=${t("fleet_no_rollouts")} /></main>`;
}

/** @param {{phase: string}} props */
export function Phase({ phase }) {
  return html`<span class=${`phase ${phase}`}>${t(`fleet_phase_${phase}`)}</span>`;
}

/** How many stand where, as one bar with words. @param {{one: Rollout}} props */
export function Progress({ one }) {
  const whole = one.stages.reduce((a, b) => a + b, 0);
  const parts = STANDINGS.map((standing) => ({ standing, n: countOf(one, standing) })).filter((part) => part.n);
  return html`<span class="progress"><span class="strip" aria-hidden="true">${parts.map((part) => html`<i class=${part.standing} style=${{ width: `${(100 * part.n) / whole}%` }}></i>`)}</span><span class="legend">${parts.map((part) => html`<span><i class=${`swatch ${part.standing}`}></i>${t(`fleet_standing_${part.standing}`)} ${part.n}</span>`)}</span></span>`;
}
