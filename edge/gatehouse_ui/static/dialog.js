// Small forms and questions in the browser's own dialog: it keeps the focus inside, closes with Esc and gives the focus back.
import { html, render } from "./vendor/preact.js";
import { t } from "./words.js";

/**
 * @typedef {{label: string, type?: "text" | "number" | "textarea" | "password", choices?: [string, string][], value?: string | number, min?: number,
 *   max?: number, hint?: string, optional?: boolean, list?: string[]}} Field
 */

/**
 * Ask for some values; null if the person thought better of it.
 * @param {string} title
 * @param {Record<string, Field>} fields
 * @param {{done?: string, text?: string, isDanger?: boolean}} [more]
 * @returns {Promise<Record<string, string> | null>}
 */
export function askFor(title, fields, { done = t("done"), text = "", isDanger = false } = {}) {
  return new Promise((resolve) => {
    /** @type {Record<string, string> | null} */
    let entered = null;
    const close = openDialog(title, html`<form method="dialog" onSubmit=${(/** @type {SubmitEvent} */ event) => {
      entered = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.target))));
    }}>
      ${text && html`<p>${text}</p>`}
      ${Object.entries(fields).map(([name, field]) => html`<label>${field.label}<${Input} name=${name} field=${field} />${field.hint && html`<small>${field.hint}</small>`}</label>`)}
      <div class="buttons"><button type="button" onClick=${() => close()}>${t("cancel")}</button><button class=${isDanger ? "strong danger" : "strong"}>${done}</button></div>
    </form>`, () => resolve(entered));
  });
}

/**
 * Ask yes or no.
 * @param {string} title
 * @param {{done?: string, text?: string, isDanger?: boolean}} [more]
 */
export async function confirm(title, more) {
  return (await askFor(title, {}, more)) !== null;
}

/**
 * Show anything in a dialog. Returns how to close it.
 * @param {string} title
 * @param {unknown} content
 * @param {() => void} [onClose]
 */
export function openDialog(title, content, onClose = () => {}) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", title);
  render(html`<h2>${title}</h2>${content}`, dialog);
  dialog.addEventListener("close", () => {
    render(null, dialog);
    dialog.remove();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return () => dialog.close();
}

/** @param {{name: string, field: Field}} props */
function Input({ name, field }) {
  const common = { name, required: !field.optional };
  if (field.choices) return html`<select ...${common}>${field.choices.map(([value, words]) => html`<option value=${value} selected=${value === field.value}>${words}</option>`)}</select>`;
  if (field.type === "textarea") return html`<textarea ...${common} rows="3" maxlength="500">${field.value}</textarea>`;
  return html`<input ...${common} type=${field.type ?? "text"} min=${field.min} max=${field.max} value=${field.value} maxlength="500" autocomplete="off" list=${field.list && `${name}-list`} />
    ${field.list && html`<datalist id=${`${name}-list`}>${field.list.map((one) => html`<option value=${one} />`)}</datalist>`}`;
}
