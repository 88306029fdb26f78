// A small form in a dialog: the reason and the time of a shelving, a note, a finding.
import { make } from "/ui/dom.js";
import { t } from "/ui/words.js";

/** Show fields and return what was entered, null if the person thought better of it. */
export function askFor(title, fields) {
  return new Promise((resolve) => {
    const inputs = Object.entries(fields).map(([name, field]) => {
      const input = field.choices
        ? make("select", { name, required: true }, ...field.choices.map(([value, text]) => make("option", { value }, text)))
        : make("input", { name, required: true, type: field.type ?? "text", min: field.min, max: field.max, value: field.value, maxlength: 500, autocomplete: "off" });
      return make("label", {}, field.label, input);
    });
    const form = make("form", { method: "dialog" },
      make("h2", {}, title), ...inputs,
      make("div", { class: "row" },
        make("button", { type: "button", onclick: () => dialog.close() }, t("cancel")),
        make("button", { class: "strong" }, t("done"))));
    const dialog = make("dialog", { "aria-label": title }, form);
    let entered = null;
    form.addEventListener("submit", () => { entered = Object.fromEntries(new FormData(form)); });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(entered); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
