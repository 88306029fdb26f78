// Who pressed, what helpers should know, and how to call back.
import { Icon } from "/ui/shapes.js";
import { toast } from "/ui/toast.js";
import { when } from "/ui/time.js";
import { html } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { writeNote } from "./actions.js";
import { devices, isStale, may } from "./desk.js";
import { measured } from "./say.js";

/** @param {{alarm: import("./desk.js").Alarm}} props */
export function ResidentCard({ alarm }) {
  const resident = /** @type {import("./desk.js").Resident} */ (alarm.resident);
  const device = devices.value.get(alarm.device_id);
  const last = device?.last?.what === "ButtonReading" ? device.last : null;
  const number = (resident.phone ?? "").replace(/[^+\d]/g, "");
  const called = (/** @type {string} */ key) => writeNote(alarm, t(key)).then(() => toast(t("noted")));
  return html`<h3>${t("resident")}</h3><dl class="facts">
    <dt>${t("name")}</dt><dd><b class="big">${resident.name || t("unknown")}</b>${resident.lives_alone && html` <i class="pill">${t("alone")}</i>`}</dd>
    <dt>${t("place")}</dt><dd>${pick(alarm.place)}</dd>${resident.note && html`<dt>${t("should_know")}</dt><dd>${resident.note}</dd>`}
    ${last && html`<dt>${t("battery")}</dt><dd>${measured(last.battery_pct, "pct") || t("unknown")} <span class="quiet">${when(device?.last_at)}</span></dd>`}</dl>
    ${resident.phone && (resident.is_masked ? html`<p class="phone"><${Icon} name="phone" /> ${resident.phone}</p>` : html`<a class="button phone" href=${`tel:${number}`}><${Icon} name="phone" />${t("call_back")} <b>${resident.phone}</b></a>`)}
    ${may("note") && html`<div class="buttons quick"><button disabled=${isStale.value} onClick=${() => called("called_answered")}>${t("answered")}</button><button disabled=${isStale.value} onClick=${() => called("called_silent")}>${t("not_answered")}</button></div>`}`;
}
