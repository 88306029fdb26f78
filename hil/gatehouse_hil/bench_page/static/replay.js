// A run played again from what it told at the time: its steps and the lines of its tools, at the speed one likes.
import { ask } from "/ui/api.js";
import { refusal } from "/ui/toast.js";
import { html, signal, useEffect, useMemo, useRef } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { Choice } from "./command.js";

/** @typedef {{t?: number, event: string, step?: string, share?: number, verdict?: string, tool?: string, line?: string, zh?: string, en?: string}} Told */

const TICK_MS = 100;
const SHOWN = 300;

/** @param {{id: string}} props */
export function Replay({ id }) {
  const told = useMemo(() => signal(/** @type {Told[]} */ ([])), [id]);
  const at = useMemo(() => signal(0), [id]);
  const speed = useMemo(() => signal("4"), [id]);
  const isPlaying = useMemo(() => signal(true), [id]);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const endS = told.value.at(-1)?.t ?? 0;
  useEffect(() => { ask("GET", `/runs/${id}/lines`).then((found) => { told.value = timed(found.lines); }, refusal); }, [id]);
  useEffect(() => {
    const ticking = setInterval(() => {
      if (!isPlaying.value || told.value.length === 0) return;
      at.value = Math.min(told.value.at(-1)?.t ?? 0, at.value + (TICK_MS / 1000) * Number(speed.value));
    }, TICK_MS);
    return () => clearInterval(ticking);
  }, [id]);
  const past = told.value.filter((line) => (line.t ?? 0) <= at.value);
  const lines = past.flatMap((line) => sentence(line)).slice(-SHOWN);
  const step = past.findLast((line) => line.event === "begin")?.step;
  useEffect(() => { if (list.current) list.current.scrollTop = list.current.scrollHeight; }, [lines.length]);
  return html`<section class="replay" aria-label=${t("replay")}>
    <div class="tools"><button onClick=${() => { if (at.value >= endS) at.value = 0; isPlaying.value = !isPlaying.value || at.value === 0; }}>${t(isPlaying.value && at.value < endS ? "hold" : "play")}</button>
      <${Choice} name=${t("speed")} value=${speed.value} choices=${["1", "4", "16"].map((n) => [n, `${n}×`])} onChoose=${(/** @type {string} */ n) => { speed.value = n; }} />
      <b>${step ? t(`step_${step}`) : ""}</b></div>
    <label class="along">${t("replay_at", { at: at.value.toFixed(1), end: endS.toFixed(1) })}<input type="range" min="0" max=${endS} step="0.1" value=${at.value} onInput=${(/** @type {InputEvent} */ event) => { isPlaying.value = false; at.value = Number(/** @type {HTMLInputElement} */ (event.target).value); }} /></label>
    <ol class="log mono" ref=${list} tabindex="0" aria-label=${t("replay")}>${lines.map((line, n) => html`<li key=${n} class=${line.look}><time>${line.at.toFixed(1)}</time><span>${line.text}</span></li>`)}</ol></section>`;
}

/** Lines of tools that came without a time stand at that of the line before. @param {Told[]} lines */
function timed(lines) {
  let before = 0;
  return lines.map((line) => ({ ...line, t: (before = line.t ?? before) }));
}

/** @param {Told} line @returns {{at: number, text: string, look: string}[]} */
function sentence(line) {
  const at = line.t ?? 0;
  switch (line.event) {
    case "begin": return [{ at, text: `▶ ${t(`step_${line.step}`)}`, look: "note" }];
    case "ask": return [{ at, text: pick(line), look: "note" }];
    case "done": return [{ at, text: t("hands_done"), look: "note" }];
    case "end": return [{ at, text: t(`run_${line.verdict}`), look: line.verdict === "failed" ? "note loud" : "note" }];
    case "said": return line.line?.trim() ? [{ at, text: `${line.tool} ${line.line}`, look: "" }] : [];
    default: return [];
  }
}
