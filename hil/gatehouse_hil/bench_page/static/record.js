// One record, as it was signed: steps, measurements within their limits, what to do; and the run played again.
import { ask } from "/ui/api.js";
import { dateTime } from "/ui/time.js";
import { refusal } from "/ui/toast.js";
import { html, signal, useEffect, useMemo } from "/ui/vendor/preact.js";
import { current, pick, t } from "/ui/words.js";
import { Replay } from "./replay.js";

/**
 * @typedef {{name: string, zh: string, en: string, unit: string, value: number, low: number | null, high: number | null, equals: number | null, instrument: string,
 *   verdict: "passed" | "failed"}} Measurement
 * @typedef {{name: string, verdict: "passed" | "failed", took_s: number, fault: string, zh: string, en: string}} StepDone
 * @typedef {{record: {serial: string, number: number, kind: string, room: string, mac: string, verdict: "passed" | "failed", began_at: string, ended_at: string,
 *   where: {operator: string, bench: string, station: string, rig: string}, firmware: {runtime: string, application: string, micropython: string, slot: string},
 *   key_check: string, steps: StepDone[], measurements: Measurement[],
 *   calibration: {points: {name: string, applied: number, unit: string, shown: number, shown_unit: string}[], gas: {gas: string, bottle: string, expires: string} | null} | null},
 *   hash: string, key: string}} Signed
 */

/** @param {{serial: string, number: number, run: string | undefined}} props */
export function Record({ serial, number, run }) {
  const signed = useMemo(() => signal(/** @type {Signed | null} */ (null)), [serial, number]);
  const isReplayed = useMemo(() => signal(false), [serial, number]);
  const base = `/records/${serial}/${String(number)}`;
  useEffect(() => { ask("GET", `${base}.json`).then((found) => { signed.value = found; }, refusal); }, [base]);
  const found = signed.value;
  if (!found) return html`<p>${t("matrix_reading")}</p>`;
  const { record } = found;
  const failed = record.steps.find((step) => step.fault);
  return html`<div class="record">
    <p class=${`verdict is-${record.verdict}`}><b>${record.verdict === "passed" ? "✓" : "✗"} ${t(`run_${record.verdict}`)}</b> ${dateTime(record.began_at)}</p>
    ${failed && html`<p class="sentence">${pick(failed)}</p>`}
    <div class="buttons">
      ${run ? html`<button class=${record.verdict === "failed" ? "strong" : ""} onClick=${() => { isReplayed.value = !isReplayed.value; }}>${t(isReplayed.value ? "close_replay" : "replay")}</button>` : html`<span class="quiet">${t("no_replay")}</span>`}
      <a class="button" href=${`/api${base}.html`} target="_blank" rel="noopener">${t("open_page")}</a>
      <a class="button" href=${`/api${base}.json`} download=${`${serial}-${number}.json`}>${t("save_json")}</a></div>
    ${isReplayed.value && run && html`<${Replay} id=${run} />`}
    <ol class="done">${record.steps.map((step) => html`<li key=${step.name} class=${`is-${step.verdict}`}><span>${step.verdict === "passed" ? "✓" : "✗"}</span>${t(`step_${step.name}`)}<small>${t("seconds", { s: step.took_s.toFixed(1) })}</small></li>`)}</ol>
    ${record.measurements.length > 0 && html`<h3>${t("step_test")}</h3><div class="wide" tabindex="0" role="region" aria-label=${t("step_test")}><table class="measured"><tbody>${record.measurements.map((one) => html`<tr key=${one.name} class=${`is-${one.verdict}`}>
      <th scope="row">${pick(one)}</th><td class="number">${round(one.value)} ${one.unit}</td><td><${Limits} one=${one} /></td></tr>`)}</tbody></table></div>`}
    ${record.calibration && html`<h3>${t("step_calibrate")}</h3><dl class="facts">${record.calibration.points.map((point) => html`<dt key=${point.name}>${t(`point_${point.name}`)}</dt><dd>${round(point.applied)} ${point.unit} → ${round(point.shown)} ${point.shown_unit}</dd>`)}
      ${record.calibration.gas && html`<dt>${t("bottle")}</dt><dd>${record.calibration.gas.bottle} · ${record.calibration.gas.gas} · ${record.calibration.gas.expires}</dd>`}</dl>`}
    <dl class="facts who"><dt>${t("bench_operator")}</dt><dd>${record.where.operator}</dd><dt>${t("work_place")}</dt><dd>${record.where.bench} · ${record.where.rig} · ${record.where.station}</dd>
      ${record.room && html`<dt>${t("room")}</dt><dd>${record.room}</dd>`}<dt>MAC</dt><dd class="mono">${record.mac || "–"}</dd>
      <dt>${t("firmware")}</dt><dd>${[record.firmware.application, record.firmware.slot, record.firmware.runtime].filter(Boolean).join(" · ") || "–"}</dd>
      <dt>SHA-256</dt><dd class="mono hash">${found.hash}</dd></dl></div>`;
}

/** A value between its limits, drawn. @param {{one: Measurement}} props */
function Limits({ one }) {
  const text = one.equals !== null ? `= ${round(one.equals)}` : one.low !== null && one.high !== null ? `${round(one.low)} … ${round(one.high)}` : one.low !== null ? `≥ ${round(one.low)}` : `≤ ${round(one.high ?? 0)}`;
  const [low, high] = [one.low ?? Math.min(0, one.value), one.high ?? Math.max(one.low ?? 0, one.value) * 1.2];
  const at = one.equals !== null || high === low ? null : Math.max(0, Math.min(1, (one.value - low) / (high - low)));
  return html`<span class="limits">${at !== null && html`<i class="scale" aria-hidden="true"><i style=${{ left: `${at * 100}%` }}></i></i>`}<small>${text} ${one.unit}</small></span>`;
}

/** @param {number} value */
function round(value) {
  return new Intl.NumberFormat(current() === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1 }).format(value);
}
// words: point_zero point_span point_check
