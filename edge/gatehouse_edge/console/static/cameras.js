// 标定: what a camera sees, drawn on a still: the front's corners, floor lines, window columns, zones. Every point moves by pointer or arrow keys.
import { ask, Problem } from "/ui/api.js";
import { askFor, confirm } from "/ui/dialog.js";
import { dateTime } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { computed, html, signal, useEffect } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { isStale, may } from "./desk.js";
import { begun, columnLines, moved, parts, removed, withFloor, withPoint, withZone } from "./drawing.js";
import { start } from "./start.js";

/**
 * @typedef {import("./drawing.js").Drawing} Drawing
 * @typedef {import("./drawing.js").Part} Part
 * @typedef {{id: string, place: string, version: number}} Camera
 * @typedef {{version: number, at: string, by: string, note: string, still_sha256: string, calibration: Drawing}} Stored
 * @typedef {{floor: number, name: string, left: [number, number], right: [number, number], is_drawn: boolean}} Floor
 */

// words: mode_facade mode_floors mode_detect mode_shield mode_landing mode_try
const MODES = ["facade", "floors", "detect", "shield", "landing", "try"];
const PREVIEW_MS = 250;
const KEPT = 200;

const cameras = signal(/** @type {Camera[]} */ ([]));
const chosen = signal("");
const stored = signal(/** @type {Stored | null} */ (null));
const versions = signal(/** @type {number[]} */ ([]));
const still = signal(/** @type {{sha256: string, url: string} | null} */ (null));
const drawing = signal(/** @type {Drawing | null} */ (null));
/** What was drawn before, oldest first, and what was taken back. @type {{past: Drawing[], future: Drawing[]}} */
const steps = { past: [], future: [] };
const depth = signal(0);
const mode = signal("facade");
const on = signal("");
const grid = signal(/** @type {Floor[]} */ ([]));
const faults = signal(/** @type {{at: string, message: string}[]} */ ([]));
const tried = signal(/** @type {{x: number, y: number, floor: number, floor_low: number, floor_high: number, column: number | null} | null} */ (null));
/** A new picture under an old drawing is worth storing too: "moved" is told against it. */
const isChanged = computed(() => (depth.value, drawing.value !== null && (JSON.stringify(drawing.value) !== JSON.stringify(stored.value?.calibration) || still.value?.sha256 !== stored.value?.still_sha256)));
let previewing = 0;
/** Which preview was asked for last: answers may overtake each other, and only its own is worth a look. */
let asked = 0;

/** Take a new drawing as one step that can be undone. @param {Drawing} next */
function draw(next) {
  if (drawing.peek()) steps.past = [...steps.past.slice(-KEPT), /** @type {Drawing} */ (drawing.peek())];
  steps.future = [];
  show(next);
}

/** @param {Drawing} next */
function show(next) {
  drawing.value = next;
  depth.value += 1;
  clearTimeout(previewing);
  previewing = setTimeout(preview, PREVIEW_MS);
}

function undo() {
  const back = steps.past.pop();
  if (!back) return;
  steps.future.push(/** @type {Drawing} */ (drawing.peek()));
  show(back);
}

function redo() {
  const ahead = steps.future.pop();
  if (!ahead) return;
  steps.past.push(/** @type {Drawing} */ (drawing.peek()));
  show(ahead);
}

async function preview() {
  const calibration = drawing.peek();
  if (!calibration) return;
  const point = tried.peek();
  const number = (asked += 1);
  try {
    const seen = await ask("POST", `/cameras/${chosen.peek()}/calibration/preview`, { calibration, points: point ? [[point.x, point.y]] : [] });
    if (number !== asked) return;
    grid.value = seen.floors;
    faults.value = [];
    if (point) tried.value = seen.points[0];
  } catch (error) {
    if (number !== asked) return;
    if (!(error instanceof Problem) || error.status !== 422) return refusal(error);
    grid.value = [];
    faults.value = /** @type {any} */ (error.body).errors ?? [{ at: "", message: error.message }];
  }
}

/** @param {string} id */
async function open(id) {
  chosen.value = id;
  [stored.value, versions.value, drawing.value, still.value, grid.value, faults.value, tried.value] = [null, [], null, null, [], [], null];
  steps.past = [];
  steps.future = [];
  const found = await ask("GET", `/cameras/${id}/calibration`).catch(refusal);
  if (!found || chosen.peek() !== id) return;
  versions.value = found.versions;
  stored.value = found.current;
  if (found.current) {
    still.value = { sha256: found.current.still_sha256, url: `/api/v1/cameras/${id}/stills/${found.current.still_sha256}` };
    show(found.current.calibration);
  }
}

async function take() {
  const id = chosen.peek();
  const made = await ask("POST", `/cameras/${id}/still`).catch(refusal);
  if (!made || chosen.peek() !== id) return;
  const picture = new Image();
  picture.src = made.url;
  await picture.decode().catch(() => undefined);
  if (chosen.peek() !== id) return;
  const [width, height] = [picture.naturalWidth, picture.naturalHeight];
  if (!width) return toast(t("cam_no_picture"), true);
  still.value = made;
  const before = drawing.peek();
  // A drawing that fits stays as it is: the picture may come after the next stroke, and "undo" must take that stroke back, not a step of nothing.
  if (before?.width_px !== width || before.height_px !== height) draw(begun(width, height));
  return undefined;
}

async function save() {
  const entered = await askFor(t("cam_save"), { note: { label: t("note"), optional: true } }, { done: t("cam_save") });
  if (!entered) return;
  const body = { based_on: stored.peek()?.version ?? 0, still_sha256: still.peek()?.sha256, calibration: drawing.peek(), note: entered.note };
  await ask("PUT", `/cameras/${chosen.peek()}/calibration`, body).then((made) => { toast(t("cam_saved", { n: made.version })); taken(made); }, refusal);
}

/** @param {number} version */
async function restore(version) {
  if (!(await confirm(t("cam_restore", { n: version })))) return;
  await ask("POST", `/cameras/${chosen.peek()}/calibration/restore`, { based_on: stored.peek()?.version ?? 0, version }).then((made) => { toast(t("cam_saved", { n: made.version })); return open(chosen.peek()); }, refusal);
}

/** @param {Stored} made */
function taken(made) {
  stored.value = made;
  show(made.calibration);
  versions.value = [...new Set([...versions.peek(), made.version])];
  cameras.value = cameras.peek().map((one) => (one.id === chosen.peek() ? { ...one, version: made.version } : one));
}

/** Where in the picture a pointer is. @param {PointerEvent} event @returns {[number, number]} */
function placeOf(event) {
  const svg = /** @type {SVGSVGElement} */ (/** @type {Element} */ (event.target).closest("svg"));
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM()?.inverse());
  return [Math.round(at.x), Math.round(at.y)];
}

/** @param {{part: Part, index: number, at: [number, number], name: string, size: number}} props */
function Point({ part, index, at, name, size }) {
  const id = `${part.path} ${index}`;
  const drag = (/** @type {PointerEvent} */ event) => {
    event.preventDefault();
    event.stopPropagation();
    const node = /** @type {SVGElement} */ (event.target);
    node.focus();
    node.setPointerCapture(event.pointerId);
    const before = /** @type {Drawing} */ (drawing.peek());
    let isMoved = false;
    node.onpointermove = (move) => {
      if (!isMoved) { isMoved = true; draw(moved(before, part, index, placeOf(move))); } else show(moved(before, part, index, placeOf(move)));
    };
    node.onpointerup = node.onpointercancel = () => { node.onpointermove = node.onpointerup = node.onpointercancel = null; };
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const now = /** @type {Drawing} */ (drawing.peek());
    if (way) draw(moved(now, part, index, [at[0] + way[0] * (event.shiftKey ? 10 : 1), at[1] + way[1] * (event.shiftKey ? 10 : 1)]));
    else if (event.key === "Delete" || event.key === "Backspace") draw(removed(now, part, index));
    else if (event.key === "Insert" || event.key === "+") draw(withPoint(now, part, index));
    else return;
    event.preventDefault();
  };
  return html`<circle class=${on.value === id ? "point on" : "point"} cx=${at[0]} cy=${at[1]} r=${size} tabindex="0" role="button" aria-label=${t("cam_point", { name, x: at[0], y: at[1] })} data-point=${id}
    onPointerDown=${drag} onKeyDown=${key} onFocus=${() => { on.value = id; }} onBlur=${() => { on.value = ""; }}><title>${name}</title></circle>`;
}

function Still() {
  const now = drawing.value;
  if (!now || !still.value) return html`<div class="still"><div class="empty"><b>${t("cam_nothing")}</b><span>${t("cam_nothing_hint")}</span></div></div>`;
  const size = now.width_px / 110;
  const shown = parts(now);
  const active = mode.value === "try" ? [] : shown.filter((part) => part.mode === mode.value);
  const press = (/** @type {PointerEvent} */ event) => {
    const at = placeOf(event);
    if (mode.value === "try") {
      tried.value = { x: at[0], y: at[1], floor: NaN, floor_low: NaN, floor_high: NaN, column: null };
      preview();
    } else if (["detect", "shield", "landing"].includes(mode.value)) draw(withZone(now, mode.value, at));
  };
  return html`<div class="still"><svg viewBox=${`0 0 ${now.width_px} ${now.height_px}`} width=${now.width_px} height=${now.height_px} role="group" aria-label=${t("cam_still")} onPointerDown=${press} font-size=${size * 2.4}>
    <image href=${still.value.url} width=${now.width_px} height=${now.height_px} />
    ${grid.value.filter((floor) => !floor.is_drawn).map((floor) => html`<line class="grid" x1=${floor.left[0]} y1=${floor.left[1]} x2=${floor.right[0]} y2=${floor.right[1]} />`)}
    ${columnLines(now).map((line) => html`<line class="grid" x1=${line[0][0]} y1=${line[0][1]} x2=${line[1][0]} y2=${line[1][1]} />`)}
    ${shown.map((part) => {
      const d = part.points.map((at) => at.join(",")).join(" ");
      if (part.mode === "floors") return html`<polyline class="edge-2" points=${d} /><polyline class="edge floor" points=${d} />`;
      if (part.mode === "facade") return html`<polygon class="edge-2" points=${d} /><polygon class="edge" points=${d} />`;
      return html`<polygon class=${`zone ${part.mode}`} points=${d} />`;
    })}
    ${grid.value.map((floor) => html`<text x=${floor.right[0] + size} y=${floor.right[1] - size * 0.4}>${floor.name}</text>`)}
    ${tried.value && !Number.isNaN(tried.value.floor) && html`<g><circle class="point on" cx=${tried.value.x} cy=${tried.value.y} r=${size} /><text x=${tried.value.x + size * 2} y=${tried.value.y}>${t("cam_tried", { a: tried.value.floor_low, b: tried.value.floor_high, c: tried.value.column === null ? "—" : tried.value.column })}</text></g>`}
    ${active.flatMap((part) => part.points.map((at, index) => html`<${Point} key=${`${part.path} ${index}`} part=${part} index=${index} at=${at} name=${`${part.name} ${part.ends?.[index] ?? index + 1}`} size=${size} />`))}</svg></div>`;
}

/** @param {{name: "columns" | "floor_m" | "distance_m", words: string, least: number, most: number, step: number, isOptional?: boolean}} props */
function Figure({ name, words, least, most, step, isOptional = false }) {
  const now = /** @type {Drawing} */ (drawing.value);
  return html`<label>${words}<input type="number" min=${least} max=${most} step=${step} value=${now[name] ?? ""} onChange=${(/** @type {Event} */ event) => {
    const text = /** @type {HTMLInputElement} */ (event.target).value;
    const value = Number(text);
    if (isOptional && text === "") draw({ ...now, [name]: null });
    else if (text !== "" && value >= least && value <= most) draw({ ...now, [name]: value });
  }} /></label>`;
}

function Floors() {
  const now = /** @type {Drawing} */ (drawing.value);
  return html`<ul class="lines">${now.floors.map((line, at) => html`<li><input type="number" aria-label=${t("cam_floor")} min="-3" max="120" value=${line.floor} onChange=${(/** @type {Event} */ event) => draw({ ...now, floors: now.floors.map((one, n) => (n === at ? { ...one, floor: Number(/** @type {HTMLInputElement} */ (event.target).value) } : one)) })} />
      <input aria-label=${t("cam_floor_name")} placeholder=${t("cam_floor_name")} maxlength="16" value=${line.name ?? ""} onChange=${(/** @type {Event} */ event) => draw({ ...now, floors: now.floors.map((one, n) => (n === at ? { ...one, name: /** @type {HTMLInputElement} */ (event.target).value } : one)) })} />
      <button class="small" aria-label=${t("cam_remove")} disabled=${now.floors.length <= 2} onClick=${() => draw({ ...now, floors: now.floors.filter((_, n) => n !== at) })}>×</button></li>`)}</ul>
    <button onClick=${() => draw(withFloor(now))}>${t("cam_add_floor")}</button>`;
}

function Tools() {
  const now = drawing.value;
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    if (event.shiftKey) redo(); else undo();
  };
  useEffect(() => { addEventListener("keydown", key); return () => removeEventListener("keydown", key); }, []);
  return html`<aside class="tools"><button onClick=${take} disabled=${isStale.value}>${t(still.value ? "cam_again" : "cam_take")}</button>
    ${now && html`<div class="modes" role="group" aria-label=${t("cam_draw")}>${MODES.map((one) => html`<button aria-pressed=${mode.value === one} onClick=${() => { mode.value = one; }}>${t(`mode_${one}`)}</button>`)}</div>
      <p class="hint">${t(`cam_hint_${mode.value}`)}</p>
      ${mode.value === "floors" && html`<${Floors} />`}
      ${mode.value === "facade" && html`<${Figure} name="columns" words=${t("cam_columns")} least=${1} most=${200} step=${1} /><${Figure} name="floor_m" words=${t("cam_floor_m")} least=${2.2} most=${6} step=${0.1} /><${Figure} name="distance_m" words=${t("cam_distance")} least=${2} most=${500} step=${1} isOptional=${true} />`}
      ${["detect", "shield", "landing"].includes(mode.value) && now[/** @type {"detect"} */ (mode.value)].length > 0 && html`<button onClick=${() => draw({ ...now, [mode.value]: now[/** @type {"detect"} */ (mode.value)].slice(0, -1) })}>${t("cam_remove_zone")}</button>`}
      <div class="buttons"><button onClick=${undo} disabled=${(depth.value, steps.past.length === 0)} aria-label=${t("cam_undo")}>↶ ${t("cam_undo")}</button><button onClick=${redo} disabled=${(depth.value, steps.future.length === 0)}>↷ ${t("cam_redo")}</button></div>
      ${faults.value.length > 0 && html`<ul class="faults" role="alert">${faults.value.slice(0, 5).map((fault) => html`<li>${fault.at} ${fault.message}</li>`)}</ul>`}
      <button class="strong" disabled=${isStale.value || faults.value.length > 0 || !isChanged.value} onClick=${save}>${t("cam_save")}</button>`}
    ${stored.value && html`<dl class="facts"><dt>${t("cam_version")}</dt><dd>${stored.value.version} · ${dateTime(stored.value.at)} · <bdi>${stored.value.by}</bdi></dd></dl>`}
    ${versions.value.length > 1 && html`<label>${t("cam_back")}<select onChange=${(/** @type {Event} */ event) => { const box = /** @type {HTMLSelectElement} */ (event.target); if (box.value) restore(Number(box.value)); box.value = ""; }}><option value="">—</option>${versions.value.filter((one) => one !== stored.value?.version).map((one) => html`<option value=${one}>${one}</option>`)}</select></label>`}
    <p class="hint">${t("cam_keys")}</p></aside>`;
}
// words: cam_hint_facade cam_hint_floors cam_hint_detect cam_hint_shield cam_hint_landing cam_hint_try

function Cameras() {
  useEffect(() => {
    const leaving = (/** @type {BeforeUnloadEvent} */ event) => { if (isChanged.peek() && steps.past.length > 0) event.preventDefault(); };
    addEventListener("beforeunload", leaving);
    return () => removeEventListener("beforeunload", leaving);
  }, []);
  if (cameras.value.length === 0) return html`<main class="page"><div class="empty"><b>${t("cam_none")}</b></div></main>`;
  return html`<main class="page cameras"><header><h1>${t("page_cameras")}</h1>
      <select aria-label=${t("kind_of_camera")} onChange=${(/** @type {Event} */ event) => open(/** @type {HTMLSelectElement} */ (event.target).value)}>${cameras.value.map((one) => html`<option value=${one.id} selected=${one.id === chosen.value}>${one.place || one.id} · ${one.version ? t("cam_is", { n: one.version }) : t("cam_is_not")}</option>`)}</select>
      <span class="space"></span>${isChanged.value && html`<i class="pill p3">${t("cam_unsaved")}</i>`}</header>
    <div class="work-area"><${Still} /><${Tools} /></div></main>`;
}

await start({
  name: "cameras", sections: ["local"],
  content: () => (may("calibrate") ? html`<${Cameras} />` : html`<main class="page"><div class="empty"><b>${t("not_yours")}</b></div></main>`),
  prepare: async () => {
    if (!may("calibrate")) return;
    cameras.value = (await ask("GET", "/cameras")).cameras;
    if (cameras.value.length > 0) await open(cameras.value[0].id);
  },
});
