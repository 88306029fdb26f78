// The sign of a priority: shape, digit, colour; the word stands beside it. Works without colour, and in print.
import { html } from "./vendor/preact.js";

/** @typedef {"P1" | "P2" | "P3" | "P4"} Priority */

/** Outlines within -11..11. @type {Record<Priority, string>} */
export const SHAPES = {
  P1: "M0,-9.5 L10,7.5 L-10,7.5 Z",
  P2: "M0,-9.5 L9.5,0 L0,9.5 L-9.5,0 Z",
  P3: "M0,-8.5 A8.5,8.5 0 1 1 0,8.5 A8.5,8.5 0 1 1 0,-8.5 Z",
  P4: "M-7.5,-7.5 H7.5 V7.5 H-7.5 Z",
};

/**
 * `look`: full (nobody took it), hollow (taken), off (none of these now).
 * @param {{p: Priority, size?: number, look?: "full" | "hollow" | "off", blinks?: boolean}} props
 */
export function Mark({ p, size = 22, look = "full", blinks = false }) {
  return html`<svg class=${`mark ${p.toLowerCase()} is-${look} ${blinks ? "blinks" : ""}`} width=${size} height=${size} viewBox="-12 -12 24 24" aria-hidden="true">
    ${look === "hollow" && html`<path class="under" d=${SHAPES[p]} />`}<path d=${SHAPES[p]} /><text y=${p === "P1" ? 5.6 : 4} text-anchor="middle">${p[1]}</text></svg>`;
}

/** @type {Record<string, string>} */
const ICONS = {
  sound: "M4 9v6h4l5 4V5L8 9H4zM16 9a4 4 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  mute: "M4 9v6h4l5 4V5L8 9H4zM16 9l5 6M21 9l-5 6",
  cut: "M4 9a12 12 0 0 1 16 0M7 12.5a7.5 7.5 0 0 1 10 0M10 16a3 3 0 0 1 4 0M4 4l16 16",
  link: "M4 9a12 12 0 0 1 16 0M7 12.5a7.5 7.5 0 0 1 10 0M10 16a3 3 0 0 1 4 0M12 19.5v.01",
  check: "m4 12.5 5 5 11-11",
  gas: "M12 3c1 4 5 5.5 5 10a5 5 0 0 1-10 0c0-2.2 1-3.6 2-4.6.2 1.7 1 2.4 1.8 2.8C10.6 8 11 5 12 3Z",
  lift: "M5 3h14v18H5zM12 3v18M8.5 9.5 10 7.5l1.5 2M15.5 14.5 14 16.5l-1.5-2",
  sos: "M12 4v9m0 4v.5M5.5 6.5a9 9 0 0 0 0 11M18.5 6.5a9 9 0 0 1 0 11",
  throw: "M5 4h4v4H5zM11 8c4 0 6 3 6 9m0 0-3-3m3 3 3-3M4 21h16",
  gateway: "M4 14h16v6H4zM8 17h.01M12 17h4M7 14l2-9h6l2 9",
  phone: "M6 3h4l2 5-2.5 1.5a11 11 0 0 0 5 5L16 12l5 2v4a2 2 0 0 1-2 2A15 15 0 0 1 4 5a2 2 0 0 1 2-2Z",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 21 21",
  close: "M5 5l14 14M19 5 5 19",
  play: "M7 4v16l13-8z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
};

/** A line drawing of 24 x 24, in the colour of the text. @param {{name: string, size?: number}} props */
export function Icon({ name, size = 18 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;
}
