// 报警轨迹: every revision from the gateway's journal over this server to each platform's receipt, with time, offset and proof.
import { dateTime } from "/ui/time.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { useOne } from "./lists.js";
import { link } from "./route.js";
import { open } from "./known.js";

/** @param {{id: string}} props */
export function TracePage({ id }) {
  const live = open.value.find((one) => one.alarm_id === id);
  const { value, problem } = useOne(`/alarms/${id}/trace`, live?.revision ?? 0);
  return html`<main class="page trace"><header class="pagehead"><h1>${t("fleet_page_trace")}</h1><code>${id}</code><span class="space"></span>
      <a class="button" href=${link("alarms", "", { which: "all", one: id })}>${t("fleet_to_alarm")}</a><a class="button" href=${`/trace/${id}`}>${t("fleet_plain_page")}</a><button onClick=${() => print()}>${t("fleet_print")}</button></header>
    ${problem && !value && html`<div class="empty"><b>${problem}</b></div>`}
    ${value && html`<${Legend} value=${value} /><ol class="hops">${value.revisions.map((/** @type {any} */ one) => html`<${Revision} one=${one} offset=${value.clock_offset_ms} />`)}</ol>
      ${!value.revisions.length && html`<div class="empty"><b>${t("fleet_no_trace")}</b></div>`}`}</main>`;
}

/** @param {{value: any}} props */
function Legend({ value }) {
  const targets = new Set(value.revisions.flatMap((/** @type {any} */ one) => one.targets.map((/** @type {any} */ leg) => leg.title)));
  return html`<p class="quiet">${t("fleet_trace_hint")} ${value.clock_offset_ms !== null ? t("fleet_trace_clock", { ms: Math.round(value.clock_offset_ms) }) : ""} ${targets.size === 0 ? t("fleet_trace_no_targets") : ""}</p>`;
}

/** @param {{one: any, offset: number | null}} props */
function Revision({ one, offset }) {
  const written = Date.parse(one.written_at);
  const taken = Date.parse(one.committed_at) - written;
  return html`<li class="hoprow"><div class="hop first"><b>${one.revision ?? "–"}</b><span>${one.what ? t(`fleet_what_${one.what}`) : t("fleet_unreadable")}</span></div>
    <div class="hop"><h2>${t("fleet_hop_gateway")}</h2><time>${stamp(one.written_at)}</time><span>${one.gateway} · #${one.seq}</span><code title=${one.body_hash}>${t("fleet_hash_body")} ${one.body_hash.slice(0, 12)}…</code><code title=${one.prev_hash}>${t("fleet_hash_prev")} ${one.prev_hash.slice(0, 12)}…</code></div>
    <${Arrow} ms=${taken + (offset ?? 0)} />
    <div class=${`hop ${one.is_verified ? "" : "bad"}`}><h2>${t("fleet_hop_fleet")}</h2><time>${stamp(one.committed_at)}</time><span>${one.is_verified ? t("fleet_verified") : t("fleet_doubt_is", { doubt: one.doubt ?? "" })}</span></div>
    <div class="legs">${one.targets.map((/** @type {any} */ leg) => html`<${Leg} leg=${leg} from=${one.committed_at} />`)}</div></li>`;
}

/** @param {{leg: any, from: string}} props */
function Leg({ leg, from }) {
  const isBad = leg.leg === "parked";
  const at = leg.receipt_at ?? leg.parked_at;
  return html`<div class="leg"><${Arrow} ms=${at ? Date.parse(at) - Date.parse(from) : null} /><div class=${`hop ${isBad ? "bad" : leg.leg}`}><h2><bdi>${leg.title}</bdi></h2>
    <time>${at ? stamp(at) : "—"}</time><span>${t(`fleet_leg_${leg.leg}`)}${leg.tries > 1 ? ` · ${t("fleet_tries", { n: leg.tries })}` : ""}</span>
    ${leg.receipt_sha256 && html`<code title=${leg.receipt ?? ""}>${t("fleet_hash_receipt")} ${leg.receipt_sha256.slice(0, 12)}…</code>`}
    ${isBad && html`<span>${leg.parked_reason}: <bdi>${leg.parked_detail}</bdi></span>`}</div></div>`;
}

/** Time between two stations; before the gateway's clock is put right it may look negative. @param {{ms: number | null}} props */
function Arrow({ ms }) {
  const words = ms === null ? "" : Math.abs(ms) < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  return html`<div class="arrow"><span>${words}</span><svg viewBox="0 0 60 10" width="60" height="10" aria-hidden="true"><path d="M0 5H54M49 1l6 4-6 4" /></svg></div>`;
}

/** @param {string} at */
const stamp = (at) => `${dateTime(at)}.${String(new Date(at).getUTCMilliseconds()).padStart(3, "0")}`;
