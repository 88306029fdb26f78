// A lift as it stands: the car at its floor, its doors, who is inside, and for how long.
import { serviceNow, stopwatch, tick, when } from "/ui/time.js";
import { html, useComputed } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { devices } from "./desk.js";
import { buildings } from "./facade.js";
import { token } from "./say.js";

/** @typedef {import("./desk.js").Alarm} Alarm */

const H = 190;

/** @param {{alarm: Alarm}} props */
export function LiftShaft({ alarm }) {
  const device = devices.value.get(alarm.device_id);
  const last = device?.last?.what === "LiftReading" ? device.last : null;
  const then = alarm.facts?.lift ?? {};
  const is = (/** @type {string} */ name) => last?.[name] ?? then[name] ?? null;
  const floors = buildings.value.find((one) => one.id === alarm.place.building)?.floors ?? 18;
  const floor = Number.parseInt(is("floor") ?? "", 10);
  const held = useComputed(() => (tick.value, stopwatch(serviceNow() - alarm.raised_s)));
  /** @type {[string, unknown][]} */
  const rows = [
    [t("floor"), is("floor") === null ? t("unknown_floor") : html`<b class="big">${is("floor")}</b> ${is("door_zone") === null ? "" : token(is("door_zone") ? "in_zone" : "off_zone")}`],
    [t("door"), is("door_closed") === null ? t("unknown") : token(is("door_closed") ? "door_closed" : "door_open")],
    [t("inside"), is("passenger") === null ? t("unknown") : html`<b>${token(is("passenger") ? "occupied" : "empty")}</b>`],
    [t("held"), html`<b>${held}</b>`],
    [t("last"), when(device?.last_at)],
  ];
  return html`<h3>${t("lift_now")}</h3><div class="lift"><${Shaft} floors=${floors} floor=${floor} isOpen=${is("door_closed") === false} isOff=${is("door_zone") === false} hasPeople=${is("passenger") === true} />
    <dl class="facts">${rows.filter(([, value]) => value).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></div>`;
}

/** @param {{floors: number, floor: number, isOpen: boolean, isOff: boolean, hasPeople: boolean}} props */
function Shaft({ floors, floor, isOpen, isOff, hasPeople }) {
  const step = (H - 16) / floors;
  const tall = Math.max(20, Math.min(30, step * 1.6));
  const y = Number.isNaN(floor) ? null : H - 8 - (Math.min(floors, Math.max(1, floor)) - 1) * step - tall - (isOff ? step / 2 : 0);
  return html`<svg class="shaft-view" viewBox=${`0 0 86 ${H}`} role="img" aria-label=${t("lift_now")}>
    <rect x="30" y="4" width="40" height=${H - 8} class="well" />
    ${Array.from({ length: floors }, (_, at) => at + 1).map((n) => html`<line x1="30" x2="36" y1=${H - 8 - (n - 1) * step} y2=${H - 8 - (n - 1) * step} class="tick" />
      ${(n === 1 || n === floors || n % 5 === 0) && html`<text x="25" y=${H - 8 - (n - 1) * step + 1} text-anchor="end">${n}</text>`}`)}
    ${y !== null && html`<line x1="50" x2="50" y1="4" y2=${Math.max(4, y)} class="rope" /><rect x="36" y=${Math.max(4, y)} width="28" height=${tall} class="car" />
      ${isOpen ? html`<rect x="38" y=${Math.max(4, y) + 2} width="4" height=${tall - 2} class="leaf" /><rect x="58" y=${Math.max(4, y) + 2} width="4" height=${tall - 2} class="leaf" />` : html`<line x1="50" x2="50" y1=${Math.max(4, y) + 2} y2=${Math.max(4, y) + tall} class="slit" />`}
      ${hasPeople && html`<circle cx="50" cy=${Math.max(4, y) + tall * 0.36} r="3.6" class="person" /><path d=${`M44 ${Math.max(4, y) + tall} q6 -${tall * 0.75} 12 0 z`} class="person" />`}`}</svg>`;
}
