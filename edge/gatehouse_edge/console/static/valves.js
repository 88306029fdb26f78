// Gas valves that are shut: opened by two people on site, never by one and never from afar.
import { order } from "/ui/api.js";
import { askFor, confirm } from "/ui/dialog.js";
import { serviceNow, span, stopwatch, tick } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { devices, isStale, may, me, valves } from "./desk.js";

/** @typedef {import("./desk.js").Valve} Valve */

const CONFIRM_S = 120;

/** Nothing while every valve is open. */
export function Valves() {
  const shut = valves.value.filter((valve) => valve.is_closed);
  if (shut.length === 0) return null;
  return html`<section class="valves" aria-label=${t("valves")}>${shut.map((valve) => html`<${Row} key=${valve.id} valve=${valve} />`)}</section>`;
}

/** @param {{valve: Valve}} props */
function Row({ valve }) {
  tick.value;
  const left = valve.request ? CONFIRM_S - (serviceNow() - valve.request.at_s) : 0;
  return html`<div class="card valve"><div><b>${valve.id} ${t("valve_closed")}</b> <span class="quiet">${t("ago", { s: span(serviceNow() - valve.since_s) })} · ${valve.cause && t("valve_cause", { cause: causeOf(valve.cause) })}</span>
      ${valve.request && left > 0 && html`<p class="asked">${t("valve_asked", { name: valve.request.actor.name, s: stopwatch(left) })}</p>`}</div>
    ${may("valve_request") && left <= 0 && html`<button disabled=${isStale.value} title=${t("valve_rule")} onClick=${() => request(valve)}>${t("request_open")}</button>`}
    ${may("valve_confirm") && left > 0 && html`<button class="strong" disabled=${isStale.value} onClick=${() => agree(valve)}>${t("confirm_open")}</button>`}</div>`;
}

/** `device code` in words; a person's name stays as it is. @param {string} text */
function causeOf(text) {
  const [id, code] = text.split(" ");
  const label = me.value?.codes[code];
  return label ? `${pick(devices.value.get(id)?.place) || id} ${pick(label)}` : text;
}

/** @param {Valve} valve */
async function request(valve) {
  const entered = await askFor(t("request_open"), { reason: { label: t("reason") } }, { text: t("valve_rule") });
  if (entered) await order(`/valves/${valve.id}/request-open`, { reason: entered.reason }).catch(refusal);
}

/** @param {Valve} valve */
async function agree(valve) {
  if (await confirm(t("confirm_open"), { text: t("valve_sure"), isDanger: true })) await order(`/valves/${valve.id}/confirm-open`).catch(refusal);
}
