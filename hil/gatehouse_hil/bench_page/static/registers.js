// A detector's registers as they stand on its bus: raw and decoded, what has changed, and how old it all is.
import { nowMs, tick } from "/ui/time.js";
import { html, signal, useMemo } from "/ui/vendor/preact.js";
import { either, t } from "/ui/words.js";
import { Choice, Empty, Line } from "./command.js";
import { useLines } from "./lines.js";
import { boards, cancel, isStale, lastWatch, route, run } from "./shop.js";

/**
 * @typedef {{n: number, word: number, name: string, text: string}} Cell
 * @typedef {{value: number | null, unit: string, quality: string, flags: string[], warm_up_left_s: number | null}} Sample
 * @typedef {{cells: Map<number, Cell & {changedAt: number}>, sample: Sample | null, why: string, readAt: number, tookMs: number, good: number, bad: number,
 *   silent: string}} Block
 */

/** Registers that always move: a change of them is no news. */
const MOVES = ["heartbeat", "uptime_low", "uptime_high", "warm_up_left_s"];
const NEWS_MS = 4000;
const OLD_S = 5;
const PROFILES = ["gatehouse_gas_node", "cn6in1_unitreg", "unnamed_0x6000"];
const profile = signal(PROFILES[0]);

export function Registers() {
  const names = boards("gas").map((place) => place.name);
  if (names.length === 0) return html`<${Empty} icon="gas" title=${t("no_gas_board")} />`;
  const board = names.includes(route.value.board) ? route.value.board : names[0];
  const watch = lastWatch("registers", board);
  return html`<div class="instrument">
    <div class="tools"><${Choice} name=${t("which_board")} value=${board} choices=${names.map((name) => [name, name])} onChoose=${(/** @type {string} */ name) => { location.hash = `#/registers/${name}`; }} />
      <label class="find">${t("profile")}<select value=${profile.value} onChange=${(/** @type {Event} */ event) => { profile.value = /** @type {HTMLSelectElement} */ (event.target).value; }}>${PROFILES.map((id) => html`<option key=${id} value=${id}>${t(`profile_${id}`)}</option>`)}</select></label>
      <span class="space"></span>
      ${watch?.is_running ? html`<button onClick=${() => cancel(watch.id)}>${t("stop")}</button>`
        : html`<button class="strong" onClick=${() => run({ verb: "registers", board, profile: profile.value })} disabled=${isStale.value}>${t("read_registers")}</button>`}</div>
    ${watch ? html`<${Grid} key=${watch.id} watch=${watch} />` : html`<${Empty} icon="gas" title=${t("registers_empty")}><p>${t("registers_hint")}</p></${Empty}>`}
  </div>`;
}

/** @param {{watch: import("./shop.js").Watch}} props */
function Grid({ watch }) {
  const block = useMemo(() => signal(/** @type {Block} */ ({ cells: new Map(), sample: null, why: "", readAt: -Infinity, tookMs: 0, good: 0, bad: 0, silent: "" })), [watch.id]);
  useLines(watch.id, (batch) => {
    let next = block.value;
    for (const line of batch.lines) next = taken(next, line);
    block.value = next;
  });
  const { cells, sample, why, readAt, tookMs, good, bad, silent } = block.value;
  const ageS = tick.value < 0 ? 0 : Math.max(0, (nowMs() - readAt) / 1000);
  const isOld = cells.size > 0 && ageS > OLD_S;
  const isSilent = silent !== "" && cells.size === 0;
  return html`${watch.fault && html`<p class="card fault" role="alert">${watch.fault.sentence}</p>`}
    ${(isOld || isSilent) && html`<div class="banner stale" role="alert"><b>${cells.size ? t("registers_old", { s: Math.round(ageS) }) : t("registers_silent")}</b><span>${t("registers_silent_do")}</span></div>`}
    <div class=${`reading ${isOld ? "is-old" : ""}`}>
      <div class="figure">${sample?.quality === "warming_up" && sample.warm_up_left_s !== null ? html`<b>${Math.round(sample.warm_up_left_s)}</b><span>${t("warming_s")}</span>` : html`<b>${sample?.value ?? "—"}</b><span>${sample?.unit ?? ""}</span>`}</div>
      <dl class="facts"><dt>${t("quality")}</dt><dd>${sample ? t(`quality_${sample.quality}`) : why || (watch.is_running && !isSilent ? t("starting") : "—")}</dd>
        <dt>${t("flags")}</dt><dd>${sample?.flags.length ? sample.flags.map((flag) => either(`flag_${flag}`, flag)).join(t("comma")) : t("flags_none")}</dd>
        <dt>${t("read_age")}</dt><dd>${readAt === -Infinity ? "—" : t("read_ago", { s: ageS.toFixed(0), ms: tookMs })}</dd>
        <dt>${t("answers")}</dt><dd>${t("answers_of", { good, bad })}</dd></dl></div>
    <div class=${`grid ${isOld ? "is-old" : ""}`} role="table" aria-label=${t("tab_registers")}>
      ${[...cells.values()].map((cell) => html`<div role="row" key=${cell.n} class=${`cell ${isNews(cell) ? "is-news" : ""}`}>
        <span role="rowheader" class="mono">${hex(cell.n)}</span><b role="cell" class="mono">${hex(cell.word)}</b>
        <span role="cell" class="name">${cell.name ? t(`register_${cell.name}`) : ""}</span><em role="cell">${meaning(cell)}</em>${isNews(cell) && html`<i role="cell">${t("changed")}</i>`}</div>`)}</div>
    <${Line} line=${watch.command} />`;
}

/** @param {Block} block @param {import("./lines.js").Finding} line @returns {Block} */
function taken(block, line) {
  if (line.silent) return { ...block, silent: line.silent, bad: block.bad + 1 };
  if (!line.cells) return block;
  const now = Date.parse(line.at);
  const cells = new Map(line.cells.map((/** @type {Cell} */ cell) => {
    const before = block.cells.get(cell.n);
    const isNew = before !== undefined && before.word !== cell.word && !MOVES.includes(cell.name);
    return [cell.n, { ...cell, changedAt: isNew ? now : (before?.changedAt ?? -Infinity) }];
  }));
  return { cells, sample: line.sample, why: line.why, readAt: now, tookMs: line.took_ms, good: block.good + 1, bad: block.bad, silent: "" };
}

/** @param {Cell} cell */
function meaning({ name, text, word }) {
  if (name === "status") return text.split(" ").filter(Boolean).map((flag) => either(`flag_${flag}`, flag)).join(t("comma")) || t("flags_none");
  return text || String(word);
}

/** @param {{changedAt: number}} cell */
function isNews(cell) {
  return tick.value >= 0 && nowMs() - cell.changedAt < NEWS_MS;
}

/** @param {number} word */
function hex(word) {
  return word.toString(16).toUpperCase().padStart(4, "0");
}
