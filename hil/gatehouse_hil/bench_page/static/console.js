// What a board says at its console: live, bounded, to be held, searched and saved. Only listens.
import { hms } from "/ui/time.js";
import { html, signal, useEffect, useMemo, useRef } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { Choice, Empty, Line } from "./command.js";
import { useLines } from "./lines.js";
import { boards, cancel, isStale, lastWatch, route, run } from "./shop.js";

/** @typedef {{n: number, at: string, text: string, look: string}} Said */

const KEPT = 3000;
const SHOWN = 600;
const LOUD = /traceback|error|fault|panic|brownout|wdt|reset/i;

export function Console() {
  const names = boards().map((place) => place.name);
  const board = names.includes(route.value.board) ? route.value.board : names[0];
  const watch = lastWatch("console", board);
  return html`<div class="instrument">
    <div class="tools"><${Choice} name=${t("which_board")} value=${board} choices=${names.map((name) => [name, name])} onChoose=${(/** @type {string} */ name) => { location.hash = `#/console/${name}`; }} />
      <span class="space"></span>
      ${watch?.is_running
        ? html`<button onClick=${() => cancel(watch.id)}>${t("stop")}</button>`
        : html`<button class="strong" onClick=${() => run({ verb: "console", board })} disabled=${isStale.value}>${t("listen_console")}</button>`}</div>
    ${watch ? html`<${Log} key=${watch.id} watch=${watch} />` : html`<${Empty} icon="sound" title=${t("console_empty")}><p>${t("console_hint")}</p></${Empty}>`}
  </div>`;
}

/** @param {{watch: import("./shop.js").Watch}} props */
function Log({ watch }) {
  const said = useMemo(() => signal(/** @type {Said[]} */ ([])), [watch.id]);
  const held = useMemo(() => signal(/** @type {number | null} */ (null)), [watch.id]);
  const dropped = useMemo(() => signal(0), [watch.id]);
  const search = useMemo(() => signal(""), [watch.id]);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useLines(watch.id, (batch) => {
    dropped.value += batch.dropped;
    const fresh = batch.lines.flatMap((line, at) => lineOf(line, batch.first + at));
    if (fresh.length) said.value = [...said.value, ...fresh].slice(-KEPT);
  });
  const wanted = search.value.toLowerCase();
  const upTo = held.value;
  const all = upTo === null ? said.value : said.value.filter((line) => line.n <= upTo);
  const found = wanted ? all.filter((line) => line.text.toLowerCase().includes(wanted)) : all;
  const last = found.at(-1)?.n;
  useEffect(() => { if (upTo === null && list.current) list.current.scrollTop = list.current.scrollHeight; }, [last, upTo]);
  const newer = upTo === null ? 0 : (said.value.at(-1)?.n ?? upTo) - upTo;
  return html`<div class="tools second">
      <label class="find">${t("find_text")}<input type="search" value=${search.value} onInput=${(/** @type {InputEvent} */ event) => { search.value = /** @type {HTMLInputElement} */ (event.target).value; }} /></label>
      <p aria-live="polite">${wanted ? t("lines_found", { n: found.length, all: all.length }) : t("lines_all", { n: all.length })}${dropped.value ? ` · ${t("lines_dropped", { n: dropped.value })}` : ""}</p>
      <span class="space"></span>
      <button aria-pressed=${upTo !== null} onClick=${() => { held.value = upTo === null ? (said.value.at(-1)?.n ?? 0) : null; }}>${upTo === null ? t("hold") : t("held_new", { n: newer })}</button>
      ${watch.file && html`<a class="button" href=${`/api/watches/${watch.id}/log`} download>${t("save_log")}</a>`}</div>
    ${watch.fault && html`<p class="card fault" role="alert">${watch.fault.sentence}</p>`}
    <ol class="log mono" ref=${list} tabindex="0" aria-label=${t("tab_console")}>${found.slice(-SHOWN).map((line) => html`<li key=${line.n} class=${line.look}><time>${hms(line.at)}</time><span>${marked(line.text, wanted)}</span></li>`)}
      ${said.value.length < 2 && watch.is_running && html`<li><time></time><span class="quiet">${t(said.value.length ? "console_silent" : "starting")}</span></li>`}</ol>
    <${Line} line=${watch.command} />`;
}

/** @param {import("./lines.js").Finding} line @param {number} n @returns {Said[]} */
function lineOf(line, n) {
  if (typeof line.line === "string") return [{ n, at: line.at, text: line.line, look: LOUD.test(line.line) ? "loud" : "" }];
  if (line.event === "open") return [{ n, at: line.at, text: t("port_opened", { port: line.port }), look: "note" }];
  if (line.event === "gone") return [{ n, at: line.at, text: t("port_lost", { port: line.port }), look: "note loud" }];
  return [];
}

/** @param {string} text @param {string} wanted */
function marked(text, wanted) {
  if (!wanted) return text;
  const parts = [];
  let at = 0;
  const low = text.toLowerCase();
  for (let found = low.indexOf(wanted); found >= 0; found = low.indexOf(wanted, at)) {
    parts.push(text.slice(at, found), html`<mark>${text.slice(found, found + wanted.length)}</mark>`);
    at = found + wanted.length;
  }
  return [...parts, text.slice(at)];
}

