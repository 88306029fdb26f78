// The recording of a throw with its path drawn over it, in step with the picture. Each look is written down before it happens.
import { ask } from "/ui/api.js";
import { Icon } from "/ui/shapes.js";
import { hms } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { html, useEffect, useRef, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { floorsOf } from "./alarm_card.js";
import { isStale, may } from "./desk.js";

/**
 * @typedef {import("./desk.js").Alarm} Alarm
 * @typedef {{t_s: number, x: number, y: number, width_px: number, height_px: number}} Box
 * @typedef {{width_px: number, height_px: number, clip_s: number | null, boxes: Box[], origin: {floor_low: number, floor_high: number, probability: number} | null}} Track
 * @typedef {{sha256: string, manifest: {first_seen_at: string, camera_id: string, clip: {first_at: string} | null, missing: string[]}, may_view: string[], hold: unknown}} Kept
 */

const BEFORE_S = 1.5;
const AFTER_S = 2;

/** @param {Alarm} alarm */
export function hasClip(alarm) {
  return may("see_evidence") && alarm.code === "throw.object_falling" && alarm.evidence.length > 0;
}

/** @param {{alarm: Alarm}} props */
export function Clip({ alarm }) {
  const [kept, setKept] = useState(/** @type {Kept | null} */ (null));
  const [track, setTrack] = useState(/** @type {Track | null} */ (null));
  const [seen, setSeen] = useState(/** @type {{url: string, is_masked: boolean} | null} */ (null));
  const [isBroken, setBroken] = useState(false);
  const [isAsked, setAsked] = useState(false);
  useEffect(() => {
    const leaving = new AbortController();
    const look = async () => {
      const [found] = (await ask("GET", `/alarms/${alarm.alarm_id}/evidence`, undefined, leaving.signal)).evidence;
      if (!found) return;
      setKept(found);
      setTrack(await ask("GET", `/evidence/${found.sha256}/layers/track.json`, undefined, leaving.signal));
    };
    look().catch(() => undefined);
    return () => leaving.abort();
  }, [alarm.alarm_id, alarm.evidence.length]);
  if (!kept) return html`<h3>${t("clip")}</h3><p class="quiet">${t("clip_coming")}</p>`;
  const original = kept.may_view.includes("clip.mp4");
  // The first look at a masked copy waits until it is made, a minute perhaps.
  const view = async () => {
    setAsked(true);
    await ask("POST", `/evidence/${kept.sha256}/views`, { file: original ? "clip.mp4" : "masked.mp4", reason: t("clip_reason") }).then(setSeen, refusal);
    setAsked(false);
  };
  const words = track?.origin ? floorsOf(track.origin) : "";
  return html`<h3>${t("clip")}${seen?.is_masked ? ` · ${t("clip_masked")}` : ""}</h3><div class="clip">
      ${seen && track && !isBroken ? html`<${Player} url=${seen.url} track=${track} words=${words} onBroken=${() => setBroken(true)} />`
        : html`<${Still} track=${track} words=${words} /><button class="strong watch" disabled=${isStale.value || isAsked || kept.may_view.length === 0} onClick=${view}><${Icon} name="play" />${t(kept.may_view.length === 0 ? "no_clip" : isAsked && !original ? "clip_making" : "clip_watch")}</button>`}</div>
    <p class="quiet">${isBroken ? t("clip_broken") : `${hms(kept.manifest.clip?.first_at ?? kept.manifest.first_seen_at)} · ${kept.manifest.camera_id} · SHA-256 ${kept.sha256.slice(0, 12)}…`}</p>
    ${kept.manifest.missing.length > 0 && html`<p class="pill dashed">${t("clip_part")}</p>`}`;
}

/** The path alone: it shows no picture and needs no reason. @param {{track: Track | null, words: string}} props */
function Still({ track, words }) {
  if (!track) return null;
  return html`<svg viewBox=${`0 0 ${track.width_px} ${track.height_px}`} class="path-only" role="img" aria-label=${words}><${Path} track=${track} upTo=${Infinity} words=${words} /></svg>`;
}

/** @param {{track: Track, upTo: number, words: string}} props */
function Path({ track, upTo, words }) {
  const boxes = track.boxes.filter((box) => box.t_s <= upTo + 0.001);
  if (boxes.length === 0) return null;
  const unit = track.height_px / 100;
  const [first, last] = [boxes[0], boxes[boxes.length - 1]];
  const points = boxes.map((box) => `${box.x + box.width_px / 2},${box.y + box.height_px / 2}`).join(" ");
  const isRight = first.x > track.width_px * 0.6;
  return html`<polyline points=${points} class="path-under" stroke-width=${unit * 1.8} /><polyline points=${points} class="path" stroke-width=${unit * 0.9} />
    <rect x=${last.x - unit} y=${last.y - unit} width=${last.width_px + 2 * unit} height=${last.height_px + 2 * unit} class="path-box" stroke-width=${unit * 0.7} />
    <circle cx=${first.x + first.width_px / 2} cy=${first.y + first.height_px / 2} r=${unit * 1.6} class="path-start" />
    ${words && html`<text x=${first.x + (isRight ? -4 : 4) * unit} y=${Math.max(first.y, unit * 6)} text-anchor=${isRight ? "end" : "start"} font-size=${unit * 6} stroke-width=${unit * 1.2} class="path-words">${words}</text>`}`;
}

/** Plays the seconds of the fall again and again; the path is drawn for exactly the picture that is shown. @param {{url: string, track: Track, words: string, onBroken: () => void}} props */
function Player({ url, track, words, onBroken }) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const [at, setAt] = useState(0);
  useEffect(() => {
    const node = /** @type {HTMLVideoElement} */ (video.current);
    const from = Math.max(0, track.boxes[0].t_s - BEFORE_S);
    const until = track.boxes[track.boxes.length - 1].t_s + AFTER_S;
    let handle = 0;
    const frame = (/** @type {number} */ _, /** @type {{mediaTime: number}} */ shown) => {
      setAt(shown.mediaTime);
      if (shown.mediaTime > until && !node.controls) node.currentTime = from;
      handle = node.requestVideoFrameCallback(frame);
    };
    node.onloadedmetadata = () => { node.currentTime = from; node.play().catch(() => undefined); };
    handle = node.requestVideoFrameCallback(frame);
    return () => node.cancelVideoFrameCallback(handle);
  }, [url]);
  return html`<video ref=${video} src=${url} muted loop playsinline onError=${onBroken} onClick=${() => { if (video.current) video.current.controls = true; }}></video>
    <svg viewBox=${`0 0 ${track.width_px} ${track.height_px}`} class="over" data-at=${at.toFixed(3)} aria-hidden="true"><${Path} track=${track} upTo=${at} words=${words} /></svg>`;
}
