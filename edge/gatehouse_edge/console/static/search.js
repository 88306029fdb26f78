// Finding alarms by words: room, name, device.
import { signal } from "/ui/vendor/preact.js";
import { pick } from "/ui/words.js";

/** What is looked for; empty for everything. */
export const sought = signal("");

/** @param {import("./desk.js").Alarm} alarm */
export function findText(alarm) {
  const words = sought.value.trim().toLowerCase();
  if (!words) return true;
  const text = [pick(alarm.label), pick(alarm.place), alarm.device_id, alarm.resident?.name ?? "", alarm.place.room].join(" ").toLowerCase();
  return words.split(/\s+/).every((word) => text.includes(word));
}
