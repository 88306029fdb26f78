// When nothing is wrong: the last day in figures, and the keys.
import { ask } from "/ui/api.js";
import { dateTime, span } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { devices } from "./desk.js";

/** @typedef {{since: string, raised: number, mean_ack_s: number | null, overdue: number, is_whole: boolean, marks: {at: string, alarm_id: string, code: string, priority: string}[]}} Day */

const AGAIN_MS = 60_000;
const DAY_MS = 86_400_000;
const W = 960;

export function Calm() {
  const [day, setDay] = useState(/** @type {Day | null} */ (null));
  useEffect(() => {
    const look = () => ask("GET", "/day").then(setDay, () => undefined);
    look();
    const again = setInterval(look, AGAIN_MS);
    return () => clearInterval(again);
  }, []);
  const points = [...devices.value.values()].filter((device) => !["bus", "gateway"].includes(device.kind));
  const live = points.filter((device) => !["silent", "unknown"].includes(device.state)).length;
  /** @type {[string, string][]} */
  const figures = [
    [day ? String(day.raised) : "–", t("day_raised")], [day?.mean_ack_s == null ? "–" : span(day.mean_ack_s), t("day_ack")],
    [day ? String(day.overdue) : "–", t("day_overdue")], [points.length ? `${((100 * live) / points.length).toFixed(1)}%` : "–", t("day_online")],
  ];
  return html`<section class="detail calm" aria-label=${t("day")}><div class="figures">${figures.map(([figure, words]) => html`<div><b>${figure}</b><span>${words}</span></div>`)}</div>
    <div class="day"><h3>${t("day")}${day && !day.is_whole ? ` · ${t("day_part")}` : ""}</h3><${Strip} day=${day} /></div><p class="keys">${t("keys")}</p></section>`;
}

/** @param {{day: Day | null}} props */
function Strip({ day }) {
  const from = day ? Date.parse(day.since) : NaN;
  const hours = Array.from({ length: 25 }, (_, at) => at);
  return html`<svg viewBox="0 -2 ${W} 62" preserveAspectRatio="none" aria-hidden="true">${hours.map((at) => html`<line x1=${at * 40} x2=${at * 40} y1=${at % 6 ? 44 : 34} y2="52" class="tick" />`)}
      <line x1="0" x2=${W} y1="52" y2="52" class="tick" />${day?.marks.map((mark) => html`<rect x=${((Date.parse(mark.at) - from) / DAY_MS) * W - 3} y=${mark.priority === "P1" ? 8 : 22} width="6" height=${mark.priority === "P1" ? 44 : 30} rx="1.5" class="event" />`)}</svg>
    <div class="hours">${[0, 6, 12, 18, 24].map((at) => html`<span>${day ? dateTime(from + at * 3_600_000).slice(11, 16) : ""}</span>`)}</div>`;
}
