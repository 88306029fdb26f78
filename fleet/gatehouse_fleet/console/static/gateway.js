// One gateway: how it is, its devices, what evidence it names, which configuration it runs, what was ordered of it.
import { ask } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { dateTime, nowMs, span, tick, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { AlarmCard, whereIn } from "./alarm_card.js";
import { Evidence } from "./evidence.js";
import { daysLeft, offset, presenceOf } from "./gateways.js";
import { awayMark, isStale, may, news, ofGateway } from "./known.js";
import { ListFoot, useCalm, useList, useOne } from "./lists.js";
import { link, narrow, route } from "./route.js";
import { Bar, PresenceWord } from "./signs.js";
import { Versions } from "./versions.js";

const NEXT_LIVES = /** @type {Record<string, string[]>} */ ({ stored: ["deployed", "repair", "lost", "scrapped"], deployed: ["stored", "repair", "lost", "scrapped"], repair: ["stored", "deployed", "lost", "scrapped"], lost: ["stored", "scrapped"], scrapped: [] });

/** @param {{id: string}} props */
export function GatewayPage({ id }) {
  const { value, problem, again } = useOne(`/gateways/${id}`, useCalm(news.value.gateway, 5000));
  if (problem && !value) return html`<main class="page"><div class="empty"><b>${problem}</b><a class="button" href=${link("gateways")}>${t("fleet_page_gateways")}</a></div></main>`;
  if (!value) return html`<main class="page"><p class="quiet pad">${t("fleet_reading")}</p></main>`;
  const tab = route.value.query.tab ?? "devices";
  const tabs = ["devices", ...(may("read_clips") ? ["evidence"] : []), "configs", "orders"];
  const presence = presenceOf(value);
  return html`<main class="page gateway"><header class="pagehead"><a class="button" href=${link("gateways")} aria-label=${t("fleet_page_gateways")}>←</a><h1>${value.id} <small><bdi>${value.node_name}</bdi></small></h1><${PresenceWord} presence=${presence} /><span class="space"></span>${may("manage_gateways") && html`<${Acts} value=${value} again=${again} />`}</header>
    ${presence !== "online" && html`<${Away} value=${value} />`}
    ${value.integrity_fault && html`<p class="banner warn">${t("fleet_integrity_fault", { fault: value.integrity_fault })}</p>`}
    <div class="gatewaytop"><${Facts} value=${value} /><${OpenAlarms} id=${id} /></div>
    <div class="tabs" role="group" aria-label=${t("fleet_details")}>${tabs.map((one) => html`<button aria-pressed=${one === tab} onClick=${() => narrow({ tab: one === "devices" ? null : one })}>${t(`fleet_tab_${one}`)}</button>`)}</div>
    ${tab === "devices" && html`<${Devices} id=${id} />`}${tab === "evidence" && may("read_clips") && html`<${Evidence} path=${`/gateways/${id}/evidence?limit=200`} isPaged />`}
    ${tab === "configs" && html`<${Versions} id=${id} />`}${tab === "orders" && html`<${Orders} id=${id} />`}</main>`;
}

/** @param {{value: any}} props */
function Away({ value }) {
  tick.value;
  const at = awayMark(value.id)?.last_contact_at ?? value.last_contact_at;
  return html`<div class="banner silentbanner" role="status"><b>${at ? t("fleet_silent_for", { s: span((nowMs() - Date.parse(at)) / 1000) }) : t("fleet_presence_never")}</b><span>${at ? t("fleet_last_contact", { at: dateTime(at) }) : ""} · ${t("fleet_silent_advice")}</span></div>`;
}

/** @param {{value: any}} props */
function Facts({ value }) {
  const days = daysLeft(value);
  return html`<dl class="facts card"><dt>${t("fleet_life")}</dt><dd>${t(`fleet_life_${value.state}`)}</dd><dt>${t("fleet_version")}</dt><dd>${value.version ?? "—"}</dd>
    <dt>${t("fleet_status_at")}</dt><dd>${value.status_at ? dateTime(value.status_at) : t("no_data")}</dd><dt>${t("fleet_running_since")}</dt><dd>${value.started_at ? dateTime(value.started_at) : "—"}</dd>
    <dt>${t("fleet_queue")}</dt><dd>${t("fleet_queue_of", { alarms: value.alarm_backlog, telemetry: value.telemetry_backlog })}</dd><dt>${t("fleet_disk")}</dt><dd>${value.disk_used === null ? "—" : html`<${Bar} part=${value.disk_used} bad=${0.8} />`}</dd>
    <dt>${t("fleet_clock_offset")}</dt><dd>${value.clock_offset_ms === null ? "—" : offset(value.clock_offset_ms)}${value.clock_synced === false ? ` · ${t("fleet_clock_unsynced")}` : ""}</dd>
    <dt>${t("devices")}</dt><dd>${value.devices === null ? "—" : t("fleet_devices_online_of", { n: value.devices_online, all: value.devices })}</dd>
    <dt>${t("fleet_certificate")}</dt><dd class=${days < 7 ? "bad" : ""}>${value.certificate_expires_at ? `${dateTime(value.certificate_expires_at)} · ${t("fleet_days", { n: Math.floor(days) })}` : t("fleet_no_certificate")}</dd>
    <dt>${t("fleet_config")}</dt><dd>${value.config_version || t("fleet_local_file")}</dd><dt>${t("fleet_tags")}</dt><dd>${value.tags.map((/** @type {string} */ tag) => html`<i class="pill">${tag}</i> `)}</dd></dl>`;
}

/** @param {{id: string}} props */
function OpenAlarms({ id }) {
  if (!may("read_alarms")) return null;
  const rows = ofGateway.value.get(id) ?? [];
  return html`<section class="gatewayalarms"><h2 class="sub">${t("fleet_open_alarms")} <small>${rows.length}</small></h2>${rows.length ? html`<ol class="list">${rows.slice(0, 8).map((alarm) => html`<${AlarmCard} key=${alarm.alarm_id} alarm=${alarm} />`)}</ol>` : html`<p class="quiet">${t(awayMark(id)?.presence === "never" ? "fleet_presence_never" : awayMark(id) ? "fleet_had_none" : "none")}</p>`}</section>`;
}

/** @param {{value: any, again: () => void}} props */
function Acts({ value, again }) {
  const done = () => { toast(t("fleet_done_now")); again(); };
  const enrol = async () => {
    const said = await askFor(t("fleet_enrol_code"), {}, { text: t("fleet_enrol_hint") });
    if (!said) return;
    try {
      const made = await ask("POST", `/gateways/${value.id}/enrolment-code`, {});
      await askFor(t("fleet_enrol_code"), {}, { text: `${made.code} · ${t("fleet_valid_until", { at: dateTime(made.expires_at) })}` });
    } catch (error) {
      refusal(error);
    }
  };
  const life = async () => {
    const said = await askFor(t("fleet_change_life"), { state: { label: t("fleet_life"), choices: NEXT_LIVES[value.state].map((one) => [one, t(`fleet_life_${one}`)]) } }, { text: t("fleet_life_hint") });
    if (said) ask("PATCH", `/gateways/${value.id}`, said).then(done, refusal);
  };
  const checked = async () => {
    const said = await askFor(t("fleet_integrity_checked"), { reason: { label: t("fleet_what_found") } });
    if (said) ask("POST", `/gateways/${value.id}/integrity-checked`, said).then(done, refusal);
  };
  return html`${value.integrity_fault && html`<button disabled=${isStale.value} onClick=${checked}>${t("fleet_integrity_checked")}</button>`}<button disabled=${isStale.value} onClick=${enrol}>${t("fleet_enrol_code")}</button>
    ${NEXT_LIVES[value.state].length > 0 && html`<button disabled=${isStale.value} onClick=${life}>${t("fleet_change_life")}</button>`}`;
}

/** @param {{id: string}} props */
function Devices({ id }) {
  const list = useList(`/devices?gateway_id=${id}`, { isWhole: true });
  return html`<div class="scroll"><table><thead><tr><th>${t("device")}</th><th>${t("fleet_kind")}</th><th>${t("fleet_where")}</th><th>${t("state")}</th><th>${t("fleet_online")}</th><th>${t("fleet_last_heard")}</th></tr></thead><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${one.id}><td><b>${one.id}</b></td><td>${t(`fleet_device_${one.kind}`)}</td>
    <td><bdi>${whereIn(one, "")}</bdi></td><td>${t(`fleet_life_${one.state}`)}</td>
    <td>${one.is_online === null ? t("unknown") : one.is_online ? t("fleet_presence_online") : html`<b class="bad">${t("fleet_offline_device")}</b>`}</td><td>${one.seen_at ? when(one.seen_at) : ""}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_no_devices")} /></div>`;
}

/** @param {{id: string}} props */
function Orders({ id }) {
  const list = useList(`/gateways/${id}/order-history`, { on: useCalm(news.value.gateway, 5000), limit: 100 });
  return html`<div class="scroll"><table><thead><tr><th>${t("fleet_issued")}</th><th>${t("fleet_order")}</th><th>${t("by")}</th><th>${t("fleet_result")}</th><th>${t("fleet_answered")}</th></tr></thead><tbody>${list.rows.map((/** @type {any} */ one) => html`<tr key=${`${one.epoch}${one.seq}`}><td>${when(one.issued_at)}</td><td>${t(`fleet_order_${one.kind}`)}${one.alarm_id && may("read_alarms") ? html` <a href=${link("alarms", "", { which: "all", one: one.alarm_id })}>${t("fleet_alarm")}</a>` : ""}</td>
    <td><bdi>${one.issuer.name}</bdi></td><td>${one.result ? t(`fleet_result_${one.result}`) : html`<span class="warn">${Date.parse(one.expires_at) < nowMs() ? t("fleet_no_answer_expired") : t("fleet_no_answer_yet")}</span>`} <small><bdi>${one.result_detail ?? ""}</bdi></small></td><td>${one.result_at ? when(one.result_at) : ""}</td></tr>`)}</tbody></table><${ListFoot} list=${list} none=${t("fleet_no_orders")} /></div>`;
}
