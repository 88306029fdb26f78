// The front of the real buildings, grey, with a mark for each alarm at its floor and flat.
import { SHAPES } from "/ui/shapes.js";
import { computed, html, signal } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { current as chosen, select } from "./alarm_list.js";
import { devices, isStale, shown } from "./desk.js";

/**
 * @typedef {import("./desk.js").Alarm} Alarm
 * @typedef {{id: string, name: string, floors: number, basements: number, units: string[], rooms_per_floor: number, lifts: string[], is_drawn_from_devices: boolean}} Building
 * @typedef {Building & {x: number, width: number, cell: number, storey: number, top: number}} Drawn
 * @typedef {{alarm: Alarm, x: number, y: number, building: Drawn | null, isLift: boolean}} Point
 * @typedef {{x: number, y: number, width: number, side: 1 | -1, up: boolean, box: number[]}} Tag
 */

/** The buildings, set once after logging in. */
export const buildings = signal(/** @type {Building[]} */ ([]));

const GROUND = 486;
const TALL = 520;
const SKY = 60;
const GAP = 54;
const INNER = 8;
const MOST_MARKS = 14;
const WIDTH = 900;
const HUT = 46;

/** Buildings with their place on the picture, and how wide the picture is. */
const drawn = computed(() => {
  const tallest = Math.max(10, ...buildings.value.map((building) => building.floors));
  const storey = Math.min(19, (GROUND - SKY - 14) / tallest);
  const flats = buildings.value.map((building) => building.units.length * building.rooms_per_floor * 2);
  const all = flats.reduce((sum, n) => sum + n, 0);
  const free = WIDTH - HUT - 40 - GAP * buildings.value.length;
  const cell = Math.max(9, Math.min(24.5, free / Math.max(1, all)));
  const widths = flats.map((n) => Math.max(54, n * cell + 2 * INNER));
  const total = widths.reduce((sum, n) => sum + n + GAP, 0);
  let x = HUT + 40 + Math.max(0, (WIDTH - HUT - 40 - total) / 2) + GAP / 2;
  const list = buildings.value.map((building, at) => {
    const one = { ...building, x, width: widths[at], cell: (widths[at] - 2 * INNER) / flats[at], storey, top: GROUND - building.floors * storey - 14 };
    x += widths[at] + GAP;
    return one;
  });
  return { list, width: Math.max(WIDTH, x) };
});

/** Height of the middle of a floor. @param {Drawn} building @param {number} floor */
function heightOf(building, floor) {
  return GROUND - 14 - Math.max(0.3, Math.min(building.floors, floor)) * building.storey + building.storey / 2;
}

/** Middle of an entrance. @param {Drawn} building @param {string} unit */
function unitX(building, unit) {
  const at = Math.max(0, building.units.indexOf(unit));
  const wide = (building.width - 2 * INNER) / building.units.length;
  return building.x + INNER + wide * (at + 0.5);
}

/** @param {Alarm} alarm @returns {Point} */
function pointOf(alarm) {
  const place = alarm.place;
  const building = drawn.value.list.find((one) => one.id === place.building) ?? null;
  if (!building) return { alarm, x: HUT / 2 + 12, y: GROUND - 20, building, isLift: false };
  const room = /^(\d{1,2})(\d{2})\D?$/.exec(place.room);
  const device = devices.value.get(alarm.device_id);
  if (device?.kind === "lift") {
    const floor = Number.parseInt(alarm.facts?.lift?.floor ?? device.last?.floor ?? "", 10);
    return { alarm, x: unitX(building, place.unit), y: heightOf(building, Number.isNaN(floor) ? 1 : floor), building, isLift: true };
  }
  const thrown = alarm.facts?.throw;
  const floor = thrown ? (thrown.floor_low + thrown.floor_high) / 2 : Number.parseInt(place.floor, 10) || Number(room?.[1]) || 0;
  if (thrown?.column) return { alarm, x: building.x + INNER + (thrown.column - 0.5) * building.cell * 2, y: heightOf(building, floor), building, isLift: false };
  const wide = (building.width - 2 * INNER) / building.units.length;
  const left = building.x + INNER + wide * Math.max(0, building.units.indexOf(place.unit));
  const flat = room ? Math.min(building.rooms_per_floor, Number(room[2])) : (building.rooms_per_floor + 1) / 2;
  // The window of a flat that is not under the lift shaft.
  const x = left + (wide / building.rooms_per_floor) * (flat - 0.5) + (flat > building.rooms_per_floor / 2 ? 0.5 : -0.5) * building.cell;
  return { alarm, x, y: heightOf(building, floor || 0.6), building, isLift: false };
}

/** Width of a text in the picture's units. @param {string} text */
function widthOf(text) {
  let wide = 36;
  for (const letter of text) wide += letter.charCodeAt(0) > 0x2e80 ? 12.6 : 7.3;
  return wide;
}

/** What a tag says: the room if there is one, and the thing in few words. @param {Alarm} alarm */
function tagText(alarm) {
  const words = pick(alarm.label);
  return alarm.place.room ? `${alarm.place.room} ${words}` : words;
}

/** @type {[1 | -1, number][]} */
const SPOTS = [[1, -18], [-1, -18], [1, 18], [-1, 18], [1, -44], [-1, -44], [1, 44], [-1, 44]];

/** Put each tag at the first spot that hits no mark and no other tag. @param {Point[]} points @param {number} width @returns {Tag[]} */
function layOut(points, width) {
  const busy = points.map((point) => [point.x - 11, point.y - 12, point.x + 11, point.y + 10]);
  return points.map((point) => {
    const wide = widthOf(tagText(point.alarm));
    let best = null;
    for (const [side, dy] of SPOTS) {
      const x = side > 0 ? point.x + 32 : point.x - 32 - wide;
      const y = point.y + dy;
      const box = [x, y - 12, x + wide, y + 12];
      const hits = busy.filter((other) => box[2] >= other[0] && box[0] <= other[2] && box[3] >= other[1] && box[1] <= other[3]).length;
      const cost = hits + (x < 4 || x + wide > width - 4 || y < 14 || y > TALL - 40 ? 5 : 0);
      if (!best || cost < best.cost) best = { cost, x, y, width: wide, side, up: dy < 0, box };
      if (cost === 0) break;
    }
    const tag = /** @type {NonNullable<typeof best>} */ (best);
    busy.push(tag.box);
    return tag;
  });
}

export function Facade() {
  const { width } = drawn.value;
  const points = shown.value.filter((alarm) => alarm.place.building || alarm.priority !== "P4").map(pointOf);
  const marks = points.slice(0, MOST_MARKS);
  const tags = layOut(marks, width);
  /** @type {Map<Drawn | null, number>} */
  const over = new Map();
  for (const point of points.slice(MOST_MARKS)) over.set(point.building, (over.get(point.building) ?? 0) + 1);
  const order = marks.map((point, at) => ({ point, tag: tags[at] })).reverse();
  const frame = { viewBox: `0 0 ${width} ${TALL}`, preserveAspectRatio: "xMidYMax meet" };
  // Two pictures, one over the other: what stands still is painted once, and not again with every blink.
  return html`<div class="facade" role="img" aria-label=${t("facade", { n: points.length })}><svg class="scenery" ...${frame}>${scenery.value}</svg><svg class="marks" ...${frame}>
    <defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" class="hatch" /></pattern>
      <pattern id="veil" width="22" height="22" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="22" class="veil-line" /></pattern></defs>
    ${isStale.value && html`<rect class="veil" x="-600" width=${width + 1200} height=${TALL} fill="url(#veil)" />`}
    ${order.map(({ point: { alarm, x, y, building } }) => alarm.facts?.throw && building && html`<${Fall} key=${`fall ${alarm.alarm_id}`} priority=${alarm.priority} x=${x} y=${y} building=${building} thrown=${alarm.facts.throw} />`)}
    ${order.map(({ point, tag }) => html`<${MarkAt} key=${point.alarm.alarm_id} point=${point} tag=${tag} isOn=${chosen.value?.alarm_id === point.alarm.alarm_id} />`)}
    ${[...over].map(([building, n]) => html`<text class="more" x=${building ? building.x + building.width : HUT} y=${GROUND + 20}>+${n}</text>`)}
  </svg></div>`;
}

/** What never changes while the buildings stand. */
const scenery = computed(() => {
  const { list, width } = drawn.value;
  const trees = [...list.map((one) => one.x - GAP / 2), ...(list.length ? [list[list.length - 1].x + list[list.length - 1].width + GAP / 2] : [])];
  return html`<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" class="sky" /><stop offset="1" class="sky-2" /></linearGradient></defs>
    <g class="ground-layer"><rect x="-600" width=${width + 1200} height=${TALL} fill="url(#sky)" />
      <path class="far" d=${skyline(width)} />
      <rect x="-600" y=${GROUND} width=${width + 1200} height="60" class="ground" /><rect x="-600" y=${GROUND - 1} width=${width + 1200} height="1.4" class="kerb" />
      <g class="hut"><rect x="14" y=${GROUND - 30} width="44" height="30" class="wall" /><path d=${`M9 ${GROUND - 30} L36 ${GROUND - 48} L63 ${GROUND - 30} Z`} class="roof" /><rect x="42" y=${GROUND - 22} width="10" height="22" class="door" /></g>
      ${list.map((building) => html`<${BuildingShape} building=${building} />`)}
      ${trees.map((x, at) => html`<g class="tree"><rect x=${x - 1} y=${GROUND - 18} width="2" height="18" /><ellipse cx=${x} cy=${GROUND - 24} rx=${7 + (at % 3)} ry=${12 + (at % 2) * 3} /></g>`)}</g>`;
});

/** @param {number} width */
function skyline(width) {
  let d = `M-600 ${GROUND}`;
  for (let x = -600, at = 0; x < width + 600; at += 1) {
    const step = 44 + ((at * 37) % 52);
    d += ` V${GROUND - 40 - ((at * 53) % 130)} H${(x += step)}`;
  }
  return `${d} V${GROUND} Z`;
}

/** @param {{building: Drawn}} props */
function BuildingShape({ building }) {
  const { x, width, top, storey, cell, floors, units } = building;
  const columns = units.length * building.rooms_per_floor * 2;
  const paths = { window: "", "window-2": "", lit: "", ledge: "" };
  for (let floor = 1; floor <= floors; floor += 1) {
    for (let column = 0; column < columns; column += 1) {
      const left = x + INNER + column * cell;
      const y = GROUND - 14 - floor * storey + storey * 0.22;
      const isWide = column % 4 === 0 || column % 4 === 3;
      const inset = isWide ? cell * 0.13 : cell * 0.21;
      const seed = (building.id.charCodeAt(0) * 131 + floor * 17 + column * 29) % 11;
      const kind = seed === 0 ? "lit" : seed < 3 ? "window-2" : "window";
      paths[kind] += box(left + inset, y, cell - 2 * inset, storey * 0.56);
      if (isWide) paths.ledge += box(left + cell * 0.06, y + storey * 0.53, cell * 0.88, storey * 0.13);
    }
  }
  const marked = Array.from({ length: Math.floor(floors / 5) }, (_, at) => (at + 1) * 5);
  return html`<g class="building">
    ${floors > 3 && html`<rect x=${x + width / 2 - 26} y=${top - 22} width="52" height="18" class="wall-2" />`}
    <rect x=${x - 4} y=${top - 5} width=${width + 8} height="7" class="roof" />
    <rect x=${x} y=${top} width=${width} height=${GROUND - top} class="wall" /><rect x=${x + width - 8} y=${top} width="8" height=${GROUND - top} class="shade" />
    ${units.map((unit) => html`${building.lifts.includes(unit) && html`<rect x=${unitX(building, unit) - 5} y=${top + 4} width="10" height=${GROUND - top - 4} class="shaft" />`}<rect x=${unitX(building, unit) - 9} y=${GROUND - 13} width="18" height="13" class="door" />`)}
    <path d=${paths.window} class="window" /><path d=${paths["window-2"]} class="window-2" /><path d=${paths.lit} class="lit" /><path d=${paths.ledge} class="ledge" />
    ${marked.map((floor) => html`<text x=${x - 8} y=${heightOf(building, floor) + 4} class="floor">${floor}F</text>`)}
    <text x=${x + width / 2} y=${GROUND + 20} class="name">${building.name || (/^\d+$/.test(building.id) ? t("building", { n: building.id }) : building.id)}</text></g>`;
}

/** @param {number} x @param {number} y @param {number} width @param {number} height */
function box(x, y, width, height) {
  return `M${x.toFixed(1)} ${y.toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}h${(-width).toFixed(1)}Z`;
}

/** @param {{point: Point, tag: Tag, isOn: boolean}} props */
function MarkAt({ point: { alarm, x, y, isLift }, tag, isOn }) {
  const isNew = alarm.state === "unack";
  const [left, top, wide, tall] = isLift ? [x - 6, y - 9, 12, 17] : [x - 8, y - 8, 16, 14];
  return html`<g class=${`at ${alarm.priority.toLowerCase()} ${alarm.state} ${isOn ? "on" : ""}`} onClick=${() => select(alarm.alarm_id)}>
    <rect class="rim" x=${x - (isLift ? 8 : 10)} y=${y - (isLift ? 11 : 10)} width=${isLift ? 16 : 20} height=${isLift ? 21 : 18} rx="3" />
    ${!isNew && html`<rect class="under" x=${left} y=${top} width=${wide} height=${tall} rx="1.5" />`}<rect class="spot" x=${left} y=${top} width=${wide} height=${tall} rx="1.5" />
    ${isNew && html`<g class="ring"><circle class="rim-ring" cx=${x} cy=${y - 1} r="15" /><circle class="under" cx=${x} cy=${y - 1} r="15" /><circle cx=${x} cy=${y - 1} r="15" /></g>`}
    <path class="lead" d=${`M${x + tag.side * 9},${y + (tag.up ? -4 : 4)} L${x + tag.side * 24},${tag.y} h${tag.side * 8}`} />
    <g transform=${`translate(${tag.x},${tag.y})`}><rect class="tag" y="-12" width=${tag.width} height="24" rx="4" />
      <g transform="translate(15,0) scale(.78)"><path class="tag-shape" d=${SHAPES[alarm.priority]} /></g><text class="tag-text" x="28" y="4.4">${tagText(alarm)}</text></g></g>`;
}

/** From the floors it may have come from to where it landed: an interval, because that is what is known. @param {{priority: string, x: number, y: number, building: Drawn, thrown: any}} props */
function Fall({ priority, x, y, building, thrown }) {
  const [high, low] = [heightOf(building, thrown.floor_high) - building.storey / 2, heightOf(building, thrown.floor_low) + building.storey / 2];
  const away = x > building.x + building.width - 60 ? -34 : 34;
  const lines = () => html`<path d=${`M${x - 13} ${high.toFixed(1)} h-4 V${low.toFixed(1)} h4`} />
    <path class="fall" d=${`M${x},${y} q${away * 0.76},${(GROUND - 6 - y) * 0.25} ${away},${GROUND - 6 - y}`} /><path d=${`M${x + away - 8},${GROUND - 6} h16 m-8,-6 v10`} />`;
  return html`<g class=${`falling ${priority.toLowerCase()}`}><g class="under">${lines()}</g><g>${lines()}</g></g>`;
}
