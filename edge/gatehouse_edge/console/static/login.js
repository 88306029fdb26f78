// Logging in, and the first user of a new gateway.
import { make } from "/ui/dom.js";
import { current, pick, t } from "/ui/words.js";
import { ask, Problem } from "./api.js";

/** Return the words for a refusal. */
export function problemText(error) {
  if (error instanceof Problem) return pick({ zh: error.body.title, en: error.body.title_en }) || String(error.status);
  return t("offline");
}

/** Show the form; call `onDone` once somebody is logged in. */
export function showLogin(page, setup, onDone, onLanguage) {
  const isFirst = setup.needs_first_user;
  const said = make("p", { class: "problem", role: "alert" });
  const field = (name, type, autocomplete) => make("label", {}, t(name), make("input", { name, type, required: true, autocomplete, maxlength: 128 }));
  const form = make("form", { class: "login" },
    make("h1", {}, `${t("title")} · ${setup.estate}`),
    isFirst ? make("p", {}, t("first_user"), " ", t("first_hint")) : null,
    isFirst ? field("code", "text", "one-time-code") : null,
    field("name", "text", "username"),
    field("password", "password", isFirst ? "new-password" : "current-password"),
    said,
    make("div", { class: "row" },
      make("button", { type: "button", lang: current() === "zh" ? "en" : "zh-CN", onclick: onLanguage }, t("lang")),
      make("button", { class: "strong" }, isFirst ? t("make") : t("login"))));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const entered = Object.fromEntries(new FormData(form));
    try {
      if (isFirst) await ask("POST", "/setup", entered);
      await ask("POST", "/login", { name: entered.name, password: entered.password });
      onDone();
    } catch (error) {
      said.textContent = problemText(error);
    }
  });
  page.replaceChildren(form);
  form.querySelector("input").focus();
}
