// The shared worker: one connection to the server for all tabs of a browser (HTTP/1.1 allows six in all).
import { Source } from "./source.js";

/** @type {Map<string, Source>} */
const sources = new Map();

/** @param {MessagePort} port @param {{plan: import("./source.js").Plan, page: string}} wish */
function serve(port, { plan, page }) {
  const key = JSON.stringify(plan);
  const source = sources.get(key) ?? new Source(plan);
  sources.set(key, source);
  const leave = source.join((name, data, id) => port.postMessage([name, data, id]));
  port.onmessage = ({ data }) => {
    if (data === "restart") source.restart();
  };
  // A page holds the lock of its name as long as it lives, so also a page that crashed is noticed.
  navigator.locks.request(page, () => leave());
}

/** @type {any} */ (self).onconnect = (/** @type {MessageEvent} */ event) => {
  const [port] = event.ports;
  port.onmessage = ({ data }) => serve(port, data);
};
