// Alarm sounds by WebAudio, no files: P1 a warble, P2 a rise, the rest a chime; stale two low tones.

let context = null;

/** True if the browser lets this page sound. */
export function isAudible() {
  return context !== null && context.state === "running";
}

/** Try to be allowed; works from a click, and in a kiosk at once. */
export async function allow() {
  context ??= new AudioContext();
  // Not awaited without end: a browser that refuses never answers.
  await Promise.race([context.resume(), new Promise((resolve) => setTimeout(resolve, 300))]);
  return isAudible();
}

const TUNES = {
  P1: [[960, 0], [770, 0.15], [960, 0.3], [770, 0.45], [960, 0.6], [770, 0.75]],
  P2: [[660, 0], [880, 0.2]],
  P3: [[520, 0]],
  P4: [[520, 0]],
  stale: [[330, 0], [330, 0.3]],
};
const EVERY_S = { P1: 2, P2: 5, P3: 20, P4: 20, stale: 10 };
let playedAt = -Infinity;
let played = "";

/** Sound `tune` if it is due; call once a second. */
export function sound(tune, now) {
  if (!tune || !isAudible()) return;
  if (tune === played && now - playedAt < EVERY_S[tune]) return;
  played = tune;
  playedAt = now;
  for (const [hertz, after] of TUNES[tune]) {
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = hertz;
    gain.gain.value = 0.2;
    tone.connect(gain).connect(context.destination);
    tone.start(context.currentTime + after);
    tone.stop(context.currentTime + after + 0.13);
  }
}
