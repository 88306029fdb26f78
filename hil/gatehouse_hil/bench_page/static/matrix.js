// Every device and every run: what passed, what failed and where. A failed run can be played again as it went.
import { ask } from "/ui/api.js";
import { openDialog } from "/ui/dialog.js";
import { dateTime, when } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { html, signal, useEffect } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { Choice, Empty, Line } from "./command.js";
import { Record } from "./record.js";
import { bench, isStale, route, run } from "./shop.js";

/**
 * @typedef {{name: string, verdict: "passed" | "failed", took_s: number}} StepSeen
 * @typedef {{number: number, verdict: "passed" | "failed", began_at: string, took_s: number, station: string, room: string, operator: string, is_simulated: boolean,
 *   steps: StepSeen[], fault: string, zh: string, en: string, key: string}} RunSeen
 * @typedef {{serial: string, kind: string, runs: RunSeen[], history: "whole" | "broken" | "damaged", why: Record<string, string>}} Device
 * @typedef {{devices: Device[], runs: Record<string, string>}} Overview
 */

const STEPS = ["flash", "identify", "provision", "self_test", "test", "calibrate", "label"];
const BEFORE = 6;
const overview = signal(/** @type {Overview | null} */ (null));
const filter = signal("all");
const search = signal("");
const report = signal(/** @type {string | null} */ (null));

function read() {
  ask("GET", "/matrix").then((found) => { overview.value = found; }, refusal);
}

export function Matrix() {
  // A run that ends has left a record.
  const ended = bench.value?.places.map((slot) => slot.run?.ended?.ended_at ?? "").join() ?? "";
  useEffect(read, [ended]);
  const found = overview.value;
  if (!found) return html`<${Empty} icon="search" title=${t("matrix_reading")} />`;
  const wanted = (search.value || route.value.board).toLowerCase();
  const devices = found.devices.filter((one) => fits(one) && `${one.serial} ${one.runs.map((each) => `${each.room} ${each.operator}`).join(" ")}`.toLowerCase().includes(wanted));
  const passed = found.devices.filter((one) => one.runs.at(-1)?.verdict === "passed").length;
  return html`<div class="instrument">
    <div class="tools"><${Choice} name=${t("filter")} value=${filter.value} choices=${["all", "failed", "odd"].map((name) => [name, t(`filter_${name}`)])} onChoose=${(/** @type {string} */ name) => { filter.value = name; }} />
      <label class="find">${t("search_records")}<input type="search" value=${search.value || route.value.board} onInput=${(/** @type {InputEvent} */ event) => { search.value = /** @type {HTMLInputElement} */ (event.target).value; if (!search.value) location.hash = "#/matrix"; }} /></label>
      <span class="space"></span><${Report} /></div>
    <p class="sums">${t("matrix_sums", { all: found.devices.length, passed, failed: found.devices.length - passed })}</p>
    ${devices.length === 0 ? html`<${Empty} icon="search" title=${t(found.devices.length ? "matrix_none" : "matrix_empty")} />` : html`<div class="wide"><table class="matrix">
      <thead><tr><th>${t("device_col")}</th><th>${t("room")}</th>${STEPS.map((name) => html`<th class="step">${t(`step_${name}`)}</th>`)}<th>${t("last_run")}</th><th class="before">${t("earlier_runs")}</th></tr></thead>
      <tbody>${devices.map((device) => html`<${Row} key=${device.serial} device=${device} runs=${found.runs} />`)}</tbody></table></div>`}
    <${Line} line="gatehouse-bench record list" />
  </div>`;
}

/** @param {Device} device */
function fits(device) {
  if (filter.value === "failed") return device.runs.at(-1)?.verdict !== "passed";
  return filter.value === "odd" ? device.history !== "whole" : true;
}

/** @param {{device: Device, runs: Record<string, string>}} props */
function Row({ device, runs }) {
  const last = device.runs.at(-1);
  const isNameless = device.serial.startsWith("unknown-");
  const open = (/** @type {RunSeen} */ one) => openDialog(`${device.serial} #${one.number}`, html`<${Record} serial=${device.serial} number=${one.number} run=${runs[`${device.serial}/${one.number}`]} />`);
  return html`<tr><th scope="row"><span class="mono">${isNameless ? t("nameless", { place: device.serial.slice(8) }) : device.serial}</span>
      <small>${device.kind && t(`kind_${device.kind}`)}${last?.is_simulated ? ` · ${t("bench_simulated")}` : ""}</small>
      ${device.history !== "whole" && html`<span class="pill p1">${t(`history_${device.history}`)}</span>`}</th>
    <td>${last?.room || "–"}</td>
    ${STEPS.map((name) => html`<${StepCell} key=${name} step=${last?.steps.find((step) => step.name === name)} />`)}
    <td class="last">${last && html`<button class=${`verdict is-${last.verdict}`} onClick=${() => open(last)}><b>${last.verdict === "passed" ? "✓" : "✗"} ${t(`run_${last.verdict}`)}</b><small>#${last.number} · ${when(last.began_at)}</small></button>`}</td>
    <td class="before"><div>${device.runs.slice(-1 - BEFORE, -1).reverse().map((one) => html`<button key=${one.number} class=${`tiny is-${one.verdict}`} onClick=${() => open(one)}
      aria-label=${`#${one.number} ${t(`run_${one.verdict}`)} ${dateTime(one.began_at)}`} title=${`${dateTime(one.began_at)} ${pick(one)}`}>${one.verdict === "passed" ? "✓" : "✗"}</button>`)}</div></td></tr>`;
}

/** @param {{step: StepSeen | undefined}} props */
function StepCell({ step }) {
  if (!step) return html`<td class="step is-none">–</td>`;
  return html`<td class=${`step is-${step.verdict}`}>${step.verdict === "passed" ? "✓" : "✗"}<small>${step.took_s.toFixed(1)}</small></td>`;
}

/** Runs the export, then offers both files. */
function Report() {
  const last = bench.value?.commands.find((one) => one.id === report.value);
  if (last?.state === "passed") return html`<${Files} id=${last.id} />`;
  return html`<button class="strong" disabled=${isStale.value || last?.state === "running"} onClick=${async () => { report.value = await run({ verb: "export" }); }}>${t("make_report")}</button>`;
}

const files = signal(/** @type {{html: string, json: string} | null} */ (null));

/** @param {{id: string}} props */
function Files({ id }) {
  useEffect(() => { ask("GET", `/runs/${id}/lines`).then((found) => { files.value = found.answer; }, refusal); }, [id]);
  const found = files.value;
  if (!found) return null;
  const name = (/** @type {string} */ path) => path.split("/").at(-1);
  return html`<span class="files"><a class="button strong" href=${`/api/reports/${name(found.html)}`} download>${t("save_html")}</a><a class="button" href=${`/api/reports/${name(found.json)}`} download>${t("save_json")}</a></span>`;
}
// words: history_broken history_damaged filter_all filter_failed filter_odd
