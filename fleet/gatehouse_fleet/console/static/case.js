// One case: its seven steps, the deadline of each and how it came about, its alarms, photos, time line, and the one move that comes next.
import { ask, Problem, problemText } from "/ui/api.js";
import { askFor, openDialog } from "/ui/dialog.js";
import { Mark } from "/ui/shapes.js";
import { dateTime, nowMs, span, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useRef } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { labelOf, lightNow } from "./cases.js";
import { facts, isStale, may, me, news } from "./known.js";
import { useCalm, useOne } from "./lists.js";
import { link } from "./route.js";
import { Lamp } from "./signs.js";

const MAX_PHOTO_BYTES = 8e6;
/** @type {Record<string, string[]>} */
const BACK = { dispatched: ["filed"], handling: ["dispatched", "filed"], feedback: ["handling", "dispatched", "filed"] };

const WORKED_ON = ["collected", "filed", "dispatched", "handling"];

/** @param {{id: string}} props */
export function CasePage({ id }) {
  const { value, problem, again } = useOne(`/cases/${Number(id)}`, useCalm(news.value.case));
  if (problem && !value) return html`<main class="page"><div class="empty"><b>${problem}</b><a class="button" href=${link("cases")}>${t("fleet_page_cases")}</a></div></main>`;
  if (!value) return html`<main class="page"><p class="quiet pad">${t("fleet_reading")}</p></main>`;
  const one = value.case;
  return html`<main class="page case"><header class="pagehead"><a class="button" href=${link("cases")} aria-label=${t("fleet_page_cases")}>←</a><${Mark} p=${one.priority} size=${30} look=${one.is_open ? "hollow" : "off"} /><h1>${labelOf(one)} <small><bdi>${one.community}</bdi> · ${one.number}</small></h1>
      ${one.is_injury && html`<i class="pill p1">${t("fleet_injury")}</i>`}${one.rounds > 1 && html`<i class="pill">${t("fleet_round", { n: one.rounds })}</i>`}<span class="space"></span><${Due} one=${one} /><button onClick=${() => print()}>${t("fleet_print")}</button></header>
    <${Steps} value=${value} />
    ${one.merged_into ? html`<p class="banner">${t("fleet_merged_into", { n: one.merged_into })} <a href=${link("cases", one.merged_into)}>→</a></p>` : html`<${Moves} value=${value} again=${again} />`}
    <div class="halves"><section><${Deadlines} value=${value} /><${Alarms} value=${value} again=${again} /><${Photos} value=${value} again=${again} /></section><section><${TimeLine} value=${value} /></section></div></main>`;
}

/** @param {{one: import("./cases.js").Case}} props */
function Due({ one }) {
  tick.value;
  if (!one.due_at || isStale.value) return null;
  const left = Date.parse(one.due_at) - nowMs();
  return html`<span class=${`due ${lightNow(one)}`}><${Lamp} light=${lightNow(one)} /><b>${left >= 0 ? t("fleet_time_left", { s: span(left / 1000) }) : t("fleet_time_over", { s: span(-left / 1000) })}</b></span>`;
}

/** @param {{value: any}} props */
function Steps({ value }) {
  const names = [...(facts.value?.steps.keys() ?? [])];
  const here = names.indexOf(value.case.step);
  const at = reached(value.timeline);
  return html`<ol class="steps" aria-label=${t("fleet_steps")}>${names.map((name, n) => html`<li class=${n < here ? "past" : n === here ? "here" : ""} aria-current=${n === here ? "step" : undefined}><i>${n + 1}</i><b>${pick(facts.value?.steps.get(name))}</b><small>${n <= here && at[name] ? when(at[name]) : ""}</small></li>`)}</ol>`;
}

/** When each step was last reached. @param {any[]} lines @returns {Record<string, string>} */
function reached(lines) {
  /** @type {Record<string, string>} */
  const names = { opened: "collected", filed: "filed", dispatched: "dispatched", taken: "handling", feedback: "feedback", verified: "verified_closed", evaluated: "evaluated" };
  return Object.fromEntries(lines.filter((line) => names[line.what]).map((line) => [names[line.what], line.at]));
}

/** What comes next, and who may do it; what the role may not do is not shown. @param {{value: any, again: () => void}} props */
function Moves({ value, again }) {
  const one = value.case;
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const act = async (/** @type {string} */ name, /** @type {object} */ body = {}, /** @type {number} */ revision = one.revision) => {
    try {
      const after = await ask("POST", `/cases/${one.id}/${name}`, { revision, ...body });
      again();
      return after;
    } catch (error) {
      refusal(error);
      if (error instanceof Problem && error.body.reason === "stale") again();
      return null;
    }
  };
  const asking = async (/** @type {string} */ name, /** @type {string} */ title, /** @type {any} */ fields) => {
    const said = await askFor(title, fields, { done: title });
    if (said) act(name, numbered(said));
  };
  const dispatch = async (/** @type {boolean} */ isHandOver) => {
    const people = may("manage_people") ? await ask("GET", "/users?limit=200").then((page) => page.items, () => []) : [];
    const units = [...new Set(people.map((/** @type {any} */ person) => person.unit))].filter(Boolean);
    const fields = { unit: { label: t("fleet_unit_name"), value: one.unit, list: units }, ...(isHandOver ? { reason: { label: t("reason") } } : { note: { label: t("note"), optional: true } }) };
    const said = await askFor(t(isHandOver ? "fleet_hand_over" : "fleet_move_dispatch"), fields, { text: isHandOver ? t("fleet_hand_over_hint") : "" });
    if (!said) return;
    let revision = one.revision;
    if (isHandOver) {
      const back = await act("send-back", { to: "filed", reason: said.reason });
      if (!back) return;
      revision = back.revision;
    }
    const done = await act("dispatch", { unit: said.unit, note: said.note ?? said.reason ?? "" }, revision);
    if (done && isHandOver) toast(t("fleet_handed_over", { unit: said.unit }));
  };
  const merge = async () => {
    const said = await askFor(t("fleet_merge"), { other_id: { label: t("fleet_merge_number"), type: "number", min: 1 } }, { text: t("fleet_merge_hint"), done: t("fleet_merge") });
    if (said) act("merge", { other_id: Number(said.other_id) });
  };
  const upload = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    if (file.size > MAX_PHOTO_BYTES) { toast(t("fleet_photo_too_large"), true); return; }
    const answer = await fetch(`/api/v1/cases/${one.id}/photos`, { method: "POST", credentials: "same-origin", headers: { "X-Gatehouse": "1", "Content-Type": file.type }, body: file }).catch(() => null);
    if (answer?.ok) toast(t("fleet_photo_added"));
    else toast(answer ? problemText(new Problem(answer.status, await answer.json().catch(() => ({})))) : t("offline"), true);
    again();
  };
  const canHandle = may("handle_cases");
  const canVerify = may("verify_cases");
  const note = { note: { label: t("note"), optional: true, type: /** @type {const} */ ("textarea") } };
  const text = { text: { label: t("text"), type: /** @type {const} */ ("textarea") } };
  const isBlocked = isStale.value;
  const steps = /** @type {Record<string, unknown>} */ ({
    collected: canHandle && html`<button class="strong" disabled=${isBlocked} onClick=${() => asking("file", t("fleet_move_file"), note)}>${t("fleet_move_file")}</button>`,
    filed: canHandle && html`<button class="strong" disabled=${isBlocked} onClick=${() => dispatch(false)}>${t("fleet_move_dispatch")}</button>`,
    dispatched: canHandle && html`<button class="strong" disabled=${isBlocked} onClick=${() => act("take")}>${t("fleet_move_take")}</button>`,
    handling: canHandle && html`<button class="strong" disabled=${isBlocked} onClick=${() => asking("feedback", t("fleet_move_feedback"), text)}>${t("fleet_move_feedback")}</button>`,
    feedback: canVerify && html`<button class="strong" disabled=${isBlocked} onClick=${() => asking("verify", t("fleet_move_verify"), note)}>${t("fleet_move_verify")}</button>`,
    verified_closed: canVerify && html`<button class="strong" disabled=${isBlocked} onClick=${() => asking("evaluate", t("fleet_move_evaluate"), { score: { label: t("fleet_score_1_5"), choices: [5, 4, 3, 2, 1].map((n) => [String(n), String(n)]) }, ...note })}>${t("fleet_move_evaluate")}</button>`,
  });
  const targets = (one.step === "feedback" ? canVerify : canHandle) ? BACK[one.step] ?? [] : [];
  return html`<div class="moves">${steps[one.step] || html`<span class="quiet">${t(one.step === "evaluated" ? "fleet_case_done" : "fleet_not_your_move")}</span>`}
    ${canHandle && ["handling", "feedback"].includes(one.step) && html`<button disabled=${isBlocked} onClick=${() => input.current?.click()}>${t("fleet_add_photo")}</button><input ref=${input} type="file" accept="image/jpeg,image/png" hidden onChange=${(/** @type {any} */ event) => { upload(event.currentTarget.files[0]); event.currentTarget.value = ""; }} />`}
    ${canHandle && ["dispatched", "handling"].includes(one.step) && html`<button disabled=${isBlocked} onClick=${() => dispatch(true)}>${t("fleet_hand_over")}</button>`}
    ${targets.length > 0 && html`<button disabled=${isBlocked} onClick=${() => asking("send-back", t("fleet_move_back"), { to: { label: t("fleet_back_to"), choices: targets.map((step) => [step, pick(facts.value?.steps.get(step))]) }, reason: { label: t("reason") } })}>${t("fleet_move_back")}</button>`}
    <span class="space"></span>
    ${canHandle && html`<button disabled=${isBlocked} onClick=${() => asking("notes", t("fleet_add_note"), text)}>${t("fleet_add_note")}</button>`}
    ${canHandle && one.is_open && WORKED_ON.includes(one.step) && one.kind !== "preventive" && html`<button disabled=${isBlocked} onClick=${merge}>${t("fleet_merge")}</button>`}
    ${canHandle && one.is_open && !one.is_injury && html`<button disabled=${isBlocked} onClick=${() => asking("injury", t("fleet_flag_injury"), text)}>${t("fleet_flag_injury")}</button>`}
    ${canHandle && one.is_injury && html`<button disabled=${isBlocked} onClick=${() => asking("accident-report", t("fleet_report_accident"), { text: { label: t("fleet_reported_to") } })}>${t("fleet_report_accident")}</button>`}</div>`;
}

/** @param {Record<string, string>} said */
const numbered = (said) => ("score" in said ? { ...said, score: Number(said.score) } : said);

/** @param {{value: any}} props */
function Deadlines({ value }) {
  tick.value;
  const rows = value.deadlines.filter((/** @type {any} */ row) => !row.voided_at);
  return html`<h2 class="sub">${t("fleet_deadlines")}</h2><table><thead><tr><th>${t("fleet_stage")}</th><th>${t("fleet_light")}</th><th>${t("fleet_due_at")}</th><th>${t("fleet_counted")}</th></tr></thead><tbody>${rows.map((/** @type {any} */ row) => {
    const end = row.met_at ? Date.parse(row.met_at) : nowMs();
    const light = end > Date.parse(row.due_at) ? "red" : end >= Date.parse(row.yellow_at) ? "yellow" : "green";
    return html`<tr><td>${t(`fleet_stage_${row.stage}`)}</td><td>${row.met_at ? html`<span class="lamped"><i class=${`lamp ${light === "red" ? "red" : "off"}`}></i>${t(light === "red" ? "fleet_met_late" : "fleet_met")}</span>` : html`<${Lamp} light=${light} />`}</td><td>${when(row.due_at)}${row.is_provisional ? ` · ${t("fleet_provisional")}` : ""}</td>
      <td><details><summary>${row.amount} ${t(`fleet_basis_${row.basis}`)}</summary><p class="quiet">${row.provenance}${row.days.length ? `：${row.days.map((/** @type {any} */ day) => `${day.day} ${day.name || t(`fleet_day_${day.kind}`)} ${span(day.counted_s)}`).join("；")}` : ""}</p></details></td></tr>`;
  })}</tbody></table>`;
}

/** @param {{value: any, again: () => void}} props */
function Alarms({ value, again }) {
  const dispose = async (/** @type {any} */ row) => {
    const said = await askFor(t("fleet_close_alarm"), { disposition: { label: t("disposition"), choices: [["handled", t("fleet_disposition_handled")], ["false_alarm", t("fleet_disposition_false_alarm")]] }, reason: { label: t("reason") } }, { text: t("fleet_close_hint") });
    if (!said) return;
    try {
      const now = await ask("GET", `/alarms/${row.alarm_id}`);
      await ask("POST", `/cases/${value.case.id}/disposals`, { revision: value.case.revision, alarm_id: row.alarm_id, alarm_seq: now.revision, ...said });
      toast(t("fleet_ordered"));
    } catch (error) {
      refusal(error);
    }
    again();
  };
  return html`<h2 class="sub">${t("alarms")} <small>${value.alarm_count}</small></h2><table><tbody>${value.alarms.map((/** @type {any} */ row) => html`<tr><td><span class="signed"><${Mark} p=${row.priority} size=${18} look=${row.is_open ? "hollow" : "off"} />${labelOf(row)}</span></td><td>${row.device_id}${row.times > 1 ? ` · ${t("times", { n: row.times })}` : ""}</td><td>${when(row.raised_at)}</td>
    <td>${row.is_open ? (row.deal_status ? t(`rescue_${row.deal_status}`) : t("fleet_still_open")) : t(`fleet_disposition_${row.disposition ?? "auto"}`)}</td>
    <td class="acts">${may("read_alarms") && html`<a href=${link("alarms", "", { which: "all", one: row.alarm_id })}>${t("fleet_details")}</a>`}${row.is_open && may("act_on_alarms") && html`<button class="small" disabled=${isStale.value} onClick=${() => dispose(row)}>${t("fleet_close_alarm")}</button>`}</td></tr>`)}</tbody></table>`;
}

/** Each look at a photo is registered, so none is shown unasked. @param {{value: any, again: () => void}} props */
function Photos({ value }) {
  const look = (/** @type {any} */ photo) => openDialog(t("fleet_photo"), html`<div class="media"><img src=${`/api/v1/cases/${value.case.id}/photos/${photo.sha256}`} alt=${t("fleet_photo")} /></div><p class="quiet">${dateTime(photo.added_at)} · <bdi>${photo.actor}</bdi> · <code>${photo.sha256.slice(0, 16)}…</code></p><form method="dialog" class="buttons"><button class="strong">${t("done")}</button></form>`);
  return html`<h2 class="sub">${t("fleet_photos")} <small>${value.photos.length}</small></h2>${value.photos.length === 0 ? html`<p class="quiet">${t("fleet_photo_needed")}</p>` : html`<ul class="clips">${value.photos.map((/** @type {any} */ photo) => html`<li><div><b>${t("fleet_photo")}</b> <i class="pill">${t("fleet_round", { n: photo.round })}</i><small>${when(photo.added_at)} · ${(photo.size_bytes / 1e3).toFixed(0)} kB</small></div>${!me.value?.is_contractor && html`<button onClick=${() => look(photo)}>${t("fleet_look")}</button>`}</li>`)}</ul>`}`;
}

/** @param {{value: any}} props */
function TimeLine({ value }) {
  return html`<h2 class="sub">${t("fleet_time_line")}</h2><ol class="lines">${[...value.timeline].reverse().map((/** @type {any} */ line) => html`<li><time>${when(line.at)}</time><span><b>${t(`fleet_happened_${line.what}`)}</b> ${line.role === "system" ? "" : html`<bdi>${line.actor}</bdi>${line.unit ? html` · <bdi>${line.unit}</bdi>` : ""}`}<${Said} detail=${line.detail} /></span><code title=${line.hash}>${line.n}</code></li>`)}</ol>`;
}

/** What a line says, without what only machines need. @param {{detail: Record<string, any>}} props */
function Said({ detail }) {
  const words = ["text", "note", "reason", "unit", "score", "light", "to"].filter((name) => detail[name] !== undefined && detail[name] !== "").map((name) => (name === "light" ? t(`fleet_light_${detail[name]}`) : name === "to" && facts.value?.steps.has(detail[name]) ? pick(facts.value.steps.get(detail[name])) : String(detail[name])));
  return words.length ? html`<small><bdi>${words.join(" · ")}</bdi></small>` : null;
}
