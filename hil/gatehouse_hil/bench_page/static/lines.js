// Reads what an instrument says: asks for the lines after the last one, again and again, as long as somebody looks.
import { ask } from "/ui/api.js";
import { signal, useEffect, useMemo } from "/ui/vendor/preact.js";

const WAIT_S = 5;
const GAP_MS = 120;
const AGAIN_MS = 1000;

/**
 * @typedef {{at: string, event?: string, [other: string]: any}} Finding
 * @typedef {{first: number, dropped: number, lines: Finding[], is_running: boolean}} Batch
 */

/**
 * Call `take` with each batch of an instrument; `restart` is called before the first one, when it is another instrument.
 * Returns when it last said anything, on the page's monotonic clock.
 * @param {string | null} id
 * @param {(batch: Batch) => void} take
 */
export function useLines(id, take) {
  const heardAt = useMemo(() => signal(-Infinity), [id]);
  useEffect(() => {
    if (!id) return undefined;
    const stop = new AbortController();
    read(id, stop.signal, (batch) => {
      if (batch.lines.length) heardAt.value = performance.now();
      take(batch);
    });
    return () => stop.abort();
  }, [id]);
  return heardAt;
}

/** @param {string} id @param {AbortSignal} stop @param {(batch: Batch) => void} tell */
async function read(id, stop, tell) {
  let next = 0;
  while (!stop.aborted) {
    try {
      /** @type {Batch} */
      const batch = await ask("GET", `/watches/${id}/lines?after=${next}&wait=${WAIT_S}`, undefined, stop);
      next = batch.first + batch.lines.length;
      if (!stop.aborted) tell(batch);
      if (!batch.is_running && batch.lines.length === 0) return;
      await pause(GAP_MS);
    } catch {
      await pause(AGAIN_MS);  // the page's own stream says that the bench is gone
    }
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => { setTimeout(done, ms); });
}
