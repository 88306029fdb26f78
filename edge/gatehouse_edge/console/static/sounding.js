// What this page sounds, and what it tells the gateway it has shown: an alarm is not told until it is painted and could be heard.
import { ask, order } from "/ui/api.js";
import { announce } from "/ui/live.js";
import { allow, allowOnTouch, isAudible, mute, sound, unmute } from "/ui/sound.js";
import { tick } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { computed, effect } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { isKnown, isStale, isUnattended, may, shown, snapshots, watch } from "./desk.js";

/** @typedef {import("./desk.js").Alarm} Alarm */

/** @type {Map<string, string>} */
const told = new Map();
/** @type {Map<string, Alarm>} */
const fresh = new Map();
const MOST = 200;
const painting = new MessageChannel();
let isWaiting = false;

/** The tune that is due now. */
const tune = computed(() => {
  if (isStale.value) return isKnown.value ? "stale" : null;
  const wanting = shown.value.find((alarm) => alarm.state === "unack");
  if (wanting) return wanting.priority;
  return shown.value.some((alarm) => alarm.state === "rtn") ? "chime" : null;
});

/** Begin to sound. Once per page. */
export function beginSounding() {
  allowOnTouch();
  allow();
  effect(() => { tick.value; isAudible.value; sound(tune.value); });
  effect(() => { snapshots.value; told.clear(); });
  // Seen or heard otherwise than before: what still wants somebody is told again.
  effect(() => { isAudible.value; for (const alarm of shown.peek()) if (alarm.state === "unack" && told.has(alarm.alarm_id)) painted(alarm); });
  document.addEventListener("visibilitychange", () => { for (const alarm of shown.peek()) if (alarm.state === "unack") painted(alarm); });
  watch((alarm, before) => {
    const isNew = alarm.state === "unack" && before?.state !== "unack";
    if (!isNew) return;
    unmute();
    if (alarm.priority === "P1" || alarm.priority === "P2") announce(`${t(alarm.priority.toLowerCase())} ${pick(alarm.label)} ${pick(alarm.place)}`);
  });
}

/** 消音: this page and the sirens are quiet for 120 s; never an acknowledgement. */
export function silence() {
  mute();
  if (may("silence")) order("/silence").catch(refusal);
}

/** Call it when an alarm has been put into the page: once it is on the glass the gateway is told. @param {Alarm} alarm */
export function painted(alarm) {
  if (!isUnattended(alarm)) return;
  fresh.set(alarm.alarm_id, alarm);
  if (isWaiting) return;
  isWaiting = true;
  // A hidden page gets no frame: it says so at once.
  if (document.visibilityState === "visible") requestAnimationFrame(() => painting.port2.postMessage(0));
  else painting.port2.postMessage(0);
}

// After the frame, not in it.
painting.port1.onmessage = () => {
  isWaiting = false;
  const visible = document.visibilityState === "visible";
  const audible = isAudible.peek();
  const at = performance.timeOrigin + performance.now();
  /** @type {{alarm_id: string, seq: number, visible: boolean, audible: boolean}[]} */
  const receipts = [];
  for (const { alarm_id, seq } of [...fresh.values()].slice(0, MOST)) {
    const mark = `${seq} ${visible} ${audible}`;
    if (told.get(alarm_id) !== mark) receipts.push({ alarm_id, seq, visible, audible });
    told.set(alarm_id, mark);
    fresh.delete(alarm_id);
  }
  if (receipts.length === 0 || isStale.peek()) return;
  dispatchEvent(new CustomEvent("painted", { detail: { receipts, at } }));
  ask("POST", "/annunciated", { receipts }).catch(() => { for (const { alarm_id } of receipts) told.delete(alarm_id); });
};
