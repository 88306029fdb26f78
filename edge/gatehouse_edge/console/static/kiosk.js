// A screen on a wall: it stays awake, and takes over a new build by itself while nobody needs it.
import { isKiosk } from "/ui/theme.js";
import { effect } from "/ui/vendor/preact.js";
import { beat, isStale, isUnattended, shown } from "./desk.js";

const UNTOUCHED_MS = 15_000;
const IDLE_MS = 60_000;
let touchedAt = -Infinity;

for (const name of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(name, () => { touchedAt = performance.now(); }, { passive: true, capture: true });

/** True if nobody has touched the page for 15 s: only then may something new take the selection. */
export function isUntouched() {
  return performance.now() - touchedAt > UNTOUCHED_MS && !document.querySelector("dialog[open]");
}

/** Begin to watch for a new build, and keep a kiosk's screen on. */
export function keepUp() {
  let build = "";
  effect(() => {
    const now = beat.value?.build ?? "";
    build ||= now;
    if (!now || now === build || isStale.value) return;
    const isBusy = shown.value.some(isUnattended) || document.querySelector("dialog[open]");
    if (!isBusy && performance.now() - touchedAt > IDLE_MS) location.reload();
  });
  if (!isKiosk || !("wakeLock" in navigator)) return;
  const stayAwake = () => { if (document.visibilityState === "visible") navigator.wakeLock.request("screen").catch(() => undefined); };
  stayAwake();
  document.addEventListener("visibilitychange", stayAwake);
}
