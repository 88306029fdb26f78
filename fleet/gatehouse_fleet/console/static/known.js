// What the console knows of the fleet, kept up by the live stream: communities, open alarms, who is silent. Signals; read them in a component.
import { ask, Problem } from "/ui/api.js";
import { follow } from "/ui/stream.js";
import { nowMs, takeTime, tick } from "/ui/time.js";
import { batch, computed, signal } from "/ui/vendor/preact.js";
import { pick } from "/ui/words.js";

/**
 * @typedef {import("/ui/shapes.js").Priority} Priority
 * @typedef {{zh: string, en: string}} Words
 * @typedef {"online" | "silent" | "stopped" | "never"} Presence
 * @typedef {{name: string, full_name: string, unit: string, role: string, role_label: string, role_label_en: string, rights: string[], scope_id: number, is_contractor: boolean}} Me
 * @typedef {{at: string, utc_offset_s: number, time_zone: string, version: string, silent_after_s: number, codes: Map<string, {kind: string, priority: Priority, words: Words}>,
 *   states: Map<string, Words>, steps: Map<string, Words>, limits: Map<Priority, number | null>}} Facts
 * @typedef {{id: string, presence: Presence, last_contact_at: string | null}} Mark
 * @typedef {{green: number, yellow: number, red: number}} Lights
 * @typedef {{id: number, name: string, name_en: string, district_id: number | null, place: {lon: number, lat: number} | null, gateways: Mark[], lights: Lights | null}} Community
 * @typedef {{id: number, name: string, name_en: string, code: string}} District
 * @typedef {{alarm_id: string, gateway_id: string, node_name: string, device_id: string, building: string | null, unit: string | null, floor: string | null, room: string | null,
 *   code: string, words: Words, kind: string, priority: Priority, state: string, revision: number, raised_at: string, changed_at: string, case_id: number | null,
 *   is_verified: boolean, isBrief: boolean}} Alarm
 */

/** @type {Priority[]} */
export const PRIORITIES = ["P1", "P2", "P3", "P4"];
export const STALE_MS = 10_000;
const PRESENCE_EVERY_MS = 5000;
const OVERVIEW_EVERY_MS = 60_000;
const PAGE = 500;
/** Open alarms kept in the page; beyond that the list says that it is not whole. */
const MOST_ALARMS = 5000;
const GATHER_MS = 80;
const MOST_NAMED = 200;

export const me = signal(/** @type {Me | null} */ (null));
export const facts = signal(/** @type {Facts | null} */ (null));
export const districts = signal(/** @type {District[]} */ ([]));
export const communities = signal(/** @type {Map<number, Community>} */ (new Map()));
const alarms = signal(/** @type {Map<string, Alarm>} */ (new Map()));
const away = signal(/** @type {Map<string, Mark>} */ (new Map()));
export const lights = signal(/** @type {Lights | null} */ (null));
/** True once places and open alarms were read: before that nothing may be said of them. */
export const isLoaded = signal(false);
/** There are more open alarms than the page keeps. */
export const isCut = signal(false);
/** Counts lines of the stream by topic: a page that shows something else of it looks again. */
export const news = signal({ case: 0, gateway: 0, rollout: 0, city: 0 });

/** @type {ReturnType<typeof follow> | null} */
let line = null;
const never = { ageS: signal(0), isStale: signal(true), hasHeard: signal(false) };
const lines = signal(/** @type {{ageS: {value: number}, isStale: {value: boolean}, hasHeard: {value: boolean}}} */ (never));
/** Seconds since the fleet server was last heard. */
export const ageS = computed(() => lines.value.ageS.value);
/** True while what is shown may be old: nothing may be ordered then. */
export const isStale = computed(() => lines.value.isStale.value);
/** False until the server was heard and everything read once. */
export const isKnown = computed(() => lines.value.hasHeard.value && isLoaded.value);
/** Server time of the last sign of life, ms. */
export const heardMs = computed(() => (tick.value, nowMs() - ageS.value * 1000));

/** @param {string} right */
export function may(right) {
  return me.value?.rights.includes(right) ?? false;
}

/** Find out who is asking and learn the words; throws what `ask` throws. */
export async function meet() {
  me.value = await ask("GET", "/me");
  const told = await ask("GET", "/console");
  takeTime(told);
  const pair = (/** @type {{label: string, label_en: string}} */ one) => ({ zh: one.label, en: one.label_en });
  facts.value = {
    ...told,
    codes: new Map(told.codes.map((/** @type {any} */ one) => [one.code, { kind: one.kind, priority: one.priority, words: pair(one) }])),
    states: new Map(told.states.map((/** @type {any} */ one) => [one.name, pair(one)])),
    steps: new Map(told.case_steps.map((/** @type {any} */ one) => [one.name, pair(one)])),
    limits: new Map(told.ack_limits.map((/** @type {any} */ one) => [one.priority, one.seconds])),
  };
}

/** Read everything and follow the stream; `onEnd` when the session is over. @param {() => void} onEnd */
export function connect(onEnd) {
  line?.stop();
  isLoaded.value = false;
  let position = -1;
  let isFirst = true;
  line = follow({
    url: "/api/v1/stream", probe: "/api/v1/me", silentMs: STALE_MS, staleMs: STALE_MS, onEnd,
    events: ["hello", "reset", "time", "alarm", "case", "gateway", "rollout", "city"],
    on(name, data, id) {
      // What was read before the stream began may lack what happened between the two.
      if (isFirst || name === "reset") {
        const isBehind = name === "reset" || !isLoaded.peek() || Number(id) > position;
        isFirst = false;
        if (isBehind) loading.again();
      }
      take(name, data);
    },
  });
  lines.value = line;
  loading.then = (at) => { position = at; };
  loading.again();
  if (!isPolling) poll();
}

// One reading at a time; a wish that comes meanwhile is granted once, behind it.
const loading = {
  isOn: false, isWished: false,
  then: (/** @type {number} */ _position) => {},
  async again() {
    if (this.isOn) { this.isWished = true; return; }
    this.isOn = true;
    try {
      do {
        this.isWished = false;
        this.then(await load());
      } while (this.isWished);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401)) setTimeout(() => this.again(), 2000);
    } finally {
      this.isOn = false;
    }
  },
};

async function load() {
  const began = performance.now();
  const [whole, open] = await Promise.all([ask("GET", "/overview"), may("read_alarms") ? openAlarms() : { rows: [], isCut: false }]);
  batch(() => {
    takePlaces(whole);
    takeAlarms(open.rows, began);
    isCut.value = open.isCut;
    isLoaded.value = true;
  });
  return Number(whole.position);
}

async function openAlarms() {
  /** @type {any[]} */
  const rows = [];
  let after = "";
  do {
    const page = await ask("GET", `/alarms?limit=${PAGE}${after && `&after=${after}`}`);
    rows.push(...page.items);
    after = page.next ?? "";
  } while (after && rows.length < MOST_ALARMS);
  return { rows, isCut: after !== "" };
}

/** @param {any} whole */
function takePlaces(whole) {
  districts.value = whole.districts;
  communities.value = new Map(whole.communities.map((/** @type {Community} */ one) => [one.id, one]));
  away.value = new Map(whole.communities.flatMap((/** @type {Community} */ one) => one.gateways.filter((mark) => mark.presence !== "online").map((mark) => [mark.id, mark])));
  if (may("read_cases")) lights.value = sum(whole.communities.map((/** @type {Community} */ one) => one.lights ?? { green: 0, yellow: 0, red: 0 }));
}

/** @param {Lights[]} all @returns {Lights} */
export function sum(all) {
  return all.reduce((one, two) => ({ green: one.green + two.green, yellow: one.yellow + two.yellow, red: one.red + two.red }), { green: 0, yellow: 0, red: 0 });
}

// Ids that the stream has told of, and when: a list that was asked for before does not undo it.
/** @type {Map<string, {at: number, revision: number, isOpen: boolean}>} */
const told = new Map();
const KEPT_TOLD = 20_000;

/** @param {any[]} rows @param {number} began */
function takeAlarms(rows, began) {
  const next = new Map(rows.map((row) => [row.alarm_id, whole(row)]));
  for (const [id, one] of told) {
    if (one.at < began) continue;
    const [read, known] = [next.get(id), alarms.peek().get(id)];
    if (read && read.revision >= one.revision) continue;
    if (one.isOpen && known) next.set(id, known);
    else if (!one.isOpen) next.delete(id);
  }
  if (told.size > KEPT_TOLD) told.clear();
  alarms.value = next;
}

/** @param {any} row @returns {Alarm} */
export function whole(row) {
  return { ...row, words: { zh: row.label, en: row.label_en }, isBrief: false };
}

/** @type {any[]} */
let gathered = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let later;
let quietUntil = 0;

/** @param {string} name @param {any} data */
function take(name, data) {
  if (name === "alarm") {
    gathered.push(data);
    // The first of a burst is shown at once, the rest together: a list is not sorted a hundred times a second.
    if (performance.now() >= quietUntil && !later) flush();
    else later ??= setTimeout(flush, GATHER_MS);
  } else if (name in news.peek()) {
    news.value = { ...news.peek(), [name]: news.peek()[/** @type {"case"} */ (name)] + 1 };
    if (name === "case") countLights();
    if (name === "gateway" && data?.alarm_id === undefined) soonPlaces();
  }
  if (data?.at && data.utc_offset_s !== undefined) takeTime(data);
}

/** @typedef {(alarm: Alarm, before: Alarm | undefined) => void} Watcher @type {Set<Watcher>} */
const watchers = new Set();

/** Hear of each alarm that is new or changed; not of those that were read. @param {Watcher} watcher */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function flush() {
  later = undefined;
  quietUntil = performance.now() + GATHER_MS;
  const [now, next] = [performance.now(), new Map(alarms.peek())];
  /** @type {[Alarm, Alarm | undefined][]} */
  const changed = [];
  for (const row of gathered) {
    const before = next.get(row.alarm_id);
    const known = told.get(row.alarm_id);
    if ((before && before.revision > row.revision) || (known && known.revision > row.revision)) continue;
    const isOpen = row.state !== "closed";
    told.set(row.alarm_id, { at: now, revision: row.revision, isOpen });
    if (!isOpen) { next.delete(row.alarm_id); continue; }
    const alarm = before ? { ...before, state: row.state, priority: row.priority, kind: row.kind, revision: row.revision, changed_at: row.changed_at, is_verified: row.is_verified } : brief(row);
    next.set(row.alarm_id, alarm);
    changed.push([alarm, before]);
  }
  gathered = [];
  alarms.value = next;
  for (const [alarm, before] of changed) for (const watcher of watchers) watcher(alarm, before);
  soonWhole();
}

/** What a line of the stream tells; floor and room are asked for. @param {any} row @returns {Alarm} */
function brief(row) {
  const words = facts.peek()?.codes.get(row.code)?.words ?? { zh: row.code, en: row.code };
  const place = byGateway.peek().get(row.gateway);
  return { ...row, gateway_id: row.gateway, node_name: place?.name ?? row.gateway, building: null, unit: null, floor: null, room: null, words, case_id: null, isBrief: true };
}

let isAsking = false;
async function soonWhole() {
  if (isAsking) return;
  isAsking = true;
  try {
    for (;;) {
      const ids = [...alarms.peek().values()].filter((one) => one.isBrief).slice(0, MOST_NAMED).map((one) => one.alarm_id);
      if (!ids.length) return;
      const page = await ask("GET", `/alarms?which=all&limit=${MOST_NAMED}&${ids.map((id) => `alarm_id=${id}`).join("&")}`);
      const next = new Map(alarms.peek());
      for (const id of ids) {
        const [row, known] = [page.items.find((/** @type {any} */ one) => one.alarm_id === id), next.get(id)];
        if (!known) continue;
        // Also one that is not given: asking again would not make it known.
        if (!row) next.set(id, { ...known, isBrief: false });
        else if (!row.is_open && row.revision >= known.revision) next.delete(id);
        else next.set(id, row.revision >= known.revision ? whole(row) : { ...whole(row), state: known.state, priority: known.priority, revision: known.revision, changed_at: known.changed_at });
      }
      alarms.value = next;
    }
  } catch {
    setTimeout(soonWhole, 3000);
  } finally {
    isAsking = false;
  }
}

let isPolling = false;
async function poll() {
  isPolling = true;
  let placesAt = performance.now();
  for (;;) {
    await new Promise((done) => setTimeout(done, PRESENCE_EVERY_MS));
    try {
      if (performance.now() - placesAt > OVERVIEW_EVERY_MS) {
        placesAt = performance.now();
        const read = await ask("GET", "/overview");
        batch(() => takePlaces(read));
      } else {
        const list = await ask("GET", "/presence");
        away.value = new Map(list.gateways.map((/** @type {Mark} */ one) => [one.id, one]));
      }
    } catch {
      // The stream says that the server is gone, or asks who is there.
    }
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let placesLater;
function soonPlaces() {
  placesLater ??= setTimeout(() => {
    placesLater = undefined;
    ask("GET", "/overview").then((read) => batch(() => takePlaces(read)), () => {});
  }, 1000);
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let lightsLater;
function countLights() {
  lightsLater ??= setTimeout(() => {
    lightsLater = undefined;
    ask("GET", "/cases/lights").then((found) => { lights.value = found; }, () => {});
  }, 800);
}

/** The community of each gateway. */
export const byGateway = computed(() => new Map([...communities.value.values()].flatMap((one) => one.gateways.map((mark) => [mark.id, one]))));
/** Gateways that should be heard and are not, longest silent first; then those that said goodbye. */
export const silent = computed(() => [...away.value.values()].filter((one) => one.presence === "silent" || one.presence === "stopped")
  .sort((a, b) => a.presence.localeCompare(b.presence) || String(a.last_contact_at).localeCompare(String(b.last_contact_at))));
/** @param {string} id @returns {Mark | undefined} of a gateway that is not online */
export const awayMark = (id) => away.value.get(id);
export const gatewayCount = computed(() => [...communities.value.values()].reduce((n, one) => n + one.gateways.length, 0));

/** Alarms that still want a person. @param {Alarm} alarm */
export const isUnattended = (alarm) => alarm.state === "unack" || alarm.state === "rtn";
/** Hidden by a person or by design. @param {Alarm} alarm */
export const isHidden = (alarm) => alarm.state === "shelved" || alarm.state === "suppressed";

/** Plain letters, not words of a language: that takes a tenth of the time. @param {string} a @param {string} b */
const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** P1 first, then what nobody took, then the newest. @param {Alarm} a @param {Alarm} b */
export function compare(a, b) {
  return order(a.priority, b.priority) || Number(isUnattended(b)) - Number(isUnattended(a)) || order(b.raised_at, a.raised_at) || order(a.alarm_id, b.alarm_id);
}

/** Every open alarm, most urgent first. */
export const open = computed(() => [...alarms.value.values()].sort(compare));
/** Those that are neither hidden nor a drill. */
export const shown = computed(() => open.value.filter((one) => !isHidden(one) && one.kind !== "test"));
/** Open alarms of each gateway, the last known ones of a silent gateway too. */
export const ofGateway = computed(() => group(shown.value));

/** @param {Alarm[]} all */
function group(all) {
  /** @type {Map<string, Alarm[]>} */
  const found = new Map();
  for (const one of all) {
    const mine = found.get(one.gateway_id);
    if (mine) mine.push(one);
    else found.set(one.gateway_id, [one]);
  }
  return found;
}

/** @typedef {{open: Record<Priority, number>, unattended: Record<Priority, number>, silent: number, stopped: number, never: number, gateways: number, lights: Lights | null}} Standing */

/** How each community stands. */
export const standings = computed(() => new Map([...communities.value.values()].map((one) => [one.id, standing([one])])));

/** How some communities stand together. @param {Community[]} some @returns {Standing} */
export function standing(some) {
  const found = { open: counts(), unattended: counts(), silent: 0, stopped: 0, never: 0, gateways: 0, lights: may("read_cases") ? sum(some.map((one) => one.lights ?? { green: 0, yellow: 0, red: 0 })) : null };
  for (const one of some) for (const mark of one.gateways) {
    found.gateways += 1;
    const presence = away.value.get(mark.id)?.presence;
    if (presence && presence !== "online") found[presence] += 1;
    for (const alarm of ofGateway.value.get(mark.id) ?? []) {
      found.open[alarm.priority] += 1;
      if (isUnattended(alarm)) found.unattended[alarm.priority] += 1;
    }
  }
  return found;
}

/** @returns {Record<Priority, number>} */
const counts = () => ({ P1: 0, P2: 0, P3: 0, P4: 0 });

/** Worst first: P1 that nobody took, P1, silent gateways, then P2 to P4 and overdue cases. @param {Standing} a @param {Standing} b */
export function worseFirst(a, b) {
  const rank = (/** @type {Standing} */ one) => [one.unattended.P1, one.open.P1, one.silent, one.unattended.P2, one.open.P2, one.lights?.red ?? 0, one.open.P3, one.stopped, one.open.P4];
  const [left, right] = [rank(a), rank(b)];
  const at = left.findIndex((n, i) => n !== right[i]);
  return at < 0 ? 0 : right[at] - left[at];
}

/** Somebody has to do something there: silence, an alarm, a case that is late. A device fault alone is upkeep. @param {Standing} one */
export const isBad = (one) => one.silent > 0 || one.open.P1 > 0 || one.open.P2 > 0 || one.open.P3 > 0 || (one.lights?.red ?? 0) > 0;

/** The worst priority that is open; null for none. @param {Standing} one @returns {Priority | null} */
export const worst = (one) => PRIORITIES.find((p) => one.open[p]) ?? null;

/** Name of a place in the language that is read. @param {{name: string, name_en?: string} | undefined} place */
export const nameOf = (place) => (place ? pick({ zh: place.name, en: place.name_en }) : "");
