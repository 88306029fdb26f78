// What a gas detector measured in the last ten minutes, with both set points and the unit.
import { ask } from "/ui/api.js";
import { nowMs, tick, when } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { devices, valves } from "./desk.js";
import { measured, token } from "./say.js";

/** @typedef {import("./desk.js").Alarm} Alarm @typedef {[number, number]} Point */

const MINUTES = 10;
const AGAIN_MS = 12_000;
const W = 300;
const H = 124;

/** @param {{alarm: Alarm}} props */
export function GasTrend({ alarm }) {
  const [points, setPoints] = useState(/** @type {Point[]} */ ([]));
  const device = devices.value.get(alarm.device_id);
  const last = device?.last?.what === "GasReading" ? device.last : null;
  useEffect(() => {
    const leaving = new AbortController();
    const look = () => ask("GET", `/devices/${alarm.device_id}/trend?minutes=${MINUTES}`, undefined, leaving.signal)
      .then((found) => setPoints((before) => join(before, found.points.map((/** @type {[string, number]} */ [at, value]) => [Date.parse(at), value]))), () => undefined);
    look();
    // The gateway writes readings down every ten seconds: what is missing between its journal and the stream comes then.
    const again = setInterval(look, AGAIN_MS);
    return () => { leaving.abort(); clearInterval(again); };
  }, [alarm.device_id]);
  useEffect(() => {
    if (!last || last.value === null || !device?.last_at) return;
    const point = /** @type {Point} */ ([Date.parse(device.last_at), last.value]);
    setPoints((before) => join(before, [point]));
  }, [device?.last_at]);
  const valve = valves.value.find((one) => one.is_closed);
  return html`<h3>${t("trend", { n: MINUTES })}</h3><${Chart} points=${points} low=${last?.low_set ?? null} high=${last?.high_set ?? alarm.threshold} unit=${last?.unit ?? alarm.unit} />
    <dl class="facts"><dt>${t("now")}</dt><dd><b class="big">${last ? measured(last.value, last.unit) : t("no_data")}</b> ${last && last.quality !== "good" ? token(last.quality) : ""} <span class="quiet">${when(device?.last_at)}</span></dd>
      ${valve && html`<dt>${t("valves")}</dt><dd><b>${t("valve_closed")}</b></dd>`}</dl>`;
}

/** Both lists as one, by time, of the last minutes. @param {Point[]} some @param {Point[]} others */
function join(some, others) {
  const since = nowMs() - MINUTES * 60_000;
  const all = new Map([...some, ...others].filter(([at]) => at >= since));
  return [...all].sort((a, b) => a[0] - b[0]);
}

/** @param {{points: Point[], low: number | null, high: number | null, unit: string | null}} props */
function Chart({ points, low, high, unit }) {
  tick.value;
  const until = nowMs();
  const from = until - MINUTES * 60_000;
  const most = Math.max(...points.map((point) => point[1]), (high ?? 20) * 1.25, 1);
  const step = niceStep(most / 3);
  const top = Math.ceil(most / step) * step;
  const x = (/** @type {number} */ at) => Math.max(0, Math.min(W, ((at - from) / (until - from)) * W));
  const y = (/** @type {number} */ value) => H - (value / top) * H;
  const known = points.filter((point) => point[0] >= from);
  const line = known.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" L");
  const end = known[known.length - 1];
  const lines = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  return html`<svg class="trend" viewBox="-30 -8 338 152" role="img" aria-label=${t("trend", { n: MINUTES })}>
    ${lines.map((value) => html`<line x1="0" x2=${W} y1=${y(value)} y2=${y(value)} class="grid" /><text x="-6" y=${y(value) + 3.5} text-anchor="end">${value}</text>`)}
    ${end && html`<path class="area" d=${`M${x(known[0][0]).toFixed(1)},${H} L${line} L${x(end[0]).toFixed(1)},${H} Z`} /><path class="line" d=${`M${line}`} />`}
    ${low !== null && html`<line x1="0" x2=${W} y1=${y(low)} y2=${y(low)} class="low" /><text x="4" y=${y(low) - 4} class="low-text">${t("set_low", { v: low })}</text>`}
    ${high !== null && html`<line x1="0" x2=${W} y1=${y(high)} y2=${y(high)} class="high" /><text x="4" y=${y(high) - 4} class="high-text">${t("set_high", { v: `${high} ${unit ?? ""}` })}</text>`}
    ${end && html`<circle r="3.5" cx=${x(end[0])} cy=${y(end[1])} class="dot" />`}
    <text x="0" y=${H + 15}>${t("minutes_ago", { n: MINUTES })}</text><text x=${W} y=${H + 15} text-anchor="end">${t("now")}</text></svg>`;
}

/** 1, 2 or 5 times a power of ten, not below `least`. @param {number} least */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((n) => n * power >= least) ?? 10) * power;
}
