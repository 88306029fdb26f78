// Logging in, and the first user of a new server.
import { ask, problemText } from "/ui/api.js";
import { html, render, useEffect, useState } from "/ui/vendor/preact.js";
import { current, otherLanguage, t } from "/ui/words.js";

/** @typedef {{needs_first_user: boolean}} Setup */

/** Show the form; call `onDone` once somebody is logged in. @param {HTMLElement} app @param {Setup} setup @param {() => void} onDone */
export function showLogin(app, setup, onDone) {
  document.title = t("fleet_title");
  render(null, app);
  render(html`<${Login} setup=${setup} onDone=${onDone} />`, app);
  app.querySelector("input")?.focus();
}

/** @param {{setup: Setup, onDone: () => void}} props */
function Login({ setup, onDone }) {
  const [said, say] = useState("");
  const [oidc, setOidc] = useState(/** @type {{is_on: boolean, label: string | null} | null} */ (null));
  useEffect(() => { ask("GET", "/oidc").then(setOidc, () => {}); }, []);
  const isFirst = setup.needs_first_user;
  const enter = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const entered = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.target)));
    try {
      if (isFirst) await ask("POST", "/setup", entered);
      await ask("POST", "/login", { name: entered.name, password: entered.password });
      onDone();
    } catch (error) {
      say(problemText(error));
    }
  };
  return html`<main class="login"><form class="card" onSubmit=${enter}>
    <h1>${t("fleet_title")}<small>${t("fleet_subtitle")}</small></h1>
    ${isFirst && html`<p>${t("first_user")} ${t("fleet_first_hint")}</p>
      <label>${t("code")}<input name="code" required autocomplete="one-time-code" maxlength="40" /></label>
      <label>${t("fleet_city_name")}<input name="city_name" required maxlength="64" /></label>
      <label>${t("fleet_city_code")}<input name="city_code" required pattern="[a-z0-9][a-z0-9\\-]*" maxlength="40" /></label>
      <label>${t("fleet_full_name")}<input name="full_name" required autocomplete="name" maxlength="64" /></label>
      <label>${t("fleet_unit_name")}<input name="unit" required autocomplete="organization" maxlength="64" /></label>`}
    <label>${t("fleet_login_name")}<input name="name" required autocomplete="username" maxlength="64" /></label>
    <label>${t("password")}<input name="password" type="password" required minlength=${isFirst ? 10 : 1} autocomplete=${isFirst ? "new-password" : "current-password"} maxlength="128" /></label>
    <p class="problem" role="alert">${said}</p>
    <div class="buttons">${oidc?.is_on && !isFirst && html`<a class="button" href="/api/v1/oidc/login">${oidc.label}</a>`}<button type="button" lang=${current() === "zh" ? "en" : "zh-CN"} onClick=${otherLanguage}>${t("lang")}</button>
      <button class="strong">${isFirst ? t("make") : t("login")}</button></div></form></main>`;
}
