// Alarm sounds by WebAudio, no files (brief §8), and the truth about whether this browser lets them be heard.
import { computed, signal } from "./vendor/preact.js";
import { tick } from "./time.js";

/** @typedef {"P1" | "P2" | "P3" | "P4" | "stale" | "chime"} Tune */

/** @type {AudioContext | null} */
let context = null;
const state = signal(/** @type {string} */ ("none"));
const mutedUntil = signal(0);

/** True if the browser lets this page sound. */
export const isAudible = computed(() => state.value === "running");
/** Seconds of silence left (消音), 0 for none. */
export const mutedS = computed(() => (tick.value, Math.max(0, Math.ceil((mutedUntil.value - performance.now()) / 1000))));
/** What was played, newest last: [ms since the page began, tune]. Tests listen here. @type {[number, Tune][]} */
export const played = [];

/** Try to be allowed to sound; works at once in a kiosk, elsewhere from a click or a key. */
export async function allow() {
  context ??= new AudioContext();
  const mine = context;
  mine.onstatechange = () => { state.value = mine.state; };
  // Not awaited without end: a browser that refuses never answers.
  await Promise.race([mine.resume().catch(() => undefined), new Promise((done) => setTimeout(done, 300))]);
  state.value = mine.state;
  return mine.state === "running";
}

/** Let the first click or key switch the sound on. */
export function allowOnTouch() {
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, () => { if (!isAudible.peek()) allow(); }, { passive: true });
}

// Hertz, start and length in seconds.
const WARBLE = [0, 0.4, 0.8].flatMap((at) => [[960, at, 0.2], [770, at + 0.2, 0.2]]);
/** @type {Record<Tune, number[][]>} */
const TUNES = { P1: WARBLE, P2: [[660, 0, 0.18], [880, 0.2, 0.18]], P3: [[520, 0, 0.25]], P4: [[520, 0, 0.25]], stale: [[330, 0, 0.22], [330, 0.34, 0.22]], chime: [[520, 0, 0.25]] };
/** @type {Record<Tune, number>} */
const EVERY_S = { P1: 2, P2: 5, P3: 20, P4: 20, stale: 10, chime: Infinity };
const KEPT = 50;
let last = { tune: /** @type {Tune | null} */ (null), at: -Infinity };

/**
 * Sound `tune` if it is due, null for silence. Call it each second and whenever something new comes.
 * @param {Tune | null} tune
 */
export function sound(tune) {
  const now = performance.now() / 1000;
  if (tune === null) {
    last = { tune: null, at: -Infinity };
    return;
  }
  if (!isAudible.peek() || mutedUntil.peek() > performance.now()) return;
  if (tune === last.tune && now - last.at < EVERY_S[tune] - 0.05) return;
  last = { tune, at: now };
  play(tune);
}

/** Play a tune once, muted or not (self-test). @param {Tune} tune */
export function play(tune) {
  if (!context) return;
  played.push([performance.now(), tune]);
  if (played.length > KEPT) played.shift();
  const start = context.currentTime + 0.02;
  for (const [hertz, after, length] of TUNES[tune]) tone(context, hertz, start + after, length, tune === "P3" || tune === "P4" ? 0.15 : 0.25);
}

/** @param {AudioContext} on @param {number} hertz @param {number} at @param {number} length @param {number} loud */
function tone(on, hertz, at, length, loud) {
  const [source, gain] = [on.createOscillator(), on.createGain()];
  source.type = "triangle";
  source.frequency.value = hertz;
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(loud, at + 0.015);
  gain.gain.setValueAtTime(loud, at + length - 0.03);
  gain.gain.linearRampToValueAtTime(0, at + length);
  source.connect(gain).connect(on.destination);
  source.start(at);
  source.stop(at + length);
}

/** 消音: quiet for a while; never an acknowledgement. Anything new un-mutes. @param {number} [seconds] */
export function mute(seconds = 120) {
  mutedUntil.value = performance.now() + seconds * 1000;
}

/** Sound again, at once. */
export function unmute() {
  mutedUntil.value = 0;
  last = { tune: null, at: -Infinity };
}
