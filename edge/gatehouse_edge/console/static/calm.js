// When nothing is wrong: the last day in figures, and the keys.
import { ask } from "/ui/api.js";
import { dateTime, nowMs, span } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { devices, isKnown, may } from "./desk.js";

/** @typedef {{raised_at: string, acked_at: string | null, priority: string}} Past @typedef {{since: number, alarms: Past[], is_whole: boolean}} Day */

const AGAIN_MS = 60_000;
const DAY_MS = 86_400_000;
const W = 960;
const MOST = 500;
/** Longer than the limit of its priority: an alarm that waited too long. @type {Record<string, number>} */
const LIMIT_S = { P1: 60, P2: 180, P3: 900 };

export function Calm() {
  const [day, setDay] = useState(/** @type {Day | null} */ (null));
  useEffect(() => {
    const look = async () => {
      const since = nowMs() - DAY_MS;
      const span = new URLSearchParams({ since: new Date(since).toISOString(), until: new Date(nowMs() + 1000).toISOString(), kind: "alarm", limit: String(MOST) });
      const found = await ask("GET", `/history/alarms?${span}`);
      setDay({ since, alarms: found.alarms, is_whole: found.next === null && found.behind === 0 });
    };
    if (!isKnown.value || !may("read_journal")) return undefined;
    look().catch(() => undefined);
    const again = setInterval(() => look().catch(() => undefined), AGAIN_MS);
    return () => clearInterval(again);
  }, [isKnown.value]);
  const points = [...devices.value.values()].filter((device) => !["bus", "gateway"].includes(device.kind));
  const live = points.filter((device) => !["silent", "unknown"].includes(device.state)).length;
  const waits = (day?.alarms ?? []).filter((alarm) => alarm.acked_at).map((alarm) => [(Date.parse(alarm.acked_at ?? "") - Date.parse(alarm.raised_at)) / 1000, LIMIT_S[alarm.priority] ?? Infinity]);
  /** @type {[string, string][]} */
  const figures = [
    [day ? `${day.alarms.length}${day.is_whole ? "" : "+"}` : "–", t("day_raised")], [waits.length ? span(waits.reduce((sum, [wait]) => sum + wait, 0) / waits.length) : "–", t("day_ack")],
    [day ? String(waits.filter(([wait, limit]) => wait > limit).length) : "–", t("day_overdue")], [points.length ? `${((100 * live) / points.length).toFixed(1)}%` : "–", t("day_online")],
  ];
  return html`<section class="detail calm" aria-label=${t("day")}><div class="figures">${figures.map(([figure, words]) => html`<div><b>${figure}</b><span>${words}</span></div>`)}</div>
    <div class="day"><h3>${t("day")}</h3><${Strip} day=${day} /></div><p class="keys">${t("keys")}</p></section>`;
}

/** @param {{day: Day | null}} props */
function Strip({ day }) {
  const from = day ? day.since : NaN;
  const hours = Array.from({ length: 25 }, (_, at) => at);
  return html`<svg viewBox="0 -2 ${W} 62" preserveAspectRatio="none" aria-hidden="true">${hours.map((at) => html`<line x1=${at * 40} x2=${at * 40} y1=${at % 6 ? 44 : 34} y2="52" class="tick" />`)}
      <line x1="0" x2=${W} y1="52" y2="52" class="tick" />${day?.alarms.map((mark) => html`<rect x=${((Date.parse(mark.raised_at) - from) / DAY_MS) * W - 3} y=${mark.priority === "P1" ? 8 : 22} width="6" height=${mark.priority === "P1" ? 44 : 30} rx="1.5" class="event" />`)}</svg>
    <div class="hours">${[0, 6, 12, 18, 24].map((at) => html`<span>${day ? dateTime(from + at * 3_600_000).slice(11, 16) : ""}</span>`)}</div>`;
}
