// What is drawn on a still, as plain data: every change makes a new drawing, so that each can be taken back. See docs/calibration.md.
import { t } from "/ui/words.js";

/**
 * @typedef {[number, number]} Pixel
 * @typedef {{floor: number, left: Pixel, right: Pixel, name?: string}} Line
 * @typedef {{width_px: number, height_px: number, facade: Pixel[], floors: Line[], columns: number, floor_m: number, distance_m: number | null,
 *   detect: Pixel[][], shield: Pixel[][], landing: Pixel[][]}} Drawing
 * @typedef {{mode: string, path: string, at: number, points: Pixel[], name: string, ends?: string[]}} Part one line or polygon of it
 */

const FIRST_FLOOR = 1;
const NEW_FLOORS = 10;
const ZONE_PART = 0.06;

/** Where a drawing begins: a front in the middle of the picture. @param {number} width @param {number} height @returns {Drawing} */
export function begun(width, height) {
  const [left, right, top, bottom] = [width * 0.18, width * 0.82, height * 0.08, height * 0.9].map(Math.round);
  return {
    width_px: width, height_px: height, facade: [[left, top], [right, top], [right, bottom], [left, bottom]], columns: 4, floor_m: 2.9, distance_m: null,
    floors: [{ floor: FIRST_FLOOR, left: [left, bottom], right: [right, bottom], name: "" }, { floor: NEW_FLOORS, left: [left, Math.round(top + (bottom - top) / NEW_FLOORS)], right: [right, Math.round(top + (bottom - top) / NEW_FLOORS)], name: "" }],
    detect: [], shield: [], landing: [],
  };
}

/** Everything that is drawn, part by part. @param {Drawing} drawing @returns {Part[]} */
export function parts(drawing) {
  const corners = [t("cam_corner_1"), t("cam_corner_2"), t("cam_corner_3"), t("cam_corner_4")];
  return [
    ...["detect", "shield", "landing"].flatMap((mode) => drawing[/** @type {"detect"} */ (mode)].map((points, at) => ({ mode, path: `${mode} ${at}`, at, points, name: `${t(`mode_${mode}`)} ${at + 1}` }))),
    { mode: "facade", path: "facade", at: 0, points: drawing.facade, name: t("mode_facade"), ends: corners },
    ...drawing.floors.map((line, at) => ({ mode: "floors", path: `floors ${at}`, at, points: [line.left, line.right], name: t("cam_floor_line", { n: line.name || line.floor }), ends: [t("cam_left"), t("cam_right")] })),
  ];
}

/** A point held within the picture (the front may reach outside it). @param {Drawing} drawing @param {string} mode @param {Pixel} at @returns {Pixel} */
function held(drawing, mode, at) {
  const slack = mode === "facade" || mode === "floors" ? 1 : 0;
  const hold = (/** @type {number} */ value, /** @type {number} */ size) => Math.max(-slack * size, Math.min(size * (1 + slack) - (slack ? 0 : 1), value));
  return [hold(at[0], drawing.width_px), hold(at[1], drawing.height_px)];
}

/** One point elsewhere. @param {Drawing} drawing @param {Part} part @param {number} index @param {Pixel} to @returns {Drawing} */
export function moved(drawing, part, index, to) {
  const at = held(drawing, part.mode, to);
  const points = part.points.map((one, n) => (n === index ? at : one));
  return replaced(drawing, part, points);
}

/** @param {Drawing} drawing @param {Part} part @param {Pixel[]} points @returns {Drawing} */
function replaced(drawing, part, points) {
  if (part.mode === "facade") return { ...drawing, facade: points };
  if (part.mode === "floors") return { ...drawing, floors: drawing.floors.map((line, n) => (n === part.at ? { ...line, left: points[0], right: points[1] } : line)) };
  const zones = drawing[/** @type {"detect"} */ (part.mode)];
  return { ...drawing, [part.mode]: zones.map((zone, n) => (n === part.at ? points : zone)) };
}

/** Without one corner of a zone; without the zone when three were left; a floor line goes whole while two stay. @param {Drawing} drawing @param {Part} part @param {number} index @returns {Drawing} */
export function removed(drawing, part, index) {
  if (part.mode === "facade") return drawing;
  if (part.mode === "floors") return drawing.floors.length > 2 ? { ...drawing, floors: drawing.floors.filter((_, n) => n !== part.at) } : drawing;
  if (part.points.length > 3) return replaced(drawing, part, part.points.filter((_, n) => n !== index));
  return { ...drawing, [part.mode]: drawing[/** @type {"detect"} */ (part.mode)].filter((_, n) => n !== part.at) };
}

/** With one corner more, half way to the next. @param {Drawing} drawing @param {Part} part @param {number} index @returns {Drawing} */
export function withPoint(drawing, part, index) {
  if (!["detect", "shield", "landing"].includes(part.mode) || part.points.length >= 32) return drawing;
  const [a, b] = [part.points[index], part.points[(index + 1) % part.points.length]];
  /** @type {Pixel} */
  const between = [Math.round((a[0] + b[0]) / 2), Math.round((a[1] + b[1]) / 2)];
  return replaced(drawing, part, [...part.points.slice(0, index + 1), between, ...part.points.slice(index + 1)]);
}

/** With a small square zone around a place, to be pulled into shape. @param {Drawing} drawing @param {string} mode @param {Pixel} at @returns {Drawing} */
export function withZone(drawing, mode, at) {
  const zones = drawing[/** @type {"detect"} */ (mode)];
  if (zones.length >= (mode === "landing" ? 4 : 16)) return drawing;
  const half = Math.max(8, Math.round(drawing.width_px * ZONE_PART));
  const corners = /** @type {Pixel[]} */ ([[-half, -half], [half, -half], [half, half], [-half, half]]);
  return { ...drawing, [mode]: [...zones, corners.map((by) => held(drawing, mode, [at[0] + by[0], at[1] + by[1]]))] };
}

/** With one floor line more, half way between the two that lie farthest apart. @param {Drawing} drawing @returns {Drawing} */
export function withFloor(drawing) {
  const lines = [...drawing.floors].sort((a, b) => a.floor - b.floor);
  let widest = 0;
  for (let at = 1; at < lines.length; at += 1) if (lines[at].floor - lines[at - 1].floor > lines[widest + 1].floor - lines[widest].floor) widest = at - 1;
  const [below, above] = [lines[widest], lines[widest + 1]];
  const gap = above.floor - below.floor;
  if (gap < 2) return drawing;
  const by = Math.floor(gap / 2);
  const between = (/** @type {Pixel} */ a, /** @type {Pixel} */ b) => /** @type {Pixel} */ ([Math.round(a[0] + ((b[0] - a[0]) * by) / gap), Math.round(a[1] + ((b[1] - a[1]) * by) / gap)]);
  const line = { floor: below.floor + by, left: between(below.left, above.left), right: between(below.right, above.right), name: "" };
  return { ...drawing, floors: [...lines.slice(0, widest + 1), line, ...lines.slice(widest + 1)] };
}

/** The lines between window columns, from the top edge of the front to the bottom. @param {Drawing} drawing @returns {[Pixel, Pixel][]} */
export function columnLines(drawing) {
  const [a, b, c, d] = drawing.facade;
  const along = (/** @type {Pixel} */ from, /** @type {Pixel} */ to, /** @type {number} */ part) => /** @type {Pixel} */ ([from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part]);
  return Array.from({ length: drawing.columns - 1 }, (_, n) => [along(a, b, (n + 1) / drawing.columns), along(d, c, (n + 1) / drawing.columns)]);
}
