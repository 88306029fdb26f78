// One day as lanes of bars, a lane for each type; a hand points at a moment, by pointer or by arrow keys.
import { dateTime, hms, nowMs } from "/ui/time.js";
import { html, useEffect, useRef, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";

/**
 * @typedef {{category: string, priority: string, bucket: number, count: number}} Tally
 * @typedef {{from: number, to: number}} Range ms since 1970
 */

const LANE = 30;
const HEAD = 26;
const STEP_MS = 60000;
const FAR_MS = 3600000;
const ORDER = ["P4", "P3", "P2", "P1"];
/** A bar of one alarm, and of as many as fill a lane. */
const LOW = 5;
const FULL = 12;

/** @param {{range: Range, categories: string[], tallies: Tally[], bucketS: number, moment: number | null, onMoment: (at: number) => void}} props */
export function Timeline({ range, categories, tallies, bucketS, moment, onMoment }) {
  const box = useRef(/** @type {SVGSVGElement | null} */ (null));
  const [wide, setWide] = useState(1200);
  useEffect(() => {
    const watcher = new ResizeObserver(() => setWide(Math.max(320, /** @type {SVGSVGElement} */ (box.current).clientWidth)));
    watcher.observe(/** @type {SVGSVGElement} */ (box.current));
    return () => watcher.disconnect();
  }, []);
  const left = wide < 600 ? 74 : 96;
  const tall = HEAD + categories.length * LANE + 22;
  const length = range.to - range.from;
  const x = (/** @type {number} */ ms) => left + ((ms - range.from) / length) * (wide - left - 14);
  const at = (/** @type {number} */ px) => Math.max(range.from, Math.min(range.to, range.from + ((px - left) / (wide - left - 14)) * length));
  const everyH = wide < 600 ? 6 : wide < 1000 ? 3 : 2;
  const hours = [];
  const firstHour = Math.ceil(range.from / 3600000) * 3600000;
  for (let ms = firstHour; ms <= range.to; ms += 3600000) if (Number(hms(ms).slice(0, 2)) % everyH === 0) hours.push(ms);
  const point = (/** @type {PointerEvent} */ event) => {
    if (event.type === "pointermove" && event.buttons !== 1) return;
    const area = /** @type {SVGSVGElement} */ (box.current).getBoundingClientRect();
    onMoment(Math.round(at(event.clientX - area.left) / 1000) * 1000);
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -FAR_MS / STEP_MS, PageDown: FAR_MS / STEP_MS }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onMoment(Math.max(range.from, Math.min(range.to, (moment ?? Math.min(nowMs(), range.to)) + by * (event.shiftKey ? 10 : 1) * STEP_MS)));
  };
  /** Bars stand on each other, the gravest on top. @type {Map<string, number>} */
  const stacked = new Map();
  const bars = [...tallies].sort((a, b) => ORDER.indexOf(a.priority) - ORDER.indexOf(b.priority)).map((tally) => {
    const lane = categories.indexOf(tally.category);
    if (lane < 0) return null;
    const place = `${lane} ${tally.bucket}`;
    const under = stacked.get(place) ?? 0;
    const high = Math.min(LANE - 6 - under, LOW + (Math.min(tally.count, FULL) - 1) * ((LANE - 6 - LOW) / FULL));
    if (high <= 0) return null;
    stacked.set(place, under + high);
    const from = range.from + tally.bucket * bucketS * 1000;
    return html`<rect class=${`bar ${tally.priority.toLowerCase()}`} x=${x(from)} y=${HEAD + (lane + 1) * LANE - 3 - under - high} width=${Math.max(3, x(from + bucketS * 1000) - x(from) - 1)} height=${high}>
      <title>${`${hms(from)} ${t(`category_${tally.category}`)} ${t(tally.priority.toLowerCase())} ${tally.count}`}</title></rect>`;
  });
  const now = nowMs();
  const hand = moment !== null && moment >= range.from && moment <= range.to ? x(moment) : null;
  return html`<svg class="timeline" ref=${box} viewBox=${`0 0 ${wide} ${tall}`} height=${tall} role="slider" tabindex="0" aria-label=${t("replay_slider")} aria-valuemin=${range.from} aria-valuemax=${range.to}
      aria-valuenow=${moment ?? range.to} aria-valuetext=${dateTime(moment ?? range.to)} onPointerDown=${(/** @type {PointerEvent} */ event) => { /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId); point(event); }} onPointerMove=${point} onKeyDown=${key}>
    ${hours.map((ms) => html`<g><line class="hour" x1=${x(ms)} x2=${x(ms)} y1=${HEAD - 6} y2=${tall - 20} /><text x=${x(ms)} y=${tall - 6} text-anchor="middle">${hms(ms).slice(0, 5)}</text></g>`)}
    ${categories.map((one, lane) => html`<g><line class="rule" x1="0" x2=${wide} y1=${HEAD + (lane + 1) * LANE - 2.5} y2=${HEAD + (lane + 1) * LANE - 2.5} /><text class="lane" x="12" y=${HEAD + (lane + 1) * LANE - 11}>${t(`category_${one}`)}</text></g>`)}
    ${now > range.from && now < range.to && html`<g><rect class="later" x=${x(now)} y=${HEAD - 6} width=${Math.max(0, wide - x(now))} height=${tall - HEAD - 14} /><line class="now" x1=${x(now)} x2=${x(now)} y1=${HEAD - 6} y2=${tall - 20} /></g>`}
    ${bars}
    ${hand !== null && html`<g><line class="hand" x1=${hand} x2=${hand} y1="20" y2=${tall - 20} /><rect class="grip" x=${Math.max(0, Math.min(wide - 72, hand - 36))} y="2" width="72" height="20" rx="4" /><text class="grip-text" x=${Math.max(36, Math.min(wide - 36, hand))} y="16.5" text-anchor="middle">${hms(moment)}</text></g>`}
    ${tallies.length === 0 && html`<text x=${(wide + left) / 2} y=${HEAD + (categories.length * LANE) / 2} text-anchor="middle">${t("replay_calm")}</text>`}</svg>`;
}
