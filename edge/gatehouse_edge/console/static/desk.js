// What the gateway's pages know, kept up by the live stream: alarms, devices, valves, the beat. Signals; read them in a component.
import { follow } from "/ui/stream.js";
import { takeTime } from "/ui/time.js";
import { batch, computed, signal } from "/ui/vendor/preact.js";

/**
 * @typedef {{zh: string, en: string}} Words
 * @typedef {Words & {building: string, unit: string, floor: string, room: string, name: string}} Place
 * @typedef {{name?: string, phone?: string, lives_alone?: boolean, note?: string, is_masked: boolean}} Resident
 * @typedef {import("/ui/shapes.js").Priority} Priority
 * @typedef {"unack" | "acked" | "rtn" | "latched" | "shelved" | "suppressed" | "closed"} State
 * @typedef {{alarm_id: string, seq: number, device_id: string, code: string, kind: string, priority: Priority, state: State, is_active: boolean,
 *   raised_at: string, raised_s: number, changed_at: string, changed_s: number, unack_since_s: number, returned_at: string | null,
 *   acked_by: string | null, acked_at: string | null, shelved_by: string | null, shelved_until_s: number | null, shelf_reason: string,
 *   first_out: boolean, incident_id: string | null, ack_due_s: number | null, is_overdue: boolean, deadline_s: number | null, escalation_step: number,
 *   rescue: {deal_status: string, responded_at: string | null, arrived_at: string | null, ended_at: string | null, is_late: boolean} | null,
 *   value: number | null, unit: string | null, threshold: number | null, text: string, facts: Record<string, any>, evidence: Record<string, any>[],
 *   is_chattering: boolean, label: Words, place: Place, times: number, is_latched: boolean, shelving: "never" | "safety" | "ordinary",
 *   resident: Resident | null, notes: {at: string, author: string, text: string}[], note_count: number}} Alarm
 * @typedef {{id: string, kind: string, place: Place, state: string, codes: {code: string, label: Words}[], last: Record<string, any> | null,
 *   last_at: string | null, last_s: number | null, age_s: number | null, silence: {reason: string, detail: string} | null, is_inhibited: boolean,
 *   resident: Resident | null}} Device
 * @typedef {{id: string, is_closed: boolean, since_s: number, cause: string, request: {at_s: number, actor: {name: string}} | null}} Valve
 * @typedef {{at: string, utc_offset_s: number, service_s: number, clock: {synced: boolean}, is_storage_failing: boolean, build: string,
 *   fleet: {state: string, label: Words, since_s: number, queued: number}}} Beat
 * @typedef {{name: string, role: string, station: string, rights: string[], gateway_id: string, estate: string, states: Record<State, Words>,
 *   codes: Record<string, Words>}} Me
 */

export const alarms = signal(/** @type {Map<string, Alarm>} */ (new Map()));
export const devices = signal(/** @type {Map<string, Device>} */ (new Map()));
export const valves = signal(/** @type {Valve[]} */ ([]));
export const beat = signal(/** @type {Beat | null} */ (null));
/** Who is logged in; null only before `start` has found out. */
export const me = signal(/** @type {Me | null} */ (null));
/** Counts snapshots: a gateway that started again may not know any more what was painted before. */
export const snapshots = signal(0);

/** @typedef {(alarm: Alarm, before: Alarm | undefined) => void} Watcher @type {Set<Watcher>} */
const watchers = new Set();

/** Hear of each alarm that is new or changed; not of those of a snapshot. @param {Watcher} watcher */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** @type {ReturnType<typeof follow> | null} */
let line = null;
const never = { ageS: signal(0), isStale: signal(true), hasHeard: signal(false) };
const lines = signal(/** @type {{ageS: {value: number}, isStale: {value: boolean}, hasHeard: {value: boolean}}} */ (never));

/** Seconds since the gateway was last heard. */
export const ageS = computed(() => lines.value.ageS.value);
/** True while what is shown may be old: nothing may be done then. */
export const isStale = computed(() => lines.value.isStale.value);
/** False until the gateway was heard once: nothing is known then. */
export const isKnown = computed(() => lines.value.hasHeard.value && snapshots.value > 0);

/** Connect; `onEnd` when the session is over. @param {() => void} onEnd */
export function connect(onEnd) {
  line?.stop();
  line = follow({
    url: "/api/v1/events", snapshot: "/api/v1/snapshot", probe: "/api/v1/me", silentMs: 8000,
    events: ["snapshot", "change", "devices", "beat", "bye"], on: take,
    // Not followed any further: it would end again and again, under somebody who is typing a password.
    onEnd: () => { line?.stop(); line = null; onEnd(); },
  });
  lines.value = line;
}

/** @param {string} name @param {any} data */
function take(name, data) {
  batch(() => TAKE[name]?.(data));
}

/** @type {Record<string, (data: any) => void>} */
const TAKE = {
  snapshot(data) {
    alarms.value = new Map(data.alarms.map((/** @type {Alarm} */ alarm) => [alarm.alarm_id, alarm]));
    devices.value = new Map(data.devices.map((/** @type {Device} */ device) => [device.id, device]));
    valves.value = data.valves;
    snapshots.value += 1;
    TAKE.beat(data.beat);
  },
  change(data) {
    const next = new Map(alarms.peek());
    /** @type {[Alarm, Alarm | undefined][]} */
    const told = [];
    for (const alarm of /** @type {Alarm[]} */ (data.alarms)) {
      const before = next.get(alarm.alarm_id);
      if (before && before.seq > alarm.seq) continue;
      next.set(alarm.alarm_id, alarm);
      if (!before || before.seq < alarm.seq) told.push([alarm, before]);
    }
    for (const id of data.gone) next.delete(id);
    alarms.value = next;
    valves.value = data.valves;
    for (const [alarm, before] of told) for (const watcher of watchers) watcher(alarm, before);
  },
  devices(data) {
    const next = new Map(devices.peek());
    for (const device of data.devices) next.set(device.id, device);
    for (const id of data.gone) next.delete(id);
    devices.value = next;
  },
  beat(data) {
    takeTime(data);
    beat.value = data;
  },
  bye() {
    line?.restart();
  },
};

// words: p1 p2 p3 p4 (looked up by the priority in small letters)
/** True if the person may do this. @param {string} right */
export function may(right) {
  return me.value?.rights.includes(right) ?? false;
}

const ORDER = ["unack", "rtn", "acked", "latched", "shelved", "suppressed", "closed"];
/** Alarms that still want a person. @param {Alarm} alarm */
export const isUnattended = (alarm) => alarm.state === "unack" || alarm.state === "rtn";

/** P1 first, then what nobody took, then the newest. @param {Alarm} a @param {Alarm} b */
function compare(a, b) {
  return a.priority.localeCompare(b.priority) || Number(isUnattended(b)) - Number(isUnattended(a)) || b.raised_s - a.raised_s || ORDER.indexOf(a.state) - ORDER.indexOf(b.state);
}

const sorted = computed(() => [...alarms.value.values()].sort(compare));
/** The list: everything but what is hidden. */
export const shown = computed(() => sorted.value.filter((alarm) => alarm.state !== "shelved" && alarm.state !== "suppressed"));
/** Hidden by a person, for a time. */
export const shelved = computed(() => sorted.value.filter((alarm) => alarm.state === "shelved"));
/** Hidden by design. */
export const suppressed = computed(() => sorted.value.filter((alarm) => alarm.state === "suppressed"));
