// Turns the gateway's terse tokens into words: durations, reasons, what a device said last.
import { either, pick, t } from "/ui/words.js";

/** Return seconds as people say them. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return t("span_s", { s });
  if (s < 3600) return t("span_m", { m: Math.floor(s / 60), s: s % 60 });
  if (s < 86400) return t("span_h", { h: Math.floor(s / 3600), m: Math.floor((s % 3600) / 60) });
  return t("span_d", { d: Math.floor(s / 86400), h: Math.floor((s % 86400) / 3600) });
}

/** Return seconds as a countdown, 4:05. */
export function countdown(seconds) {
  const s = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

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

/** Return one token in words; an unknown one as it is. */
export function token(text) {
  return either(`token_${text.trim().replaceAll(" ", "_")}`, text);
}

function phrase(part) {
  for (const [pattern, key] of PHRASES) {
    const found = pattern.exec(part);
    if (found) return t(`phrase_${key}`, found.groups);
  }
  return token(part);
}

/** Return the text of a condition (`no_answer: no answer; put aside after 2 failures`) in words. */
export function explain(text) {
  const parts = text.split(/; |, (?=\S+ should be )/).flatMap((part) => {
    const [, head, rest] = /^(\w+): (.*)$/.exec(part) ?? [];
    return head && token(head) !== head ? [head, rest] : [part];
  });
  return [...new Set(parts.map(phrase))].filter(Boolean).join(" · ");
}

/** Return a measured value with its unit, "" for none. */
export function measured(value, unit) {
  return value === null || value === undefined ? "" : `${value} ${unit === "pct" ? "%" : unit ?? ""}`.trim();
}

/** Return what a device said last. `codes` are the labels of alarm codes. */
export function said(device, codes) {
  const last = device.last;
  if (!last) return [];
  const coded = (code) => pick(codes[`${device.kind}.${code}`]) || token(code);
  const yes = (value, on, off) => (value === null || value === undefined ? "" : token(value ? on : off));
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
