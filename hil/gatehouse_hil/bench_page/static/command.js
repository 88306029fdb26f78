// The line that a button runs, to be copied into a terminal.
import { Icon } from "/ui/shapes.js";
import { toast } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";

/** @param {{line: string}} props */
export function Line({ line }) {
  return html`<div class="command"><code>${line}</code><button class="plain" onClick=${() => copy(line)} aria-label=${t("copy_command")} title=${t("copy_command")}>${t("copy")}</button></div>`;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  } catch {
    toast(t("copy_failed"), true);
  }
}

/** One of several, large. @param {{name: string, value: string, choices: [string, string][], onChoose: (value: string) => void}} props */
export function Choice({ name, value, choices, onChoose }) {
  return html`<div class="choice" role="group" aria-label=${name}>${choices.map(([key, words]) => html`<button key=${key} aria-pressed=${key === value} onClick=${() => onChoose(key)}>${words}</button>`)}</div>`;
}

/** @param {{icon: string, title: string, children?: unknown}} props */
export function Empty({ icon, title, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=${84} /><b>${title}</b>${children}</div>`;
}
