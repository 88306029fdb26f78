// Turns the gateway's terse tokens into words: durations, reasons, what a device said last.
import { either, pick, t } from "/ui/words.js";

/** @type {[RegExp, string][]} */
const PHRASES = [
  [/^put aside after (?<n>\d+) failures$/, "aside"],
  [/^floor (?<n>\S+)$/, "floor"],
  [/^floors (?<a>[^-\s]+)-(?<b>\S+)$/, "floors"],
  [/^last floor (?<n>\S+)$/, "last_floor"],
  [/^last (?<v>.+)$/, "last"],
  [/^since (?<d>\S+)$/, "since"],
  [/^ends (?<d>\S+)$/, "ends"],
  [/^(?<id>\S+) should be closed$/, "should_closed"],
  [/^(?<id>\S+) should be open$/, "should_open"],
  [/^(?<n>\d+\+) messages, first from (?<from>.*)$/, "messages"],
  [/^warming up for more than (?<n>\S+) s$/, "warming"],
  [/^(?<n>\d+\+) \/ (?<m>\d+) min$/, "flood"],
  [/^nothing changed for (?<n>\d+) s$/, "frozen"],
];

/** One token in words; an unknown one as it is. @param {string} text */
export function token(text) {
  return either(`token_${text.trim().replaceAll(" ", "_")}`, text);
}

/** @param {string} part */
function phrase(part) {
  for (const [pattern, key] of PHRASES) {
    const found = pattern.exec(part);
    if (found) return t(`phrase_${key}`, found.groups);
  }
  return token(part);
}

/** The text of a condition (`no_answer: no answer; put aside after 2 failures`) in words. @param {string} text */
export function explain(text) {
  const parts = text.split(/; |, (?=\S+ should be )/).flatMap((part) => {
    const [, head, rest] = /^(\w+): (.*)$/.exec(part) ?? [];
    return head && token(head) !== head ? [head, rest] : [part];
  });
  return [...new Set(parts.map(phrase))].filter(Boolean).join(" · ");
}

/** A measured value with its unit, "" for none. @param {number | null | undefined} value @param {string | null | undefined} unit */
export function measured(value, unit) {
  return value === null || value === undefined ? "" : `${value} ${unit === "pct" ? "%" : unit ?? ""}`.trim();
}

/** What a device said last, in words. @param {import("./desk.js").Device} device @param {Record<string, {zh: string, en: string}>} codes labels of alarm codes @returns {string[]} */
export function said(device, codes) {
  const last = device.last;
  if (!last) return [];
  const coded = (/** @type {string} */ code) => pick(codes[`${device.kind}.${code}`]) || token(code);
  const yes = (/** @type {unknown} */ value, /** @type {string} */ on, /** @type {string} */ off) => (value === null || value === undefined ? "" : token(value ? on : off));
  switch (last.what) {
    case "GasReading":
      return [measured(last.value, last.unit), last.quality === "good" ? "" : token(last.quality), ...last.flags.map(coded)];
    case "LiftReading":
      return [last.floor === null ? "" : t("phrase_floor", { n: last.floor }), last.car ? token(last.car) : "", yes(last.door_closed, "door_closed", "door_open"),
        yes(last.passenger, "occupied", "empty"), last.service_mode && last.service_mode !== "normal" ? token(last.service_mode) : "", ...last.faults.map(coded)];
    case "ButtonReading":
      return [token(last.event), measured(last.battery_pct, "pct"), measured(last.rssi_dbm, "dBm")];
    case "InputReading":
      return [`${token(last.role)} ${token(["mains", "ebike"].includes(last.role) ? (last.is_on ? "is_on" : "is_off") : (last.is_on ? "is_set" : "is_clear"))}`];
    case "CameraReading":
      return [token(last.picture), last.frames_per_s === null ? "" : `${last.frames_per_s.toFixed(1)}/s`];
    case "BeaconReading":
      return [last.adapter, measured(last.rssi_dbm, "dBm")];
    case "BusReading":
      return [token(last.is_up ? "bus_up" : "bus_down"), explain(last.detail)];
    default:
      return [last.what];
  }
}
