// What is on the air: who sends how strongly, and what BTHome adverts say to somebody without or with their key.
import { nowMs, tick } from "/ui/time.js";
import { html, signal, useMemo } from "/ui/vendor/preact.js";
import { either, t } from "/ui/words.js";
import { Empty, Line } from "./command.js";
import { useLines } from "./lines.js";
import { cancel, isStale, lastWatch, run } from "./shop.js";

/**
 * @typedef {{name: string, value: number | string, unit: string}} Field
 * @typedef {{encrypted: boolean, counter: number | null, fields: Field[], why: string}} BtHome
 * @typedef {{address: string, name: string, rssi: number, best: number, heardAt: number, count: number, bthome: BtHome | null, trend: number[]}} Sender
 */

const GONE_S = 10;
const KEPT = 200;
const TREND = 40;
/** From barely heard to on the table, dBm. */
const [WEAK, STRONG] = [-100, -35];

export function Air() {
  const watch = lastWatch("scan");
  return html`<div class="instrument">
    <div class="tools"><p>${t("air_intro")}</p><span class="space"></span>
      ${watch?.is_running ? html`<button onClick=${() => cancel(watch.id)}>${t("stop")}</button>`
        : html`<button class="strong" onClick=${() => run({ verb: "scan" })} disabled=${isStale.value}>${t("listen_air")}</button>`}</div>
    ${watch ? html`<${Senders} key=${watch.id} watch=${watch} />` : html`<${Empty} icon="link" title=${t("air_empty")}><p>${t("air_hint")}</p></${Empty}>`}
  </div>`;
}

/** @param {{watch: import("./shop.js").Watch}} props */
function Senders({ watch }) {
  const senders = useMemo(() => signal(/** @type {Map<string, Sender>} */ (new Map())), [watch.id]);
  const search = useMemo(() => signal(""), [watch.id]);
  useLines(watch.id, (batch) => {
    const next = new Map(senders.value);
    for (const line of batch.lines) if (line.address) next.set(line.address, heard(next.get(line.address), line));
    senders.value = next.size <= KEPT ? next : new Map([...next].sort((a, b) => b[1].heardAt - a[1].heardAt).slice(0, KEPT));
  });
  const wanted = search.value.toLowerCase();
  const rows = [...senders.value.values()].filter((one) => `${one.address} ${one.name}`.toLowerCase().includes(wanted)).sort((a, b) => b.best - a.best);
  return html`${watch.fault && html`<p class="card fault" role="alert">${watch.fault.sentence}</p>`}
    <div class="tools second"><label class="find">${t("find_text")}<input type="search" value=${search.value} onInput=${(/** @type {InputEvent} */ event) => { search.value = /** @type {HTMLInputElement} */ (event.target).value; }} /></label>
      <p aria-live="off">${t("senders", { n: rows.length })}</p></div>
    <div class="wide"><table class="air"><thead><tr><th>${t("address")}</th><th>${t("strength")}</th><th class="trend">${t("course")}</th><th>${t("says")}</th><th>${t("heard")}</th></tr></thead>
      <tbody>${rows.map((one) => html`<${Row} key=${one.address} one=${one} />`)}</tbody></table>
      ${rows.length === 0 && html`<p class="quiet none">${t(watch.is_running ? "air_silent" : "air_stopped")}</p>`}</div>
    <${Line} line=${watch.command} />`;
}

/** @param {{one: Sender}} props */
function Row({ one }) {
  const ageS = tick.value < 0 ? 0 : Math.max(0, Math.round((nowMs() - one.heardAt) / 1000));
  const share = Math.max(0, Math.min(1, (one.rssi - WEAK) / (STRONG - WEAK)));
  return html`<tr class=${ageS > GONE_S ? "is-gone" : ""}><td><span class="mono">${one.address}</span>${one.name && html`<br />${one.name}`}</td>
    <td><div class="rssi"><i class="bar"><i style=${{ width: `${share * 100}%` }}></i></i><span><b>${one.rssi}</b> dBm</span></div></td>
    <td class="trend"><${Trend} points=${one.trend} /></td><td>${says(one.bthome)}</td>
    <td class="number">${t("ago", { s: t("span_s", { s: ageS }) })}<br /><small>${t("times_heard", { n: one.count })}</small></td></tr>`;
}

/** @param {{points: number[]}} props */
function Trend({ points }) {
  const line = points.map((rssi, at) => `${(at / (TREND - 1)) * 120},${30 - Math.max(0, Math.min(1, (rssi - WEAK) / (STRONG - WEAK))) * 28}`).join(" ");
  return html`<svg viewBox="0 0 120 32" width="120" height="32" aria-hidden="true"><polyline points=${line} fill="none" stroke="currentColor" stroke-width="1.6" /></svg>`;
}

/** @param {BtHome | null} said */
function says(said) {
  if (!said) return html`<span class="quiet">${t("no_bthome")}</span>`;
  const fields = said.fields.filter((field) => field.name !== "packet").map((field) => `${either(`bthome_${field.name}`, field.name)} ${typeof field.value === "string" ? either(`press_${field.value}`, field.value) : field.value}${field.unit}`);
  const lock = said.encrypted ? t("bthome_sealed", { counter: said.counter ?? "?" }) : t("bthome_plain");
  const why = said.why ? either(`bthome_${said.why}`, said.why) : fields.join(t("comma"));
  return html`<span class=${`pill ${said.encrypted ? "" : "dashed"}`}>${lock}</span> ${why}`;
}

/** @param {Sender | undefined} before @param {import("./lines.js").Finding} line @returns {Sender} */
function heard(before, line) {
  return {
    address: line.address, name: line.name || before?.name || "", rssi: line.rssi, best: Math.max(line.rssi, before?.best ?? -127), heardAt: Date.parse(line.at),
    count: (before?.count ?? 0) + 1, bthome: line.bthome ?? before?.bthome ?? null, trend: [...(before?.trend ?? []), line.rssi].slice(-TREND),
  };
}
