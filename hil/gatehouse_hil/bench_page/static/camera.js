// Aiming a camera: the last still, how sharp it is beside the sharpest so far, and a grid of floors to lay over the façade.
import { nowMs, tick } from "/ui/time.js";
import { html, signal, useMemo } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { Choice, Empty, Line } from "./command.js";
import { useLines } from "./lines.js";
import { bench, cancel, isStale, lastWatch, run } from "./shop.js";

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{at: string, n: number, width: number, height: number, focus: number, mean: number, dark_pct: number, bright_pct: number}} Still
 */

const OLD_S = 4;
const TREND = 60;
const SHARP = 0.95;
const STEP = 0.005;
/** Corners of the façade: left top, right top, right bottom, left bottom; shares of the picture. */
const quad = signal(kept("quad", [{ x: 0.12, y: 0.1 }, { x: 0.88, y: 0.1 }, { x: 0.88, y: 0.9 }, { x: 0.12, y: 0.9 }]));
const floors = signal(kept("floors", 6));
const columns = signal(kept("columns", 4));
const hasGrid = signal(true);
const chosen = signal("");

/** @template T @param {string} name @param {T} otherwise @returns {T} */
function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`aim-${name}`) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} name @param {unknown} value */
function keep(name, value) {
  localStorage.setItem(`aim-${name}`, JSON.stringify(value));
}

export function Camera() {
  const cameras = bench.value?.cameras ?? [];
  if (cameras.length === 0) return html`<${Empty} icon="throw" title=${t("no_camera")}><p>${t("no_camera_do")}</p></${Empty}>`;
  const camera = cameras.includes(chosen.value) ? chosen.value : cameras[0];
  const watch = lastWatch("aim");
  return html`<div class="instrument">
    <div class="tools">${cameras.length > 1 ? html`<${Choice} name=${t("which_camera")} value=${camera} choices=${cameras.map((name) => [name, name])} onChoose=${(/** @type {string} */ name) => { chosen.value = name; }} />` : html`<p>${t("camera_intro")}</p>`}
      <span class="space"></span>
      ${watch?.is_running ? html`<button onClick=${() => cancel(watch.id)}>${t("stop")}</button>`
        : html`<button class="strong" onClick=${() => run({ verb: "aim", camera })} disabled=${isStale.value}>${t("look_through")}</button>`}</div>
    ${watch ? html`<${View} key=${watch.id} watch=${watch} />` : html`<${Empty} icon="throw" title=${t("camera_empty")}><p>${t("camera_hint")}</p></${Empty}>`}
  </div>`;
}

/** @param {{watch: import("./shop.js").Watch}} props */
function View({ watch }) {
  const stills = useMemo(() => signal(/** @type {Still[]} */ ([])), [watch.id]);
  const best = useMemo(() => signal(0), [watch.id]);
  useLines(watch.id, (batch) => {
    const fresh = batch.lines.flatMap((line, at) => (line.file ? [/** @type {Still} */ ({ .../** @type {any} */ (line), n: batch.first + at })] : []));
    if (fresh.length === 0) return;
    stills.value = [...stills.value, ...fresh].slice(-TREND);
    best.value = Math.max(best.value, ...fresh.map((still) => still.focus));
  });
  const last = stills.value.at(-1);
  const ageS = last && tick.value >= 0 ? Math.max(0, (nowMs() - Date.parse(last.at)) / 1000) : 0;
  const share = last && best.value ? last.focus / best.value : 0;
  const isOld = ageS > OLD_S;
  return html`${watch.fault && html`<p class="card fault" role="alert">${watch.fault.sentence}</p>`}
    <div class="aim">
      <figure class=${isOld ? "is-old" : ""}>${last ? html`<img src=${`/api/watches/${watch.id}/still?n=${last.n}`} width=${last.width} height=${last.height} alt=${t("still_of", { at: last.at.slice(11, 19) })} />`
          : html`<div class="waiting">${t(watch.is_running ? "camera_opening" : "camera_stopped")}</div>`}
        ${last && hasGrid.value && html`<${Overlay} />`}
        ${isOld && html`<figcaption class="banner stale"><b>${t("still_old", { s: Math.round(ageS) })}</b></figcaption>`}</figure>
      <aside>
        <h2>${t("sharpness")}</h2>
        <div class="meter" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(share * 100)} aria-label=${t("sharpness")}><i class="bar"><i style=${{ width: `${share * 100}%` }}></i></i><b>${Math.round(share * 100)}<small>%</small></b></div>
        <p class="advice">${last ? t(share >= SHARP ? "focus_best" : "focus_turn") : ""}</p>
        <${Curve} points=${stills.value.map((still) => (best.value ? still.focus / best.value : 0))} />
        <button onClick=${() => { best.value = last?.focus ?? 0; }}>${t("focus_anew")}</button>
        <h2>${t("exposure")}</h2>
        <dl class="facts"><dt>${t("size")}</dt><dd>${last ? `${last.width} × ${last.height}` : "—"}</dd><dt>${t("brightness")}</dt><dd>${last?.mean ?? "—"} / 255</dd>
          <dt>${t("too_dark")}</dt><dd>${last ? `${last.dark_pct} %` : "—"}</dd><dt>${t("too_bright")}</dt><dd>${last ? `${last.bright_pct} %` : "—"}</dd></dl>
        <h2>${t("facade_grid")}</h2>
        <label class="check"><input type="checkbox" checked=${hasGrid.value} onChange=${() => { hasGrid.value = !hasGrid.value; }} /> ${t("show_grid")}</label>
        <div class="pair"><${Count} label=${t("floors")} of=${floors} name="floors" /><${Count} label=${t("columns")} of=${columns} name="columns" /></div>
        <p class="quiet">${t("grid_hint")}</p>
      </aside></div>
    <${Line} line=${watch.command} />`;
}

/** @param {{label: string, of: import("/ui/vendor/preact.js").Signal<number>, name: string}} props */
function Count({ label, of, name }) {
  return html`<label>${label}<input type="number" min="1" max="60" value=${of.value} onInput=${(/** @type {InputEvent} */ event) => {
    const n = Math.round(Number(/** @type {HTMLInputElement} */ (event.target).value));
    if (n >= 1 && n <= 60) { of.value = n; keep(name, n); }
  }} /></label>`;
}

/** The grid in the perspective of the four corners; the corners can be dragged, or moved with the arrow keys. */
function Overlay() {
  const at = homography(quad.value);
  /** @param {Point} a @param {Point} b */
  const line = (a, b) => html`<line x1=${a.x * 1000} y1=${a.y * 1000} x2=${b.x * 1000} y2=${b.y * 1000} />`;
  return html`<svg class="overlay" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
      ${["under", "over"].map((layer) => html`<g class=${layer}>
        ${Array.from({ length: floors.value + 1 }, (_, n) => line(at(0, n / floors.value), at(1, n / floors.value)))}
        ${Array.from({ length: columns.value + 1 }, (_, n) => line(at(n / columns.value, 0), at(n / columns.value, 1)))}</g>`)}</svg>
    ${quad.value.map((corner, n) => html`<button class="corner" key=${n} aria-label=${t(`corner_${n}`)} style=${{ left: `${corner.x * 100}%`, top: `${corner.y * 100}%` }}
      onPointerDown=${(/** @type {PointerEvent} */ event) => drag(event, n)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => nudge(event, n)}></button>`)}`;
}

/** @param {number} n @param {number} x @param {number} y */
function move(n, x, y) {
  const inside = (/** @type {number} */ share) => Math.max(0, Math.min(1, share));
  quad.value = quad.value.map((corner, at) => (at === n ? { x: inside(x), y: inside(y) } : corner));
  keep("quad", quad.value);
}

/** @param {PointerEvent} event @param {number} n */
function drag(event, n) {
  const handle = /** @type {HTMLElement} */ (event.target);
  const frame = handle.parentElement?.getBoundingClientRect();
  if (!frame) return;
  handle.setPointerCapture(event.pointerId);
  handle.onpointermove = (moved) => move(n, (moved.clientX - frame.left) / frame.width, (moved.clientY - frame.top) / frame.height);
  handle.onpointerup = () => { handle.onpointermove = null; };
}

/** @param {KeyboardEvent} event @param {number} n */
function nudge(event, n) {
  const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (!by) return;
  event.preventDefault();
  move(n, quad.value[n].x + by[0], quad.value[n].y + by[1]);
}

/**
 * The projective map of the unit square onto four corners (Heckbert 1989, section 2.2.2).
 * @param {Point[]} corners
 * @returns {(u: number, v: number) => Point}
 */
export function homography([a, b, c, d]) {
  const [dx1, dx2, sx] = [b.x - c.x, d.x - c.x, a.x - b.x + c.x - d.x];
  const [dy1, dy2, sy] = [b.y - c.y, d.y - c.y, a.y - b.y + c.y - d.y];
  const area = dx1 * dy2 - dx2 * dy1 || 1e-9;
  const g = (sx * dy2 - dx2 * sy) / area;
  const h = (dx1 * sy - sx * dy1) / area;
  return (u, v) => {
    const w = g * u + h * v + 1;
    return { x: ((b.x - a.x + g * b.x) * u + (d.x - a.x + h * d.x) * v + a.x) / w, y: ((b.y - a.y + g * b.y) * u + (d.y - a.y + h * d.y) * v + a.y) / w };
  };
}

/** @param {{points: number[]}} props */
function Curve({ points }) {
  const line = points.map((share, at) => `${(at / (TREND - 1)) * 240},${58 - Math.min(1, share) * 54}`).join(" ");
  return html`<svg class="curve" viewBox="0 0 240 60" preserveAspectRatio="none" aria-hidden="true"><line x1="0" y1="4" x2="240" y2="4" /><polyline points=${line} /></svg>`;
}
// words: corner_0 corner_1 corner_2 corner_3
