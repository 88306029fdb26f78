// The live stream as a page sees it: events in order, how old what it shows is, and when to distrust it.
import { computed, signal } from "./vendor/preact.js";
import { Source } from "./source.js";
import { tick } from "./time.js";

/** @typedef {import("./source.js").Plan} Plan */

const SLEPT_MS = 3000;

/**
 * Follow a stream. Every tab of a browser shares one connection.
 *
 * `on` hears each event; `onEnd` that the session is over. `isStale` turns true `staleMs` after the last event, and at once
 * when the computer has slept; it starts true: a page that never heard the server knows nothing.
 * @param {Plan & {staleMs?: number, on: (name: string, data: any, id: string) => void, onEnd: () => void}} wish
 */
export function follow({ staleMs = 4000, on, onEnd, ...plan }) {
  const heardAt = signal(-Infinity);
  const bornAt = performance.now();
  let wallAt = Date.now();
  let monoAt = bornAt;
  const hasSlept = signal(false);
  const ageS = computed(() => (tick.value, (performance.now() - Math.max(heardAt.value, bornAt)) / 1000));
  const isStale = computed(() => hasSlept.value || heardAt.value === -Infinity || ageS.value * 1000 > staleMs);

  /** @param {string} name @param {string} data @param {string} id */
  const hear = (name, data, id) => {
    if (name === "end") return onEnd();
    on(name, data ? JSON.parse(data) : null, id);
    heardAt.value = performance.now();
    hasSlept.value = false;
  };
  // The monotonic clock stands still while a computer sleeps: the wall clock then runs ahead of it.
  const unwatch = tick.subscribe(() => {
    const [wall, mono] = [Date.now(), performance.now()];
    if (wall - wallAt - (mono - monoAt) > SLEPT_MS) hasSlept.value = true;
    [wallAt, monoAt] = [wall, mono];
  });
  const line = connect(plan, hear);
  return {
    ageS,
    isStale,
    /** True once anything was heard. */
    hasHeard: computed(() => heardAt.value !== -Infinity),
    /** Begin anew, e.g. after another person logged in. */
    restart: () => line.restart(),
    stop: () => { unwatch(); line.stop(); },
  };
}

/** @param {Plan} plan @param {import("./source.js").Tell} hear @returns {{restart: () => void, stop: () => void}} */
function connect(plan, hear) {
  if (!("SharedWorker" in window)) return inPage(plan, hear);
  /** @type {ReturnType<typeof inPage> | null} */
  let own = null;
  const worker = startWorker();
  const page = `gatehouse-page-${crypto.randomUUID()}`;
  /** @type {(value?: unknown) => void} */
  let letGo = () => {};
  worker.onerror = () => { own ??= inPage(plan, hear); };
  worker.port.onmessage = ({ data: [name, data, id] }) => hear(name, data, id);
  navigator.locks.request(page, () => {
    worker.port.postMessage({ plan, page });
    return new Promise((done) => { letGo = done; });
  });
  return {
    restart: () => (own ? own.restart() : worker.port.postMessage("restart")),
    stop: () => { own?.stop(); letGo(); worker.port.close(); },
  };
}

function startWorker() {
  const url = new URL("stream-worker.js", import.meta.url).href;
  const { trustedTypes } = /** @type {any} */ (window);
  const trusted = trustedTypes ? trustedTypes.createPolicy("gatehouse", { createScriptURL: (/** @type {string} */ text) => text }).createScriptURL(url) : url;
  return new SharedWorker(trusted, { type: "module", name: "gatehouse" });
}

/** @param {Plan} plan @param {import("./source.js").Tell} hear */
function inPage(plan, hear) {
  const source = new Source(plan);
  const leave = source.join(hear);
  return { restart: () => source.restart(), stop: leave };
}
