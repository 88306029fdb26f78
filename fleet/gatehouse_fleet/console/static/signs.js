// Signs of the fleet: silence, lights of cases, bars. Shape and word carry them; colour comes on top.
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";

/** The sign of silence: a ring with a gap. @param {{isOff?: boolean, size?: number}} props */
export function Ring({ isOff = false, size = 20 }) {
  return html`<svg class=${`ring ${isOff ? "off" : ""}`} width=${size} height=${size} viewBox="-12 -12 24 24" aria-hidden="true"><circle r="8" pathLength="100" stroke-dasharray="74 26" transform="rotate(-45)" /><path d="M-4,4 4,-4" /></svg>`;
}

/** A case's light with its word. @param {{light: "green" | "yellow" | "red" | null}} props */
export function Lamp({ light }) {
  return html`<span class="lamped"><i class=${`lamp ${light === "green" || !light ? "off" : light}`}></i>${t(`fleet_light_${light ?? "none"}`)}</span>`;
}

/** How a gateway stands towards the server. @param {{presence: string}} props */
export function PresenceWord({ presence }) {
  return html`<span class=${`presence ${presence}`}>${presence === "silent" && html`<${Ring} size=${16} />`}${t(`fleet_presence_${presence}`)}</span>`;
}

/** Part of a whole, 0 to 1: a bar with its number; abnormal where it is over `bad`. @param {{part: number, bad?: number}} props */
export function Bar({ part, bad = 2 }) {
  return html`<span class=${`bar ${part >= bad ? "bad" : ""}`}><i style=${{ width: `${Math.min(100, part * 100).toFixed(1)}%` }}></i><b>${Math.round(part * 100)}%</b></span>`;
}
