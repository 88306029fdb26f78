// Short answers to what a person did. A refusal stays longer and is read out; the next click takes it away.
import { html, signal } from "./vendor/preact.js";
import { problemText } from "./api.js";

/** @typedef {{id: number, text: string, isBad: boolean}} Toast */

const GOOD_MS = 4000;
const BAD_MS = 12000;
const toasts = signal(/** @type {Toast[]} */ ([]));
let count = 0;

/** Show `text` for a while. @param {string} text @param {boolean} [isBad] */
export function toast(text, isBad = false) {
  const id = (count += 1);
  toasts.value = [...toasts.value.slice(-2), { id, text, isBad }];
  setTimeout(() => drop(id), isBad ? BAD_MS : GOOD_MS);
}

/** Show why an order was refused: `order(...).catch(refusal)`. @param {unknown} error */
export function refusal(error) {
  toast(problemText(error), true);
}

/** @param {number} id */
function drop(id) {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Stands once in every page. */
export function Toasts() {
  return html`<div class="toasts" role="alert">${toasts.value.map((one) => html`
    <button key=${one.id} class=${one.isBad ? "toast bad" : "toast"} onClick=${() => drop(one.id)}>${one.text}</button>`)}</div>`;
}
