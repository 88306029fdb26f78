// 回看: a day as a timeline by type, a search, one alarm's whole story with its evidence, and what the screen knew at a moment.
import { ask } from "/ui/api.js";
import { askFor, openDialog } from "/ui/dialog.js";
import { listen } from "/ui/keys.js";
import { Icon, Mark } from "/ui/shapes.js";
import { dateTime, hms, nowMs, span, when } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { computed, effect, html, signal, untracked, useEffect } from "/ui/vendor/preact.js";
import { either, pick, t } from "/ui/words.js";
import { beat, may, me } from "./desk.js";
import { explain, measured } from "./say.js";
import { start } from "./start.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {import("./desk.js").Alarm} Alarm
 * @typedef {{alarm_id: string, device_id: string, code: string, kind: string, priority: import("/ui/shapes.js").Priority, state: import("./desk.js").State, raised_at: string,
 *   closed_at: string | null, acked_by: string, acked_at: string | null, disposition: string, times: number, evidence: number, label: {zh: string, en: string},
 *   category: string, place: import("./desk.js").Place}} Past
 * @typedef {{seq: number, at: string, what: string, state: string, actor: string, station: string, wait_s: number, text: string}} Revision
 * @typedef {{alarm: Past, last: Alarm | null, revisions: Revision[], told: {at: string, what: string, actor: string, station: string, text: string}[]}} Story
 * @typedef {{file: string, shows: string}} File
 */

// words: what_raised what_changed what_repeated what_returned what_acknowledged what_overdue what_shelved what_unshelved what_shelf_expired what_suppressed what_exposed
// words: what_escalated what_rescue what_deadline_missed what_noted what_grouped what_cleared what_reset what_closed told_painted_heard told_painted_mute told_escalated
// words: told_evidence_kept told_evidence_viewed told_evidence_masked told_evidence_held told_evidence_lifted told_evidence_deleted told_evidence_missed
// words: who_desk who_second who_manager who_family who_prompt_120
// words: category_gas category_lift category_sos category_throw category_gateway
const DAY_MS = 86400000;
const CATEGORIES = ["sos", "gas", "lift", "throw", "gateway"];
const STEP_MS = 600000;
const LIMIT = 100;
const AGAIN_MS = 400;

const offsetMs = computed(() => (beat.value?.utc_offset_s ?? 0) * 1000);
/** The day that is looked at, "" for the last 24 hours. */
const day = signal("");
const query = signal("");
const category = signal("");
const hasEvidence = signal(false);
const found = signal(/** @type {Past[]} */ ([]));
const next = signal(/** @type {string | null} */ (null));
const tallies = signal(/** @type {{category: string, priority: string, bucket: number, count: number}[]} */ ([]));
const bucketS = signal(600);
const behind = signal(0);
const story = signal(/** @type {Story | null} */ (null));
const evidence = signal(/** @type {any[] | null} */ (null));
/** A moment that was pointed at, ms since 1970; null: the list is shown. */
const moment = signal(/** @type {number | null} */ (null));
const knew = signal(/** @type {{alarms: Alarm[], service_s: number, is_whole: boolean, seq: number} | null} */ (null));
const isAsking = signal(false);
let asked = 0;

/** The gateway's time, in steps of ten minutes: a list that moves under the eye with every second helps nobody. */
const nowStep = computed(() => Math.ceil((beat.value ? Date.parse(beat.value.at) : NaN) / STEP_MS) * STEP_MS);
/** The time that is looked at, in ms since 1970; known once the gateway was heard. */
const range = computed(() => {
  const from = day.value ? Date.parse(`${day.value}T00:00:00Z`) - offsetMs.value : nowStep.value - DAY_MS;
  return { from, to: from + DAY_MS };
});
const today = computed(() => iso(nowStep.value - 1 + offsetMs.value).slice(0, 10));

/** @param {{place: import("./desk.js").Place, device_id: string}} one */
const where = (one) => pick(one.place) || (one.device_id === "gateway" ? t("kind_of_gateway") : one.device_id);
const iso = (/** @type {number} */ ms) => new Date(ms).toISOString();

/** Ask for the day and its list; again while the gateway is still reading its record. */
async function look() {
  const { from, to } = range.peek();
  const mine = (asked += 1);
  isAsking.value = true;
  const wanted = new URLSearchParams({ since: iso(from), until: iso(to) });
  const filters = new URLSearchParams(wanted);
  filters.set("limit", String(LIMIT));
  if (query.peek()) filters.set("q", query.peek());
  if (category.peek()) filters.set("category", category.peek());
  if (hasEvidence.peek()) filters.set("has_evidence", "true");
  try {
    const [days, rows] = await Promise.all([ask("GET", `/history/timeline?${wanted}&buckets=144`), ask("GET", `/history/alarms?${filters}`)]);
    if (mine !== asked) return;
    [tallies.value, bucketS.value, found.value, next.value] = [days.tallies, days.bucket_s, rows.alarms, rows.next];
    behind.value = Math.max(days.behind, rows.behind);
    if (behind.value) setTimeout(() => { if (mine === asked) look(); }, AGAIN_MS);
  } catch (error) {
    if (mine === asked) refusal(error);
  } finally {
    if (mine === asked) isAsking.value = false;
  }
}

async function more() {
  const { from, to } = range.peek();
  const wanted = new URLSearchParams({ since: iso(from), until: iso(to), limit: String(LIMIT), after: next.peek() ?? "" });
  if (query.peek()) wanted.set("q", query.peek());
  if (category.peek()) wanted.set("category", category.peek());
  const rows = await ask("GET", `/history/alarms?${wanted}`).catch(refusal);
  if (!rows) return;
  found.value = [...found.value, ...rows.alarms];
  next.value = rows.next;
}

/** @param {string} id */
async function open(id) {
  moment.value = null;
  story.value = await ask("GET", `/history/alarms/${id}`).catch(refusal) ?? null;
  evidence.value = null;
  if (story.value && may("see_evidence")) evidence.value = (await ask("GET", `/alarms/${id}/evidence`).catch(() => ({ evidence: [] }))).evidence;
}

/** @param {number} at */
async function pointAt(at) {
  moment.value = at;
  story.value = null;
  const answer = await ask("GET", `/history/moment?at=${encodeURIComponent(iso(at))}`).catch(refusal);
  if (answer && moment.peek() === at) knew.value = answer;
}

/** @param {number} by days */
function turn(by) {
  // From the last 24 hours one step back is today, the day that is not over.
  const from = day.peek() ? range.peek().from + by * DAY_MS : range.peek().to - 1;
  day.value = iso(Math.min(from, nowMs()) + offsetMs.peek()).slice(0, 10);
}

/** @param {{one: Past}} props */
function Row({ one }) {
  const isOn = computed(() => story.value?.alarm.alarm_id === one.alarm_id);
  return html`<button class="row" aria-pressed=${isOn.value} onClick=${() => open(one.alarm_id)}>
    <${Mark} p=${one.priority} look=${one.closed_at || one.acked_by ? "hollow" : "full"} /><time>${when(one.raised_at)}</time>
    <span><b>${pick(one.label)}</b>${one.kind === "test" && html` <i class="ribbon">${t("kind_test")}</i>`}${one.times > 1 && html` <i class="pill">${t("times", { n: one.times })}</i>`}<small><bdi>${where(one)}</bdi></small></span>
    <span class="ends">${one.acked_by ? html`<bdi>${one.acked_by}</bdi>` : t("replay_nobody")}<small>${one.evidence > 0 ? html`<${Icon} name="throw" size=${14} /> ${t("replay_evidence", { n: one.evidence })} · ` : ""}${one.closed_at ? t("replay_closed", { at: when(one.closed_at) }) : pick(me.value?.states[one.state])}</small></span></button>`;
}

/** @param {{alarm: Alarm, service_s: number}} props */
function Then({ alarm, service_s }) {
  return html`<li class="row"><${Mark} p=${alarm.priority} look=${["unack", "rtn"].includes(alarm.state) ? "full" : "hollow"} /><time>${when(alarm.raised_at)}</time>
    <span><b>${pick(alarm.label)}</b><small><bdi>${where(alarm)}</bdi> ${measured(alarm.value, alarm.unit)}</small></span>
    <span class="ends">${pick(me.value?.states[alarm.state])}<small>${alarm.acked_by ? html`<bdi>${alarm.acked_by}</bdi>` : t("replay_waiting", { s: span(service_s - alarm.unack_since_s) })}</small></span></li>`;
}

function Moment() {
  const at = /** @type {number} */ (moment.value);
  const then = knew.value;
  return html`<section class="box story moment"><h2>${t("replay_knew", { at: dateTime(at) })}<span class="space"></span><button class="plain" onClick=${() => { moment.value = null; }}>${t("close_it")}</button></h2>
    ${!then ? html`<p class="quiet">${t("replay_asking")}</p>` : then.alarms.length === 0 ? html`<p class="quiet">${t(then.seq ? "replay_knew_nothing" : "replay_before")}</p>`
      : html`<ul>${then.alarms.slice().sort((a, b) => a.priority.localeCompare(b.priority) || b.raised_s - a.raised_s).map((alarm) => html`<${Then} key=${alarm.alarm_id} alarm=${alarm} service_s=${then.service_s} />`)}</ul>`}
    ${then && !then.is_whole && html`<p class="quiet">${t("replay_part")}</p>`}</section>`;
}

/** @param {Revision} one */
function says(one) {
  const words = [];
  if (one.what === "acknowledged") words.push(t("replay_after", { s: span(one.wait_s) }));
  if (one.text) words.push(["noted", "shelved", "closed"].includes(one.what) ? one.text : explain(one.text));
  return words.join(" · ");
}

/** @param {{sha256: string}} item @param {string} file */
async function see(item, file) {
  const entered = await askFor(t("replay_see", { file }), { reason: { label: t("replay_why") } });
  if (!entered) return;
  const look = await ask("POST", `/evidence/${item.sha256}/views`, { file, reason: entered.reason }).catch(refusal);
  if (!look) return;
  const words = look.is_masked ? `${look.file} · ${t("replay_masked")}` : look.file;
  openDialog(words, look.file.endsWith(".mp4") ? html`<video class="seen" controls autoplay muted src=${look.url} aria-label=${words}></video>` : html`<img class="seen" src=${look.url} alt=${words} />`);
}

/** @param {{item: {sha256: string, may_view: string[], hold: unknown}}} props */
function Evidence({ item }) {
  return html`<li class="buttons">${item.may_view.map((file) => html`<button class="small" onClick=${() => see(item, file)}>${t("replay_see", { file: file === "masked.mp4" ? t("replay_masked") : file })}</button>`)}
    ${item.hold ? html`<i class="pill">${t("replay_held")}</i>` : ""}<small class="mono quiet">SHA-256 ${item.sha256.slice(0, 16)}…</small></li>`;
}

function StoryOf() {
  const { alarm, last, revisions, told } = /** @type {Story} */ (story.value);
  const steps = [...revisions.filter((one) => one.what !== "escalated").map((one) => ({ at: one.at, who: one.actor === "gateway" ? "" : one.actor, title: t(`what_${one.what}`), text: says(one) })),
    ...told.map((one) => ({ at: one.at, who: one.what === "escalated" ? one.actor.split(", ").map((who) => either(`who_${who}`, who)).join(t("local_comma")) : one.actor, title: either(`told_${one.what}`, one.what), text: one.what === "escalated" ? "" : one.text || one.station }))].sort((a, b) => a.at.localeCompare(b.at));
  /** @type {[string, unknown][]} */
  const facts = [[t("since"), dateTime(alarm.raised_at)], [t("state"), pick(me.value?.states[alarm.state])]];
  if (last?.value !== null && last?.value !== undefined) facts.push([t("replay_value"), measured(last.value, last.unit)]);
  if (alarm.acked_by) facts.push([t("by"), html`<bdi>${alarm.acked_by}</bdi> ${hms(alarm.acked_at)}`]);
  if (alarm.closed_at) facts.push([t("replay_end"), `${dateTime(alarm.closed_at)} ${either(`sheet_end_${alarm.disposition}`, "")}`]);
  if (last?.resident?.name) facts.push([t("dev_resident"), html`<bdi>${last.resident.name}</bdi> ${last.resident.phone ?? ""}`]);
  return html`<section class="box story"><h2><${Mark} p=${alarm.priority} look="hollow" />${pick(alarm.label)}${alarm.kind === "test" && html` <i class="ribbon">${t("kind_test")}</i>`}<span class="space"></span><button class="plain" onClick=${() => { story.value = null; }}>${t("close_it")}</button></h2>
    <p><bdi>${where(alarm)}</bdi> <small class="quiet">${alarm.device_id}</small></p>
    <dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    <p class="buttons"><button class="small" onClick=${() => pointAt(Date.parse(alarm.raised_at) + 1000)}>${t("replay_knew_then")}</button></p>
    ${evidence.value !== null && evidence.value.length > 0 && html`<h3>${t("replay_files")}</h3><ul>${evidence.value.map((item) => html`<${Evidence} item=${item} />`)}</ul>`}
    <ol class="steps-of">${steps.map((step) => html`<li><time>${dateTime(step.at).slice(0, 10) === dateTime(alarm.raised_at).slice(0, 10) ? hms(step.at) : when(step.at)}</time><div><b>${step.title}</b> ${step.who && html`<bdi>${step.who}</bdi>`}${step.text && html`<p><bdi>${step.text}</bdi></p>`}</div></li>`)}</ol></section>`;
}

function Replay() {
  useEffect(() => {
    const stop = effect(() => { [range.value, query.value, category.value, hasEvidence.value].at(0); untracked(look); });
    const unlisten = listen([
      { key: "ArrowLeft", words: "replay_key_day", does: () => turn(-1) }, { key: "ArrowRight", words: "replay_key_day", does: () => turn(1) },
      { key: "/", words: "key_search", does: () => document.getElementById("search")?.focus() },
      { key: "Escape", words: "key_escape", does: () => { story.value = null; moment.value = null; } },
    ]);
    return () => { stop(); unlisten(); };
  }, []);
  return html`<main class="page replay"><header><h1>${t("page_replay")}</h1>
      <div class="days"><button class="small" aria-label=${t("replay_earlier")} onClick=${() => turn(-1)}>‹</button>
        <input type="date" aria-label=${t("replay_day")} max=${today} value=${day.value || today.value} onChange=${(/** @type {Event} */ event) => { day.value = /** @type {HTMLInputElement} */ (event.target).value; }} />
        <button class="small" aria-label=${t("replay_later")} disabled=${!day.value || day.value >= today.value} onClick=${() => turn(1)}>›</button>
        <button class="small" aria-pressed=${day.value === ""} onClick=${() => { day.value = ""; }}>${t("replay_last")}</button></div>
      <span class="space"></span>
      <label class="unseen" for="search">${t("replay_search")}</label>
      <input id="search" type="search" placeholder=${t("replay_search")} maxlength="80" value=${query} onChange=${(/** @type {Event} */ event) => { query.value = /** @type {HTMLInputElement} */ (event.target).value.trim(); }} />
      <div class="tabs" role="group" aria-label=${t("replay_type")}>${["", ...CATEGORIES].map((one) => html`<button aria-pressed=${category.value === one} onClick=${() => { category.value = one; }}>${one ? t(`category_${one}`) : t("dev_all")}</button>`)}
        <button aria-pressed=${hasEvidence.value} onClick=${() => { hasEvidence.value = !hasEvidence.value; }}>${t("replay_with_evidence")}</button></div></header>
    <div><${Timeline} range=${range.value} categories=${CATEGORIES} tallies=${tallies.value} bucketS=${bucketS.value} moment=${moment.value} onMoment=${pointAt} />
      ${behind.value > 0 && html`<p class="hint" role="status">${t("replay_behind", { n: behind.value })}</p>`}</div>
    <div class="under"><section class="found" aria-label=${t("replay_found")}><h2>${t("replay_found")} <small>${next.value ? t("replay_more_than", { n: found.value.length }) : found.value.length}</small></h2>
        ${found.value.length === 0 ? html`<div class="empty card"><b>${isAsking.value || behind.value ? t("replay_asking") : t("replay_none")}</b><span>${!isAsking.value && !behind.value && t("replay_none_in", { from: dateTime(range.value.from), to: dateTime(range.value.to) })}</span></div>`
          : html`<div class="list" tabindex="0" role="group" aria-label=${t("replay_found")}>${found.value.map((one) => html`<${Row} key=${one.alarm_id} one=${one} />`)}</div>`}
        ${next.value && html`<button onClick=${more}>${t("more_of_them")}</button>`}</section>
      ${moment.value !== null ? html`<${Moment} />` : story.value ? html`<${StoryOf} />` : html`<section class="box story"><p class="quiet">${t("replay_hint")}</p></section>`}</div></main>`;
}

/** The page, once the gateway has said what time it is: which day is meant is not known before. */
function Page() {
  if (!beat.value) return html`<main class="page replay"><header><h1>${t("page_replay")}</h1></header><p class="quiet" role="status">${t("replay_asking")}</p></main>`;
  return html`<${Replay} />`;
}

const linked = new URLSearchParams(location.search);
query.value = linked.get("q") ?? "";

await start({ name: "replay", sections: ["local"], prepare: async () => { if (linked.has("alarm") && may("read_journal")) await open(/** @type {string} */ (linked.get("alarm"))); }, content: () => (may("read_journal") ? html`<${Page} />` : html`<main class="page"><div class="empty"><b>${t("not_yours")}</b></div></main>`) });
