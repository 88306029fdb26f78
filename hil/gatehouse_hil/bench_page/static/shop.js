// What the page knows of the bench, kept up by its stream; and how it gives orders. Signals: read them in a component.
import { ask, order as send, speakTo } from "/ui/api.js";
import { announce } from "/ui/live.js";
import { follow } from "/ui/stream.js";
import { nowMs, takeTime, tick } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { computed, signal } from "/ui/vendor/preact.js";
import { current, pick, t } from "/ui/words.js";

/**
 * @typedef {{name: string, state: "waiting" | "running" | "passed" | "failed", share: number, began_s: number, took_s: number}} Step
 * @typedef {{number: number, task: string, zh: string, en: string}} Asked
 * @typedef {"running" | "passed" | "failed" | "cancelled" | "lost"} RunState
 * @typedef {{state: RunState, ended_at: string, fault: string, facts: Record<string, string>, zh: string, en: string, serial: string, record: number,
 *   has_label: boolean, trouble: string}} Ended
 * @typedef {{id: string, verb: string, board: string, room: string, command: string, began_at: string, state: RunState, steps: Step[], asked: Asked | null,
 *   last_s: number, said: string[], ended: Ended | null}} Run
 * @typedef {{name: string, kind: string, at: string, chip: string, mac: string, is_present: boolean | null}} Place
 * @typedef {{place: Place, run: Run | null}} Slot
 * @typedef {{id: string, verb: string, board: string, command: string, began_at: string, is_running: boolean, file: string,
 *   fault: {sentence: string} | null}} Watch
 * @typedef {{gas: string, percent_lel: number, bottle: string, expires: string}} Gas
 * @typedef {{id: string, command: string, began_at: string, state: RunState}} Command
 * @typedef {{at: string, utc_offset_s: number, bench: string, rig: string, rig_zh: string, rig_en: string, backend: string, operator: string, materials: {runtime: string, gas: Gas | null, has_floors: boolean},
 *   has_printer: boolean, places: Slot[], ports: {path: string, says: string, board: string}[],
 *   broken: {part: string, fault: string, since: string, sentence: string}[], cameras: string[], kept: number, has_fleet: boolean, commands: Command[],
 *   watches: Watch[]}} Bench
 */

export const bench = signal(/** @type {Bench | null} */ (null));
/** Who works here: goes into every record. Empty: the name the bench was started with. */
export const operator = signal(localStorage.getItem("operator") ?? "");
/** True once the server says that this browser may not see it (any more). */
export const isLocked = signal(false);

speakTo({ prefix: "/api" });
const line = follow({ url: "/api/events", probe: "/api/beat", events: ["state"], silentMs: 6000, staleMs: 5000, on: (_, data) => take(data), onEnd: () => { isLocked.value = true; } });
export const { ageS, isStale, hasHeard } = line;

/** @type {Map<string, string>} */
const told = new Map();

/** @param {Bench} fresh */
function take(fresh) {
  takeTime(fresh);
  bench.value = fresh;
  for (const { place, run } of fresh.places) {
    if (!run) continue;
    const news = run.asked ? `${run.id} ${run.asked.number}` : `${run.id} ${run.state}`;
    const before = told.get(place.name);
    told.set(place.name, news);
    if (before === undefined || before === news) continue;
    if (run.asked) announce(pick(run.asked));
    else if (run.state !== "running") announce(`${place.name} ${t(`run_${run.state}`)} ${pick(run.ended)}`);
  }
}

/** Run a command; its id, or null when it was refused (which is then said). @param {Record<string, unknown>} wish @returns {Promise<string | null>} */
export async function run(wish) {
  try {
    const { id } = await send("/orders", { operator: operator.value, lang: current(), ...wish });
    return id;
  } catch (error) {
    refusal(error);
    return null;
  }
}

/**
 * Run a short command and say how it ended; its answer, or null when it failed (which is then said).
 * @param {Record<string, unknown>} wish
 * @returns {Promise<any>}
 */
export async function runAndTell(wish) {
  const id = await run(wish);
  if (id === null) return null;
  const state = await settled(id);
  const { answer } = await ask("GET", `/runs/${id}/lines`).catch(() => ({ answer: null }));
  if (state === "passed") return answer ?? {};
  const board = answer?.boards?.find((/** @type {{sentence?: string}} */ one) => one.sentence);
  toast(answer?.sentence ?? board?.sentence ?? t(`run_${state}_do`), true);
  return null;
}

/** How a command ends, once it has. @param {string} id @returns {Promise<RunState>} */
function settled(id) {
  return new Promise((done) => {
    let stop = () => {};
    stop = bench.subscribe((now) => {
      const found = now?.commands.find((one) => one.id === id);
      if (found && found.state !== "running") queueMicrotask(() => { stop(); done(found.state); });
    });
  });
}

/** @param {string} id */
export function cancel(id) {
  return ask("POST", `/runs/${id}/cancel`, {}).catch(refusal);
}

/** The task that a run asks for is done. @param {Run} run */
export function handsDone(run) {
  if (!run.asked) return Promise.resolve();
  return ask("POST", `/runs/${run.id}/hands`, { number: run.asked.number }).catch(refusal);
}

/** Seconds since an instant of the bench's clock, counting on. @param {string} at */
export function secondsSince(at) {
  return tick.value < 0 ? 0 : (nowMs() - Date.parse(at)) / 1000;
}

/** What is going on at a board's port besides a run. @param {string} board */
export function watchOf(board) {
  return bench.value?.watches.find((watch) => watch.board === board && watch.is_running) ?? null;
}

/** The newest watch with this verb (and board), running or not. @param {string} verb @param {string} [board] */
export function lastWatch(verb, board) {
  return bench.value?.watches.findLast((watch) => watch.verb === verb && (board === undefined || watch.board === board)) ?? null;
}

/** Which page is shown, and of which board: `#/console/gas-1`. */
export const route = signal(read());
addEventListener("hashchange", () => { route.value = read(); });
function read() {
  const [page, board] = location.hash.replace(/^#\/?/, "").split("/");
  return { page: page || "make", board: board ? decodeURIComponent(board) : "" };
}

/** Boards of one kind, or all. @param {string} [kind] */
export function boards(kind) {
  return (bench.value?.places ?? []).map((slot) => slot.place).filter((place) => !kind || place.kind === kind);
}

/** Slots that wait for somebody's hands. */
export const waiting = computed(() => (bench.value?.places ?? []).filter((slot) => slot.run?.asked));
