// Charts as SVG in the page: grey; colour is for what is over its limit. Numbers stand in a table beside them for who does not see them.
import { html } from "/ui/vendor/preact.js";

const W = 1200;
const H = 180;
const PAD = { l: 34, r: 8, t: 8, b: 22 };

/**
 * Columns over time with a line for the limit.
 * @param {{values: number[], labels: [number, string][], limit: number, limitWords: string, label: string}} props `labels`: place and words below the axis
 */
export function Columns({ values, labels, limit, limitWords, label }) {
  const most = Math.max(limit * 1.15, ...values, 1);
  const [w, h] = [W - PAD.l - PAD.r, H - PAD.t - PAD.b];
  const step = w / Math.max(values.length, 1);
  const y = (/** @type {number} */ n) => PAD.t + h - (h * n) / most;
  const ticks = [0, Math.ceil(most / 2), Math.floor(most)].filter((n, at, all) => all.indexOf(n) === at);
  const column = (/** @type {number} */ n, /** @type {number} */ at) => `M${(PAD.l + at * step).toFixed(1)} ${y(0)}V${y(n).toFixed(1)}h${Math.max(step - (step > 3 ? 1 : 0), 0.6).toFixed(2)}V${y(0)}Z`;
  return html`<svg class="chart" viewBox=${`0 0 ${W} ${H}`} role="img" aria-label=${label}>
    ${ticks.map((n) => html`<g><path class="grid" d=${`M${PAD.l} ${y(n)}H${W - PAD.r}`} /><text x=${PAD.l - 6} y=${y(n) + 4} text-anchor="end">${n}</text></g>`)}
    <path class="column" d=${values.map((n, at) => (n && n <= limit ? column(n, at) : "")).join("")} /><path class="column over" d=${values.map((n, at) => (n > limit ? column(n, at) : "")).join("")} />
    <path class="limitline" d=${`M${PAD.l} ${y(limit)}H${W - PAD.r}`} /><text class="limitword" x=${PAD.l + 4} y=${y(limit) - 4}>${limitWords}</text>
    ${labels.map(([at, words]) => html`<text x=${PAD.l + at * step} y=${H - 6} text-anchor="middle">${words}</text>`)}</svg>`;
}

/** A part with its target: how far it is, and whether that is enough. @param {{value: number | null, target: number | null, isMet: boolean | null}} props */
export function Gauge({ value, target, isMet }) {
  if (value === null) return html`<span class="gauge none">—</span>`;
  return html`<span class=${`gauge ${isMet === false ? "bad" : ""}`}><svg viewBox="0 0 120 14" aria-hidden="true"><rect width="120" height="14" rx="3" class="ground" /><rect width=${120 * Math.min(1, value)} height="14" rx="3" class="fill" />${target !== null && html`<path class="target" d=${`M${120 * target} -1V15`} />`}</svg><b>${(100 * value).toFixed(1)}%</b></span>`;
}
