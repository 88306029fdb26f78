// 人员与权限: who may do what, and where. A role reaches one place and what lies below it.
import { ask } from "/ui/api.js";
import { askFor, confirm } from "/ui/dialog.js";
import { when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { communities, districts, isStale, me, nameOf } from "./known.js";
import { Choice, ListFoot, useList, useOne } from "./lists.js";
import { narrow, route } from "./route.js";

const MIN_PASSWORD = 10;
/** Places one may be put in, by number. */
function places() {
  const all = [...districts.value, ...communities.value.values()].map((one) => /** @type {[number, string]} */ ([one.id, nameOf(one)]));
  const own = /** @type {import("./known.js").Me} */ (me.value).scope_id;
  return new Map([/** @type {[number, string]} */ ([own, t("fleet_my_whole_place")]), ...all.filter(([id]) => id !== own)]);
}

export function PeoplePage() {
  const asked = route.value.query;
  const list = useList(`/users${asked.role ? `?role=${asked.role}` : ""}`, { isWhole: true });
  const roles = useOne("/roles").value?.items ?? [];
  const words = new Map(roles.map((/** @type {any} */ one) => [one.role, pick({ zh: one.label, en: one.label_en })]));
  const mine = roles.find((/** @type {any} */ one) => one.role === me.value?.role);
  const where = places();
  return html`<main class="page people"><header class="pagehead"><h1>${t("fleet_page_people")}</h1><${Choice} label=${t("fleet_role")} value=${asked.role ?? ""} choices=${[["", t("fleet_any")], ...words]} onChange=${(/** @type {string} */ role) => narrow({ role })} /><span class="space"></span><button class="strong" disabled=${isStale.value || !mine} onClick=${() => add(mine.appoints, words, where, list.again)}>${t("fleet_add_person")}</button></header>
    <div class="scroll"><table><thead><tr><th>${t("name")}</th><th>${t("fleet_login_name")}</th><th>${t("fleet_role")}</th><th>${t("fleet_reaches")}</th><th>${t("fleet_unit_name")}</th><th>${t("fleet_last_login")}</th><th></th></tr></thead><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${one.name} class=${one.is_active ? "" : "past"}><td><b><bdi>${one.full_name}</bdi></b>${one.is_contractor && html` <i class="pill">${t("fleet_contractor")}</i>`}${!one.is_active && html` <i class="pill dashed">${t("fleet_inactive")}</i>`}</td><td>${one.name}</td><td>${words.get(one.role) ?? one.role}</td><td><bdi>${where.get(one.scope_id) ?? `#${one.scope_id}`}</bdi></td><td><bdi>${one.unit}</bdi></td><td>${one.last_login_at ? when(one.last_login_at) : t("fleet_never_yet")}</td>
      <td class="acts">${one.name !== me.value?.name && mine?.appoints.includes(one.role) && html`<button class="small" disabled=${isStale.value} onClick=${() => password(one)}>${t("fleet_new_password")}</button><button class="small" disabled=${isStale.value} onClick=${() => turn(one, list.again)}>${t(one.is_active ? "fleet_shut_out" : "fleet_let_in")}</button>`}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_nobody")} /></div>
    <details class="card"><summary>${t("fleet_what_roles_may")}</summary><div class="scroll"><table class="rights"><tbody>${roles.map((/** @type {any} */ one) => html`<tr><th>${pick({ zh: one.label, en: one.label_en })}</th><td>${one.rights.map((/** @type {string} */ right) => html`<i class="pill">${t(`fleet_right_${right}`)}</i> `)}</td></tr>`)}</tbody></table></div><p class="quiet">${t("fleet_contractor_hint")}</p></details></main>`;
}

/** @param {string[]} appoints @param {Map<string, string>} words @param {Map<number, string>} where @param {() => void} again */
async function add(appoints, words, where, again) {
  const said = await askFor(t("fleet_add_person"), {
    full_name: { label: t("fleet_full_name") }, name: { label: t("fleet_login_name"), hint: t("fleet_login_hint") }, unit: { label: t("fleet_unit_name") },
    role: { label: t("fleet_role"), choices: appoints.map((role) => [role, words.get(role) ?? role]) }, scope_id: { label: t("fleet_reaches"), choices: [...where].map(([id, name]) => [String(id), name]) },
    is_contractor: { label: t("fleet_contractor"), choices: [["", t("fleet_no")], ["1", t("fleet_yes_contractor")]], optional: true }, password: { label: t("password"), type: "password", hint: t("fleet_password_hint", { n: MIN_PASSWORD }) },
  });
  if (!said) return;
  ask("POST", "/users", { ...said, scope_id: Number(said.scope_id), is_contractor: said.is_contractor === "1" }).then(() => { toast(t("fleet_done_now")); again(); }, refusal);
}

/** @param {any} one */
async function password(one) {
  const said = await askFor(t("fleet_new_password"), { password: { label: t("password"), type: "password", hint: t("fleet_password_hint", { n: MIN_PASSWORD }) } }, { text: t("fleet_new_password_hint", { name: one.full_name }) });
  if (said) ask("PUT", `/users/${encodeURIComponent(one.name)}/password`, said).then(() => toast(t("fleet_done_now")), refusal);
}

/** @param {any} one @param {() => void} again */
async function turn(one, again) {
  const title = t(one.is_active ? "fleet_shut_out" : "fleet_let_in");
  if (await confirm(title, { text: one.full_name, done: title, isDanger: one.is_active })) ask("PATCH", `/users/${encodeURIComponent(one.name)}`, { is_active: !one.is_active }).then(() => { toast(t("fleet_done_now")); again(); }, refusal);
}
