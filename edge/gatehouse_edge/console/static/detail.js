// Below the façade: everything about the chosen alarm. Left what is known of the place, right what to do and what was done.
import { ask } from "/ui/api.js";
import { Mark } from "/ui/shapes.js";
import { dateTime, hms, nowMs, serviceNow, when } from "/ui/time.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { either, pick, t } from "/ui/words.js";
import { actionsFor } from "./actions.js";
import { floorsOf, whereOf } from "./alarm_card.js";
import { current } from "./alarm_list.js";
import { Calm } from "./calm.js";
import { Clip, hasClip } from "./clip.js";
import { isStale, isUnattended, may } from "./desk.js";
import { GasTrend } from "./gas_trend.js";
import { LiftShaft } from "./lift_shaft.js";
import { ResidentCard } from "./resident_card.js";
import { explain, measured, token } from "./say.js";

/** @typedef {import("./desk.js").Alarm} Alarm @typedef {{at: string, what: string, actor: string, role: string, text: string}} Step */

/** Revisions that are no step of anybody's work. */
const QUIET = new Set(["changed", "grouped", "escalated"]);
/** Those whose text a person wrote. */
const SAYS = new Set(["noted", "shelved", "closed", "rescue"]);
const TRAPPED = /^lift\.(trapped|alarm_button)/;

export function Detail() {
  const alarm = current.value;
  if (!alarm) return html`<${Calm} />`;
  return html`<section class=${`detail ${alarm.priority.toLowerCase()}`} aria-label=${pick(alarm.label)}>
    <div class="evidence"><${Evidence} alarm=${alarm} key=${alarm.alarm_id} /></div>
    <div class="work"><header><${Mark} p=${alarm.priority} size=${24} look=${alarm.state === "unack" ? "full" : "hollow"} /><h2>${pick(alarm.label)}</h2><span class="where">${whereOf(alarm)}</span>
      <span class="space"></span>${actionsFor(alarm).map((action) => html`<button key=${action.name} class=${action.isStrong ? "strong" : ""} data-act=${action.name} disabled=${isStale.value} onClick=${action.does}>${action.words}${action.key && html` <kbd>${action.key}</kbd>`}</button>`)}</header>
      <div class="columns"><${Steps} alarm=${alarm} /><${Log} alarm=${alarm} key=${alarm.alarm_id} /></div></div></section>`;
}

/** @param {{alarm: Alarm}} props */
function Evidence({ alarm }) {
  const category = alarm.code.split(".")[0];
  if (hasClip(alarm)) return html`<${Clip} alarm=${alarm} />`;
  if (category === "gas") return html`<${GasTrend} alarm=${alarm} />`;
  if (category === "lift") return html`<${LiftShaft} alarm=${alarm} />`;
  if (alarm.resident) return html`<${ResidentCard} alarm=${alarm} />`;
  return html`<${Facts} alarm=${alarm} />`;
}

/** @param {{alarm: Alarm}} props */
function Facts({ alarm }) {
  const thrown = alarm.facts?.throw;
  /** @type {[string, string][]} */
  const rows = [
    [t("device"), alarm.device_id === "gateway" ? token("gateway") : alarm.device_id], [t("place"), whereOf(alarm)],
    [t("measured"), measured(alarm.value, alarm.unit)], [t("said"), thrown ? floorsOf(thrown) : explain(alarm.text)],
    [t("since"), dateTime(alarm.raised_at)], [t("ended"), alarm.returned_at ? dateTime(alarm.returned_at) : ""],
  ];
  return html`<h3>${t("facts")}</h3><dl class="facts">${rows.filter(([, value]) => value).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    ${thrown && html`<p class="quiet">${t("no_clip")}</p>`}`;
}

/** What to do now, from the catalogue: by code, then by kind, then by category. @param {Alarm} alarm */
export function advice(alarm) {
  let words = "";
  if (alarm.kind !== "alarm") words = either(`next_${alarm.kind === "fault" ? alarm.code.replace(".", "_") : alarm.kind}`, t("next_fault"));
  else if (TRAPPED.test(alarm.code)) words = t("next_lift_trapped");
  else words = either(`next_${alarm.code.replace(".", "_")}`, either(`next_${alarm.code.split(".")[0]}`, ""));
  return words.split(/[；;]\s*/).filter(Boolean);
}

/** @param {{alarm: Alarm}} props */
function Steps({ alarm }) {
  const isDone = !isUnattended(alarm);
  return html`<div class="steps"><h3>${t("steps")}</h3><ol>${advice(alarm).map((step, at) => html`<li><i>${at + 1}</i><span>${step}</span></li>`)}</ol>
    ${alarm.rescue && html`<p class="pill">${t(`rescue_${alarm.rescue.deal_status}`)}</p>`}${isDone && alarm.acked_by && html`<p class="quiet">${t("by")} ${alarm.acked_by} ${when(alarm.acked_at)}</p>`}</div>`;
}

/** @param {{alarm: Alarm}} props */
function Log({ alarm }) {
  const [steps, setSteps] = useState(/** @type {Step[] | null} */ (null));
  useEffect(() => {
    if (!may("read_journal")) return undefined;
    const leaving = new AbortController();
    ask("GET", `/history/alarms/${alarm.alarm_id}`, undefined, leaving.signal).then((found) => setSteps(found.revisions), () => undefined);
    return () => leaving.abort();
  }, [alarm.alarm_id, alarm.seq]);
  const known = (steps && steps.length > 0 ? steps : shortLog(alarm)).filter((step) => !QUIET.has(step.what));
  return html`<div class="log"><h3>${t("log")}</h3><ul>
    ${known.slice(-12).map((step) => html`<li><time>${when(step.at)}</time><b>${t(`what_${step.what}`)}</b><span>${[step.role === "system" ? "" : step.actor, step.what === "raised" ? alarm.device_id : SAYS.has(step.what) ? step.text : ""].filter(Boolean).join(" · ")}</span></li>`)}
    ${isUnattended(alarm) && html`<li class="next"><time>${alarm.ack_due_s === null ? "" : hms(nowMs() + (alarm.ack_due_s - serviceNow()) * 1000)}</time><b>${t("next_escalation")}</b><span>${t("escalates")}</span></li>`}</ul></div>`;
}

/** What the alarm itself tells, for who may not read the journal. @param {Alarm} alarm @returns {Step[]} */
function shortLog(alarm) {
  /** @type {(Step | null)[]} */
  const steps = [
    { at: alarm.raised_at, what: "raised", actor: "", role: "system", text: "" },
    alarm.acked_at ? { at: alarm.acked_at, what: "acknowledged", actor: alarm.acked_by ?? "", role: "", text: "" } : null,
    alarm.returned_at ? { at: alarm.returned_at, what: "returned", actor: "", role: "system", text: "" } : null,
  ];
  return steps.filter((step) => step !== null);
}
