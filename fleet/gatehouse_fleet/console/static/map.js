// The map: outlines of the districts, a dot for each community with the shape of its worst. No tiles, no foreign server; WGS-84 as it is.
import { ask, problemText } from "/ui/api.js";
import { SHAPES } from "/ui/shapes.js";
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { communities, districts, isBad, isKnown, isStale, nameOf, standings, worst, worseFirst } from "./known.js";

/**
 * @typedef {import("./known.js").Community} Community
 * @typedef {import("./known.js").Standing} Standing
 * @typedef {{code: string, name: string, rings: [number, number][][]}} Area
 * @typedef {{x: number, y: number, place: Community, one: Standing}} Dot
 */

/** Communities with a sign of their own and a name beside it; the rest are dots and counts. */
const MOST_SIGNS = 60;
const MOST_LABELS = 14;
const MOST_DOTS = 160;
const CELL = 34;
const LABEL_H = 24;
const CJK = 13;
const LATIN = 7.2;

const outline = signal(/** @type {{is_invented: boolean, areas: Area[]} | null} */ (null));
const refused = signal("");

/** @param {{district: number | null, community: number | null, onChoose: (id: number | null) => void}} props */
export function FleetMap({ district, community, onChoose }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [size, setSize] = useState({ w: 0, h: 0 });
  useLayoutEffect(() => {
    const node = /** @type {HTMLElement} */ (box.current);
    const look = () => setSize({ w: node.clientWidth, h: node.clientHeight });
    const watcher = new ResizeObserver(look);
    watcher.observe(node);
    look();
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    if (!outline.value) ask("GET", "/outline").then((found) => { outline.value = found; }, (error) => { refused.value = problemText(error); });
  }, []);
  const all = [...communities.value.values()];
  const placed = all.filter((one) => one.place);
  const areas = fits(outline.value, placed);
  const drawn = size.w > 40 && size.h > 40 && (placed.length || areas.length) ? draw(size, placed, areas) : null;
  return html`<div class="map" ref=${box}>
    ${drawn && html`<svg width=${size.w} height=${size.h} viewBox=${`0 0 ${size.w} ${size.h}`} role="group" aria-label=${t("fleet_map")}>
      <defs><pattern id="veil" width="12" height="12" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V12" class="veil" /></pattern></defs>
      ${areas.map((area) => html`<${Border} area=${area} at=${drawn.at} isOn=${districts.value.some((one) => one.id === district && one.code === area.code)} />`)}
      ${areas.map((area) => html`<${AreaName} area=${area} at=${drawn.at} />`)}
      <${Dots} dots=${drawn.dots} size=${size} district=${district} community=${community} onChoose=${onChoose} />
      ${isStale.value && html`<rect width=${size.w} height=${size.h} fill="url(#veil)" />`}</svg>`}
    <p class="mapnote">${refused.value || (outline.value && outline.value.is_invented && areas.length ? t("fleet_invented_outline") : outline.value && !areas.length ? t("fleet_no_outline") : "")}
      ${isKnown.value && placed.length < all.length ? ` ${t("fleet_without_place", { n: all.length - placed.length })}` : ""}</p></div>`;
}

/** The outline is drawn only where the communities lie in it: an invented one must not pass for a real city's. @param {{is_invented: boolean, areas: Area[]} | null} known @param {Community[]} placed */
function fits(known, placed) {
  if (!known) return [];
  if (!known.is_invented || !placed.length) return known.areas;
  const [w, s, e, n] = bounds(known.areas.flatMap((area) => area.rings.flat()));
  const inside = placed.filter(({ place }) => place && place.lon >= w && place.lon <= e && place.lat >= s && place.lat <= n).length;
  return inside >= placed.length / 2 ? known.areas : [];
}

/** @param {[number, number][]} points @returns {[number, number, number, number]} west, south, east, north */
function bounds(points) {
  let [w, s, e, n] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [lon, lat] of points) { w = Math.min(w, lon); e = Math.max(e, lon); s = Math.min(s, lat); n = Math.max(n, lat); }
  return [w, s, e, n];
}

/** @param {{w: number, h: number}} size @param {Community[]} placed @param {Area[]} areas */
function draw(size, placed, areas) {
  const points = [...areas.flatMap((area) => area.rings.flat()), ...placed.map(({ place }) => /** @type {[number, number]} */ ([/** @type {any} */ (place).lon, /** @type {any} */ (place).lat]))];
  const [w, s, e, n] = bounds(points);
  // At this size a degree of longitude is a degree of latitude times the cosine: no projection library is needed.
  const narrow = Math.cos(((s + n) / 2) * Math.PI / 180);
  const pad = 44;
  const scale = Math.min((size.w - 2 * pad) / Math.max((e - w) * narrow, 0.02), (size.h - 2 * pad) / Math.max(n - s, 0.02));
  const [dx, dy] = [(size.w - (e - w) * narrow * scale) / 2, (size.h - (n - s) * scale) / 2];
  const at = (/** @type {number} */ lon, /** @type {number} */ lat) => /** @type {[number, number]} */ ([dx + (lon - w) * narrow * scale, dy + (n - lat) * scale]);
  /** @type {Dot[]} */
  const dots = placed.map((place) => {
    const [x, y] = at(/** @type {any} */ (place.place).lon, /** @type {any} */ (place.place).lat);
    return { x, y, place, one: /** @type {Standing} */ (standings.value.get(place.id)) };
  });
  return { at, dots };
}

/** @param {{area: Area, at: (lon: number, lat: number) => [number, number], isOn: boolean}} props */
function Border({ area, at, isOn }) {
  const path = area.rings.map((ring) => `M${ring.map(([lon, lat]) => at(lon, lat).map((v) => v.toFixed(1)).join(",")).join("L")}Z`).join("");
  return html`<path class=${`area ${isOn ? "on" : ""}`} d=${path} fill-rule="evenodd" />`;
}

/** Above every border, or the next area would cover it. @param {{area: Area, at: (lon: number, lat: number) => [number, number]}} props */
function AreaName({ area, at }) {
  const ring = area.rings[0];
  const [x, y] = at(mean(ring.map(([lon]) => lon)), mean(ring.map(([, lat]) => lat)));
  const district = districts.value.find((one) => one.code === area.code);
  return html`<text class="areaname" x=${x} y=${y} text-anchor="middle">${short(district ? nameOf(district) : area.name)}</text>`;
}

/** @param {{dots: Dot[], size: {w: number, h: number}, district: number | null, community: number | null, onChoose: (id: number | null) => void}} props */
function Dots({ dots, size, district, community, onChoose }) {
  const bad = dots.filter((dot) => isBad(dot.one) || dot.place.id === community).sort((a, b) => worseFirst(a.one, b.one));
  const signs = bad.slice(0, MOST_SIGNS);
  const rest = dots.filter((dot) => !signs.includes(dot));
  const dim = (/** @type {Dot} */ dot) => (district !== null && dot.place.district_id !== district ? "dim" : "");
  const isMany = rest.length > MOST_DOTS;
  return html`<g class="quietdots">${isMany ? cells(rest).map((cell) => html`<${Cell} cell=${cell} />`)
      : rest.map((dot) => html`<circle key=${dot.place.id} class=${`dot ${dot.one.open.P4 ? "fault" : ""} ${dot.one.never === dot.one.gateways ? "unheard" : ""} ${dim(dot)}`} cx=${dot.x} cy=${dot.y} r=${dot.one.open.P4 ? 5 : 4} onClick=${() => onChoose(dot.place.id)}><title>${nameOf(dot.place)}</title></circle>`)}</g>
    ${[...signs].reverse().map((dot) => html`<${Sign} key=${dot.place.id} dot=${dot} look=${dim(dot)} />`)}
    ${labels(signs.slice(0, MOST_LABELS), size).map((label) => html`<${Label} key=${label.dot.place.id} label=${label} isOn=${label.dot.place.id === community} onChoose=${onChoose} />`)}
    ${bad.length > MOST_LABELS && html`<text class="more" x=${size.w - 14} y=${22} text-anchor="end">${t("fleet_more_on_map", { n: bad.length - MOST_LABELS })}</text>`}`;
}

/** Dots that lie close together, as one circle with their number. @param {Dot[]} dots */
function cells(dots) {
  /** @type {Map<string, Dot[]>} */
  const found = new Map();
  for (const dot of dots) {
    const key = `${Math.floor(dot.x / CELL)},${Math.floor(dot.y / CELL)}`;
    const mine = found.get(key);
    if (mine) mine.push(dot);
    else found.set(key, [dot]);
  }
  return [...found.entries()].map(([key, inside]) => ({ key, inside, x: mean(inside.map((dot) => dot.x)), y: mean(inside.map((dot) => dot.y)) }));
}

/** @param {number[]} values */
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** @param {{cell: {key: string, inside: Dot[], x: number, y: number}}} props */
function Cell({ cell }) {
  const n = cell.inside.length;
  const worstOne = cell.inside.map((dot) => dot.one).sort(worseFirst)[0];
  if (n === 1) return html`<circle class="dot" cx=${cell.x} cy=${cell.y} r="4"><title>${nameOf(cell.inside[0].place)}</title></circle>`;
  const p = isBad(worstOne) ? worst(worstOne) : null;
  return html`<g class=${`cell ${p ? p.toLowerCase() : ""}`} transform=${`translate(${cell.x},${cell.y})`}><circle r=${Math.min(15, 7 + Math.sqrt(n) * 1.6)} /><text y="4" text-anchor="middle">${n}</text></g>`;
}

/** @param {{dot: Dot, look: string}} props */
function Sign({ dot, look }) {
  const p = worst(dot.one);
  const isNew = p !== null && dot.one.unattended[p] > 0;
  return html`<g class=${`sign ${look}`} transform=${`translate(${dot.x},${dot.y})`}>
    ${dot.one.silent > 0 && html`<g class="ring"><circle r="13" pathLength="100" stroke-dasharray="74 26" transform="rotate(-45)" /></g>`}
    ${p && (p === "P2" || p === "P3") && !(isNew && !dot.one.silent) && html`<path class="under" d=${SHAPES[p]} transform="scale(.92)" />`}
    ${p && p !== "P4" && html`<g class=${`mark ${p.toLowerCase()} ${isNew && !dot.one.silent ? "is-full" : "is-hollow"} ${isNew && !dot.one.silent && p < "P3" && !isStale.value ? "blinks" : ""}`}><path d=${SHAPES[p]} transform="scale(.92)" /></g>`}
    ${(!p || p === "P4") && html`<circle class="dot" r="4" />`}</g>`;
}

/**
 * Where names go: beside their sign, where they cover no other name and as few signs as may be.
 * @param {Dot[]} dots @param {{w: number, h: number}} size
 * @returns {{dot: Dot, x: number, y: number, w: number, isLeft: boolean, text: string}[]}
 */
function labels(dots, size) {
  /** @type {{dot: Dot, x: number, y: number, w: number, isLeft: boolean, text: string}[]} */
  const taken = [];
  for (const dot of dots) {
    const text = short(nameOf(dot.place));
    const w = [...text].reduce((sum, letter) => sum + (letter.charCodeAt(0) > 0x2e7f ? CJK : LATIN), 0) + 18;
    const tries = [false, true].flatMap((isLeft) => [-12, -30, 8, -52, 32, -76, 58].map((dy) => ({ dot, text, w, isLeft, x: isLeft ? dot.x - 22 - w : dot.x + 22, y: dot.y + dy })));
    const cost = (/** @type {typeof tries[0]} */ one) => {
      const isOut = one.x < 4 || one.x + w > size.w - 4 || one.y < 4 || one.y + LABEL_H > size.h - 4;
      const onNames = taken.filter((other) => other.x < one.x + w + 5 && one.x < other.x + other.w + 5 && Math.abs(other.y - one.y) < LABEL_H + 4).length;
      const onSigns = dots.filter((other) => other !== dot && other.x > one.x - 11 && other.x < one.x + w + 11 && other.y > one.y - 11 && other.y < one.y + LABEL_H + 11).length;
      return (isOut ? 1000 : 0) + onNames * 100 + onSigns * 10 + Math.abs(one.y + 12 - dot.y) / 10 + (one.isLeft ? 1 : 0);
    };
    const best = tries.reduce((a, b) => (cost(b) < cost(a) ? b : a));
    if (cost(best) < 100) taken.push(best);
  }
  return taken;
}

/** Names of a map are short: what is said in brackets stays in the list. @param {string} name */
function short(name) {
  const plain = name.replace(/[（(][^）)]*[）)]/g, "").trim() || name;
  return [...plain].length > 10 ? `${[...plain].slice(0, 9).join("")}…` : plain;
}

/** @param {{label: {dot: Dot, x: number, y: number, w: number, isLeft: boolean, text: string}, isOn: boolean, onChoose: (id: number | null) => void}} props */
function Label({ label, isOn, onChoose }) {
  const { dot, x, y, w, isLeft } = label;
  const edge = isLeft ? x + w : x;
  const choose = () => onChoose(isOn ? null : dot.place.id);
  return html`<g class=${`tag ${isOn ? "on" : ""}`} role="button" tabindex="0" aria-pressed=${isOn} aria-label=${nameOf(dot.place)} onClick=${choose} onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); } }}>
    <path class="lead" d=${`M${dot.x + (isLeft ? -11 : 11)},${dot.y - 2} L${edge + (isLeft ? 6 : -6)},${y + LABEL_H / 2} H${edge}`} />
    <rect x=${x} y=${y} width=${w} height=${LABEL_H} rx="4" /><text x=${x + 9} y=${y + 17}>${label.text}</text></g>`;
}
