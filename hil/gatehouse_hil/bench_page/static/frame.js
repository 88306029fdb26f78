// Around every page: where one is, who works, how old the picture is; and what wants hands, wherever one looks.
import { askFor, openDialog } from "/ui/dialog.js";
import { listen } from "/ui/keys.js";
import { Icon } from "/ui/shapes.js";
import { hms, nowMs, span, tick } from "/ui/time.js";
import { Toasts, toast } from "/ui/toast.js";
import { html, signal, useEffect } from "/ui/vendor/preact.js";
import { otherLanguage, pick, t } from "/ui/words.js";
import { ageS, bench, handsDone, hasHeard, isLocked, isStale, operator, runAndTell, waiting } from "./shop.js";

const PAGES = ["make", "console", "registers", "air", "camera", "matrix", "commands"];
const THEMES = ["light", "dark", "outdoor"];
const theme = signal(document.documentElement.dataset.theme ?? "light");

/** @param {{page: string, children: unknown}} props */
export function Frame({ page, children }) {
  useEffect(() => listen([{ key: "?", words: "help", does: help }]), []);
  const now = bench.value;
  return html`<div class=${`frame ${isStale.value ? "is-stale" : ""}`}>
    <header class="top">
      <div class="brand"><b>${t("bench_title")}</b><span>${now ? `${now.bench} · ${now.rig}` : ""}</span></div>
      <nav class="pages tabs" aria-label=${t("bench_pages")}>${PAGES.map((name) => html`<a href=${`#/${name}`} aria-current=${name === page ? "page" : undefined}>${t(`tab_${name}`)}</a>`)}</nav>
      <span class="space"></span>
      ${now && now.backend === "simulated" && html`<span class="pill dashed">${t("bench_simulated")}</span>`}
      ${now && html`<button class="plain who" onClick=${changeOperator}>${t("bench_operator")} <b>${operator.value || now.operator}</b></button>`}
      <span class=${isStale.value ? "live bad" : "live"}><i></i>${t(isStale.value ? (hasHeard.value ? "bench_lost" : "bench_connecting") : "bench_live")}</span>
      <div class="clock"><b>${tick.value >= 0 && now ? hms(nowMs()) : ""}</b></div>
      <${Look} />
    </header>
    <${Banners} page=${page} />
    <main>${now ? children : html`<div class="empty"><b>${t("bench_connecting")}</b></div>`}</main>
    <${Toasts} />
  </div>`;
}

function Look() {
  return html`<details class="look"><summary class="button" aria-label=${t("bench_look")}><${Icon} name="more" /></summary><div class="card" role="group" aria-label=${t("bench_look")}>
    ${THEMES.map((name) => html`<button aria-pressed=${theme.value === name} onClick=${() => choose(name)}>${t(`theme_${name}`)}</button>`)}
    <button onClick=${help}>${t("bench_keys")} <kbd>?</kbd></button>
    <button onClick=${otherLanguage} lang=${t("other_lang_code")}>${t("other_lang_name")}</button></div></details>`;
}

/** @param {string} name */
function choose(name) {
  localStorage.setItem("theme", name);
  document.documentElement.dataset.theme = name;
  theme.value = name;
}

function help() {
  openDialog(t("bench_keys"), html`<dl class="facts keys">${[["1 – 9", "hint_slot"], ["Enter", "hint_enter"], ["Tab", "hint_tab"], ["Esc", "hint_escape"], ["?", "hint_help"]].map(([key, words]) => html`<dt key=${key}><kbd>${key}</kbd></dt><dd>${t(words)}</dd>`)}</dl>`);
}

async function changeOperator() {
  const found = await askFor(t("bench_operator"), { name: { label: t("bench_operator_name"), value: operator.value || bench.value?.operator, hint: t("bench_operator_hint") } });
  if (!found) return;
  operator.value = found.name.trim();
  localStorage.setItem("operator", operator.value);
}

/** @param {{page: string}} props */
function Banners({ page }) {
  const now = bench.value;
  return html`<div class="banners">
    ${isLocked.value && html`<div class="banner stale" role="alert"><b>${t("bench_locked")}</b><span>${t("bench_locked_do")}</span></div>`}
    ${!isLocked.value && isStale.value && hasHeard.value && html`<div class="banner stale" role="alert"><b>${t("bench_stale", { s: span(ageS.value) })}</b><span>${t("bench_stale_do", { at: hms(now?.at) })}</span></div>`}
    ${now?.rig_zh && html`<div class="banner broken" role="alert"><b>${t("rig_faulty")}</b><span>${pick({ zh: now.rig_zh, en: now.rig_en })}</span></div>`}
    ${now?.broken.map((one) => html`<div class="banner broken" key=${one.part}><b>${t("bench_broken", { part: one.part })}</b><span>${t("bench_broken_since", { since: one.since })}</span>
      <button onClick=${() => mend(one.part)} disabled=${isStale.value}>${t("bench_mended")}</button></div>`)}
    ${page !== "make" && waiting.value.map((slot) => slot.run && html`<div class="banner hands" role="status" key=${slot.run.id}><b>${pick(slot.run.asked)}</b>
      <button class="strong" onClick=${() => slot.run && handsDone(slot.run)} disabled=${isStale.value}><${Icon} name="check" />${t("hands_done")}</button></div>`)}
  </div>`;
}

/** Say what was mended, so that the rig may be used again. @param {string} part */
export async function mend(part) {
  const found = await askFor(t("mend_title", { part }), { reason: { label: t("mend_reason"), hint: t("mend_hint") } }, { done: t("bench_mended") });
  if (found && await runAndTell({ verb: "mend", part, reason: found.reason })) toast(t("mend_done", { part }));
}
