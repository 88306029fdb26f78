// 演练/自检: test alarms that travel the entire way, lamps and sirens one by one, the screen's colours, the desk's sounds, and what each proved.
import { ask } from "/ui/api.js";
import { confirm, openDialog } from "/ui/dialog.js";
import { Icon, Mark } from "/ui/shapes.js";
import { allow, isAudible, play } from "/ui/sound.js";
import { serviceNow, span, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { computed, html, signal, useEffect, useState } from "/ui/vendor/preact.js";
import { either, pick, t } from "/ui/words.js";
import { alarms, devices, isStale, isUnattended, may, me } from "./desk.js";
import { choicesFor, firstOfEach } from "./drill_types.js";
import { start } from "./start.js";

/**
 * @typedef {{proof: string, verdict: "waiting" | "ok" | "failed" | "absent" | "cut", subject: string, after_s: number | null, limit_s: number, detail: string}} Check
 * @typedef {{drill_id: string, kind: string, actor: {name: string}, started_at: string, device_id: string, code: string, checks: Check[], ended_at: string | null,
 *   ended_by: string | null, note: string, outcome: "good" | "failed" | "cut", label: {zh: string, en: string} | null, seq?: number}} Report
 * @typedef {{id: string, kind: string, place: import("./desk.js").Place, is_quiet: boolean, is_wanted: boolean, is_tested: boolean, is_on: boolean | null, is_ok: boolean | null,
 *   read_s: number | null, failed: string}} Output
 */

// words: proof_journal proof_screen proof_sound proof_output_on proof_output_off proof_fleet proof_person verdict_waiting verdict_ok verdict_failed verdict_absent
// words: drill_alarm drill_output drill_screen drill_sound ended_person ended_time ended_real_alarm ended_done output_siren output_lamp output_voice output_gas_valve
const SIGNS = { waiting: "…", ok: "✓", failed: "✗", absent: "–", cut: "…" };
const OUTCOMES = /** @type {const} */ ({ good: "ok", failed: "failed", cut: "cut" });
/** @type {Record<string, string>} */
const ICONS = { button: "sos", gas: "gas", lift: "lift", camera: "throw", gateway: "gateway" };
const WATCH_MS = 700;
const IDLE_MS = 15000;
const PAGE = 20;

const running = signal(/** @type {Report | null} */ (null));
const past = signal(/** @type {Report[]} */ ([]));
const next = signal(/** @type {number | null} */ (null));
const outputs = signal(/** @type {Output[]} */ ([]));
/** A real alarm that wants somebody: nothing is played then. */
const real = computed(() => [...alarms.value.values()].find((alarm) => isUnattended(alarm) && ["alarm", "tamper"].includes(alarm.kind) && ["P1", "P2"].includes(alarm.priority)));
let timer = 0;

async function look() {
  clearTimeout(timer);
  try {
    const [found, switched] = await Promise.all([ask("GET", `/drills?limit=${PAGE}`), ask("GET", "/outputs")]);
    running.value = found.running;
    past.value = found.drills;
    next.value = found.next;
    outputs.value = switched.outputs;
  } catch { /* the frame says that the gateway is not heard */ }
  timer = setTimeout(look, running.value ? WATCH_MS : IDLE_MS);
}

async function more() {
  const found = await ask("GET", `/drills?limit=${PAGE}&before=${next.value}`).catch(refusal);
  if (!found) return;
  past.value = [...past.value, ...found.drills];
  next.value = found.next;
}

/** @param {{check: Check}} props */
function Line({ check }) {
  const took = check.after_s === null ? "" : t("drill_after", { s: check.after_s.toFixed(check.after_s < 10 ? 1 : 0) });
  const why = [check.subject, check.detail && either(`detail_${check.detail.replaceAll(" ", "_")}`, check.detail)].filter(Boolean).join(" · ");
  return html`<li class=${`check ${check.verdict}`}><i class=${`verdict ${check.verdict}`} aria-hidden="true">${SIGNS[check.verdict]}</i>
    <span><b>${t(`proof_${check.proof}`)}</b>${why && html`<small><bdi>${why}</bdi></small>`}</span>
    <span>${check.verdict === "ok" ? html`<time>${took}</time>` : t(`verdict_${check.verdict}`)}</span></li>`;
}
// words: detail_page_is_mute outcome_good outcome_failed outcome_cut verdict_cut

/** @param {Report} report */
const title = (report) => (report.kind === "alarm" ? pick(report.label) : t(`drill_${report.kind}`));
/** @param {Report} report */
const place = (report) => pick(devices.value.get(report.device_id)?.place) || report.device_id;

/** @param {{report: Report}} props */
function Full({ report }) {
  const [good, of] = [report.checks.filter((check) => check.verdict === "ok").length, report.checks.filter((check) => check.verdict !== "absent").length];
  return html`<div class="drill stack"><p><b>${title(report)}</b> <bdi>${place(report)}</bdi></p>
    <p class="quiet">${when(report.started_at)} · ${report.actor.name}${report.ended_by ? ` · ${t(`ended_${report.ended_by}`)}` : ""} · ${t("drill_score", { n: good, all: of })}</p>
    ${report.note && html`<p><bdi>${report.note}</bdi></p>`}
    <ul class="checks">${report.checks.map((check) => html`<${Line} check=${check} />`)}</ul></div>`;
}

function Running() {
  const report = /** @type {Report} */ (running.value);
  return html`<section class="box running" aria-live="polite"><h2><i class="ribbon">${t("drill_running")}</i><span class="space"></span>
      ${report.kind === "alarm" && html`<button class="strong" disabled=${isStale.value} onClick=${() => ask("POST", "/drills/end").then(look, refusal)}>${t("end_test")}</button>`}</h2>
    <${Full} report=${report} /></section>`;
}

function Begin() {
  const [type, setType] = useState("gas");
  const [device, setDevice] = useState("");
  const [minutes, setMinutes] = useState(5);
  const among = type === "gateway" ? [] : [...devices.value.values()].filter((one) => one.kind === type).sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
  const chosen = type === "gateway" ? "gateway" : among.some((one) => one.id === device) ? device : among[0]?.id ?? "";
  const [code, setCode] = useState("");
  const codes = choicesFor(type);
  const played = codes.includes(code) ? code : codes[0];
  const begin = async () => {
    const text = t("drill_sure", { what: pick(me.value?.codes[played]), where: pick(devices.value.get(chosen)?.place) || chosen });
    if (!(await confirm(t("drill_begin"), { text, done: t("drill_begin") }))) return;
    await ask("POST", "/drills", { device_id: chosen, code: played, duration_s: minutes * 60 }).then(() => look(), refusal);
  };
  return html`<section class="box"><h2>${t("drill_title")} <small>${t("drill_hint")}</small></h2>
    <div class="types" role="group" aria-label=${t("drill_type")}>${firstOfEach().map(([kind, first]) => html`<button aria-pressed=${type === kind} onClick=${() => setType(kind)}><${Icon} name=${ICONS[kind]} size=${26} /><b>${t(`kind_of_${kind}`)}</b><small>${pick(me.value?.codes[first])}</small></button>`)}</div>
    <div class="pair-form"><label>${t("drill_type")}<select onChange=${(/** @type {Event} */ event) => setCode(/** @type {HTMLSelectElement} */ (event.target).value)}>${codes.map((one) => html`<option value=${one} selected=${one === played}>${pick(me.value?.codes[one])}</option>`)}</select></label>
      <label>${t("device")}<select disabled=${type === "gateway"} onChange=${(/** @type {Event} */ event) => setDevice(/** @type {HTMLSelectElement} */ (event.target).value)}>
        ${type === "gateway" ? html`<option>${t("kind_of_gateway")}</option>` : among.map((one) => html`<option value=${one.id} selected=${one.id === chosen}>${pick(one.place) || one.id} · ${one.id}</option>`)}</select></label>
      <label>${t("drill_minutes")}<input type="number" min="1" max="15" value=${minutes} onInput=${(/** @type {Event} */ event) => setMinutes(Math.max(1, Math.min(15, Number(/** @type {HTMLInputElement} */ (event.target).value) || 5)))} /></label>
      <button class="strong" disabled=${isStale.value || Boolean(real.value) || Boolean(running.value) || !chosen} onClick=${begin}>${t("drill_begin")}</button></div>
    ${real.value && html`<p class="hint"><b>${t("drill_real", { what: pick(real.value.label) })}</b></p>`}</section>`;
}

/** @param {{output: Output}} props */
function OutputRow({ output }) {
  const age = computed(() => (tick.value, output.read_s === null ? t("out_never") : t("out_read", { s: span(serviceNow() - output.read_s) })));
  const state = output.is_ok === false ? t("out_failed") : output.is_on === null ? t("unknown") : t(output.is_on ? "out_on" : "out_off");
  return html`<li class="output"><span><b>${t(`output_${output.kind}`)}</b> <bdi>${pick(output.place) || output.id}</bdi>${output.is_quiet && html` <i class="pill">${t("out_quiet")}</i>`}<small>${output.id} · ${age}${output.failed && ` · ${output.failed}`}</small></span>
    <i class=${output.is_ok === false ? "pill fault" : "pill"}>${state}</i>
    ${output.kind === "gas_valve" ? html`<span class="quiet">${t("out_valve")}</span>`
      : html`<button class="small" disabled=${isStale.value || Boolean(running.value)} onClick=${() => ask("POST", `/outputs/${output.id}/test`, { duration_s: 3 }).then(() => look(), refusal)}>${t("out_test")}</button>`}</li>`;
}

/** @param {"screen" | "sound"} what @param {boolean} isGood @param {string} [note] */
function judge(what, isGood, note = "") {
  return ask("POST", "/selftests", { what, is_good: isGood, note }).then(() => { toast(t("self_kept")); look(); }, refusal);
}

function testScreen() {
  const close = openDialog(t("drill_screen"), html`<p>${t("self_screen_ask")}</p>
    <div class="swatches">${/** @type {import("/ui/shapes.js").Priority[]} */ (["P1", "P2", "P3", "P4"]).map((p) => html`<div class=${p.toLowerCase()}><${Mark} p=${p} size=${72} /><span>${t(p.toLowerCase())}</span></div>`)}</div>
    <div class="buttons"><button onClick=${() => { close(); judge("screen", false); }}>${t("self_screen_bad")}</button><button class="strong" onClick=${() => { close(); judge("screen", true); }}>${t("self_screen_good")}</button></div>`);
  document.querySelector("dialog:last-of-type")?.classList.add("whole");
}

async function testSound() {
  await allow();
  const tunes = /** @type {const} */ (["P1", "P2", "P3", "stale"]);
  const close = openDialog(t("drill_sound"), html`<p>${t("self_sound_ask")}</p>
    <div class="types">${tunes.map((tune) => html`<button onClick=${() => play(tune)}><${Icon} name="sound" size=${24} /><b>${tune === "stale" ? t("lost") : t(tune.toLowerCase())}</b><small>${t("self_play")}</small></button>`)}</div>
    ${!isAudible.value && html`<p><b>${t("sound_blocked")}</b></p>`}
    <div class="buttons"><button onClick=${() => { close(); judge("sound", false); }}>${t("self_sound_bad")}</button><button class="strong" disabled=${!isAudible.value} onClick=${() => { close(); judge("sound", true); }}>${t("self_sound_good")}</button></div>`);
}

/** @param {{report: Report}} props */
function Past({ report }) {
  const missing = report.checks.filter((check) => check.verdict === "failed");
  return html`<li><button class="past" onClick=${() => openDialog(t("drill_report"), html`<${Full} report=${report} />`)}>
    <i class=${`verdict ${OUTCOMES[report.outcome]}`} aria-hidden="true">${SIGNS[OUTCOMES[report.outcome]]}</i><time>${when(report.started_at)}</time>
    <span><b>${title(report)}</b> <bdi>${place(report)}</bdi><small>${report.actor.name}${missing.length ? ` · ${t("drill_missing", { what: missing.map((check) => t(`proof_${check.proof}`)).join(t("local_comma")) })}` : ""}${report.note ? ` · ${report.note}` : ""}</small></span>
    <span>${t(`outcome_${report.outcome}`)}</span></button></li>`;
}

function Drills() {
  useEffect(() => { look(); return () => clearTimeout(timer); }, []);
  return html`<main class="page drills"><header><h1>${t("page_drills")}</h1><span class="hint">${t("drill_promise")}</span></header>
    <div class="two"><div class="stack">${running.value && html`<${Running} />`}<${Begin} />
      <section class="box"><h2>${t("self_title")} <small>${t("self_hint")}</small></h2>
        <div class="types"><button onClick=${testScreen} disabled=${isStale.value}><${Mark} p="P1" size=${26} /><b>${t("drill_screen")}</b><small>${t("self_screen_hint")}</small></button>
          <button onClick=${testSound} disabled=${isStale.value}><${Icon} name="sound" size=${26} /><b>${t("drill_sound")}</b><small>${t("self_sound_hint")}</small></button></div>
        ${outputs.value.length === 0 ? html`<p class="hint">${t("out_none")}</p>` : html`<ul>${outputs.value.map((output) => html`<${OutputRow} key=${output.id} output=${output} />`)}</ul>`}</section></div>
    <section class="box"><h2>${t("drill_past")} <small>${t("drill_past_hint")}</small></h2>
      ${past.value.length === 0 ? html`<p class="hint">${t("drill_past_none")}</p>` : html`<ul>${past.value.map((report) => html`<${Past} key=${report.drill_id} report=${report} />`)}</ul>`}
      ${next.value !== null && html`<button onClick=${more}>${t("more_of_them")}</button>`}</section></div></main>`;
}

await start({ name: "drills", sections: ["local"], content: () => (may("test") ? html`<${Drills} />` : html`<main class="page"><div class="empty"><b>${t("not_yours")}</b></div></main>`) });
