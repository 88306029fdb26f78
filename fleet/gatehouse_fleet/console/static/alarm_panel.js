// One alarm with everything the server tells of it: value, revisions, evidence with a reason to look, what may be done.
import { ask } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { Mark } from "/ui/shapes.js";
import { dateTime, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useEffect } from "/ui/vendor/preact.js";
import { listen } from "/ui/keys.js";
import { pick, t } from "/ui/words.js";
import { whereIn } from "./alarm_card.js";
import { Evidence } from "./evidence.js";
import { awayMark, facts, isStale, may, open, whole } from "./known.js";
import { useOne } from "./lists.js";
import { link } from "./route.js";

/** @param {{id: string, onClose: () => void}} props */
export function AlarmPanel({ id, onClose }) {
  const live = open.value.find((one) => one.alarm_id === id);
  const { value, problem, again } = useOne(`/alarms/${id}`, live?.revision ?? 0);
  useEffect(() => listen([{ key: "Escape", words: t("fleet_key_close"), does: onClose }]), []);
  if (problem && !value) return html`<aside class="panel"><div class="empty"><b>${problem}</b><button onClick=${onClose}>${t("fleet_close_panel")}</button></div></aside>`;
  if (!value) return html`<aside class="panel"><p class="quiet pad">${t("fleet_reading")}</p></aside>`;
  const one = whole(value);
  const mark = awayMark(value.gateway_id);
  return html`<aside class="panel" aria-label=${t("fleet_alarm")}><header><${Mark} p=${value.priority} size=${28} look=${value.is_open ? (value.state === "unack" ? "full" : "hollow") : "off"} /><div><h2>${pick(one.words)}</h2><p><bdi>${value.node_name}</bdi> · <bdi>${whereIn(value)}</bdi></p></div>
      <button class="plain close" aria-label=${t("fleet_close_panel")} onClick=${onClose}>×</button></header>
    ${mark && mark.presence !== "online" && html`<p class="banner">${t("fleet_gateway_away", { presence: t(`fleet_presence_${mark.presence}`), at: when(mark.last_contact_at) })}</p>`}
    <dl class="facts">
      <dt>${t("state")}</dt><dd>${pick(facts.value?.states.get(value.state))}${value.is_overdue ? ` · ${t("fleet_was_overdue")}` : ""}${value.is_open && !value.is_active ? ` · ${t("fleet_cause_gone")}` : ""}</dd>
      <dt>${t("fleet_raised")}</dt><dd>${dateTime(value.raised_at)}</dd>
      ${value.value !== null && html`<dt>${t("fleet_value")}</dt><dd>${value.value} ${value.unit_of_value}${value.threshold !== null ? ` · ${t("threshold", { v: `${value.threshold} ${value.unit_of_value ?? ""}` })}` : ""}</dd>`}
      ${value.text && html`<dt>${t("text")}</dt><dd><bdi>${value.text}</bdi></dd>`}
      ${value.repeats > 0 && html`<dt>${t("fleet_occurrences")}</dt><dd>${t("times", { n: value.repeats + 1 })}</dd>`}
      ${value.acked_at && html`<dt>${t("fleet_acked")}</dt><dd>${dateTime(value.acked_at)}${value.acked_by ? html` · <bdi>${value.acked_by}</bdi>` : ""}</dd>`}
      ${value.closed_at && html`<dt>${t("fleet_closed")}</dt><dd>${dateTime(value.closed_at)} · ${value.disposition ? t(`fleet_disposition_${value.disposition}`) : ""} <bdi>${value.close_reason}</bdi></dd>`}
      <dt>${t("fleet_gateway")}</dt><dd><a href=${link("gateways", value.gateway_id)}>${value.gateway_id}</a> · ${value.device_id}</dd>
      ${value.case_id && may("read_cases") && html`<dt>${t("fleet_case")}</dt><dd><a href=${link("cases", value.case_id)}>#${value.case_id}</a></dd>`}
      ${!value.is_verified && html`<dt>${t("fleet_integrity")}</dt><dd><b>${t("fleet_doubtful_long")}</b></dd>`}</dl>
    <div class="buttons start">${value.is_open && may("act_on_alarms") && html`<${Acts} value=${value} onDone=${again} />`}<a class="button" href=${link("trace", id)}>${t("fleet_page_trace")}</a></div>
    ${value.notes.length > 0 && html`<h3>${t("fleet_notes")}</h3><ul class="lines">${value.notes.map((/** @type {any} */ note) => html`<li><time>${when(note.at)}</time><span><bdi>${note.text}</bdi> — <bdi>${note.author}</bdi></span></li>`)}</ul>`}
    ${may("read_clips") && html`<${Evidence} path=${`/alarms/${id}/evidence`} />`}
    <h3>${t("fleet_revisions")}</h3><ol class="lines">${[...value.revisions].reverse().map((/** @type {any} */ row) => html`<li class=${row.is_verified ? "" : "doubt"}><time>${when(row.at)}</time><span>${row.what ? t(`fleet_what_${row.what}`) : t("fleet_unreadable")}${row.state ? ` → ${pick(facts.value?.states.get(row.state))}` : ""}${row.actor && row.actor_role !== "system" ? html` · <bdi>${row.actor}</bdi>` : row.actor_role && row.actor_role !== "system" ? ` · ${row.actor_role}` : ""}</span></li>`)}</ol></aside>`;
}

/** @param {{value: any, onDone: () => void}} props */
function Acts({ value, onDone }) {
  const give = (/** @type {string} */ path, /** @type {object} */ body) => ask("POST", path, body).then(() => { toast(t("fleet_ordered")); onDone(); }, refusal);
  const close = async () => {
    const said = await askFor(t("fleet_close_alarm"), { disposition: { label: t("disposition"), choices: [["handled", t("fleet_disposition_handled")], ["false_alarm", t("fleet_disposition_false_alarm")]] }, reason: { label: t("reason") } }, { text: t("fleet_close_hint") });
    if (said) give(`/alarms/${value.alarm_id}/close`, { seq: value.revision, ...said });
  };
  const isUnattended = value.state === "unack" || value.state === "rtn";
  return html`${isUnattended && html`<button class="strong" disabled=${isStale.value} onClick=${() => give(`/alarms/${value.alarm_id}/acknowledge`, { seq: value.revision })}>${t("ack")}</button>`}
    <button disabled=${isStale.value} onClick=${close}>${t("fleet_close_alarm")}</button>`;
}
