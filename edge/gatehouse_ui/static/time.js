// The server's clock and its time zone. The browser's clock is never shown: it may be wrong, and in another zone.
import { signal } from "./vendor/preact.js";
import { current, t } from "./words.js";

/** What a beat says of time: `service_s` is the gateway's own scale, which no wrong wall clock disturbs. @typedef {{at: string, utc_offset_s: number, service_s?: number}} Beat */

const known = { wallMs: NaN, serviceS: NaN, at: 0, offsetMs: 0 };
const FORWARD_MS = 40;

/** Counts seconds; whoever reads it is computed again with each. */
export const tick = signal(0);
/** Seconds by which this computer's clock is ahead of the server's; NaN before the first beat. */
export const skewS = signal(NaN);

/** Take over the time of a beat, just heard. @param {Beat} beat */
export function takeTime(beat) {
  const isFirst = Number.isNaN(known.wallMs);
  known.wallMs = Date.parse(beat.at);
  known.serviceS = beat.service_s ?? NaN;
  known.offsetMs = beat.utc_offset_s * 1000;
  known.at = performance.now();
  const skew = (Date.now() - known.wallMs) / 1000;
  if (!(Math.abs(skew - skewS.peek()) < 5)) skewS.value = skew;
  if (isFirst) tick.value += 1;
}

/** Server time in ms since 1970; NaN before the first beat. */
export function nowMs() {
  return known.wallMs + performance.now() - known.at;
}

/** Seconds on the gateway's service scale; NaN before the first beat. */
export function serviceNow() {
  return known.serviceS + (performance.now() - known.at) / 1000;
}

// Aligned to the server's second, so that the clock never shows one twice or leaves one out.
function wake() {
  tick.value += 1;
  const ms = nowMs();
  setTimeout(wake, Number.isNaN(ms) ? 1000 : 1000 - (ms % 1000) + FORWARD_MS);
}
setTimeout(wake, 1000);

/** @param {string | number} instant */
function shifted(instant) {
  const ms = typeof instant === "number" ? instant : Date.parse(instant);
  return Number.isNaN(ms) ? "" : new Date(ms + known.offsetMs).toISOString();
}

/** 22:26:31 in the server's zone; "" for nothing. @param {string | number | null | undefined} instant ISO text or ms */
export function hms(instant) {
  return instant === null || instant === undefined ? "" : shifted(instant).slice(11, 19);
}

/** 2026-11-23 22:26:31 in the server's zone. @param {string | number | null | undefined} instant */
export function dateTime(instant) {
  return instant === null || instant === undefined ? "" : shifted(instant).slice(0, 19).replace("T", " ");
}

/** 22:26:31 if that was today at the server, else 11-22 22:26. @param {string | number | null | undefined} instant */
export function when(instant) {
  const full = dateTime(instant);
  return full.slice(0, 10) === dateTime(nowMs()).slice(0, 10) ? full.slice(11) : full.slice(5, 16);
}

/** Monday 23 November, in words. @param {number} ms */
export function dayText(ms) {
  if (Number.isNaN(ms)) return "";
  const text = current() === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(text, { timeZone: "UTC", month: "long", day: "numeric", weekday: "short" }).format(ms + known.offsetMs);
}

/** Seconds as people say them: 3 min 5 s. @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return t("span_s", { s });
  if (s < 3600) return t("span_m", { m: Math.floor(s / 60), s: s % 60 });
  if (s < 86400) return t("span_h", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
  return t("span_d", { d: Math.floor(s / 86400), h: Math.floor((s % 86400) / 3600) });
}

/** Seconds as a stopwatch: 00:42, 1:02:03. @param {number} seconds */
export function stopwatch(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return s < 3600 ? rest : `${Math.floor(s / 3600)}:${rest}`;
}
