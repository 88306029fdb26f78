// 人员: who may log in, as what; and what each role may do.
import { ask } from "/ui/api.js";
import { askFor, confirm } from "/ui/dialog.js";
import { serviceNow, span, tick } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { computed, html, signal, useEffect, useState } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { isStale, may, me } from "./desk.js";
import { start } from "./start.js";

/** @typedef {{name: string, role: string, is_disabled: boolean}} User */

// words: role_viewer role_operator role_supervisor role_technician role_admin right_watch right_acknowledge right_shelve right_reset right_note right_close right_rescue
// words: right_silence right_absence right_inhibit right_test right_valve_request right_valve_confirm right_read_journal right_read_residents right_see_evidence
// words: right_see_original right_hold_evidence right_read_register right_calibrate right_manage_users
const LINK_MS = 5000;
const ROLES = ["viewer", "operator", "supervisor", "technician", "admin"];

const users = signal(/** @type {User[]} */ ([]));
const rights = signal(/** @type {Record<string, string[]>} */ ({}));

async function look() {
  users.value = (await ask("GET", "/users")).users;
}

/** @param {string} [value] @returns {Record<string, import("/ui/dialog.js").Field>} */
const roleField = (value) => ({ role: { label: t("people_role"), choices: ROLES.map((role) => [role, t(`role_${role}`)]), value } });

async function make() {
  const entered = await askFor(t("people_new"), { name: { label: t("name") }, ...roleField("operator"), password: { label: t("password"), type: "password", hint: t("people_password") } }, { done: t("people_new") });
  if (entered) await ask("POST", "/users", entered).then(() => { toast(t("people_made", { name: entered.name })); return look(); }, refusal);
}

/** @param {User} user @param {Record<string, unknown>} body */
function change(user, body) {
  return ask("PATCH", `/users/${encodeURIComponent(user.name)}`, body).then(() => { toast(t("people_changed", { name: user.name })); return look(); }, refusal);
}

/** @param {User} user */
async function newRole(user) {
  const entered = await askFor(t("people_role"), roleField(user.role), { text: t("people_role_text", { name: user.name }) });
  if (entered && entered.role !== user.role) await change(user, { role: entered.role });
}

/** @param {User} user */
async function newPassword(user) {
  const entered = await askFor(t("people_new_password"), { password: { label: t("password"), type: "password", hint: t("people_password") } }, { text: t("people_role_text", { name: user.name }) });
  if (entered) await change(user, { password: entered.password });
}

/** @param {User} user */
async function shut(user) {
  if (user.is_disabled || (await confirm(t("people_shut"), { text: t("people_shut_text", { name: user.name }), isDanger: true }))) await change(user, { is_disabled: !user.is_disabled });
}

/** @param {{user: User}} props */
function Row({ user }) {
  const isMe = user.name === me.value?.name;
  return html`<tr><td><b class=${user.is_disabled ? "off" : ""}><bdi>${user.name}</bdi></b>${isMe && html` <i class="pill">${t("people_you")}</i>`}</td><td>${t(`role_${user.role}`)}</td>
    <td>${user.is_disabled ? html`<i class="pill dashed">${t("people_off")}</i>` : t("people_on")}</td>
    <td><span class="acts"><button class="small" disabled=${isStale.value || isMe} onClick=${() => newRole(user)}>${t("people_role")}</button><button class="small" disabled=${isStale.value} onClick=${() => newPassword(user)}>${t("people_new_password")}</button>
      <button class="small" disabled=${isStale.value || isMe} onClick=${() => shut(user)}>${t(user.is_disabled ? "people_let_in" : "people_shut")}</button></span></td></tr>`;
}

function Kiosk() {
  const [path, setPath] = useState("/?kiosk");
  const address = `${location.origin}${path}`;
  const command = `chromium --kiosk --autoplay-policy=no-user-gesture-required "${address}"`;
  const copy = () => navigator.clipboard.writeText(command).then(() => toast(t("people_copied")), () => toast(t("people_not_copied"), true));
  return html`<section class="box stack"><h2>${t("people_kiosk")} <small>${t("people_kiosk_hint")}</small></h2>
    <label>${t("people_kiosk_page")}<select onChange=${(/** @type {Event} */ event) => setPath(/** @type {HTMLSelectElement} */ (event.target).value)}>
      <option value="/?kiosk">${t("people_kiosk_light")}</option><option value="/?kiosk&theme=dark">${t("people_kiosk_dark")}</option><option value="/?kiosk&lang=en">English</option></select></label>
    <p class="mono">${command}</p><div class="buttons"><button onClick=${copy}>${t("people_copy")}</button></div></section>`;
}

/** The way to the fleet server: what waits, and since when. */
function Fleet() {
  const [link, setLink] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const look = () => ask("GET", "/link").then((found) => setLink(found.fleet), () => {});
    look();
    const timer = setInterval(look, LINK_MS);
    return () => clearInterval(timer);
  }, []);
  if (!link) return null;
  const since = computed(() => (tick.value, span(serviceNow() - link.since_s)));
  const heard = computed(() => (tick.value, link.contact_s === null ? t("people_fleet_never") : t("ago", { s: span(serviceNow() - link.contact_s) })));
  return html`<section class="box"><h2>${t("people_fleet")} <small>${t("people_fleet_hint")}</small></h2>
    <dl class="facts"><dt>${t("state")}</dt><dd><b>${pick(link.label)}</b> ${since}</dd><dt>${t("people_fleet_heard")}</dt><dd>${heard}</dd>
      <dt>${t("people_fleet_waits")}</dt><dd>${t("people_fleet_queued", { a: link.queued_alarm, b: link.queued_telemetry })}</dd>${link.why && html`<dt>${t("people_fleet_why")}</dt><dd><bdi>${link.why}</bdi></dd>`}</dl></section>`;
}

function People() {
  const names = Object.keys(rights.value);
  return html`<main class="page people"><header><h1>${t("page_people")}</h1><span class="hint">${t("people_hint")}</span><span class="space"></span><button class="strong" disabled=${isStale.value} onClick=${make}>${t("people_new")}</button></header>
    <div class="two"><div class="stack"><table><thead><tr><th>${t("name")}</th><th>${t("people_role")}</th><th>${t("state")}</th><th></th></tr></thead><tbody>${users.value.map((user) => html`<${Row} key=${user.name} user=${user} />`)}</tbody></table><${Fleet} /><${Kiosk} /></div>
      <section class="box"><h2>${t("people_rights")} <small>${t("people_rights_hint")}</small></h2><table class="rights"><thead><tr><th></th>${ROLES.map((role) => html`<th>${t(`role_${role}`)}</th>`)}</tr></thead>
        <tbody>${names.map((right) => html`<tr><td>${t(`right_${right}`)}</td>${ROLES.map((role) => html`<td>${rights.value[right].includes(role) ? html`<span aria-label=${t("people_may")}>●</span>` : html`<span class="quiet" aria-label=${t("people_may_not")}>·</span>`}</td>`)}</tr>`)}</tbody></table></section></div></main>`;
}

await start({
  name: "people", sections: ["local"],
  content: () => (may("manage_users") ? html`<${People} />` : html`<main class="page"><div class="empty"><b>${t("not_yours")}</b></div></main>`),
  prepare: async () => {
    if (!may("manage_users")) return;
    [, { rights: rights.value }] = await Promise.all([look(), ask("GET", "/roles")]);
  },
});
